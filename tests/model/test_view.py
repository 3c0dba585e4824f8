"""A session's message numbers, against a client that only knows what it was told."""

import unittest

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from imapd.ids import Uid
from imapd.model.sets import STAR, SequenceSet
from imapd.model.view import SessionView, Updates

SETS = ("recent", "_changed", "_gone")


def view(*uids: int, recent: tuple[int, ...] = ()) -> SessionView:
    return SessionView(map(Uid, uids), map(Uid, recent))


class ViewTests(unittest.TestCase):
    def test_expunge_waits_until_it_may_be_told(self) -> None:
        one = view(1, 2, 3, 5, recent=(2,))
        one.expunged([Uid(2), Uid(5)])
        self.assertTrue(one.has_news)
        self.assertEqual(one.drain(may_expunge=False), Updates())
        self.assertEqual(list(one.uids), [1, 2, 3, 5])
        self.assertTrue(one.is_gone(Uid(2)))
        self.assertEqual(one.gone, {2, 5})
        told = one.drain(may_expunge=True)
        self.assertEqual((told.expunged, told.exists, told.recent), ([4, 2], None, 0))
        self.assertEqual(list(one.uids), [1, 3])
        self.assertFalse(one.has_news)

    def test_arrival_is_told_at_any_time(self) -> None:
        one = view(1)
        one.arrived([Uid(2), Uid(3)], [Uid(3)])
        told = one.drain(may_expunge=False)
        self.assertEqual((told.exists, told.recent), (3, 1))

    def test_what_was_never_told_is_not_expunged(self) -> None:
        one = view(1)
        one.arrived([Uid(2), Uid(3)], [Uid(2), Uid(3)])
        one.expunged([Uid(2)])
        told = one.drain(may_expunge=True)
        self.assertEqual((told.expunged, told.exists, told.recent), ([], 2, 1))
        self.assertEqual(list(one.uids), [1, 3])

    def test_two_sessions_without_news_share_all_they_hold(self) -> None:
        # Hardening: V02.
        views = view(1, 2), view(1, 2, recent=(2,))
        for one in views:
            one.flags_changed([Uid(1)])
            one.told_flags([Uid(1)])
            one.arrived([Uid(3)], [Uid(3)])
            one.expunged([Uid(2), Uid(3)])
            one.drain(may_expunge=True)
        held = [[id(getattr(one, name)) for name in SETS] for one in views]
        self.assertEqual(held[0], held[1])

    def test_flags(self) -> None:
        one = view(4, 6, 8)
        one.flags_changed([Uid(8), Uid(4), Uid(99)])
        self.assertEqual(one.untold_flags(), {4, 8, 99})
        one.told_flags([Uid(8)])
        one.expunged([Uid(6)])
        told = one.drain(may_expunge=False)
        self.assertEqual(told.flags, [(1, 4)])
        self.assertEqual(one.drain(may_expunge=True).flags, [])

    def test_one_that_comes_back_below_has_no_number(self) -> None:
        one = view(1, 5)
        one.arrived([Uid(3)])
        self.assertFalse(one.has_news)
        one.arrived([Uid(7), Uid(8)])
        one.arrived([Uid(6)])
        self.assertEqual(one.drain(may_expunge=True).exists, 4)
        self.assertEqual(list(one.uids), [1, 5, 7, 8])

    def test_one_that_comes_back_is_not_expunged_for_what_it_was(self) -> None:
        one = view(1, 5)
        one.arrived([Uid(7)])
        one.arrived([Uid(6)])  # no number for it
        one.expunged([Uid(7)])
        one.expunged([Uid(6)])
        one.arrived([Uid(6)])
        self.assertEqual(one.drain(may_expunge=False).exists, 3)
        self.assertEqual(one.drain(may_expunge=True).expunged, [])
        self.assertFalse(one.is_gone(Uid(6)))

    def test_select(self) -> None:
        one = view(10, 20, 30)
        cases = {
            "one": (((2, 2),), False, [(2, 20)]),
            "star": (((STAR, STAR),), False, [(3, 30)]),
            "all, backwards": (((STAR, 1),), False, [(1, 10), (2, 20), (3, 30)]),
            "twice": (((1, 2), (2, 1)), False, [(1, 10), (2, 20)]),
            "UIDs": (((5, 20), (30, 30)), True, [(1, 10), (2, 20), (3, 30)]),
            "UIDs that are not there": (((11, 19), (31, 99)), True, []),
            "UIDs beyond, with star": (((99, STAR),), True, [(3, 30)]),
        }
        for name, (ranges, uid, expected) in cases.items():
            found = one.select(SequenceSet(ranges), uid=uid)
            self.assertEqual(found, expected, name)
        for name, ranges in {"beyond": ((4, 4),), "half": ((1, 4),)}.items():
            with self.assertRaises(IndexError, msg=name):
                one.select(SequenceSet(ranges), uid=False)

    def test_select_from_nothing(self) -> None:
        one = view()
        for ranges in (((1, 1),), ((STAR, STAR),), ((1, STAR),)):
            with self.assertRaises(IndexError, msg=str(ranges)):
                one.select(SequenceSet(ranges), uid=False)
            self.assertEqual(one.select(SequenceSet(ranges), uid=True), [])


