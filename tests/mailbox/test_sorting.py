"""SORT and THREAD over a live mailbox: what is read, kept, and survived."""

from collections.abc import Sequence
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred

from imapd.errors import Unavailable
from imapd.ids import INBOX, Uid
from imapd.mailbox import sortcolumns
from imapd.mailbox.selected import Selected
from imapd.mailbox.sortcolumns import READ_MESSAGES
from imapd.model import columns
from imapd.model.flags import DELETED
from imapd.model.search import All, HasFlag, Not, SearchKey
from imapd.model.sort import (
    Criterion,
    SortKey,
    ThreadAlgorithm,
)
from imapd.model.threadids import ThreadIds, pack_thread_ids
from imapd.model.threads import Threads
from tests.mailbox.live_case import LiveCase

DATE, SUBJECT, SIZE, ARRIVAL = (
    (Criterion(key),)
    for key in (SortKey.DATE, SortKey.SUBJECT, SortKey.SIZE, SortKey.ARRIVAL)
)


async def no_pause() -> None:
    pass


class SortCase(LiveCase):
    def setUp(self) -> None:
        super().setUp()
        self.inbox.disk.clear()
        self.uids = [self.deliver(day) for day in (3, 1, 2)]

    def deliver(self, day: int) -> Uid:
        header = f"Date: {day} Jan 2000 00:00:00 +0000\r\nSubject: s{9 - day}\r\n"
        return self.inbox.deliver(header.encode() + b"\r\ntext\r\n", date=day * 86400)

    def sort(
        self,
        session: Selected,
        criteria: tuple[Criterion, ...] = DATE,
        key: SearchKey = All(),  # noqa: B008
    ) -> list[Uid]:
        """The places in ``uids``."""
        found = self.run_now(session.sort(criteria, key, uid=True, pause=no_pause))
        return [Uid(uid) for uid in found]

    def threads(
        self, session: Selected, algorithm: ThreadAlgorithm = ThreadAlgorithm.REFERENCES
    ) -> tuple[Threads, Sequence[int]]:
        return self.run_now(session.thread(algorithm, All(), uid=False, pause=no_pause))


class SortingTests(SortCase):
    def test_messages_are_read_once_for_all_keys(self) -> None:
        session = self.select()
        one, two, three = self.uids
        self.assertEqual(self.sort(session), [two, three, one])
        self.assertEqual(sorted(self.inbox.reads), self.uids)
        self.inbox.reads.clear()
        self.assertEqual(self.sort(session, SUBJECT), [one, three, two])
        self.threads(session)
        self.assertEqual(self.inbox.reads, [])
        kinds = {kind for kind in columns.KINDS if kind[:5] in ("sort.", "threa")}
        self.assertEqual(self.inbox.columns.keys() & kinds, kinds)

    def test_arrival_and_size_read_no_message(self) -> None:
        session = self.select()
        one, two, three = self.uids
        self.assertEqual(self.sort(session, ARRIVAL), [two, three, one])
        self.assertEqual(self.sort(session, SIZE), self.uids)
        self.assertEqual(self.inbox.reads, [])

    def test_a_header_in_the_cache_is_enough(self) -> None:
        one, two, three = self.uids
        header = b"Date: 9 Jan 2000 00:00:00 +0000\r\n\r\n"
        self.inbox.columns[columns.HEADER] = {two: header}
        self.assertEqual(self.sort(self.select()), [three, one, two])
        self.assertEqual(self.inbox.reads, [one, three])

    def test_a_broken_value_is_as_good_as_none(self) -> None:
        one, two, three = self.uids
        self.inbox.columns[columns.SORT_DATE] = {two: b"short", one: b""}
        self.assertEqual(self.sort(self.select()), [two, three, one])
        self.inbox.columns[columns.THREAD_IDS].update({three: b"12345678", one: b""})
        self.assertEqual(len(self.threads(self.select())[0].roots), 3)

    def test_only_what_is_new_is_read(self) -> None:
        session = self.select()
        self.sort(session)
        self.inbox.reads.clear()
        new = self.deliver(1)
        self.run_now(session.refresh())
        session.view.drain(may_expunge=True)
        one, two, three = self.uids
        self.assertEqual(self.sort(session), [two, new, three, one])
        self.assertEqual(self.inbox.reads, [new])

    def test_only_what_was_found_is_read(self) -> None:
        session = self.select()
        one, two, three = self.uids
        self.inbox.disk[two].flags = frozenset((DELETED,))
        self.run_now(session.refresh())
        self.assertEqual(self.sort(session, key=HasFlag(DELETED)), [two])
        self.assertEqual(self.inbox.reads, [two])
        self.assertEqual(self.sort(session, key=Not(HasFlag(DELETED))), [three, one])
        self.assertEqual(self.sort(session), [two, three, one])

    def test_a_repeated_question_costs_nothing(self) -> None:
        session = self.select()
        self.sort(session)
        first = self.threads(session)[0]
        self.workers.inline = False
        done = self.start(session.sort(DATE, All(), uid=False, pause=no_pause))
        self.assertEqual(self.successResultOf(done), [2, 3, 1])
        self.assertIs(self.threads(session)[0], first)

    def test_sessions_share_what_is_known(self) -> None:
        self.sort(self.select())
        self.inbox.reads.clear()
        self.sort(self.select())
        self.assertEqual(self.inbox.reads, [])


