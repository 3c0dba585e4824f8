"""What the tests of the harnesses share: a run with a seed that stays the same."""

import unittest
from collections.abc import Callable, Iterable

from tests.torture.budget import Budget
from tests.torture.figures import Figure, table

SEED = 20


def keeps(
    test: unittest.TestCase, run: Callable[[Budget], Iterable[Figure]], seconds: float
) -> None:
    """Every figure keeps its bound; they are printed for those who look (-s)."""
    figures = list(run(Budget(seconds, SEED)))
    print(table(figures))
    missed = [each for each in figures if each.met is False]
    test.assertEqual(missed, [])
    test.assertTrue(figures)