class ClientMachine(RuleBasedStateMachine):
    """``client`` is rebuilt from what was told alone; ``there`` is the mailbox."""

    def __init__(self) -> None:
        super().__init__()
        self.view = view(2, 4, 6)
        self.there: set[int] = {2, 4, 6}
        self.client: list[int] = [2, 4, 6]
        self.next = 7
        self.missed: set[int] = set()  # came back where no number is free
        self.recent: set[int] = set()

    @rule(count=st.integers(1, 3), recent=st.booleans())
    def arrive(self, count: int, recent: bool) -> None:
        uids = list(range(self.next, self.next + count))
        self.next += count
        self.there.update(uids)
        if recent:
            self.recent.update(uids)
        self.view.arrived(map(Uid, uids), map(Uid, uids) if recent else ())

    @rule(data=st.data())
    def expunge(self, data: st.DataObject) -> None:
        if self.there:
            gone = data.draw(st.sets(st.sampled_from(sorted(self.there))))
            self.there -= gone
            self.missed -= gone
            self.recent -= gone
            self.view.expunged(map(Uid, gone))

    @rule(uid=st.integers(1, 30))
    def come_back(self, uid: int) -> None:
        if uid < self.next and uid not in self.there:
            self.there.add(uid)
            self.view.arrived([Uid(uid)])
            if Uid(uid) not in self.view._arrived:
                self.missed.add(uid)

    @rule(data=st.data())
    def change(self, data: st.DataObject) -> None:
        if self.there:
            uids = data.draw(st.sets(st.sampled_from(sorted(self.there))))
            self.view.flags_changed(map(Uid, uids))

    @rule(may_expunge=st.booleans())
    def drain(self, may_expunge: bool) -> None:
        told = self.view.drain(may_expunge=may_expunge)
        if not may_expunge:
            assert not told.expunged
        for seq in told.expunged:  # as a client does it, one by one
            del self.client[seq - 1]
        if told.exists is not None:
            assert told.exists >= len(self.client), "EXISTS never shrinks a mailbox"
            # A client would ask for the UIDs of the new numbers.
            self.client += self.view.uids[len(self.client) : told.exists]
        for seq, uid in told.flags:
            assert self.client[seq - 1] == uid
            assert uid not in self.view.gone
        if may_expunge:
            assert not self.view.has_news
            assert set(self.client) == self.there - self.missed
            assert self.view.recent == self.recent & set(self.client)

    @invariant()
    def numbers_mean_what_the_client_thinks(self) -> None:
        assert self.client == list(self.view.uids)
        assert self.client == sorted(set(self.client))
        for number, uid in enumerate(self.client, 1):
            assert self.view.seq(Uid(uid)) == number
            assert self.view.is_gone(Uid(uid)) == (
                uid not in self.there or uid in self.missed
            )


ClientMachine.TestCase.settings = settings(
    max_examples=150, stateful_step_count=25, deadline=None
)


class ClientMachineTests(ClientMachine.TestCase):  # type: ignore[misc, valid-type]
    """Run the machine."""
