"""A large message in pieces is, octet for octet, the message in its CRLF form."""

import tempfile
import unittest
from pathlib import Path
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from imapd.mime.scan import to_wire
from imapd.store.maildir import streaming
from imapd.store.maildir.streaming import MessageStream

octets = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"\0", b"a", b"bcd"])).map(
    b"".join
)


class StreamTests(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name, "message")

    def read_all(self, stream: MessageStream) -> list[bytes]:
        pieces = []
        while piece := stream.read():
            pieces.append(piece)
        return pieces

    @given(octets, st.integers(1, 9))
    @settings(max_examples=400, deadline=None)
    def test_pieces_are_the_whole(self, stored: bytes, size: int) -> None:
        # Hardening: X6.
        self.path.write_bytes(stored)
        with mock.patch.object(streaming, "PIECE_OCTETS", size):
            stream = MessageStream(bytes(self.path))
            pieces = self.read_all(stream)
        stream.close()
        self.assertEqual(b"".join(pieces), to_wire(stored))
        self.assertEqual(stream.size_octets, len(to_wire(stored)))
        self.assertTrue(all(len(piece) <= 2 * size for piece in pieces))

    def test_a_file_that_is_renamed_goes_on(self) -> None:
        # Hardening: P20.
        self.path.write_bytes(b"ab\n" * 100_000)
        stream = MessageStream(bytes(self.path))
        self.path.unlink()
        self.assertEqual(len(b"".join(self.read_all(stream))), 400_000)
        stream.close()

    def test_a_file_that_grows_is_sent_as_it_was(self) -> None:
        # Hardening: P20.
        self.path.write_bytes(b"ab\n" * 100_000)
        stream = MessageStream(bytes(self.path))
        with self.path.open("ab") as file:
            file.write(b"more\n")
        self.assertEqual(len(b"".join(self.read_all(stream))), stream.size_octets)
        stream.close()

    def test_a_file_that_is_cut_is_an_error(self) -> None:
        # Hardening: P20.
        self.path.write_bytes(b"ab\n" * 100_000)
        stream = MessageStream(bytes(self.path))
        stream.read()
        self.path.write_bytes(b"ab\n")
        self.assertRaises(OSError, self.read_all, stream)
        stream.close()
        stream.close()
        self.assertEqual(stream.read(), b"")

    def test_what_cannot_be_opened(self) -> None:
        self.assertRaises(FileNotFoundError, MessageStream, bytes(self.path))
        self.path.mkdir()
        self.assertRaises(OSError, MessageStream, bytes(self.path))
