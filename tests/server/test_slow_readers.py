"""Clients that read slowly are waited for; those that read nothing are not."""

import itertools
import socket
import tracemalloc
import unittest
from collections.abc import Callable
from unittest import mock

from imapd.server import connection, gathering, outlet
from imapd.server.connection import CLOSING_SECONDS
from imapd.wire import sorted as sorted_lines
from tests.support.server import Server


def unsent(count: Callable[[], int | None]) -> "mock._patch[mock.Mock]":
    """What the kernel is said to hold, asked each time."""
    return mock.patch.object(
        outlet, "unsent", new_callable=mock.Mock, side_effect=lambda _: count()
    )


def shrinking() -> Callable[[], int]:
    left = itertools.count(4_000_000, -1000)
    return lambda: next(left)


class SlowReaderTests(unittest.TestCase):
    """The buffer above the kernel's does not shrink all the while."""

    # Hardening: V01.

    def setUp(self) -> None:
        self.server = Server(self)
        self.client = self.server.login(select="INBOX")

    def pass_seconds(self, seconds: int) -> None:
        for _ in range(seconds):
            self.server.clock.advance(1)

    def test_who_reads_is_never_dropped(self) -> None:
        with unsent(shrinking()):
            self.client.protocol.gate.pauseProducing()
            self.pass_seconds(3000)
        self.assertTrue(self.client.transport.connected)

    def test_who_stops_reading_is_dropped_in_time(self) -> None:
        with unsent(shrinking()):
            self.client.protocol.gate.pauseProducing()
            self.pass_seconds(200)
        with unsent(lambda: 7):
            # What was read last may be seen a fifth of the time later.
            self.pass_seconds(299)
            self.assertTrue(self.client.transport.connected)
            self.pass_seconds(62)
        self.assertFalse(self.client.transport.connected)

    def test_who_reads_nothing_is_dropped_in_time(self) -> None:
        for count in (7, None):
            client = self.server.login(select="INBOX")
            with unsent(lambda count=count: count):  # type: ignore[misc]
                client.protocol.gate.pauseProducing()
                self.pass_seconds(299)
                self.assertTrue(client.transport.connected)
                self.pass_seconds(2)
            self.assertFalse(client.transport.connected)

    def test_each_pause_counts_from_its_beginning(self) -> None:
        with unsent(lambda: 7):
            for _ in range(3):
                self.client.protocol.gate.pauseProducing()
                self.pass_seconds(290)
                self.client.protocol.gate.resumeProducing()
        self.assertTrue(self.client.transport.connected)

    def test_the_end_of_an_answer_is_not_taken_back(self) -> None:
        """LOGOUT may stand behind a large FETCH, which is read slowly."""
        aborted: list[None] = []
        transport = self.client.transport
        # What is written is not all gone yet.
        with (
            mock.patch.object(transport, "loseConnection"),
            mock.patch.object(
                transport, "abortConnection", lambda: aborted.append(None)
            ),
        ):
            with unsent(shrinking()):
                self.client.write(b"a LOGOUT\r\n")
                self.pass_seconds(20 * CLOSING_SECONDS)
                self.assertEqual(aborted, [])
            with unsent(lambda: 7):
                self.pass_seconds(2 * CLOSING_SECONDS + 1)
        self.assertEqual(aborted, [None])
        transport.loseConnection()

    def test_before_login_nobody_gains_time(self) -> None:
        client = self.server.connect()
        aborted: list[None] = []
        with (
            unsent(shrinking()),
            mock.patch.object(client.transport, "loseConnection"),
            mock.patch.object(
                client.transport, "abortConnection", lambda: aborted.append(None)
            ),
        ):
            client.write(b"a LOGOUT\r\n")
            self.pass_seconds(CLOSING_SECONDS + 1)
        self.assertEqual(aborted, [None])
        client.transport.loseConnection()

    def test_before_login_the_deadline_is_absolute(self) -> None:
        """In a TLS handshake that never ends the greeting cannot be sent."""
        client = self.server.connect()
        with unsent(shrinking()):
            client.protocol.gate.pauseProducing()
            self.pass_seconds(62)
        self.assertFalse(client.transport.connected)


