"""What workers share, over channels in memory."""

import io
from collections.abc import Callable
from functools import partial
from threading import Thread
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import ILogObserver, LogLevel, textFileLogObserver
from twisted.trial.unittest import SynchronousTestCase

from imapd.errors import LimitReached
from imapd.limits import Limits
from imapd.server.counts import NEAR_PLACES, ConnectionCounts
from imapd.service import channel
from imapd.service.channel import WAITING_LINES, WAITING_NOTICES, Channel
from imapd.service.hub import Hub, Member
from imapd.service.shared import LogCarrier, SharedNotices, SharedThrottle
from tests.service.test_events import banned

LIMITS = Limits(address_connections=3, user_connections=2)
PEER = "192.0.2.1"


class FakeWorker:
    """The other end of a member's channel; ``pump`` carries what was said."""

    def __init__(self, hub: Hub, number: int) -> None:
        self.said: list[tuple[Any, ...]] = []
        self.notices: list[bytes] = []
        self.excess: list[tuple[str | None, str, int]] = []
        self.ready = False
        self.member: Member = hub.join(number, self._is_ready)
        self.channel = Channel(
            {
                channel.COUNT: self._count,
                channel.EXCESS: lambda *fields: self.excess.append(fields),
                channel.NOTICE: lambda text: self.notices.append(channel.octets(text)),
                channel.GRANTED: self._granted,
                channel.STOP: lambda: self.said.append(("stop",)),
            },
            lambda: None,
        )
        self.counts = ConnectionCounts(LIMITS, self.channel.count)
        self.throttle = SharedThrottle(self.channel, b"key")
        self.ends = [
            (self.member.channel, StringTransport(), self.channel),
            (self.channel, StringTransport(), self.member.channel),
        ]
        for end, transport, _ in self.ends:
            end.makeConnection(transport)
        hub.greet(self.member)

    def _is_ready(self) -> None:
        self.ready = True

    def _granted(self, number: int) -> None:
        self.throttle.granted(number)

    def _count(self, user: str | None, place: str, change: int, _: bool) -> None:
        name = None if user is None else channel.octets(user)
        self.counts.hear(name, place, change)

    def pump(self) -> bool:
        """Carry what waits; False: nothing did."""
        moved = False
        for _, transport, other in self.ends:
            octets = transport.value()
            transport.clear()
            if octets:
                moved = True
                other.dataReceived(octets)
        return moved

    def die(self) -> None:
        self.member.channel.connectionLost()


class HubCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.logged: list[Any] = []
        self.hub = Hub(self.clock, LIMITS, cast(ILogObserver, self.logged.append))
        self.patch(self.hub, "now", self.clock.seconds)
        self.workers = [FakeWorker(self.hub, number) for number in (1, 2)]

    def pump(self) -> None:
        while any([each.pump() for each in self.workers]):
            pass


