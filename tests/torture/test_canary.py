"""Logins of every kind, and no password that is found again."""

import base64
import json
import unittest
import urllib.parse

from tests.torture.canary import forms, hits, run
from tests.torture.gate import keeps


class CanaryTests(unittest.TestCase):
    # Hardening: A14.

    def test_every_figure_keeps_its_bound(self) -> None:
        keeps(self, run, 0)

    def test_every_form_is_found(self) -> None:
        secret = b'%"\xc3\xa9{a-word-that-nobody-says}\\'
        wanted = dict.fromkeys(forms(secret), "it")
        text = secret.decode()
        ways = (
            *(secret, repr(secret).encode(), repr(text).encode(), text[:20].encode()),
            *(json.dumps(text).encode(), urllib.parse.quote(secret).encode()),
            *(base64.b64encode(b"\0alice\0" + secret), base64.b64encode(secret)),
            *(secret.hex().encode(), text[6:].encode()),
        )
        for octets in ways:
            self.assertTrue(hits(iter([("a log", octets)]), wanted), octets)
        self.assertEqual(hits(iter([("a log", b"a word that is said")]), wanted), [])