class HeldTests(unittest.TestCase):
    """Of what a client does not read, only its connection holds something."""

    # Hardening: V01.

    MESSAGES = 8
    MESSAGE_OCTETS = 150_000

    def setUp(self) -> None:
        self.enterContext(  # however busy the machine is
            mock.patch.object(connection, "TURN_SECONDS", 3600)
        )
        self.server = Server(self)
        self.client = self.server.login(select="INBOX")
        body = (b"x" * 70 + b"\r\n") * (self.MESSAGE_OCTETS // 72)
        for _ in range(self.MESSAGES):
            self.client.append(b"Subject: x\r\n\r\n" + body)
        self.written: list[int] = []

    def write(self, octets: bytes) -> None:
        """The client's connection takes it, and is full; nothing of it is kept."""
        self.written.append(len(octets))
        self.client.protocol.gate.pauseProducing()

    def held(self, command: bytes) -> int:
        """Octets that are in memory while the client does not read the answer."""
        with mock.patch.object(self.client.transport, "write", self.write):
            tracemalloc.start()
            try:
                before, _ = tracemalloc.get_traced_memory()
                self.client.protocol.dataReceived(command)
                after, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        return after - before

    def test_a_batch_is_held_once(self) -> None:
        for items in (b"BODY.PEEK[]", b"(BODY.PEEK[] BODYSTRUCTURE)", b"BODY[TEXT]"):
            held = self.held(b"f FETCH 1:* %b\r\n" % items)
            self.assertGreater(sum(self.written), self.MESSAGE_OCTETS, items)
            self.assertLess(held, self.MESSAGE_OCTETS, items)
            self.written.clear()
            with mock.patch.object(self.client.transport, "write"):
                while self.client.protocol.gate.paused:
                    self.client.protocol.gate.resumeProducing()
                    self.server.clock.advance(0)

    def test_a_batch_is_small(self) -> None:
        """What one who does not read costs, is about this."""
        self.held(b"f FETCH 1:* BODY.PEEK[]\r\n")
        self.assertEqual(len(self.written), 1)
        self.assertLess(self.written[0], 512 << 10)

    def test_a_line_of_numbers_is_sent_as_it_is_read(self) -> None:
        with (
            mock.patch.object(sorted_lines, "PIECE_NUMBERS", 3),
            mock.patch.object(gathering, "GATHER_OCTETS", 1),
        ):
            self.held(b"s SEARCH ALL\r\n")
            self.assertEqual(self.written, [len(b"* SEARCH 1 2 3")])
            self.client.protocol.gate.resumeProducing()
        rest = self.client.transport.value()
        self.assertTrue(rest.startswith(b" 4 5 6 7 8\r\ns OK "), rest)
        self.client.transport.clear()


class UnsentTests(unittest.TestCase):
    def test_what_the_kernel_holds(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as port:
            ours = socket.create_connection(port.getsockname())
            theirs, _ = port.accept()
        with ours, theirs:
            self.assertEqual(outlet.unsent(ours), 0)
            ours.setblocking(False)
            with self.assertRaises(BlockingIOError):
                while True:
                    ours.send(bytes(1 << 20))
            before = outlet.unsent(ours)
            assert before is not None
            self.assertGreater(before, 0)
            taken = 0
            while outlet.unsent(ours) == before:
                taken += len(theirs.recv(1 << 16))
                self.assertLess(taken, 32 << 20)
            after = outlet.unsent(ours)
            assert after is not None
            self.assertLess(after, before)

    def test_where_nobody_can_tell(self) -> None:
        closed = socket.socket()
        closed.close()
        self.assertIsNone(outlet.unsent(closed))
        self.assertIsNone(outlet.unsent(object()))
