"""When a mailbox is looked at: soon after a hint, not often, until it was exact."""

from collections.abc import Callable
from itertools import pairwise

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imapd.mailbox.live import LiveMailbox
from imapd.mailbox.looks import (
    GATHER_SECONDS,
    LEAST_SECONDS,
    MOST_REST_SECONDS,
    MOST_SECONDS,
    REST_FACTOR,
    Looks,
)
from tests.support.memory import MemoryMailbox, OpenMailbox
from tests.support.workers import LaterWorkers

TICK_SECONDS = 0.001


class LooksCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.box = MemoryMailbox()
        self.workers = LaterWorkers(inline=True)
        self.live = LiveMailbox(OpenMailbox(self.box), self.workers)
        self.successResultOf(Deferred.fromCoroutine(self.live.refresh()))
        self.looks = Looks(self.clock, self.live)
        self.box.syncs = 0

    def pass_time(
        self, seconds: float, each: Callable[[], object] = lambda: None
    ) -> list[float]:
        """Milliseconds go by; when the syncs were, in seconds from here."""
        found, began = [], self.clock.seconds()
        for _ in range(round(seconds / TICK_SECONDS)):
            before = self.box.syncs
            each()
            self.clock.advance(TICK_SECONDS)
            found += [self.clock.seconds() - began] * (self.box.syncs - before)
        return found

    def keep_unsettled(self) -> None:
        setattr(self.box, "changed", lambda _: True)  # noqa: B010


class HintTests(LooksCase):
    def test_a_burst_is_one_look(self) -> None:
        for _ in range(100):
            self.box.deliver()
            self.looks.soon()
        looks = self.pass_time(1)
        self.assertEqual(len(looks), 1)
        self.assertLessEqual(looks[0], GATHER_SECONDS + TICK_SECONDS)
        self.assertEqual(len(self.live.uids), 100)

    def test_a_stream_neither_starves_nor_is_looked_at_at_each_hint(self) -> None:
        # Hardening: V13.
        def deliver() -> None:
            self.box.deliver()
            self.looks.soon()

        looks = self.pass_time(2, deliver)
        self.assertLessEqual(len(looks), 2 / LEAST_SECONDS + 1)
        gaps = [two - one for one, two in pairwise(looks)]
        self.assertLess(max(gaps), LEAST_SECONDS + 3 * TICK_SECONDS)
        self.pass_time(LEAST_SECONDS)
        self.assertEqual(len(self.live.uids), 2000)

    def test_nothing_changed_is_no_sync(self) -> None:
        self.looks.soon()
        self.assertEqual(self.pass_time(1), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_hint_during_a_look_is_another_look(self) -> None:
        self.workers.inline = False
        self.box.deliver()
        self.looks.soon()
        self.pass_time(0.01)
        self.workers.step()  # what comes now was not listed any more
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.box.deliver()
        self.looks.soon()
        self.workers.inline = True
        self.pass_time(MOST_SECONDS)
        self.assertEqual(len(self.live.uids), 2)

    def test_a_hint_while_the_worker_is_busy_is_not_lost(self) -> None:
        self.workers.inline = False
        self.box.deliver()
        self.looks.now()
        self.looks.soon()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.workers.step()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_a_clock_set_back_stops_nothing(self) -> None:
        # Hardening: D07.
        self.box.deliver()
        self.looks.soon()
        self.pass_time(0.01)
        self.clock.rightNow -= 3600
        self.box.deliver()
        self.looks.soon()
        self.pass_time(MOST_SECONDS + TICK_SECONDS)
        self.assertEqual(len(self.live.uids), 2)


class SettleTests(LooksCase):
    def test_until_a_listing_was_exact(self) -> None:
        self.keep_unsettled()
        self.looks.soon()
        looks = self.pass_time(5)
        gaps = [two - one for one, two in pairwise(looks)]
        wanted = [LEAST_SECONDS, 0.1, 0.2, 0.4, *[MOST_SECONDS] * 8]
        self.assertEqual(len(gaps), len(wanted))
        for gap, want in zip(gaps, wanted, strict=True):
            self.assertLess(abs(gap - want), 2 * TICK_SECONDS)

    def test_a_hint_ends_the_patience(self) -> None:
        self.keep_unsettled()
        self.looks.soon()
        self.pass_time(5)
        self.looks.soon()
        looks = self.pass_time(3 * LEAST_SECONDS)
        self.assertGreaterEqual(len(looks), 2)

    def test_a_mailbox_that_is_gone_is_left_alone(self) -> None:
        self.keep_unsettled()
        self.live.vanish("deleted")
        self.looks.soon()
        self.assertEqual(self.pass_time(2), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_that_vanishes_at_the_look_is_left_alone(self) -> None:
        self.box.lost = True
        self.looks.soon()
        self.assertEqual(len(self.pass_time(2)), 1)
        self.assertTrue(self.live.gone)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_after_a_long_look_a_long_rest(self) -> None:
        self.workers.inline = False
        for took, rest in (
            (0.02, REST_FACTOR * 0.02),
            (1, MOST_REST_SECONDS),
            (0, LEAST_SECONDS),
        ):
            self.box.deliver()
            self.looks.soon()
            self.clock.advance(MOST_SECONDS)
            self.clock.advance(took)
            self.workers.finish()
            self.box.deliver()
            self.looks.soon()
            (call,) = self.clock.getDelayedCalls()
            self.assertAlmostEqual(call.getTime() - self.clock.seconds(), rest)
            self.clock.advance(MOST_SECONDS)
            self.workers.finish()


class ConfirmTests(LooksCase):
    """What another program did may hide behind what we did ourselves."""

    def setUp(self) -> None:
        super().setUp()
        self.store = OpenMailbox(self.box)
        self.store.is_confirmed = False
        self.live = LiveMailbox(self.store, self.workers)
        self.successResultOf(Deferred.fromCoroutine(self.live.refresh()))
        self.looks = Looks(self.clock, self.live)
        self.box.syncs = 0

    def test_after_a_look(self) -> None:
        self.box.deliver()
        self.looks.soon()
        self.pass_time(MOST_SECONDS / 2)
        self.assertEqual(self.box.syncs, 1)
        self.box.deliver()  # no hint of it comes
        self.pass_time(MOST_SECONDS)
        self.assertEqual(len(self.live.uids), 2)

    def test_where_nothing_was_to_be_seen(self) -> None:
        self.looks.now()
        self.box.deliver()
        self.pass_time(MOST_SECONDS + TICK_SECONDS)
        self.assertEqual(len(self.live.uids), 1)

    def test_until_it_is(self) -> None:
        self.looks.now()
        self.assertEqual(self.pass_time(3 * MOST_SECONDS), [])
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.store.is_confirmed = True
        self.pass_time(MOST_SECONDS + TICK_SECONDS)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_not_of_one_that_is_gone(self) -> None:
        self.looks.now()
        self.live.vanish("deleted")
        self.pass_time(MOST_SECONDS + TICK_SECONDS)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_not_after_stop(self) -> None:
        self.looks.now()
        self.looks.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class StopTests(LooksCase):
    def test_no_timer_is_left(self) -> None:
        self.box.deliver()
        self.looks.soon()
        self.looks.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.looks.soon()
        self.looks.now()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.box.syncs, 0)

    def test_nor_after_a_look_that_ends_later(self) -> None:
        self.workers.inline = False
        self.box.deliver()
        self.looks.now()
        self.looks.soon()
        self.looks.stop()
        self.workers.finish()
        self.assertEqual(self.clock.getDelayedCalls(), [])
