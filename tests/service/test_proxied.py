"""Behind a proxy nothing is said, and nobody known, before its header is read."""

import unittest
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from imapd.service.proxied import HEADER_SECONDS, ProxiedFactory

V1 = b"PROXY TCP4 192.0.2.1 192.0.2.2 4000 143\r\n"
V2_HEAD = b"\r\n\r\n\x00\r\nQUIT\n"
#: No address of a client, or not of that kind.
NO_ADDRESS = {
    "no text": b"TCP4 \xff\xfe 192.0.2.2 4000 143",
    "no port": b"TCP4 192.0.2.1 192.0.2.2 x 143",
    "no number": b"TCP4 192.0.2.1 192.0.2.2 4000 0x8f",
    "a name": b"TCP4 unix 192.0.2.2 4000 143",
    "a line end": b"TCP4 192.0.2.1\nx 192.0.2.2 4000 143",
    "a scope": b"TCP6 fe80::1%\nx ::1 4000 143",
    "the other kind": b"TCP4 2001:db8::1 192.0.2.2 4000 143",
    "the other kind, too": b"TCP6 192.0.2.1 ::2 4000 143",
    "much": b"TCP4 %b 192.0.2.2 4000 143" % (b"1" * 2000),
    "nothing": b"TCP4",
}
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

    def test_what_is_no_address_is_nobody(self) -> None:
        # Hardening: A13.
        for name, header in NO_ADDRESS.items():
            self.setUp()
            self.protocol.dataReceived(b"PROXY %b\r\na NOOP\r\n" % header)
            self.assertTrue(self.transport.disconnecting, name)
            self.protocol.dataReceived(V1)
            self.assertEqual(self.transport.value(), b"", name)
            self.protocol.connectionLost()
            self.assertEqual(_Greeter.lost, 0, name)

    def test_any_second_version(self) -> None:
        for kind in range(256):
            for octets in (b"\0\x0c" + bytes(12), b"\0\xd8" + b"\xff" * 216):
                self.setUp()
                self.protocol.dataReceived(V2_HEAD + b"\x21%c" % kind + octets)
                refused = self.transport.disconnecting
                self.assertEqual(refused, not self.transport.value(), kind)

    def test_a_proxy_that_speaks_for_itself(self) -> None:
        """Checks whether we live; then the address is its own."""
        own = self.transport.getPeer().host.encode() + b"\r\n"
        for header in (
            b"PROXY UNKNOWN\r\n",
            b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n",
            V2_HEAD + b"\x20\0\0\0",
            V2_HEAD + b"\x21\0\0\0",
        ):
            self.setUp()
            self.protocol.dataReceived(header + b"a NOOP\r\n")
            self.assertEqual(self.transport.value(), own + b"a NOOP\r\n", header)

    def test_who_is_near_to_the_proxy_is_not_near_to_us(self) -> None:
        near = {
            "loopback": b"PROXY TCP4 127.0.0.1 192.0.2.2 4000 143\r\n",
            "mapped": b"PROXY TCP6 ::ffff:127.0.0.1 ::2 4000 143\r\n",
            "a socket of Unix": V2_HEAD + b"\x21\x31\0\xd8/run/x" + bytes(210),
        }
        own = self.transport.getPeer().host.encode() + b"\r\n"
        for name, header in near.items():
            self.setUp()
            self.protocol.dataReceived(header)
            self.assertEqual(self.transport.value(), own, name)
            self.setUp()
            self.transport.peerAddr = IPv4Address("TCP", "127.0.0.1", 4000)
            self.protocol.dataReceived(V1)
            self.assertEqual(self.transport.value(), b"192.0.2.1\r\n", name)

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
