"""``sequence-set``: what it names, and that its cost is that of what was written."""

import time
import unittest
from itertools import pairwise
from typing import ClassVar

from hypothesis import given
from hypothesis import strategies as st

from imapd.ids import LARGEST_NUMBER
from imapd.model.sets import STAR, SequenceSet, runs

NUMBERS = st.one_of(st.integers(1, 12), st.just(STAR))
RANGES = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=6).map(tuple)


def named(ranges: tuple[tuple[int, int], ...], largest: int) -> set[int]:
    """The definition, number by number.  RFC 3501 §9."""
    found: set[int] = set()
    for pair in ranges:
        first, last = sorted(largest if n == STAR else n for n in pair)
        found.update(range(first, last + 1))
    return found


class SetTests(unittest.TestCase):
    CASES: ClassVar = {
        "one": (((3, 3),), 9, [(3, 3)]),
        "backwards": (((5, 2),), 9, [(2, 5)]),
        "star": (((STAR, STAR),), 9, [(9, 9)]),
        "beyond star": (((12, STAR),), 9, [(9, 12)]),
        "touching": (((1, 2), (3, 4)), 9, [(1, 4)]),
        "apart": (((6, 7), (1, 2), (4, 4)), 9, [(1, 2), (4, 4), (6, 7)]),
        "inside": (((1, 9), (2, 3)), 9, [(1, 9)]),
        "star of nothing": (((STAR, STAR),), 0, []),
        "half of nothing": (((1, STAR), (5, 6)), 0, [(5, 6)]),
    }

    def test_cases(self) -> None:
        for name, (ranges, largest, expected) in self.CASES.items():
            self.assertEqual(SequenceSet(ranges).resolve(largest), expected, name)

    @given(RANGES, st.integers(1, 12))
    def test_resolves_to_what_was_written(
        self, ranges: tuple[tuple[int, int], ...], largest: int
    ) -> None:
        resolved = SequenceSet(ranges).resolve(largest)
        flat = [n for first, last in resolved for n in range(first, last + 1)]
        self.assertEqual(flat, sorted(named(ranges, largest)))
        for one, two in pairwise(resolved):
            self.assertGreater(two[0], one[1] + 1)

    @given(RANGES, st.sets(st.integers(1, 12)))
    def test_selects_members(
        self, ranges: tuple[tuple[int, int], ...], members: set[int]
    ) -> None:
        ascending = sorted(members)
        wanted = named(ranges, ascending[-1]) if ascending else set()
        selected = SequenceSet(ranges).select(ascending)
        self.assertEqual(selected, [n for n in ascending if n in wanted])

    def test_what_it_knows_of_itself(self) -> None:
        self.assertTrue(SequenceSet(((1, STAR),)).has_star)
        self.assertFalse(SequenceSet(((1, 2),)).has_star)
        self.assertEqual(SequenceSet(((7, 3), (STAR, 5))).largest_named, 7)
        self.assertEqual(SequenceSet(((STAR, STAR),)).largest_named, 0)

    def test_costs_what_was_written(self) -> None:
        # Hardening: X4, P12.
        ranges = tuple((n, LARGEST_NUMBER - n) for n in range(1, 20000))
        began = time.thread_time()
        self.assertEqual(SequenceSet(ranges).resolve(5), [(1, LARGEST_NUMBER - 1)])
        self.assertEqual(SequenceSet(ranges).select([5, 7]), [5, 7])
        self.assertLess(time.thread_time() - began, 0.5)

    @given(st.sets(st.integers(1, 30)))
    def test_runs(self, members: set[int]) -> None:
        ascending = sorted(members)
        pairs = list(runs(ascending))
        flat = [n for first, last in pairs for n in range(first, last + 1)]
        self.assertEqual(flat, ascending)
        self.assertEqual(SequenceSet(tuple(pairs)).resolve(1), pairs)
