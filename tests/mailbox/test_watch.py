"""Looking at the mailboxes on which somebody idles, one timer for all."""

from unittest.mock import patch

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imapd.errors import Unavailable
from imapd.mailbox.live import LiveMailbox
from imapd.mailbox.looks import GATHER_SECONDS, LEAST_SECONDS
from imapd.mailbox.watch import POLL_SECONDS, PollingWatch
from tests.support.memory import MemoryMailbox, OpenMailbox
from tests.support.untimed import untimed
from tests.support.workers import LaterWorkers


class WatchTests(SynchronousTestCase):
    def setUp(self) -> None:
        untimed(self)
        self.clock = Clock()
        self.watch = PollingWatch(self.clock)
        self.workers = LaterWorkers(inline=True)
        self.box = MemoryMailbox()
        self.live = LiveMailbox(OpenMailbox(self.box), self.workers)
        self.successResultOf(Deferred.fromCoroutine(self.live.refresh()))

    def turn(self) -> None:
        self.clock.advance(POLL_SECONDS)

    def test_what_arrives_shows_within_a_second(self) -> None:
        self.watch.add(self.live)
        self.box.deliver()
        self.clock.advance(0.5)
        self.clock.advance(0.5)
        self.assertEqual(list(self.live.uids), [1])

    def test_nothing_is_synced_while_nothing_changes(self) -> None:
        self.watch.add(self.live)
        before = self.box.syncs
        for _ in range(10):
            self.turn()
        self.assertEqual(self.box.syncs, before)

    def test_no_timer_runs_for_nobody(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])
        for _ in range(2):
            self.watch.add(self.live)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.watch.remove(self.live)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.watch.remove(self.live)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.watch.add(self.live)
        self.box.deliver()
        self.turn()
        self.assertEqual(list(self.live.uids), [1])
        self.watch.remove(self.live)

    def test_a_slow_disk_piles_up_no_work(self) -> None:
        self.watch.add(self.live)
        self.workers.inline = False
        self.box.deliver()
        for _ in range(20):
            self.turn()
        self.assertEqual(len(self.workers.waiting), 1)
        self.workers.finish()
        self.assertEqual(list(self.live.uids), [1])
        self.box.deliver()
        self.turn()
        self.workers.finish()
        self.assertEqual(list(self.live.uids), [1, 2])

    def test_one_that_fails_is_looked_at_again(self) -> None:
        other = MemoryMailbox()
        live = LiveMailbox(OpenMailbox(other), self.workers)
        for error in (Unavailable("no"), ValueError("a defect")):

            def changed(*_: object, error: Exception = error) -> bool:
                raise error

            original = self.box.changed
            setattr(self.box, "changed", changed)  # noqa: B010
            self.watch.add(self.live)
            self.watch.add(live)
            uid = other.deliver()
            self.turn()
            self.assertIn(uid, live.uids)
            setattr(self.box, "changed", original)  # noqa: B010
            uid = self.box.deliver()
            self.turn()
            self.assertIn(uid, self.live.uids)
            self.watch.remove(self.live)
            self.watch.remove(live)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_one_that_is_gone_is_left_alone(self) -> None:
        self.watch.add(self.live)
        self.live.vanish("deleted")
        self.box.deliver()
        before = self.box.syncs
        self.turn()
        self.assertEqual(self.box.syncs, before)
        self.watch.remove(self.live)

    def test_many_mailboxes(self) -> None:
        boxes = [MemoryMailbox() for _ in range(20)]
        lives = [LiveMailbox(OpenMailbox(box), self.workers) for box in boxes]
        for live, box in zip(lives, boxes, strict=True):
            self.watch.add(live)
            box.deliver()
        self.turn()
        self.assertEqual([list(live.uids) for live in lives], [[1]] * 20)
        for live in lives:
            self.watch.remove(live)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_another_process_says_is_looked_at_at_once(self) -> None:
        self.box.directories = (b"/mail/new", b"/mail/cur")
        self.watch.add(self.live)
        self.watch.add(self.live)
        self.box.deliver()
        self.watch.notice(b"/mail/other")
        self.clock.advance(GATHER_SECONDS)
        self.assertEqual(list(self.live.uids), [])
        self.watch.notice(b"/mail/cur")
        self.clock.advance(GATHER_SECONDS)
        self.assertEqual(list(self.live.uids), [1])
        self.watch.remove(self.live)
        self.watch.remove(self.live)
        self.watch.notice(b"/mail/cur")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_two_accounts_that_share_a_directory_are_both_told(self) -> None:
        self.box.directories = (b"/mail/new", b"/mail/cur")
        other = LiveMailbox(OpenMailbox(self.box), self.workers)
        for live in (self.live, other):
            self.watch.add(live)
        self.box.deliver()
        self.watch.notice(b"/mail/new")
        self.clock.advance(GATHER_SECONDS)
        self.assertEqual((list(self.live.uids), list(other.uids)), ([1], [1]))
        self.watch.remove(self.live)
        self.box.deliver()
        self.clock.advance(LEAST_SECONDS)
        self.watch.notice(b"/mail/new")
        self.clock.advance(GATHER_SECONDS)
        self.assertEqual((list(self.live.uids), list(other.uids)), ([1], [1, 2]))
        self.watch.remove(other)

    def test_one_that_fails_is_looked_at_again_at_once_when_somebody_says_so(
        self,
    ) -> None:
        self.box.directories = (b"/mail/new",)
        self.watch.add(self.live)
        self.box.deliver()
        with patch.object(self.box, "sync", side_effect=Unavailable("no")):
            self.watch.notice(b"/mail/new")
            self.clock.advance(GATHER_SECONDS)
        self.assertEqual(list(self.live.uids), [])
        self.clock.advance(LEAST_SECONDS)
        self.assertEqual(list(self.live.uids), [1])
        self.watch.remove(self.live)
