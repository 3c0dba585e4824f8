"""Modification sequences in a live mailbox, and when they are written down."""

from typing import Any
from unittest.mock import patch

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imapd.errors import LimitReached, NoSuchMailbox
from imapd.ids import INBOX, Uid
from imapd.mailbox.flushing import FLUSH_SECONDS, Flusher
from imapd.mailbox.live import LiveMailbox
from imapd.mailbox.resync import matched_uid, vanished, without_modseqs
from imapd.model.flags import DELETED, FLAGGED, SEEN, StoreMode
from imapd.model.modseqs import ModSeqs
from imapd.model.requests import SequenceMatch
from imapd.model.search import And, ModSeqAtLeast, Not, Numbers, Or
from imapd.model.sets import SequenceSet, intersect, merge, subtract
from tests.mailbox.live_case import LiveCase
from tests.support.memory import MemoryMailbox, OpenMailbox
from tests.support.workers import LaterWorkers

ADD = StoreMode.ADD


class LiveModSeqTests(LiveCase):
    def test_none_before_somebody_asks(self) -> None:
        selected = self.select()
        self.assertEqual(selected.highest_modseq, 0)
        self.run_now(selected.store([Uid(1)], ADD, [SEEN]))
        self.assertEqual(selected.highest_modseq, 0)
        self.run_now(selected.track())
        self.assertEqual(selected.highest_modseq, 1000)

    def test_the_number_and_the_flags_change_together(self) -> None:
        """A session that reads in between must not learn of the number first."""
        selected = self.select()
        self.run_now(selected.track())
        store: Any = self.live().store
        seen = []

        def store_flags(*args: Any) -> Any:
            changes = OpenMailbox.__getattr__(store, "store_flags")(*args)
            seen.append((store.kept.highest, selected.highest_modseq))
            seen.append((store.kept.of(1), selected.modseq(Uid(1))))
            return changes

        with patch.object(store, "store_flags", store_flags, create=True):
            self.run_now(selected.store([Uid(1)], ADD, [SEEN]))
        self.assertEqual(seen, [(1001, 1000), (1001, 1000)])
        self.assertEqual(selected.highest_modseq, 1001)
        self.assertEqual(selected.modseq(Uid(1)), 1001)

    def test_a_conditional_store_looks_at_the_disk_first(self) -> None:
        selected = self.select()
        self.run_now(selected.track())
        self.inbox.disk[Uid(2)].flags = frozenset((FLAGGED,))  # another program
        uids = [Uid(1), Uid(2)]
        left = self.run_now(selected.store(uids, ADD, [SEEN], 1000))
        self.assertEqual(left, [2])
        self.assertEqual(selected.flags(Uid(1)), {SEEN})
        self.assertEqual(selected.flags(Uid(2)), {FLAGGED})
        self.assertEqual(selected.newer([Uid(1), Uid(2), Uid(3)], 1000), [1, 2])

    def test_messages_that_are_gone_are_not_left_alone(self) -> None:
        selected = self.select()
        self.run_now(selected.track())
        self.run_now(selected.store([Uid(2)], ADD, [DELETED]))
        del self.inbox.disk[Uid(2)]
        self.assertEqual(self.run_now(selected.store([Uid(2)], ADD, [SEEN], 1)), [])

    def test_a_mailbox_that_goes_meanwhile(self) -> None:
        selected = self.select()
        self.inbox.lost = True
        self.fails(selected.track(), NoSuchMailbox)

    def test_sessions_share_the_numbers(self) -> None:
        one, two = self.select(), self.select()
        self.run_now(one.track())
        self.run_now(two.store([Uid(3)], ADD, [SEEN]))
        self.assertEqual(one.modseq(Uid(3)), 1001)
        self.assertEqual(two.highest_modseq, 1001)
        status = self.run_now(
            self.account.status(INBOX, with_size=False, with_modseq=True)
        )
        self.assertEqual(status.highest_modseq, 1001)


class FlusherTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.flusher = Flusher(self.clock)
        self.workers = LaterWorkers(inline=True)
        self.box = MemoryMailbox()
        self.box.deliver()
        self.box.deliver()
        self.saved: list[str] = []

    def live(self) -> LiveMailbox:
        store: Any = OpenMailbox(self.box)
        store.unsaved = lambda: lambda: self.saved.append("saved")
        live = LiveMailbox(store, self.workers, flushing=self.flusher)
        self.run_now(live.track())
        return live

    def run_now(self, coroutine: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def test_once_for_many_changes_some_seconds_later(self) -> None:
        live = self.live()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        for flag in (SEEN, FLAGGED):
            self.run_now(live.store_flags([Uid(1)], ADD, [flag]))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.assertEqual(self.saved, [])
        self.clock.advance(FLUSH_SECONDS)
        self.assertEqual(self.saved, ["saved"])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.run_now(live.store_flags([Uid(2)], ADD, [SEEN]))
        self.clock.advance(FLUSH_SECONDS)
        self.assertEqual(len(self.saved), 2)

    def test_one_timer_for_all(self) -> None:
        for live in (self.live(), self.live()):
            self.run_now(live.store_flags([Uid(1)], ADD, [SEEN]))
            self.run_now(live.store_flags([Uid(1)], StoreMode.REMOVE, [SEEN]))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(FLUSH_SECONDS)
        self.assertEqual(len(self.saved), 2)

    def test_a_closed_mailbox_leaves_no_timer(self) -> None:
        live = self.live()
        self.run_now(live.store_flags([Uid(1)], ADD, [SEEN]))
        self.run_now(live.close())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.run_now(live.flush())  # it was on its way already
        self.assertEqual(self.saved, [])

    def test_others_work_while_it_is_written(self) -> None:
        live = self.live()
        self.workers.inline = False
        flushing = Deferred.fromCoroutine(live.flush())
        self.workers.step()  # it was collected
        storing = Deferred.fromCoroutine(live.store_flags([Uid(1)], ADD, [SEEN]))
        self.workers.step(1)
        self.successResultOf(storing)
        self.assertEqual(self.saved, [])
        self.workers.finish()
        self.successResultOf(flushing)
        self.assertEqual(self.saved, ["saved"])


class PureTests(SynchronousTestCase):
    def test_ranges(self) -> None:
        self.assertEqual(merge([(5, 9), (1, 2), (3, 4), (8, 12)]), [(1, 12)])
        self.assertEqual(intersect([(1, 5), (8, 9)], [(3, 8)]), [(3, 5), (8, 8)])
        self.assertEqual(intersect([], [(3, 8)]), [])
        self.assertEqual(subtract([(1, 6)], [1, 3, 6]), [(2, 2), (4, 5)])
        self.assertEqual(subtract([(1, 3), (5, 6)], []), [(1, 3), (5, 6)])
        self.assertEqual(subtract([(2, 3)], [1, 2, 3, 4]), [])

    def test_every_small_set_of_ranges(self) -> None:
        for bits in range(256):
            numbers = [n + 1 for n in range(8) if bits >> n & 1]
            left = subtract([(1, 8)], numbers)
            named = {n for a, b in left for n in range(a, b + 1)}
            self.assertEqual(named, set(range(1, 9)) - set(numbers))
            both = intersect(left, [(2, 3), (6, 7)])
            self.assertEqual(
                {n for a, b in both for n in range(a, b + 1)}, named & {2, 3, 6, 7}
            )

    def test_match(self) -> None:
        uids = [Uid(uid) for uid in (2, 5, 9)]
        for numbers, known, expected in (
            (((1, 1),), ((2, 2),), 2),
            (((1, 2),), ((2, 3),), 2),
            (((1, 1), (3, 3)), ((1, 1), (9, 9)), 9),
            (((4, 4),), ((9, 9),), 0),
        ):
            match = SequenceMatch(SequenceSet(numbers), SequenceSet(known))
            self.assertEqual(matched_uid(match, uids), expected, numbers)
        self.assertEqual(matched_uid(None, uids), 0)

    def test_vanished(self) -> None:
        kept = ModSeqs(10, expunged=[(12, 3, 4), (14, 6, 6)], highest=14)
        present = [Uid(2), Uid(7)]
        named = [(1, 7)]
        for modseq, match, expected in (
            (14, 0, []),
            (13, 0, [(6, 6)]),
            (13, 7, [(6, 6)]),  # what is known exactly needs no match
            (10, 0, [(3, 4), (6, 6)]),
            (9, 0, [(1, 1), (3, 6)]),
            (9, 2, [(3, 6)]),
            (9, 7, []),
            (15, 0, [(1, 1), (3, 6)]),
        ):
            found = vanished(kept, modseq, named, present, match)
            self.assertEqual(found, expected, (modseq, match))

    def test_search_keys(self) -> None:
        def newer(modseq: int) -> list[Uid]:
            return [Uid(4), Uid(5), Uid(9)] if modseq == 6 else []

        four = Numbers(SequenceSet(((4, 5), (9, 9))), uid=True)
        none = Numbers(SequenceSet(()), uid=True)
        key = Or(Not(ModSeqAtLeast(7)), And((ModSeqAtLeast(8), ModSeqAtLeast(7))))
        self.assertEqual(without_modseqs(key, newer), Or(Not(four), And((none, four))))

    def test_too_many_search_keys(self) -> None:
        key = And(tuple(ModSeqAtLeast(modseq) for modseq in range(1, 10)))
        with self.assertRaises(LimitReached):
            without_modseqs(key, lambda modseq: [])

    def test_newer_is_what_each_message_says(self) -> None:
        uids = [Uid(uid) for uid in range(1, 9)]
        for fresh in ({}, {2: 7, 5: 20}):
            kept = ModSeqs(10, {1: 10, 2: 10, 3: 5, 4: 15, 5: 10, 6: 10, 7: 4, 8: 10})
            kept.set(fresh)
            for modseq in (0, 3, 4, 5, 7, 9, 10, 14, 15, 19, 20):
                expected = [uid for uid in uids if kept.of(uid) > modseq]
                self.assertEqual(kept.newer(uids, modseq), expected, (fresh, modseq))

    def test_many_numbers_become_arrays_that_copies_do_not_share(self) -> None:
        with patch("imapd.model.modseqs.FRESH_MESSAGES", 3):
            kept = ModSeqs(10)
            for uid in range(1, 6):
                kept.set({uid: 100 + uid})
            twin = kept.copy()
            kept.set({1: 200, 7: 201, 8: 202, 9: 203})
        self.assertEqual([kept.of(uid) for uid in (1, 2, 6, 9)], [200, 102, 10, 203])
        self.assertEqual([twin.of(uid) for uid in (1, 2, 6, 9)], [101, 102, 10, 10])
        uids = [Uid(uid) for uid in range(1, 10)]
        self.assertEqual(kept.newer(uids, 102), [1, 3, 4, 5, 7, 8, 9])
        self.assertEqual(kept.newer(uids, 9), uids)
        self.assertEqual(twin.newer(uids, 105), [])
