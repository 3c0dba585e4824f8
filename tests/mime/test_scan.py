"""The CRLF form and its size."""

from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from imapd.mime.scan import to_wire, wire_size

CASES = {
    "empty": (b"", b""),
    "CRLF stays": (b"a\r\nb\r\n", b"a\r\nb\r\n"),
    "LF": (b"a\nb\n", b"a\r\nb\r\n"),
    "mixed": (b"a\r\nb\nc", b"a\r\nb\r\nc"),
    "bare CR stays": (b"a\rb\n", b"a\rb\r\n"),
    "CR before CRLF stays": (b"a\r\r\nb\n", b"a\r\r\nb\r\n"),
    "LF LF CRLF": (b"\n\n\r\n", b"\r\n\r\n\r\n"),
    "NUL": (b"a\0b\r\n", b"a\x80b\r\n"),
    "NUL and LF": (b"\0\n", b"\x80\r\n"),
    "CR at the end": (b"a\n\r", b"a\r\n\r"),
}


class WireFormTests(TestCase):
    def test_cases(self) -> None:
        for name, (octets, expected) in CASES.items():
            self.assertEqual(to_wire(octets), expected, name)
            self.assertEqual(wire_size(octets), len(expected), name)

    def test_nothing_to_change_copies_nothing(self) -> None:
        message = b"Subject: x\r\n\r\nbody\r\n"
        self.assertIs(to_wire(message), message)

    @given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"\0", b"a"])))
    def test_size_and_idempotence(self, pieces: list[bytes]) -> None:
        octets = b"".join(pieces)
        wire = to_wire(octets)
        self.assertEqual(wire_size(octets), len(wire))
        self.assertIs(to_wire(wire), wire)
        self.assertNotIn(b"\0", wire)
        self.assertEqual(wire.count(b"\n"), wire.count(b"\r\n"))
