"""The compact table of messages behaves as a dictionary of flags would."""

import unittest

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from imapd.ids import Seq, Uid
from imapd.model import table as tables
from imapd.model.flags import DELETED, SEEN, Flags
from imapd.model.mailbox import MessageState
from imapd.model.numbered import Numbered, index_of, joined, uid_array, without
from imapd.model.table import MessageTable, total_octets

uids = st.integers(1, 60).map(Uid)
flag_sets = st.frozensets(st.sampled_from([SEEN, DELETED, b"a", b"b"]))


class TableMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.table = MessageTable()
        self.model: dict[Uid, Flags] = {}
        self.kept = (self.table.uids, list(self.table.uids))

    @rule(found=st.dictionaries(uids, flag_sets, max_size=20))
    def add(self, found: dict[Uid, Flags]) -> None:
        states = [MessageState(uid, flags) for uid, flags in found.items()]
        fresh = {each.uid for each in self.table.add(states)}
        assert fresh == found.keys() - self.model.keys()
        for uid in fresh:
            self.model[uid] = found[uid]

    @rule(gone=st.sets(uids, max_size=15))
    def remove(self, gone: set[Uid]) -> None:
        assert self.table.remove(gone) == gone & self.model.keys()
        for uid in gone:
            self.model.pop(uid, None)

    @rule(uid=uids, flags=flag_sets)
    def set_flags(self, uid: Uid, flags: Flags) -> None:
        assert self.table.set_flags({uid: flags}) == [uid] * (uid in self.model)
        if uid in self.model:
            self.model[uid] = flags

    @rule()
    def keep(self) -> None:
        self.kept = (self.table.uids, list(self.table.uids))

    @invariant()
    def same(self) -> None:
        table, model = self.table, self.model
        ordered = sorted(model)
        assert list(table.uids) == ordered
        assert len(table) == len(model)
        assert [table.flags(uid) for uid in ordered] == [model[uid] for uid in ordered]
        for flag in (SEEN, DELETED, b"a", b"none"):
            having = [uid for uid in ordered if flag in model[uid]]
            assert table.with_flag(flag) == having
            assert table.count(flag) == len(having)
            lacking = [at for at, uid in enumerate(ordered) if uid not in having]
            assert table.first_without(flag) == (lacking[0] if lacking else None)
        asked = uid_array(range(5, 40))
        for wanted in (asked, table.uids, table.uids[2:7]):
            codes = table.codes_of(wanted)
            found = [None if code is None else table.sets[code] for code in codes]
            assert found == [model.get(uid) for uid in wanted]

    @invariant()
    def arrays_that_others_hold_never_change(self) -> None:
        array, copy = self.kept
        assert list(array) == copy


TableTests = TableMachine.TestCase


class SetTests(unittest.TestCase):
    def test_sets_that_no_message_has_any_more_are_forgotten(self) -> None:
        table = MessageTable()
        table.add(
            [MessageState(Uid(1), frozenset()), MessageState(Uid(2), frozenset())]
        )
        for number in range(3 * tables._SPARE_SETS):
            table.set_flags({Uid(1): frozenset([b"k%d" % number])})
        self.assertLess(len(table.sets), 2 * tables._SPARE_SETS)
        self.assertEqual(table.flags(Uid(1)), {b"k%d" % number})
        self.assertEqual(table.flags(Uid(2)), frozenset())

    def test_what_it_costs(self) -> None:
        table = MessageTable()
        table.add(MessageState(Uid(n), frozenset()) for n in range(1, 10_001))
        self.assertLess(total_octets(table), 100_000)
        self.assertEqual(table.codes.itemsize + 4, 8)


class ArrayTests(unittest.TestCase):
    @given(st.sets(uids), st.sets(uids))
    def test_without(self, some: set[Uid], gone: set[Uid]) -> None:
        array = uid_array(sorted(some))
        self.assertEqual(list(without(array, gone)), sorted(some - gone))
        self.assertEqual(list(array), sorted(some))

    @given(st.sets(uids), uids)
    def test_index_of(self, some: set[Uid], uid: Uid) -> None:
        ordered = sorted(some)
        expected = ordered.index(uid) if uid in some else None
        self.assertEqual(index_of(uid_array(ordered), uid), expected)

    def test_joined_is_another(self) -> None:
        one = uid_array([1, 2])
        self.assertEqual(list(joined(one, [Uid(7)])), [1, 2, 7])
        self.assertEqual(list(one), [1, 2])
        self.assertIs(uid_array(one), one)

    def test_numbered(self) -> None:
        pairs = [(Seq(1), Uid(5)), (Seq(3), Uid(9)), (Seq(4), Uid(11))]
        some = Numbered.of(pairs)
        self.assertEqual(list(some), pairs)
        self.assertEqual(some[1], pairs[1])
        self.assertEqual(some[1:], pairs[1:])
        self.assertEqual(len(some), 3)
        all_uids = uid_array([5, 7, 9, 11])
        self.assertEqual(Numbered.of_runs(all_uids, [(1, 1), (3, 4)]), some)
        self.assertEqual(Numbered.of_runs(all_uids, [(3, 4)]), some[1:])
        self.assertEqual(Numbered.of_runs(all_uids, []), [])


class ManySetsTests(unittest.TestCase):
    """More sets of flags at once than may be left over."""

    def test_each_message_keeps_its_own(self) -> None:
        states = [
            MessageState(
                Uid(number + 1),
                frozenset(b"k%d" % bit for bit in range(12) if number >> bit & 1),
            )
            for number in range(3000)
        ]
        table = MessageTable()
        table.add(states)
        for turn in range(2):
            for each in states:
                self.assertEqual(table.flags(each.uid), each.flags, turn)
            for each in states[:1500]:
                table.set_flags({each.uid: each.flags | {b"other"}})
            for each in states[:1500]:
                table.set_flags({each.uid: each.flags})
