"""Endpoint strings: what they listen with."""

import unittest
from typing import Any

from imapd.service.listening import make_endpoint

BACKLOGS = {
    "by itself": ("tcp:1143", 1024),
    "IPv6": ("tcp6:1143:interface=\\:\\:1", 1024),
    "Unix socket": ("unix:/tmp/imap", 1024),
    "as the administrator says": ("tcp:1143:backlog=7", 7),
}


class BacklogTests(unittest.TestCase):
    def test_all_clients_may_come_back_at_once(self) -> None:
        for name, (description, backlog) in BACKLOGS.items():
            endpoint: Any = make_endpoint(description)
            self.assertEqual(endpoint._backlog, backlog, name)

    def test_behind_a_proxy_too(self) -> None:
        endpoint: Any = make_endpoint("haproxy:tcp:1143")
        self.assertEqual(endpoint._endpoint._backlog, 1024)