class TroubleTests(SortCase):
    def test_expunged_and_not_told_of(self) -> None:
        session = self.select()
        one, two, three = self.uids
        del self.inbox.disk[three]
        self.run_now(session.refresh())
        self.assertEqual(self.sort(session), [two, one])
        found = session.sort(DATE, All(), uid=False, pause=no_pause)
        self.assertEqual(self.run_now(found), [2, 1])
        threads, numbers = self.threads(session)
        self.assertEqual([numbers[root] for root in threads.roots], [2, 1])

    def test_expunged_while_we_read(self) -> None:
        for criteria in (DATE, SIZE):
            session = self.select()
            gone = self.deliver(4)
            self.run_now(session.refresh())
            session.view.drain(may_expunge=True)
            del self.inbox.disk[gone]
            one, two, three = self.uids
            wanted = [two, three, one] if criteria is DATE else self.uids
            self.assertEqual(self.sort(session, criteria), wanted)
            self.assertNotIn(gone, self.inbox.columns.get(columns.SORT_DATE, {}))

    def test_one_that_cannot_be_read_is_there_all_the_same(self) -> None:
        session = self.select()
        one, two, three = self.uids
        fails = mock.patch.object(
            sortcolumns, "LazyMessage", side_effect=Unavailable("no")
        )
        with fails:
            self.assertEqual(self.sort(session), self.uids)
            self.assertEqual(len(self.threads(session)[0].roots), 3)
        self.assertEqual(self.inbox.columns.get(columns.SORT_DATE, {}), {})
        self.assertEqual(self.sort(session), [two, three, one])

    def test_a_client_that_leaves_ends_it(self) -> None:
        # Hardening: P13.
        session = self.select()
        for _ in range(3 * READ_MESSAGES):
            self.deliver(5)
        self.run_now(session.refresh())
        session.view.drain(may_expunge=True)
        pauses: list[int] = []

        async def pause() -> None:
            pauses.append(len(self.inbox.reads))
            raise ConnectionAbortedError("the client left")

        done = self.start(session.sort(DATE, All(), uid=True, pause=pause))
        self.workers.finish()
        self.failureResultOf(done, ConnectionAbortedError)
        self.assertEqual(len(self.inbox.reads), READ_MESSAGES)
        self.assertEqual(len(self.sort(session)), 3 + 3 * READ_MESSAGES)

    def test_a_mailbox_numbered_anew(self) -> None:
        session = self.select()
        done: Deferred[Any]
        done = self.start(session.sort(DATE, All(), uid=True, pause=no_pause))
        self.inbox.renumber()
        self.live().vanish("numbered anew")
        self.workers.finish()
        self.failureResultOf(done, Unavailable)

    def test_two_at_once(self) -> None:
        """Each puts in what it loaded while the other works."""
        one, two, three = self.uids
        first, second = self.select(), self.select()
        some: Deferred[Any]
        others: Deferred[Any]
        some = self.start(first.sort(DATE, All(), uid=True, pause=no_pause))
        del self.inbox.disk[two]
        self.run_now(second.refresh())
        others = self.start(
            second.thread(ThreadAlgorithm.REFS, All(), uid=True, pause=no_pause)
        )
        while self.workers.waiting:
            self.workers.step(len(self.workers.waiting) - 1)
        self.assertEqual(list(self.successResultOf(some)), [three, one])
        threads, numbers = self.successResultOf(others)
        self.assertEqual([numbers[root] for root in threads.roots], [three, one])


class TurnTests(SortCase):
    COUNT = 20_000

    def test_a_large_mailbox_is_done_in_many_small_steps(self) -> None:
        """No turn has more than a few thousand messages."""
        # Hardening: P13, V03.
        self.inbox.disk.clear()
        date = self.inbox.columns[columns.SORT_DATE] = {}
        ids = self.inbox.columns[columns.THREAD_IDS] = {}
        subject = self.inbox.columns[columns.SORT_SUBJECT] = {}
        for at in range(self.COUNT):
            uid = self.inbox.deliver()
            date[uid] = (at * 7919 % self.COUNT).to_bytes(8, "big")
            ids[uid] = pack_thread_ids(ThreadIds(at + 1, (at // 2 + 1,)))
            subject[uid] = b"S%d" % (at % 1000)
        session = self.select(INBOX)
        pauses = 0

        async def pause() -> None:
            nonlocal pauses
            pauses += 1

        found = self.run_now(session.sort(DATE, All(), uid=True, pause=pause))
        self.assertEqual(len(found), self.COUNT)
        self.assertGreater(pauses, self.COUNT // 1000)
        pauses = 0
        answer = session.thread(
            ThreadAlgorithm.REFERENCES, All(), uid=True, pause=pause
        )
        self.assertEqual(len(self.run_now(answer)[1]), self.COUNT)
        self.assertGreater(pauses, self.COUNT // 200)
