"""UIDs in arrays: where they stand, and without some of them."""

import unittest

from hypothesis import given
from hypothesis import strategies as st

from imapd.ids import Uid
from imapd.model.numbered import places_of, uid_array, without

UIDS = st.sets(st.integers(1, 200), max_size=120)


class PlacesTests(unittest.TestCase):
    @given(UIDS, st.one_of(UIDS, st.sets(st.integers(1, 200), max_size=3)))
    def test_few_or_many(self, there: set[int], wanted: set[int]) -> None:
        uids = uid_array(sorted(there))
        found = places_of(uids, set(map(Uid, wanted)))
        self.assertEqual([uids[place] for place in found], sorted(there & wanted))
        left = without(uids, map(Uid, wanted))
        self.assertEqual(list(left), sorted(there - wanted))
