"""What goes out together, at once, and not at all."""

import socket
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet import main
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Protocol
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from imapd.server import connection, outlet
from imapd.server.gathering import GATHER_OCTETS
from tests.support.server import Client, Server, Transport


class Writes:
    """Notes each write on its way to the transport."""

    def __init__(self, client: Client) -> None:
        self.each: list[bytes] = []
        self._write = client.transport.write
        client.transport.write = self  # type: ignore[method-assign]

    def __call__(self, data: bytes) -> None:
        self.each.append(data)
        self._write(data)


class GatheringTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(connection, "TURN_SECONDS", 3600)  # however busy the machine is
        self.server = Server(self)
        self.client = self.server.login(select="INBOX")
        self.writes = Writes(self.client)

    def test_answers_to_what_came_together_go_together(self) -> None:
        self.client.write(b"".join(b"n%d NOOP\r\n" % each for each in range(50)))
        self.assertEqual(len(self.writes.each), 1)
        self.assertEqual(self.client.raw.count(b" OK NOOP completed\r\n"), 50)

    def test_nothing_waits_for_what_the_client_confirms(self) -> None:
        told: list[bool] = []

        class Told(Transport):
            def setTcpNoDelay(self, on: bool) -> None:
                told.append(on)

        protocol = self.server.factory.buildProtocol(None)
        protocol.makeConnection(Told("192.0.2.1"))
        self.assertEqual(told, [True])
        protocol.connectionLost(Failure(ConnectionDone()))

    def test_no_more_than_a_piece_is_held_back(self) -> None:
        sent = b"".join(b"%032d NOOP\r\n" % each for each in range(2000))
        for start in range(0, len(sent), 32768):
            self.client.protocol.dataReceived(sent[start : start + 32768])
        got = self.client.receive()
        self.assertEqual(len(got), 2000)
        self.assertGreater(len(self.writes.each), 2)
        self.assertLess(max(map(len, self.writes.each)), GATHER_OCTETS + 1000)

    def test_short_answers_take_little_more_than_their_octets(self) -> None:
        # Hardening: P21.
        sent = b"a NOOP\r\n" * 2048
        self.client.transport.write = lambda data: None  # type: ignore[method-assign]
        self.client.protocol.dataReceived(sent)  # what is made but once
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        before, _ = tracemalloc.get_traced_memory()
        self.client.protocol.dataReceived(sent)
        most = tracemalloc.get_traced_memory()[1] - before
        self.assertLess(most, 5 * GATHER_OCTETS)

    def test_what_a_client_must_see_before_it_goes_on(self) -> None:
        self.client.write(b"a NOOP\r\nb APPEND INBOX {3}\r\n")
        self.assertIn(b"\r\n+ ", self.client.raw)
        self.client.write(b"x\r\n\r\nc IDLE\r\n")
        self.assertIn(b"\r\n+ idling", self.client.raw)
        self.client.write(b"DONE\r\nd LOGOUT\r\n")
        self.assertIn(b"c OK IDLE completed\r\n* BYE", self.client.raw)
        self.assertTrue(self.client.raw.endswith(b"d OK LOGOUT completed\r\n"))
        self.assertFalse(self.client.transport.connected)

    def test_news_of_others_is_not_held_back(self) -> None:
        self.client.ok("NOOP")
        self.client.command("IDLE")
        other = self.server.login()
        other.append(b"a: b\r\n\r\n")
        self.client.receive()
        self.server.clock.advance(1)
        self.assertIn(b"* 1 EXISTS", b"".join(self.writes.each))


class IdlingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = Server(self)
        self.client = self.server.login(select="INBOX")
        self.client.command("IDLE")

    def test_nothing_runs_meanwhile(self) -> None:
        self.assertFalse(self.client.protocol._running)
        self.assertIsNone(self.client.protocol._gathered)
        self.client.write(b"DO")
        self.client.write(b"NE\r\nx NOOP\r\n")
        self.assertIn(b"OK IDLE completed\r\nx OK", self.client.raw)

    def test_a_line_too_long_ends_it(self) -> None:
        # Hardening: P10.
        self.client.write(b"y" * 9000 + b"\r\n")
        self.assertIn(b"t3 NO [TOOBIG]", self.client.raw)
        self.client.ok("NOOP")
        self.server.clock.advance(300)
        self.assertEqual(self.client.receive(), [], "no more reminders")

    def test_a_client_that_was_told_bye_hears_nothing_more(self) -> None:
        self.client.transport.loseConnection = lambda: None  # type: ignore
        self.client.protocol.finish(b"Enough")
        self.client.receive()
        self.assertTrue(self.client.raw.startswith(b"* BYE"), self.client.raw)
        self.server.login().append(b"a: b\r\n\r\n")
        self.server.clock.advance(3)
        self.assertEqual(self.client.receive(), [])
        del self.client.transport.loseConnection

    def test_one_who_leaves_takes_the_timer_along(self) -> None:
        self.client.hang_up()
        self.assertEqual(self.server.clock.getDelayedCalls(), [])


