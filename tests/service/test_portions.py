"""What happens at once is dealt with in portions, and nothing is passed over."""

import select
import socket
import unittest
from typing import Any, cast
from unittest import mock

from twisted.internet import selectreactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from imapd.service import portions
from imapd.service.portions import PortionedEndpoint, Portions, portion


class Poller:
    """Tells of all that is ready each time, as the kernel does, in its order."""

    def __init__(self) -> None:
        self.ready: list[tuple[int, int]] = []
        self.register = self.modify = self.unregister = None
        self.asked: list[tuple[float, int]] = []

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        self.asked.append((timeout, most))
        found = self.ready[:most]
        self.ready = self.ready[most:] + found  # those told of go to the end
        return found

    def fileno(self) -> int:
        return 17


class Clock:
    """Each event takes a millisecond."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class PortionsTests(unittest.TestCase):
    # Hardening: V03.

    def setUp(self) -> None:
        self.poller = Poller()
        self.portions = Portions(self.poller)
        self.clock = Clock()
        patched = mock.patch.object(portions, "time", self.clock)
        patched.start()
        self.addCleanup(patched.stop)

    def turn(self, *, stays: bool, seconds: float = 0.001) -> list[int]:
        """Deal with what is told of; ``stays``: there is always more to do."""
        done: list[int] = []
        for descriptor, event in self.portions.poll(0, 1000):
            self.clock.now += seconds
            done.append(descriptor)
            if not stays:
                self.poller.ready.remove((descriptor, event))
        return done

    def test_a_turn_ends_in_time(self) -> None:
        self.poller.ready = [(number, 1) for number in range(10_000)]
        turns = 0
        while self.poller.ready:
            done = self.turn(stays=False)
            self.assertLessEqual(len(done), 11)
            self.assertTrue(done)
            turns += 1
        self.assertLessEqual(turns, 1010)

    def test_one_that_takes_long_is_the_only_one(self) -> None:
        self.poller.ready = [(number, 1) for number in range(5)]
        self.assertEqual(self.turn(stays=True, seconds=1), [0])
        self.assertEqual(self.turn(stays=True, seconds=1), [1])

    def test_what_takes_no_time_is_one_portion(self) -> None:
        self.poller.ready = [(number, 1) for number in range(200)]
        self.assertEqual(self.turn(stays=True, seconds=0), list(range(200)))

    def test_everybody_has_a_turn_however_busy_others_are(self) -> None:
        for count in (2, 25, 200, 512, 700, 2000):
            self.poller.ready = [(number, 1) for number in range(count)]
            waited = dict.fromkeys(range(count), 0)
            for turn in range(count):
                for descriptor in self.turn(stays=True):
                    waited[descriptor] = turn
                late = turn - min(waited.values())
                # Five of a turn are for those who wait; and the kernel's own round.
                self.assertLess(late, count / 3 + 12, f"{count} in turn {turn}")

    def test_who_has_just_come_does_not_wait_for_all_who_wait(self) -> None:
        self.poller.ready = [(number, 1) for number in range(200)]
        self.turn(stays=False)
        self.poller.ready.append((1000, 1))
        done = self.turn(stays=False)
        self.assertEqual(done[:4], [10, 1000, 11, 12])

    def test_it_asks_for_no_more_than_was_wanted(self) -> None:
        for wanted, asked in ((3, 3), (10_000, 256), (-1, 256)):
            self.portions.poll(2.5, wanted)
            self.assertEqual(self.poller.asked.pop(), (2.5, asked))
        self.assertEqual(self.portions.fileno(), 17)


class ReactorTests(unittest.TestCase):
    """With the reactor that Twisted has."""

    def setUp(self) -> None:
        self.reactor: Any = EPollReactor()
        self.addCleanup(self.reactor._poller.close)
        self.addCleanup(self.close_all)
        self.pairs: list[tuple[socket.socket, socket.socket]] = []

    def close_all(self) -> None:
        for each in self.reactor.removeAll():
            each.connectionLost(None)
        for pair in self.pairs:
            for one in pair:
                one.close()

    def test_each_turn_deals_with_some(self) -> None:
        portion(self.reactor)
        portion(self.reactor)  # for the second of two servers in one process
        self.assertIsInstance(self.reactor._poller.poller, select.epoll)
        read: list[Any] = []
        for _ in range(20):
            self.pairs.append(socket.socketpair())
            self.reactor.addReader(_Reader(self.pairs[-1][0], read))
        for _, theirs in self.pairs:
            theirs.send(b"x")
        with mock.patch.object(portions, "PORTION_SECONDS", -1):
            for turn in range(20):
                self.reactor.doPoll(0)
                self.assertEqual(len(read), turn + 1)
        self.assertEqual(len(set(read)), 20)
        self.reactor.doPoll(0)
        self.assertEqual(len(read), 20)

    def test_other_reactors_go_on_as_ever(self) -> None:
        other = selectreactor.SelectReactor()
        self.addCleanup(other.removeAll)
        portion(other)
        self.assertFalse(hasattr(other, "_poller"))
        portion(object())


class ClientTests(TestCase):
    """That one comes, and its octets, are taken without a context."""

    def setUp(self) -> None:
        self.reactor: Any = EPollReactor()
        self.addCleanup(self.reactor._poller.close)
        portion(self.reactor)
        self.said: list[object] = []
        protocol: Any = Protocol()
        protocol.dataReceived = self.heard
        protocol.connectionLost = lambda reason: self.said.append(reason.type)
        factory: Any = Factory()
        factory.noisy = False
        factory.buildProtocol = lambda address: protocol
        port = self.reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.connectionLost, None)
        self.contexts = self.enterContext(
            mock.patch("twisted.internet.epollreactor.log.callWithLogger")
        )
        self.client = socket.create_connection(("127.0.0.1", port.getHost().port))
        self.addCleanup(self.client.close)
        self.turn()
        self.transport = protocol.transport
        self.addCleanup(self.transport.connectionLost, Failure(ConnectionDone()))

    def heard(self, octets: bytes) -> None:
        self.said.append(octets)
        if octets == b"bad":
            raise ZeroDivisionError

    def turn(self) -> None:
        self.reactor.doPoll(1)
        self.contexts.assert_not_called()

    def test_what_it_says(self) -> None:
        for octets in (b"one", b"two"):
            self.client.send(octets)
            self.turn()
        self.assertEqual(self.said, [b"one", b"two"])

    def test_that_it_leaves(self) -> None:
        self.client.shutdown(socket.SHUT_WR)
        self.turn()
        self.assertEqual(self.said, [ConnectionDone])
        self.assertNotIn(self.transport, self.reactor.getReaders())

    def test_what_cannot_be_taken_ends_it(self) -> None:
        self.client.send(b"bad")
        self.turn()
        self.assertEqual(self.said, [b"bad", ZeroDivisionError])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.client.recv(10), b"")

    def test_all_else_is_for_the_reactor(self) -> None:
        self.transport.startWriting()
        self.client.send(b"one")
        self.reactor.doPoll(1)
        self.contexts.assert_called_once()
        self.assertEqual(self.said, [])


class AcceptTests(unittest.TestCase):
    # Hardening: V03.

    def test_few_connections_at_once(self) -> None:
        reactor: Any = EPollReactor()
        self.addCleanup(reactor._poller.close)
        made: list[Protocol] = []
        factory = Factory.forProtocol(Protocol)
        factory.noisy = False
        build = factory.buildProtocol

        def note(address: Any) -> Protocol:
            made.append(cast(Protocol, build(address)))
            return made[-1]

        self.enterContext(mock.patch.object(factory, "buildProtocol", note))
        inner = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        opened: list[Any] = []
        PortionedEndpoint(inner).listen(factory).addCallback(opened.append)
        (port,) = opened
        self.addCleanup(port.connectionLost, None)
        address = "127.0.0.1", port.getHost().port
        clients = [socket.create_connection(address) for _ in range(40)]
        for each in clients:
            self.addCleanup(each.close)
        counts = []
        for _ in range(4):
            reactor.doPoll(0)
            counts.append(len(made))
        for one in made:
            transport: Any = one.transport
            transport.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(counts, [16, 32, 40, 40])


class _Reader:
    """A descriptor; it notes that it had its turn."""

    def __init__(self, ours: socket.socket, read: list[Any]) -> None:
        self.ours = ours
        self.read = read

    def fileno(self) -> int:
        return self.ours.fileno()

    def logPrefix(self) -> str:
        return "reader"

    def doRead(self) -> None:
        self.ours.recv(1)
        self.read.append(self)

    def connectionLost(self, reason: object) -> None:
        """Nothing is to be given back."""
