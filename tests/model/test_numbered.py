"""UIDs in arrays with their numbers: where they stand, chosen, and without some."""

import unittest

from hypothesis import given
from hypothesis import strategies as st

from imapd.ids import Uid
from imapd.model.numbered import Chosen, places_of, uid_array, without

MASKS = {
    "of nobody": b"",
    "none": b"\0" * 40,
    "one of many": b"\0" * 39 + b"\1",
    "a quarter": b"\1\0\0\0" * 10,
    "more than a quarter": b"\1\1\0\0" * 10,
    "all": b"\1" * 40,
}


class ChosenTests(unittest.TestCase):
    """Few and many are picked in different ways, and the same ones."""

    def test_the_columns_are_those_of_the_mask(self) -> None:
        for name, mask in MASKS.items():
            uids = uid_array(range(1001, 1001 + 3 * len(mask), 3))
            expected = [
                (at + 1, Uid(1001 + 3 * at)) for at, member in enumerate(mask) if member
            ]
            chosen = Chosen(uids, mask)
            self.assertEqual(len(chosen), len(expected), name)
            self.assertEqual(list(chosen), expected, name)
            self.assertEqual(list(chosen.seqs), [seq for seq, _ in expected], name)
            self.assertEqual(chosen[1:3], expected[1:3], name)


UIDS = st.sets(st.integers(1, 200), max_size=120)


class PlacesTests(unittest.TestCase):
    @given(UIDS, st.one_of(UIDS, st.sets(st.integers(1, 200), max_size=3)))
    def test_few_or_many(self, there: set[int], wanted: set[int]) -> None:
        uids = uid_array(sorted(there))
        found = places_of(uids, set(map(Uid, wanted)))
        self.assertEqual([uids[place] for place in found], sorted(there & wanted))
        left = without(uids, map(Uid, wanted))
        self.assertEqual(list(left), sorted(there - wanted))
