"""TLS has to stand soon, from the connection or from STARTTLS on."""

import contextlib
import shutil
import ssl
import tempfile
import unittest
from pathlib import Path
from typing import Any, cast

from twisted.internet.interfaces import ISSLTransport, ITLSTransport
from zope.interface import alsoProvides, directlyProvides

from imapd.limits import DEFAULT_LIMITS
from imapd.server.tls import TlsContext
from imapd.service.proxied import ProxiedFactory
from tests.support.certificates import Authority
from tests.support.server import Server, Transport

SECONDS = DEFAULT_LIMITS.handshake_seconds
PREAUTH_SECONDS = DEFAULT_LIMITS.preauth_seconds


class _Tls:
    """The client's side of TLS on a transport in memory."""

    def __init__(self) -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing)

    def step(self, octets: bytes = b"") -> bytes:
        """What to send after that was received."""
        self._incoming.write(octets)
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
        return self._outgoing.read()

    def read(self, octets: bytes) -> bytes:
        self._incoming.write(octets)
        return self._tls.read(65536)


class ImplicitTests(unittest.TestCase):
    # Hardening: P21.

    def setUp(self) -> None:
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        Authority().write(folder)
        self.server = Server(self)
        context = TlsContext(folder / "cert.pem", folder / "key.pem")
        self.factory = context.wrap(self.server.factory)
        self.transport = Transport("192.0.2.1")
        self.protocol = self.factory.buildProtocol(None)
        # What a TCP transport of Twisted's can do, and TLS then says of itself.
        alsoProvides(self.transport, ISSLTransport)
        self.transport.protocol = self.protocol
        self.protocol.makeConnection(cast(Any, self.transport))
        self.tls = _Tls()
        self.addCleanup(self._leave)

    def _leave(self) -> None:
        if self.transport.connected:
            self.transport.loseConnection()

    def _take(self) -> bytes:
        octets: bytes = self.transport.value()
        self.transport.clear()
        return octets

    def _shake_hands(self) -> None:
        self.protocol.dataReceived(self.tls.step())
        self.protocol.dataReceived(self.tls.step(self._take()))

    def _assert_gone_after(self, seconds: float) -> None:
        self.server.clock.advance(seconds - 1)
        self.assertTrue(self.transport.connected)
        self.server.clock.advance(2)
        self.assertFalse(self.transport.connected)
        self.assertEqual(self.server.factory.connections, 0)

    def test_nothing_is_sent(self) -> None:
        self._assert_gone_after(SECONDS)
        self.assertIn(self._take()[:1], (b"", b"\x15"))  # an alert at most

    def test_half_a_hello_and_an_octet_now_and_then(self) -> None:
        hello = self.tls.step()
        self.protocol.dataReceived(hello[: len(hello) // 2])
        for each in range(10):
            at = len(hello) // 2 + each
            self.server.clock.advance(1)
            self.protocol.dataReceived(hello[at : at + 1])
        self._assert_gone_after(SECONDS - 10)

    def test_half_a_handshake(self) -> None:
        self.protocol.dataReceived(self.tls.step())
        self._assert_gone_after(SECONDS)

    def test_one_that_completes_has_its_time_to_log_in(self) -> None:
        self.server.clock.advance(SECONDS - 1)
        self._shake_hands()
        self.assertIn(b"* OK ", self.tls.read(self._take()))
        self.server.clock.advance(PREAUTH_SECONDS - SECONDS)
        self.assertEqual(self._take(), b"")
        self.server.clock.advance(2)
        self.assertIn(b"* BYE ", self.tls.read(self._take()))

    def test_one_that_logged_in_is_left_alone(self) -> None:
        self._shake_hands()
        session = cast(Any, self.protocol.wrappedProtocol)
        session.dataReceived(b"a LOGIN alice wonderland\r\n")
        for _ in range(10):
            self.server.clock.advance(SECONDS)
        self.assertTrue(self.transport.connected)


class StarttlsTests(unittest.TestCase):
    # Hardening: P21.

    def setUp(self) -> None:
        self.server = Server(self)
        self.server.factory.context = cast(Any, object())
        self.client = self.server.connect()
        directlyProvides(self.client.transport, ITLSTransport)
        self.client.protocol.canStartTLS = True
        self.client.transport.startTLS = lambda context: None  # type: ignore[attr-defined]
        self.server.clock.advance(3)
        self.client.ok("STARTTLS")

    def test_nothing_follows(self) -> None:
        self.server.clock.advance(SECONDS - 1)
        self.assertTrue(self.client.transport.connected)
        self.server.clock.advance(2)
        self.assertFalse(self.client.transport.connected)

    def test_the_login_has_no_more_time_for_it(self) -> None:
        self.client.protocol.handshakeCompleted()
        self.server.clock.advance(PREAUTH_SECONDS - 4)
        self.assertTrue(self.client.transport.connected)
        self.server.clock.advance(2)
        self.client.receive()
        self.assertIn(b"* BYE ", self.client.raw)

    def test_a_command_says_that_it_stands(self) -> None:
        """Where something between us and TLS does not tell."""
        self.client.ok("NOOP")
        self.server.clock.advance(SECONDS + 2)
        self.client.ok("NOOP")


class ProxiedTests(unittest.TestCase):
    def test_the_session_hears_of_it(self) -> None:
        """TLS that STARTTLS begins is over the proxy's layer, and tells that one."""
        # Hardening: P21.
        server = Server(self)
        factory = ProxiedFactory(server.factory, server.clock)
        protocol = factory.buildProtocol(None)
        transport = Transport("192.0.2.1")
        transport.protocol = protocol
        protocol.makeConnection(cast(Any, transport))
        protocol.handshakeCompleted()  # before there is a session: nobody hears
        protocol.dataReceived(b"PROXY TCP4 192.0.2.7 192.0.2.2 4000 143\r\n")
        session = cast(Any, protocol.wrappedProtocol)
        session.expect_handshake()
        protocol.handshakeCompleted()
        server.clock.advance(SECONDS + 2)
        self.assertTrue(transport.connected)
        transport.loseConnection()
