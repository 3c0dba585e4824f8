"""Endpoint strings: what they listen with."""

import unittest
from typing import Any

from twisted.internet.protocol import Factory
from twisted.internet.task import Clock

from imapd.service.listening import make_endpoint, wrap
from imapd.service.proxied import ProxiedFactory

BACKLOGS = {
    "by itself": ("tcp:1143", 1024),
    "IPv6": ("tcp6:1143:interface=\\:\\:1", 1024),
    "Unix socket": ("unix:/tmp/imap", 1024),
    "as the administrator says": ("tcp:1143:backlog=7", 7),
}


class BacklogTests(unittest.TestCase):
    # Hardening: V05, V10.

    def test_all_clients_may_come_back_at_once(self) -> None:
        for name, (description, backlog) in BACKLOGS.items():
            endpoint: Any = make_endpoint(description)
            self.assertEqual(endpoint._backlog, backlog, name)

    def test_behind_a_proxy_too(self) -> None:
        endpoint: Any = make_endpoint("haproxy:tcp:1143")
        self.assertEqual(endpoint._endpoint._backlog, 1024)


class WrapTests(unittest.TestCase):
    def test_what_listens_at_a_socket_of_another_process(self) -> None:
        factory, clock = Factory(), Clock()
        for plain in ("tcp:1143", "unix:/tmp/haproxy", "systemd:domain=INET:name=x"):
            self.assertIs(wrap(plain, factory, clock), factory, plain)
        proxied = wrap("haproxy:tcp:1143", factory, clock)
        assert isinstance(proxied, ProxiedFactory)
        self.assertIs(proxied.wrappedFactory, factory)