class Reactor:
    """Notes who waits to write."""

    def __init__(self) -> None:
        self.writers: list[Any] = []
        self.later: list[Callable[[], None]] = []

    def callLater(self, seconds: float, call: Any, *arguments: Any) -> None:
        self.later.append(partial(call, *arguments))

    def turn(self) -> None:
        """Do what a turn of the reactor does."""
        later, self.later = self.later, []
        for each in later:
            each()

    def addWriter(self, each: Any) -> None:
        self.writers.append(each)

    def removeWriter(self, each: Any) -> None:
        if each in self.writers:
            self.writers.remove(each)

    def removeReader(self, each: Any) -> None:
        pass


class OutletTests(SynchronousTestCase):
    def setUp(self) -> None:
        near, self.far = socket.socketpair()
        near.setblocking(False)
        self.far.setblocking(False)
        self.addCleanup(near.close)
        self.addCleanup(self.far.close)
        self.reactor = Reactor()
        self.lost: list[type[BaseException] | None] = []
        protocol = Protocol()
        protocol.connectionLost = lambda reason: self.lost.append(reason.type)  # type: ignore[method-assign, assignment, misc]
        self.transport = Connection(near, protocol, self.reactor)  # type: ignore[arg-type]
        self.transport.connected = True

    def test_at_once(self) -> None:
        outlet.write(self.transport, b"one")
        self.assertEqual(self.far.recv(100), b"one")
        self.assertEqual(self.reactor.writers, [])

    def test_behind_what_waits(self) -> None:
        self.transport.write(b"one ")
        outlet.write(self.transport, b"two")
        self.assertRaises(BlockingIOError, self.far.recv, 100)
        self.transport.doWrite()
        self.assertEqual(self.far.recv(100), b"one two")

    def test_as_much_as_the_kernel_takes_goes_at_once(self) -> None:
        self.transport.SEND_LIMIT = 100
        octets = bytes(range(250)) * 2
        outlet.write(self.transport, octets)
        self.assertEqual(self.far.recv(1000), octets)
        self.assertEqual(self.reactor.writers, [])

    def test_what_the_kernel_does_not_take_waits(self) -> None:
        octets = bytes(range(256)) * 8192
        outlet.write(self.transport, octets)
        outlet.write(self.transport, b"end")
        self.assertTrue(self.reactor.writers)
        got = b""
        while len(got) < len(octets) + 3:
            got += self.far.recv(1 << 20)
            self.transport.doWrite()
        self.assertEqual(got, octets + b"end")

    def test_a_lost_connection_is_no_error_here(self) -> None:
        self.far.close()
        outlet.write(self.transport, b"one")
        self.assertTrue(self.reactor.writers, "it is for the reactor to find out")

    def test_closed_in_the_next_turn(self) -> None:
        outlet.write(self.transport, b"one")
        outlet.close(self.transport)
        self.assertEqual((self.reactor.writers, self.lost), ([], []))
        self.reactor.turn()
        self.assertEqual(self.lost, [ConnectionDone])
        self.assertEqual((self.far.recv(100), self.far.recv(100)), (b"one", b""))

    def test_closed_behind_what_waits(self) -> None:
        self.transport.write(b"one ")
        outlet.close(self.transport)
        self.reactor.turn()
        self.assertEqual(self.lost, [])
        self.assertEqual(self.transport.doWrite(), main.CONNECTION_DONE)
        self.assertEqual(self.far.recv(100), b"one ")

    def test_closed_behind_what_came_late(self) -> None:
        outlet.close(self.transport)
        outlet.write(self.transport, b"late")
        self.reactor.turn()
        self.assertEqual(self.lost, [])
        self.assertEqual(self.transport.doWrite(), main.CONNECTION_DONE)
        self.assertEqual(self.far.recv(100), b"late")

    def test_closed_once(self) -> None:
        outlet.close(self.transport)
        outlet.close(self.transport)
        self.transport.connectionLost(Failure(ConnectionLost()))
        self.reactor.turn()
        self.assertEqual(self.lost, [ConnectionLost])