class CountTests(HubCase):
    def test_all_know_what_each_has_counted(self) -> None:
        one, two = self.workers
        self.assertTrue(one.counts.connected(PEER))
        self.assertTrue(one.counts.connected(PEER))
        self.assertTrue(two.counts.connected(PEER))
        self.pump()
        self.assertFalse(two.counts.connected(PEER))
        self.assertFalse(one.counts.connected(PEER))
        one.counts.logged_in(b"Alice", PEER)
        two.counts.logged_in(b"alice", PEER)
        self.pump()
        for each in self.workers:
            with self.assertRaises(LimitReached):
                each.counts.logged_in(b"alice", "198.51.100.1")
        two.counts.logged_out(b"alice", PEER)
        self.pump()
        one.counts.logged_in(b"alice", PEER)

    def test_who_comes_later_is_told(self) -> None:
        for each in self.workers:
            each.counts.connected(PEER)
            each.counts.logged_in(b"alice", PEER)
        self.pump()
        self.workers.append(FakeWorker(self.hub, 3))
        self.pump()
        third = self.workers[2]
        self.assertTrue(third.counts.connected(PEER))
        self.assertFalse(third.counts.connected(PEER))
        with self.assertRaises(LimitReached):
            third.counts.logged_in(b"alice", PEER)

    def test_what_a_dead_worker_counted_is_taken_back(self) -> None:
        one, two = self.workers
        for _ in range(3):
            one.counts.connected(PEER)
        for _ in range(2):
            one.counts.logged_in(b"alice", PEER)
        self.pump()
        self.assertFalse(two.counts.connected(PEER))
        self.workers.remove(one)
        one.die()
        one.die()  # told twice, counted once
        self.pump()
        two.counts.disconnected(PEER)  # the one that was refused
        for _ in range(3):
            self.assertTrue(two.counts.connected(PEER))
        self.assertFalse(two.counts.connected(PEER))
        two.counts.logged_in(b"alice", PEER)

    def test_whoever_told_last_ends_what_is_too_many(self) -> None:
        one, two = self.workers
        for each in self.workers:
            self.assertEqual(
                [each.counts.connected(PEER) for _ in range(3)], [True] * 3
            )
            each.counts.logged_in(b"alice", PEER)
            each.counts.logged_in(b"alice", PEER)
        self.pump()
        self.assertEqual(one.excess, [])
        connections = [fields for fields in two.excess if fields[0] is None]
        self.assertEqual(connections, [(None, PEER, 1)] * 3)
        logins = [fields for fields in two.excess if fields[0] is not None]
        self.assertEqual(logins, [("alice", PEER, 1)] * 2)

    def test_this_machine_has_no_limit(self) -> None:
        for each in self.workers:
            self.assertTrue(all(each.counts.connected("127.0.0.1") for _ in range(9)))
        self.pump()
        self.assertEqual([each.excess for each in self.workers], [[], []])

    def test_a_refused_connection_is_nobody_elses(self) -> None:
        one, two = self.workers
        for _ in range(3):
            one.counts.connected(PEER)
        self.pump()
        for _ in range(3):
            self.assertFalse(two.counts.connected(PEER))
            self.assertFalse(two.counts.is_flooded(PEER))
        two.counts.connected(PEER)
        self.assertTrue(two.counts.is_flooded(PEER))
        for _ in range(4):
            two.counts.disconnected(PEER)
        self.pump()
        self.assertFalse(one.counts.connected(PEER))
        self.assertFalse(two.counts.is_flooded(PEER))


class ThrottleTests(HubCase):
    # Hardening: A01.

    def acquire(
        self, worker: FakeWorker, user: bytes = b"alice", peer: str = PEER
    ) -> "Deferred[Any]":
        (self.turns,) = worker.throttle.turns(peer, user)
        asked = self.turns.acquire()
        self.pump()
        return asked

    def guess(
        self, worker: FakeWorker, password: bytes, user: bytes = b"alice"
    ) -> None:
        self.successResultOf(self.acquire(worker, user))
        worker.throttle.failed(PEER, user, 0.0, password)
        self.turns.release()
        self.pump()

    def test_failures_at_one_worker_delay_at_the_other(self) -> None:
        one, two = self.workers
        self.guess(one, b"a")
        self.guess(two, b"b")
        self.guess(one, b"c")
        asked = self.acquire(two)
        self.assertNoResult(asked)
        self.clock.advance(1.9)
        self.pump()
        self.assertNoResult(asked)
        self.clock.advance(0.2)
        self.pump()
        self.successResultOf(asked)

    def test_the_same_password_counts_once_wherever_it_comes(self) -> None:
        for _ in range(3):
            for each in self.workers:
                self.clock.advance(1)
                self.guess(each, b"old")
        self.clock.advance(1)
        self.successResultOf(self.acquire(self.workers[0]))

    def test_a_queue_for_all_together(self) -> None:
        one, two = self.workers
        held = []
        for each in (one, two, one):
            self.successResultOf(self.acquire(each))
            held.append(self.turns)
        fourth = self.acquire(two)
        self.assertNoResult(fourth)
        held[0].release()
        self.pump()
        self.successResultOf(fourth)

    def test_a_queue_of_a_wide_network_too(self) -> None:
        for number in range(12):
            peer = f"2001:db8:0:{number * 257:x}::1"
            self.successResultOf(self.acquire(self.workers[number % 2], peer=peer))
        next_one = self.acquire(self.workers[0], peer="2001:db8:0:ffff::1")
        self.assertNoResult(next_one)
        self.successResultOf(self.acquire(self.workers[1], peer="2001:db8:1::1"))
        self.workers.pop().die()
        self.pump()
        self.successResultOf(next_one)

    def test_who_leaves_the_queue_holds_up_nobody(self) -> None:
        one, two = self.workers
        held = []
        for each in (one, two, one):
            self.acquire(each)
            held.append(self.turns)
        left = self.acquire(two)
        last = self.acquire(one)
        left.addErrback(lambda _: None)
        left.cancel()
        self.pump()
        self.assertNoResult(last)
        held[1].release()
        self.pump()
        self.successResultOf(last)

    def test_a_dead_worker_gives_its_turns_back(self) -> None:
        one, two = self.workers
        for _ in range(3):
            self.acquire(one)
        asked = self.acquire(two)
        self.assertNoResult(asked)
        self.workers.remove(one)
        one.die()
        self.pump()
        self.successResultOf(asked)

    def test_who_is_at_home_is_so_at_every_worker(self) -> None:
        one, two = self.workers
        one.throttle.succeeded(PEER, b"bob", 0.0)
        self.pump()
        for password in (b"a", b"b", b"c"):
            self.guess(two, password)
        self.assertNoResult(self.acquire(one))
        self.successResultOf(self.acquire(two, b"bob"))

    def test_no_password_is_told(self) -> None:
        # Hardening: A14.
        self.successResultOf(self.acquire(self.workers[0]))
        self.workers[0].throttle.failed(PEER, b"alice", 0.0, b"hunter2")
        self.assertNotIn(b"hunter2", self.workers[0].ends[1][1].value())


