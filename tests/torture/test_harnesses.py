"""The table of harnesses and what prints it."""

import unittest

from tests.torture.__main__ import run_one
from tests.torture.budget import Budget, chance
from tests.torture.figures import Figure, at_least, at_most, table, told
from tests.torture.harnesses import HARNESSES, SECONDS, Gate, Harness


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


class AmountTests(unittest.TestCase):
    """Budgets of so many trials, whatever time they take."""

    def test_it_is_spent_when_so_much_was_done(self) -> None:
        budget = Budget(0, 7, 10)
        for _ in budget.trials("x"):
            budget.did(4)
        self.assertEqual(budget.done, 12)
        self.assertTrue(budget.is_spent)
        self.assertFalse(budget.may_leave_off)

    def test_time_is_spent_without_any(self) -> None:
        budget = Budget(0, 7)
        self.assertTrue(budget.is_spent)
        self.assertTrue(budget.may_leave_off)
        self.assertFalse(Budget(1000, 7).is_spent)

    def test_time_is_not_spent_before_the_least_was_done(self) -> None:
        budget = Budget(0, 7, least=10)
        for _ in budget.trials("x"):
            budget.did(4)
        self.assertEqual((budget.done, budget.may_leave_off), (12, True))
        part = Budget(0, 7, least=10).part(0.75)
        part.did(7)
        self.assertFalse(part.is_spent)
        part.did()
        self.assertTrue(part.is_spent)
        self.assertFalse(Budget(1000, 7, least=0).is_spent)

    def test_parts_are_of_the_whole(self) -> None:
        whole = Budget(0, 7, 10)
        first = whole.part(0.75)
        self.assertEqual(first.amount, 8)
        first.did(8)
        self.assertTrue(first.is_spent)
        self.assertFalse(whole.is_spent)
        whole.part(0.25).part(0.5).did(2)
        self.assertEqual((whole.done, whole.is_spent), (10, True))

    def test_a_harness_that_counts_nothing(self) -> None:
        with self.assertRaisesRegex(ValueError, "x:7:0 counts nothing"):
            list(Budget(0, 7, 10).trials("x"))
        with self.assertRaisesRegex(ValueError, "x:7:0 counts nothing"):
            list(Budget(0, 7, least=10).trials("x"))

    def test_gates(self) -> None:
        counting = {one.name for one in HARNESSES if one.gate.unit != SECONDS}
        numbers = {"fuzz", "mime", "names", "crash", "killed", "powerloss", "control"}
        self.assertLessEqual(numbers, counting)
        for harness in HARNESSES:
            budget = harness.gate_budget(7)
            if harness.name in counting:
                self.assertEqual(budget.amount, harness.gate.amount)
            else:
                self.assertEqual((budget.amount, budget.seconds > 0), (0, True))

    def test_one_is_run_until_its_gate(self) -> None:
        for name, module in (("wire", "wirefuzz"), ("sasl", "saslfuzz")):
            harness = Harness(name, module, ("G1",), Gate(500, "times"))
            figures: list[Figure] = []
            self.assertTrue(run_one(harness, harness.gate_budget(7), figures))
            last = figures[-1]
            self.assertEqual((last.bound, last.met), ("at least 500", True))
            self.assertGreaterEqual(last.value, 500)
