"""What of a SEARCH may be done where all clients wait."""

import unittest
from array import array

from imapd.ids import Uid
from imapd.mailbox.searchmask import Snapshot
from imapd.mailbox.searchrun import Search
from imapd.model.search import All, And, HasFlag, Numbers, SearchKey, Text
from imapd.model.sets import SequenceSet
from tests.support.memory import MemoryMailbox, OpenMailbox


def is_small(key: SearchKey, count: int) -> bool:
    uids = [Uid(2 * number + 1) for number in range(count)]
    snapshot = Snapshot(uids, array("I", bytes(4 * count)), [frozenset()], frozenset())
    return Search(key, snapshot, OpenMailbox(MemoryMailbox())).is_small


def apart(count: int) -> Numbers:
    """So many ranges, of one number each."""
    ranges = tuple((number, number) for number in range(1, 2 * count, 2))
    return Numbers(SequenceSet(ranges), uid=True)


class SmallTests(unittest.TestCase):
    def test_what_is_in_memory_is_small(self) -> None:
        for key in (All(), HasFlag(b"\\Seen"), apart(1000)):
            self.assertTrue(is_small(key, 20_000), key)

    def test_what_is_read_is_not(self) -> None:
        self.assertFalse(is_small(Text("x"), 1))

    def test_many_messages_are_not(self) -> None:
        self.assertFalse(is_small(All(), 100_000))
        self.assertFalse(is_small(And((All(),) * 100), 20_000))

    def test_a_set_of_many_ranges_is_not(self) -> None:
        """A command of 64 KB names ten thousand; each costs a microsecond or two."""
        self.assertFalse(is_small(apart(5000), 10))
        self.assertFalse(is_small(And((apart(1500), apart(1500))), 10))