class NewsTests(HubCase):
    def test_notices_go_to_the_others(self) -> None:
        one, two = self.workers
        SharedNotices(one.channel).changed(b"/mail/\xff\xfe")
        self.pump()
        self.assertEqual((one.notices, two.notices), ([], [b"/mail/\xff\xfe"]))

    def test_who_does_not_read_costs_little_and_misses_no_count(self) -> None:
        one, two = self.workers
        end, transport, _ = two.ends[0]
        end.pauseProducing()
        for number in range(2 * WAITING_NOTICES):
            one.channel.notice(b"/mail/%d" % number)
            one.channel.notice(b"/mail/same")
        one.counts.connected(PEER)
        one.counts.connected(PEER)
        one.counts.disconnected(PEER)
        self.pump()
        self.assertEqual(transport.value(), b"")
        end.resumeProducing()
        self.pump()
        self.assertEqual(len(two.notices), WAITING_NOTICES)
        self.assertEqual(two.notices.count(b"/mail/same"), 1)
        self.assertEqual(two.counts._addresses.get(PEER, 0), 1)

    def test_what_nobody_waits_for_is_sent_together(self) -> None:
        clock, transport = Clock(), StringTransport()
        heard: list[tuple[str, Any]] = []
        ours = Channel({}, lambda: None, clock)
        theirs = Channel(
            {
                kind: lambda *fields, kind=kind: heard.append((kind, fields[-1]))
                for kind in (channel.LOG, channel.COUNT, channel.LEAVE)
            },
            lambda: None,
        )
        ours.makeConnection(transport)
        theirs.makeConnection(StringTransport())

        def log(level: str, text: str) -> None:
            ours.line(level, "imapd", None, text)

        def sent() -> list[tuple[str, Any]]:
            theirs.dataReceived(transport.value())
            transport.clear()
            told = list(heard)
            heard.clear()
            return told

        log("info", "one")
        ours.count(b"alice", PEER, 1, True, hurry=False)
        self.assertEqual(sent(), [])
        clock.advance(channel.GATHER_SECONDS)
        self.assertEqual(sent(), [("log", "one"), ("count", True)])
        log("info", "two")
        ours.say(channel.LEAVE, 7)
        self.assertEqual(sent(), [("log", "two"), ("leave", 7)])
        log("info", "three")
        log("warn", "four")
        self.assertEqual(sent(), [("log", "three"), ("log", "four")])
        log("info", "five")
        ours.count(None, PEER, 1, True)
        self.assertEqual(sent(), [("log", "five"), ("count", True)])
        for number in range(channel.GATHER_MESSAGES + 1):
            log("info", str(number))
        log("info", "x" * (channel.GATHER_CHARACTERS + 1))
        self.assertEqual(len(sent()), channel.GATHER_MESSAGES + 2)
        self.assertEqual(clock.getDelayedCalls(), [])
        log("info", "last words")
        ours.finish()
        self.assertEqual(sent(), [("log", "last words")])
        log("info", "too late")
        ours.connectionLost()
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_near_a_limit_everybody_knows_at_once(self) -> None:
        limits = Limits(user_connections=NEAR_PLACES + 2, address_connections=1000)
        hub = Hub(self.clock, limits)
        workers = [FakeWorker(hub, number) for number in (1, 2)]
        one, two = workers
        one.counts = ConnectionCounts(limits, one.channel.count)
        one.channel._clock = two.channel._clock = self.clock

        def carry() -> None:
            while any([each.pump() for each in workers]):
                pass

        for number in range(1, 5):
            one.counts.logged_in(b"alice", PEER)
            carry()
            known = two.counts._users.get(b"alice", 0)
            self.assertEqual(known, 0 if number <= 2 else number)
        for number in (3, 2, 1):
            one.counts.logged_out(b"alice", PEER)
            carry()
            self.assertEqual(two.counts._users.get(b"alice", 0), number)
        one.counts.logged_out(b"alice", PEER)
        carry()
        self.assertEqual(two.counts._users.get(b"alice", 0), 1)
        for _ in range(2):
            self.clock.advance(channel.GATHER_SECONDS)
            carry()
        self.assertEqual(two.counts._users.get(b"alice", 0), 0)

    def test_a_message_that_breaks_does_not_break_the_channel(self) -> None:
        one, two = self.workers
        one.channel.say("unheard-of")
        one.channel.say(channel.COUNT, "too few")
        one.channel.sendString(b"\xff{")
        one.channel.sendString(b"7")
        SharedNotices(one.channel).changed(b"/mail")
        self.pump()
        self.assertEqual(two.notices, [b"/mail"])
        self.assertEqual(len(self.flushLoggedErrors()), 4)

    def test_ready(self) -> None:
        self.workers[1].channel.say(channel.READY)
        self.pump()
        self.assertEqual([each.ready for each in self.workers], [False, True])


