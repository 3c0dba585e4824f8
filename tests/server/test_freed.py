"""Connections that have ended are gone at once: nothing is left to the collector.

Of thousands that come and go, what is left as cycles would be one long stop.
"""

import contextlib
import gc
import shutil
import socket
import ssl
import tempfile
import unittest
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from twisted.internet.epollreactor import EPollReactor

from imapd.limits import Limits
from imapd.server.tls import TlsContext
from tests.support.certificates import Authority
from tests.support.server import Server

_OURS = (
    *("imapd.server", "imapd.wire", "OpenSSL"),
    *("twisted.internet.tcp", "twisted.protocols", "twisted.python"),
)
_STRANGERS = 10
_LOGIN = (b"a LOGIN alice wonderland\r\n", b"b SELECT INBOX\r\n")


class _Peer:
    """The other end of a connection over TCP, with or without TLS."""

    def __init__(self, turn: Callable[[], None], port: Any, tls: bool) -> None:
        self._turn = turn
        self._socket = socket.create_connection(("127.0.0.1", port.getHost().port))
        self._socket.setblocking(False)
        self._turn()
        self._tls: ssl.SSLObject | None = None
        if tls:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
            self._tls = context.wrap_bio(self._in, self._out)

    def shake_hands(self) -> None:
        for _ in range(4 if self._tls is not None else 0):
            with contextlib.suppress(ssl.SSLWantReadError):
                assert self._tls is not None
                self._tls.do_handshake()
            self._push()

    def _push(self) -> None:
        self.send_raw(self._out.read())
        with contextlib.suppress(BlockingIOError):
            self._in.write(self._socket.recv(65536))

    def send_raw(self, octets: bytes) -> None:
        if octets:
            self._socket.send(octets)
        self._turn()

    def send(self, octets: bytes) -> None:
        if self._tls is None:
            self.send_raw(octets)
        else:
            self._tls.write(octets)
            self._push()

    def close(self) -> None:
        self._socket.close()
        self._turn()


Connect = Callable[[], _Peer]


def says_nothing(connect: Connect) -> None:
    connect().close()


def begins_something(connect: Connect) -> None:
    peer = connect()
    peer.send_raw(b"\x16\x03")
    peer.close()


def gives_way(connect: Connect) -> None:
    peers = [connect() for _ in range(_STRANGERS + 3)]
    for peer in peers:
        peer.close()


def is_refused(connect: Connect) -> None:
    peer = connect()
    peer.shake_hands()
    for _ in range(3):
        peer.send(b"a FROB\r\n")
    peer.close()


def leaves_a_login(connect: Connect) -> None:
    peer = connect()
    peer.shake_hands()
    peer.send(b"a AUTHENTICATE PLAIN\r\n")
    peer.close()


def leaves_an_upload(connect: Connect) -> None:
    peer = connect()
    peer.shake_hands()
    for line in (*_LOGIN, b"c APPEND INBOX {1000}\r\n", b"half"):
        peer.send(line)
    peer.close()


def leaves_idle(connect: Connect) -> None:
    peer = connect()
    peer.shake_hands()
    for line in (*_LOGIN, b"c IDLE\r\n"):
        peer.send(line)
    peer.close()


def logs_out(connect: Connect) -> None:
    peer = connect()
    peer.shake_hands()
    for line in (*_LOGIN, b"c LOGOUT\r\n"):
        peer.send(line)
    peer.close()


PEERS: tuple[Callable[[Connect], None], ...] = (
    *(says_nothing, begins_something, gives_way, is_refused),
    *(leaves_a_login, leaves_an_upload, leaves_idle, logs_out),
)


@contextlib.contextmanager
def _collected() -> Iterator[list[object]]:
    """What is garbage at the end, for want of a collector in the block."""
    found: list[object] = []
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found += gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


class FreedTests(unittest.TestCase):
    # Hardening: V04, V11.

    def setUp(self) -> None:
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        Authority().write(folder)
        context = TlsContext(folder / "cert.pem", folder / "key.pem")
        self.server = Server(self, limits=Limits(preauth_connections=_STRANGERS))
        # One of its own: the tests' clock is not that of any other.
        self.reactor = EPollReactor()
        self.addCleanup(self._close_reactor)
        loopback = "127.0.0.1"
        factory = self.server.factory
        self.ports = {
            False: self.reactor.listenTCP(0, factory, interface=loopback),
            True: self.reactor.listenTCP(0, context.wrap(factory), interface=loopback),
        }

    def _close_reactor(self) -> None:
        for port in self.ports.values():
            port.stopListening()
        self.turn()
        self.reactor.disconnectAll()
        for reader in list(self.reactor.getReaders()):
            self.reactor.removeReader(reader)
            reader.connectionLost(None)
        self.reactor._poller.close()

    def turn(self) -> None:
        for _ in range(5):
            self.reactor.iterate(0.001)
            self.server.clock.advance(0)

    def left_by(self, peer: Callable[[Connect], None], *, tls: bool) -> Counter[str]:
        """What of ours the collector found when it had gone, by class."""

        def connect() -> _Peer:
            return _Peer(self.turn, self.ports[tls], tls)

        peer(connect)  # what is made at the first time only
        with _collected() as found:
            peer(connect)
            self.turn()
            self.assertEqual(self.server.factory.connections, 0)
        kinds = [type(each) for each in found]
        return Counter(
            kind.__qualname__
            for kind in kinds
            if str(kind.__module__).startswith(_OURS)
        )

    def test_nothing_is_left_of_one(self) -> None:
        for peer in PEERS:
            with self.subTest(peer.__name__):
                self.assertEqual(self.left_by(peer, tls=False), {})

    def test_nothing_is_left_of_one_over_tls(self) -> None:
        for peer in PEERS:
            with self.subTest(peer.__name__):
                self.assertEqual(self.left_by(peer, tls=True), {})


if __name__ == "__main__":
    unittest.main()
