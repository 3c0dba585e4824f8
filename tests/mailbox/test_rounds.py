"""Visiting many things again and again without holding up anybody."""

from unittest.mock import patch

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase

from imapd.mailbox import rounds
from imapd.mailbox.rounds import PAUSE_FACTOR, STRETCH_SECONDS, Rounds


class RoundsTests(SynchronousTestCase):
    # Hardening: V03.

    def setUp(self) -> None:
        self.clock = Clock()
        self.visited: list[str] = []
        self.visit_seconds = 0.0
        self.now_seconds = 0.0  # of time.monotonic
        self.rounds = Rounds[str](self.clock, 1, self.visit)
        patcher = patch("time.monotonic", lambda: self.now_seconds)
        patcher.start()
        self.addCleanup(patcher.stop)
        self.others: list[Deferred[None]] = []  # had their turn before we go on

    def pause(self) -> None:
        """The reactor's turn comes between two stretches, when the test says so."""

        def later(*_: object) -> Deferred[None]:
            self.others.append(Deferred())
            return self.others[-1]

        patcher = patch.object(rounds, "deferLater", later)
        patcher.start()
        self.addCleanup(patcher.stop)

    def visit(self, member: str) -> None:
        self.visited.append(member)
        self.now_seconds += self.visit_seconds

    def test_every_member_each_second(self) -> None:
        for each in "abc":
            self.rounds.add(each)
        self.rounds.discard("b")
        self.rounds.discard("never there")
        self.assertIn("a", self.rounds)
        self.assertNotIn("b", self.rounds)
        self.clock.pump([1, 1])
        self.assertEqual(self.visited, ["a", "c", "a", "c"])

    def test_no_timer_for_nobody(self) -> None:
        self.rounds.add("a")
        self.rounds.discard("a")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.rounds.add("b")
        self.clock.advance(1)
        self.assertEqual(self.visited, ["b"])

    def test_a_round_without_end_is_cut(self) -> None:
        self.visit_seconds = 2 * STRETCH_SECONDS
        for each in "abc":
            self.rounds.add(each)
        self.pause()
        self.clock.advance(1)
        self.assertEqual(self.visited, ["a"])
        self.rounds.discard("b")
        self.rounds.add("d")  # of the next round
        self.others[0].callback(None)
        self.assertEqual(self.visited, ["a", "c"])

    def test_what_is_dear_is_done_less_often(self) -> None:
        self.visit_seconds = 0.25
        for each in "ab":
            self.rounds.add(each)
        self.clock.pump([1, 0])
        self.assertEqual(self.visited, ["a", "b"])
        (call,) = self.clock.getDelayedCalls()
        pause = call.getTime() - self.clock.seconds()
        self.assertEqual(pause, PAUSE_FACTOR * 2 * 0.25)
        self.visit_seconds = 0
        self.clock.pump([pause, 0, 1])
        self.assertEqual(self.visited, ["a", "b"] * 3)

    def test_emptied_during_a_round(self) -> None:
        self.visit_seconds = 2 * STRETCH_SECONDS
        self.rounds.add("a")
        self.rounds.add("b")
        self.pause()
        self.clock.advance(1)
        self.rounds.discard("a")
        self.rounds.discard("b")
        self.others[0].callback(None)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.rounds.add("c")
        self.clock.advance(1)
        self.assertEqual(self.visited, ["a", "c"])

    def test_hurry(self) -> None:
        self.rounds.add("a")
        for _ in range(3):
            self.rounds.hurry()
        self.clock.advance(0)
        self.assertEqual(self.visited, ["a"])
        self.clock.advance(0.5)
        self.assertEqual(self.visited, ["a"])
        self.clock.advance(0.5)
        self.assertEqual(self.visited, ["a", "a"])

    def test_who_hurries_all_the_time_puts_nothing_off_and_costs_no_more(self) -> None:
        self.visit_seconds = 0.01
        self.rounds.add("a")
        for _ in range(400):
            self.rounds.hurry()
            self.clock.advance(0.001)
        self.assertIn(len(self.visited), (2, 3))

    def test_hurry_during_a_round(self) -> None:
        self.visit_seconds = 2 * STRETCH_SECONDS
        self.rounds.add("a")
        self.rounds.add("b")
        self.pause()
        self.clock.advance(1)
        self.rounds.hurry()
        self.others[0].callback(None)
        (call,) = self.clock.getDelayedCalls()
        pause = call.getTime() - self.clock.seconds()
        self.assertAlmostEqual(pause, PAUSE_FACTOR * 4 * STRETCH_SECONDS)
        self.assertLess(pause, 1)

    def test_hurry_with_nobody_there(self) -> None:
        self.rounds.hurry()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_round_that_breaks_is_not_the_last(self) -> None:
        self.visit_seconds = 2 * STRETCH_SECONDS
        self.rounds.add("a")
        self.rounds.add("b")
        with patch.object(rounds, "deferLater", side_effect=ValueError):
            self.clock.advance(1)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        with patch.object(rounds, "deferLater", wraps=deferLater) as later:
            self.clock.pump([1, 0])
        self.assertEqual(later.call_count, 1)
        self.assertEqual(self.visited, ["a", "a", "b"])