class FakeReactor:
    """Takes calls of other threads, and makes them in ``turn``."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], object]] = []

    def callFromThread(self, call: Callable[..., object], *args: object) -> None:
        self.calls.append(partial(call, *args))

    def turn(self) -> None:
        while self.calls:
            self.calls.pop(0)()


class LogTests(HubCase):
    # Hardening: A13.

    def setUp(self) -> None:
        super().setUp()
        self.reactor = FakeReactor()
        reactor: Any = self.reactor
        self.carrier = LogCarrier(self.workers[0].channel, reactor)

    def written(self) -> list[str]:
        """What the master's log has."""

        file = io.StringIO()
        observer: Any = textFileLogObserver(file)
        self.pump()
        for event in self.logged:
            observer(event)
        return file.getvalue().splitlines()

    def log(self, **event: Any) -> None:
        event = {
            "log_level": LogLevel.warn,
            "log_namespace": "imapd",
            "log_time": 0.0,
            **event,
        }
        self.carrier(event)

    def test_the_words_stay(self) -> None:
        self.log(
            log_format="login refused peer={peer} mechanism='PLAIN' "
            "reason='wrong-password' user={user!r}",
            peer=PEER,
            user="x\r\n{text} %s",
        )
        (line,) = self.written()
        self.assertTrue(line.endswith(r"user='x\r\n{text} %s' worker=1"), line)
        self.assertIn("[imapd#warn] login refused peer=192.0.2.1 ", line)
        self.assertEqual(banned(line), PEER)

    def test_another_thread_leaves_the_channel_alone(self) -> None:
        logs = Thread(target=self.log, kwargs={"log_format": "from a thread"})
        logs.start()
        logs.join()
        self.assertEqual(self.written(), [])
        self.reactor.turn()
        (line,) = self.written()
        self.assertTrue(line.endswith("[imapd#warn] from a thread worker=1"), line)

    def test_a_traceback_is_one_event(self) -> None:
        try:
            raise ValueError("broken")
        except ValueError:
            from twisted.python.failure import Failure

            failure = Failure()
        self.log(
            log_format="it failed", log_failure=failure, log_level=LogLevel.critical
        )
        first, *rest = self.written()
        self.assertTrue(first.endswith("[imapd#critical] it failed worker=1"), first)
        self.assertTrue(all(line.startswith("\t") for line in rest), rest)
        self.assertIn("ValueError: broken", rest[-2] + rest[-1])

    def test_too_many_lines_are_told_of(self) -> None:
        carrier = self.workers[0].channel
        carrier.pauseProducing()
        for _ in range(WAITING_LINES + 5):
            self.log(log_format="much")
        carrier.resumeProducing()
        self.pump()
        self.assertEqual(len(self.logged), WAITING_LINES)
