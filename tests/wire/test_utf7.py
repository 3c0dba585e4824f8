"""Modified UTF-7: the one right spelling, and no other."""

import itertools
import unittest

from hypothesis import given
from hypothesis import strategies as st

from imapd.wire.utf7 import NotModifiedUtf7, decode, encode

# name: (decoded, octets)
CASES: dict[str, tuple[str, bytes]] = {
    "empty": ("", b""),
    "ASCII": ("Sent Items", b"Sent Items"),
    "ampersand": ("R&D", b"R&-D"),
    "two ampersands": ("&&", b"&-&-"),
    "of the RFC": (
        "~peter/mail/\u53f0\u5317/\u65e5\u672c\u8a9e",
        b"~peter/mail/&U,BTFw-/&ZeVnLIqe-",
    ),
    "one letter": ("Entw\xfcrfe", b"Entw&APw-rfe"),
    "two letters": ("\xe4\xf6", b"&AOQA9g-"),
    "three letters": ("\xe4\xf6\xfc", b"&AOQA9gD8-"),
    "comma for slash": ("\u53f0", b"&U,A-"),
    "surrogate pair": ("\U0001f600", b"&2D3eAA-"),
    "ampersand after a shift": ("\xe4&", b"&AOQ-&-"),
    "minus after a shift": ("\xe4-", b"&AOQ--"),
    "tilde": ("a~b", b"a~b"),
    "replacement character": ("\ufffd", b"&,,0-"),
}

NOT_CANONICAL: dict[str, bytes] = {
    "open shift": b"a&AOQ",
    "only an ampersand": b"&",
    "ASCII in a shift": b"&AGE-",
    "ampersand in a shift": b"&ACY-",
    "two shifts in a row": b"&AOQ-&APY-",
    "padding": b"&AOQ=-",
    "bits left over": b"&AOR-",
    "octet left over": b"&AOQA-",
    "one base64 character": b"&A-",
    "half a surrogate pair": b"&2D0-",
    "other half": b"&3gA-",
    "pair the wrong way": b"&3gDYPQ-",
    "slash of base64": b"&U/A-",
    "not base64": b"&A!Q-",
    "space in a shift": b"&AO Q-",
    "NUL": b"a\0b",
    "NUL, shifted": b"&AAA-",
    "NUL, shifted behind a letter": b"&AOQAAA-",
    "CR, shifted": b"&AA0-",
    "LF": b"a\nb",
    "DEL": b"a\x7fb",
    "C1, shifted": b"&AIU-",
    "8-bit": b"a\xe4",
    "UTF-8": "\xe4".encode(),
    "8-bit in a shift": b"&AAE-\x80",
}


class Utf7Tests(unittest.TestCase):
    def test_both_ways(self) -> None:
        for name, (text, octets) in CASES.items():
            self.assertEqual(encode(text), octets, name)
            self.assertEqual(decode(octets), text, name)

    def test_not_canonical(self) -> None:
        for name, octets in NOT_CANONICAL.items():
            with self.assertRaises(NotModifiedUtf7, msg=name):
                decode(octets)

    def test_names_that_cannot_be_sent(self) -> None:
        for text in ("a\0", "\r\n", "\x1b", "\x7f", "\x85", "\ud800", "a\udce4"):
            with self.assertRaises(NotModifiedUtf7, msg=ascii(text)):
                encode(text)

    def test_all_short_strings_of_the_special_octets(self) -> None:
        read = 0
        for length in range(1, 6):
            for octets in map(bytes, itertools.product(b"&-A,\x80\0Q", repeat=length)):
                try:
                    text = decode(octets)
                except NotModifiedUtf7:
                    continue
                read += 1
                self.assertEqual(encode(text), octets)
        self.assertGreater(read, 100)

    @given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
    def test_round_trip_of_names(self, text: str) -> None:
        octets = encode(text)
        self.assertTrue(all(0x20 <= octet < 0x7F for octet in octets))
        self.assertEqual(decode(octets), text)

    @given(st.text() | st.text("\ud800\udc00\xe4a&\0"))
    def test_any_text_encodes_or_is_refused(self, text: str) -> None:
        try:
            octets = encode(text)
        except NotModifiedUtf7:
            return
        self.assertEqual(decode(octets), text)

    @given(st.binary() | st.text("&-AOQ,+/=2D3e", max_size=20).map(str.encode))
    def test_any_octets_decode_or_are_refused(self, octets: bytes) -> None:
        try:
            text = decode(octets)
        except NotModifiedUtf7:
            return
        self.assertEqual(encode(text), octets)
