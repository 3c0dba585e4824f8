"""Buffers of TLS are given back, and nothing that is in them is lost."""

import contextlib
import ctypes
import os
import shutil
import socket
import ssl
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from OpenSSL import SSL

from imapd.server import tlsmemory
from imapd.server.tls import TlsContext
from tests.support.certificates import Authority

AUTHORITY = Authority("TLS memory test CA")
LARGE = 60_000
COUNT = 50
#: What a large message each way leaves behind, at least.
LEFT_OCTETS = 100_000


class Pair:
    """A server's side as ours is, and a client, in memory."""

    def __init__(self, context: TlsContext, folder: Path) -> None:
        self.server = SSL.Connection(context.getContext(), None)
        self.server.set_accept_state()
        self.to_client, self.from_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = ssl.create_default_context(
            cafile=str(folder / "ca.pem")
        ).wrap_bio(self.to_client, self.from_client, server_hostname="localhost")
        for _ in range(3):
            with contextlib.suppress(ssl.SSLWantReadError):
                self.client.do_handshake()
            self.give(self.from_client.read())
            with contextlib.suppress(SSL.WantReadError):
                self.server.do_handshake()
            self.carry()

    def give(self, records: bytes) -> None:
        """Let the server's side have records."""
        if records:  # none is an error to it
            self.server.bio_write(records)

    def carry(self) -> None:
        """Give the client what the server has sent."""
        with contextlib.suppress(SSL.WantReadError):
            while True:
                self.to_client.write(self.server.bio_read(32768))

    def to_server(self, octets: bytes) -> bytes:
        """Return the records of it."""
        self.client.write(octets)
        return self.from_client.read()

    def received(self) -> bytes:
        """Return what the server can read now."""
        found = b""
        try:
            while True:
                found += self.server.recv(65536)
        except SSL.WantReadError:
            return found

    def talk(self, octets: bytes) -> None:
        """Send it there and back."""
        self.give(self.to_server(octets))
        assert self.received() == octets
        self.server.sendall(octets)
        self.carry()
        found = b""
        while len(found) < len(octets):
            found += self.client.read(65536)
        assert found == octets


class GiveBackTests(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        AUTHORITY.write(self.folder)
        self.context = TlsContext(self.folder / "cert.pem", self.folder / "key.pem")
        self.context.load()

    def pair(self) -> Pair:
        return Pair(self.context, self.folder)

    def test_the_library_lets_us(self) -> None:
        self.assertTrue(tlsmemory.AVAILABLE)

    def test_nothing_is_lost_wherever_a_record_is_cut(self) -> None:
        pair = self.pair()
        for cut in (0, 1, 4, 5, 6, 20, 400, 518):
            text = os.urandom(500)
            record = pair.to_server(text)
            pair.give(record[:cut])
            if cut % 2:  # OpenSSL has looked at the first part, or not
                self.assertEqual(pair.received(), b"")
            tlsmemory.give_back(pair.server)
            pair.give(record[cut:])
            self.assertEqual(pair.received(), text, cut)

    def test_what_is_still_to_be_sent_is_sent(self) -> None:
        pair = self.pair()
        text = os.urandom(10_000)
        pair.server.sendall(text)
        tlsmemory.give_back(pair.server)
        pair.carry()
        self.assertEqual(pair.client.read(20_000), text)

    def test_taken_as_the_library_gives_it(self) -> None:
        pair = self.pair()
        text = os.urandom(100_000)
        for available in (True, False):
            with mock.patch.object(tlsmemory, "AVAILABLE", available):
                self.assertEqual(tlsmemory.take(pair.server), b"")
                pair.server.sendall(text)
                found: list[bytes] = []
                while piece := tlsmemory.take(pair.server):
                    self.assertLessEqual(len(piece), tlsmemory.TAKEN_OCTETS)
                    found.append(piece)
                self.assertGreater(len(found), 3)
                pair.to_client.write(b"".join(found))
                got = b""
                while len(got) < len(text):
                    got += pair.client.read(65536)
                self.assertEqual(got, text)
        pair.server.bio_shutdown()
        self.assertEqual(tlsmemory.take(pair.server), b"")

    @unittest.skipUnless(hasattr(ctypes.CDLL(None), "mallinfo2"), "no mallinfo2()")
    def test_much_memory_comes_back(self) -> None:
        # Hardening: X10, V02.
        kept, given = self.taken(give_back=False), self.taken(give_back=True)
        self.assertGreater(kept - given, LEFT_OCTETS)

    def taken(self, *, give_back: bool) -> float:
        """Octets of a connection that was used for something large."""
        text = os.urandom(LARGE)
        servers = []
        begin = 0
        for number in range(COUNT + 1):
            pair = self.pair()
            pair.talk(text)
            if give_back:
                tlsmemory.give_back(pair.server)
            pair.talk(b"small")
            servers.append(pair.server)
            if not number:
                begin = allocated_octets()
        return (allocated_octets() - begin) / COUNT

    def test_a_connection_that_has_gone(self) -> None:
        tlsmemory.give_back(None)

    def test_a_connection_on_a_socket_is_left_alone(self) -> None:
        with socket.socket() as one:
            connection = SSL.Connection(self.context.getContext(), one)
            tlsmemory.give_back(connection)
            self.assertIs(connection._socket, one)


class MallocInfo(ctypes.Structure):
    """``struct mallinfo2``; mallinfo(3)."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


def allocated_octets() -> int:
    """What is allocated now, of this process; pages say less where others were free."""
    library = ctypes.CDLL(None)
    library.mallinfo2.restype = MallocInfo
    info = library.mallinfo2()
    return int(info.uordblks + info.hblkhd)
