"""Behind a proxy nothing is said, and nobody known, before its header is read."""

import unittest
from typing import Any, cast

from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from imapd.service.proxied import HEADER_SECONDS, ProxiedFactory

V1 = b"PROXY TCP4 192.0.2.1 192.0.2.2 4000 143\r\n"
V2 = (
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"
    b"\xc0\x00\x02\x01\xc0\x00\x02\x02\x0f\xa0\x00\x8f"
)


class _Greeter(Protocol):
    lost = 0

    def connectionMade(self) -> None:
        transport = cast(Any, self.transport)
        transport.write(transport.getPeer().host.encode() + b"\r\n")

    def dataReceived(self, data: bytes) -> None:
        cast(Any, self.transport).write(data)

    def connectionLost(self, reason: object = None) -> None:
        _Greeter.lost += 1


class ProxiedTests(unittest.TestCase):
    def setUp(self) -> None:
        _Greeter.lost = 0
        self.clock = Clock()
        factory = ProxiedFactory(Factory.forProtocol(_Greeter), self.clock)
        self.protocol: Any = factory.buildProtocol(cast(Any, None))
        self.transport = StringTransport()
        self.protocol.makeConnection(self.transport)

    def test_the_greeting_waits_and_knows_the_client(self) -> None:
        for header in (V1, V2):
            for first in range(16, len(header) + 1):
                self.setUp()
                self.assertEqual(self.transport.value(), b"")
                self.protocol.dataReceived(header[:first])
                self.protocol.dataReceived(header[first:] + b"a NOOP\r\n")
                self.assertEqual(
                    self.transport.value(), b"192.0.2.1\r\na NOOP\r\n", first
                )
                self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_header_no_greeting(self) -> None:
        self.protocol.dataReceived(b"a LOGIN alice wonderland\r\n")
        self.assertTrue(self.transport.disconnecting)
        self.assertEqual(self.transport.value(), b"")

    def test_silence_has_an_end(self) -> None:
        self.assertTrue(self.protocol._deadline.active())
        self.clock.advance(HEADER_SECONDS)
        self.assertTrue(self.transport.disconnecting)
        self.setUp()
        self.protocol.dataReceived(V1)
        self.assertFalse(self.protocol._deadline.active())

    def test_who_was_never_connected_is_not_told_of_the_end(self) -> None:
        self.protocol.connectionLost()
        self.assertEqual(_Greeter.lost, 0)
        self.assertFalse(self.protocol._deadline.active())
        self.setUp()
        self.protocol.dataReceived(V1)
        self.protocol.connectionLost()
        self.assertEqual(_Greeter.lost, 1)
