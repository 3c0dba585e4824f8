"""Modified UTF-7, against the examples of RFC 3501 and against itself."""

import itertools
import unittest

from hypothesis import given
from hypothesis import strategies as st

from imapd.model import utf7

PAIRS = {
    "ascii": ("Sent Items", b"Sent Items"),
    "empty": ("", b""),
    "ampersand": ("R&D", b"R&-D"),
    "RFC 3501 5.1.3": (
        "~peter/mail/台北/日本語",
        b"~peter/mail/&U,BTFw-/&ZeVnLIqe-",
    ),
    "umlaut": ("Entwürfe", b"Entw&APw-rfe"),
    "ampersand between": ("é&é", b"&AOk-&-&AOk-"),
    "beyond the first plane": ("📧", b"&2D3c5w-"),
    "control character": ("a\tb", b"a&AAk-b"),
    "tilde": ("a~b", b"a~b"),
}
REFUSED = {
    "printable in base64": b"&AGE-",
    "ampersand in base64": b"&ACY-",
    "null shift": b"&AOk-&AOk-",
    "not ended": b"Entw&APw",
    "8-bit": b"Entw\xc3\xbcrfe",
    "8-bit in base64": b"&AAE-\x80",
    "control": b"a\tb",
    "bits left over": b"&AP3-",
    "slash for comma": b"&U/BTFw-",
    "padded": b"&AOk=-",
    "lone surrogate": b"&2D0-",
    "half a unit": b"&AA-",
    "one character": b"&A-",
    "lone ampersand": b"a&b",
    "two shifts in a row": b"&AOQ-&APY-",
    "other half": b"&3gA-",
    "pair the wrong way": b"&3gDYPQ-",
    "not base64": b"&A!Q-",
    "space in a shift": b"&AO Q-",
    "NUL": b"a\0b",
    "DEL": b"a\x7fb",
    "many of them": b"&" * 100_000,
}


class Utf7Tests(unittest.TestCase):
    # Hardening: F08.

    def test_pairs(self) -> None:
        for name, (text, octets) in PAIRS.items():
            self.assertEqual(utf7.encode(text), octets, name)
            self.assertEqual(utf7.decode(octets), text, name)

    def test_refused(self) -> None:
        for name, octets in REFUSED.items():
            with self.assertRaises(ValueError, msg=name):
                utf7.decode(octets)

    def test_lone_surrogate_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            utf7.encode("\ud83d")

    @given(st.text())
    def test_round_trip(self, text: str) -> None:
        self.assertEqual(utf7.decode(utf7.encode(text)), text)

    def test_every_short_string_is_canonical_or_refused(self) -> None:
        alphabet = b"&-A,\x80\x00"
        seen = 0
        for length in range(1, 6):
            for octets in map(bytes, itertools.product(alphabet, repeat=length)):
                try:
                    text = utf7.decode(octets)
                except ValueError:
                    continue
                seen += 1
                self.assertEqual(utf7.encode(text), octets)
        self.assertGreater(seen, 10)
