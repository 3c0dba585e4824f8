"""APPENDs that wait for one mailbox go together."""

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.trial.unittest import SynchronousTestCase

from imapd.errors import Unavailable
from imapd.ids import INBOX
from imapd.mailbox.append import Append
from imapd.mailbox.together import Together
from imapd.mailbox.upload import GROUP_MESSAGES, PIECE_OCTETS
from tests.mailbox.live_case import LiveCase


class TogetherTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.lock = DeferredLock()
        self.groups: list[list[int]] = []
        self.work: list[Deferred[Sequence[int | Exception]]] = []
        self.busy: Deferred[None] | None = None
        self.together = Together(self.lock, self.do, 4)

    async def do(self, take: Callable[[], Sequence[int]]) -> Sequence[int | Exception]:
        if self.busy is not None:  # all threads are
            await self.busy
        self.groups.append(list(take()))
        self.work.append(Deferred())
        return await self.work[-1]

    def add(self, item: int, weight: int = 1) -> "Deferred[int]":
        return Deferred.fromCoroutine(self.together.add(item, weight))

    def test_who_comes_meanwhile_makes_the_next_group(self) -> None:
        first = self.add(1)
        rest = [self.add(item) for item in (2, 3, 4)]
        self.assertEqual(self.groups, [[1]])
        self.work[0].callback([10])
        self.assertEqual(self.successResultOf(first), 10)
        self.assertEqual(self.groups, [[1], [2, 3, 4]])
        last = self.add(5)
        self.work[1].callback([20, Unavailable("no"), 40])
        self.assertEqual(self.successResultOf(rest[0]), 20)
        self.failureResultOf(rest[1], Unavailable)
        self.assertEqual(self.successResultOf(rest[2]), 40)
        self.work[2].callback([Unavailable("no")])
        self.failureResultOf(last, Unavailable)
        self.assertFalse(self.lock.locked)

    def test_who_comes_before_the_work_begins_goes_with_it(self) -> None:
        self.busy = Deferred()
        done = [self.add(item) for item in (1, 2, 3)]
        self.assertTrue(self.lock.locked)
        self.busy.callback(None)
        self.assertEqual(self.groups, [[1, 2, 3]])
        done.append(self.add(4))
        self.work[0].callback([10, 20, 30])
        self.work[1].callback([40])
        results = [self.successResultOf(each) for each in done]
        self.assertEqual(results, [10, 20, 30, 40])

    def test_work_that_never_began_fails_for_all(self) -> None:
        self.busy = Deferred()
        done = [self.add(item) for item in (1, 2)]
        busy, self.busy = self.busy, None
        busy.errback(Unavailable("no"))
        for each in done:
            self.failureResultOf(each, Unavailable)
        after = self.add(3)
        self.work[0].callback([30])
        self.assertEqual(self.successResultOf(after), 30)

    def test_no_group_is_too_heavy(self) -> None:
        self.add(0)
        for item, weight in ((1, 1), (2, 3), (3, 9), (4, 1), (5, 4)):
            self.add(item, weight).addErrback(lambda _: None)
        for number in range(5):
            self.work[number].callback(list(self.groups[number]))
        self.assertEqual(self.groups, [[0], [1, 2], [3], [4], [5]])

    def test_what_fails_as_a_whole_fails_for_all(self) -> None:
        self.add(0)
        waiting = [self.add(item) for item in (1, 2)]
        self.work[0].callback([0])
        self.work[1].errback(Unavailable("no"))
        for each in waiting:
            self.failureResultOf(each, Unavailable)
        after = self.add(3)
        self.work[2].callback([3])
        self.assertEqual(self.successResultOf(after), 3)

    def test_nobody_waits_for_one_who_gave_up_the_wait(self) -> None:
        self.add(0)
        first, second = self.add(1), self.add(2)
        first.cancel()
        for each in (first, second):
            self.failureResultOf(each, CancelledError)
        third = self.add(3)
        self.work[0].callback([0])
        self.work[1].callback([30])
        self.assertEqual(self.successResultOf(third), 30)


class UploadTests(LiveCase):
    def begun(self) -> Append:
        append = self.run_now(self.account.begin_append(INBOX))
        append.begin((), None)
        return append

    def test_many_appends_take_one_way_to_the_disk(self) -> None:
        appends = [self.begun() for _ in range(10)]
        for number, append in enumerate(appends):
            self.run_now(append.write(b"%d" % number))
        done = [self.start(append.commit()) for append in appends]
        self.assertEqual(len(self.workers.waiting), 1)
        before = len(self.inbox.disk)
        self.workers.step()
        self.assertEqual(len(self.inbox.disk), before + 10)
        self.workers.finish()
        uids = [self.successResultOf(each).uids[0] for each in done]
        self.assertEqual(uids, list(range(5, 15)))
        for number, uid in enumerate(uids):
            self.assertEqual(self.inbox.disk[uid].octets, b"%d" % number)

    def test_one_that_cannot_be_written_fails_alone(self) -> None:
        def fail(*_: Any) -> None:
            raise Unavailable("no")

        appends = [self.begun() for _ in range(4)]
        setattr(appends[2]._delivery, "end", fail)  # noqa: B010
        done = [self.start(append.commit()) for append in appends]
        self.workers.finish()
        self.failureResultOf(done.pop(2), Unavailable)
        uids = [self.successResultOf(each).uids[0] for each in done]
        self.assertEqual(uids, [5, 6, 7])
        self.assertEqual(self.account._live, {})

    def test_the_messages_of_one_go_to_the_disk_in_groups(self) -> None:
        append = self.run_now(self.account.begin_append(INBOX))
        ways = 0
        for number in range(3 * GROUP_MESSAGES + 1):
            append.begin((), None)
            self.run_now(append.write(b"%d" % number))
            ended = self.start(append.end())
            ways += len(self.workers.waiting)
            self.workers.finish()
            self.successResultOf(ended)
        self.assertEqual(ways, 3)
        uids = self.run_now(append.commit()).uids
        octets = [self.inbox.disk[uid].octets for uid in uids]
        self.assertEqual(octets, [b"%d" % number for number in range(len(uids))])
        self.assertEqual(len(uids), 3 * GROUP_MESSAGES + 1)

    def test_a_large_one_is_synced_before_others_wait_for_it(self) -> None:
        append = self.begun()
        self.run_now(append.write(b"x" * (PIECE_OCTETS + 1)))
        done = self.start(append.commit())
        lock = self.live()._lock
        self.assertFalse(lock.locked)
        self.workers.step()
        self.assertTrue(lock.locked)
        self.workers.finish()
        self.assertEqual(self.successResultOf(done).uids, [5])
