"""The table of harnesses and what prints it."""

import unittest

from tests.torture.budget import Budget, chance
from tests.torture.figures import at_least, at_most, table, told
from tests.torture.harnesses import HARNESSES


class HarnessTests(unittest.TestCase):
    def test_every_row_can_be_loaded(self) -> None:
        names = [harness.name for harness in HARNESSES]
        self.assertEqual(len(set(names)), len(names))
        for harness in HARNESSES:
            with self.subTest(harness.name):
                self.assertTrue(callable(harness.load()))
                self.assertTrue(harness.goals)

    def test_figures(self) -> None:
        rows = [
            at_most("G1", "uncaught", 0, "exceptions", 0),
            at_least("G6", "trials", 9, "trials", 10),
            told("G18", "appends", 3000, "a second"),
        ]
        self.assertEqual([row.met for row in rows], [True, False, None])
        lines = table(rows).split("\n")
        self.assertEqual(len(lines), 4)
        self.assertIn("MISSED", lines[2])
        self.assertIn("3,000", lines[3])

    def test_a_trial_can_be_done_again(self) -> None:
        label, first = next(Budget(0, 7).trials("x"))
        self.assertEqual(first.random(), chance(label).random())
        self.assertEqual(len(list(Budget(0, 7).trials("x"))), 1)
