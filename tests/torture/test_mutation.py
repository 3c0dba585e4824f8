"""What makes mutants makes each once, and tells the living from the dead."""

import importlib
import sys
import tempfile
import unittest
import unittest.mock
from pathlib import Path
from typing import Any

from tests.torture.mutants import Mutant, mutants_of
from tests.torture.mutation import MODULES, Judge, Ran, explained, load, survey

SAMPLE = '''
import functools

_log = print

class Box:
    """Text is no code."""

    def __init__(self, count):
        self.count = count

    @property
    def is_full(self):
        return self.count >= 10 and not self.count == 11

def step(box: Box, by: int = 1):
    """Raise a text that nobody tests."""
    if box.is_full:
        raise ValueError("full")
    _log.info("step", 7)
    box.count += by
    return b"done"
'''
#: Of each function: what is changed, as it is told.
CHANGES = {
    "Box.__init__": [],
    "Box.is_full": [
        "return self.count >= 10 and (not self.count == 11) -> None",
        "self.count >= 10 and (not self.count == 11) -> Or",
        "self.count >= 10 -> Gt",
        "10 -> 11",
        "not self.count == 11 -> without not",
        "self.count == 11 -> NotEq",
        "11 -> 12",
    ],
    "step": [
        "if box.is_full: -> if not",
        "raise ValueError('full') -> removed",
        "box.count += by -> Sub",
        "box.count += by -> removed",
        "return b'done' -> None",
        "b'done' -> b'doneX'",
    ],
}
#: By a test that looks at nothing but whether there is an error.
LIVE = {"b'done' -> b'doneX'", "return b'done' -> None"}


def drawn(test: unittest.TestCase) -> bool:
    """Whether hypothesis runs it, which wants one runner a process; pytest is one."""
    method = getattr(test, test.id().rpartition(".")[2])
    return bool(getattr(method, "is_hypothesis_test", False))


class MutationTests(unittest.TestCase):
    sample: Any

    def setUp(self) -> None:
        folder = self.enterContext(tempfile.TemporaryDirectory())
        Path(folder, "mutated_sample.py").write_text(SAMPLE)
        sys.path.insert(0, folder)
        self.addCleanup(sys.path.remove, folder)
        self.sample = importlib.import_module("mutated_sample")
        self.addCleanup(sys.modules.pop, "mutated_sample")

    def mutants(self) -> list[Mutant]:
        return mutants_of("mutated_sample")

    def test_each_change_is_made_once(self) -> None:
        found: dict[str, list[str]] = {"Box.__init__": []}
        for mutant in self.mutants():
            found.setdefault(mutant.function, []).append(mutant.change)
        self.assertEqual(found, CHANGES)

    def test_who_is_killed(self) -> None:
        sample = self.sample
        sample._log = unittest.mock.Mock()

        def look() -> None:
            box = sample.Box(9)
            assert not box.is_full
            sample.step(box)
            assert box.count == 10
            with self.assertRaises(ValueError):
                sample.step(box)
            assert not sample.Box(11).is_full

        every = {f"mutated_sample:{name}" for name in CHANGES}
        runs = [Ran(unittest.FunctionTestCase(look), 0.1, frozenset(every))]
        mutants = self.mutants()
        judge = Judge(runs)
        living = {each.change for each in mutants if not judge.is_killed(each)}
        self.assertEqual(living, LIVE)
        # What no test runs, no test kills; and here, nothing has changed.
        self.assertFalse(Judge([]).is_killed(mutants[0]))
        look()

    def test_one_that_never_ends_is_killed(self) -> None:
        def forever() -> None:
            while self.sample.step(self.sample.Box(0)) is None:
                pass

        self.sample._log = unittest.mock.Mock()
        runs = [
            Ran(
                unittest.FunctionTestCase(forever),
                0.0,
                frozenset({"mutated_sample:step"}),
            )
        ]
        found = [each for each in self.mutants() if each.change.endswith("-> None")]
        self.assertTrue(Judge(runs).is_killed(found[-1]))

    def test_a_mutant_of_the_uid_list(self) -> None:
        """Once through all of it: what tests run, and which mutants they see."""
        # Hardening: D13.
        tests = [
            each
            for each in load(("tests/store/test_uidlist.py",))
            if "FormatTests" in each.id() and not drawn(each)
        ]
        runs = survey(tests)
        self.assertEqual(len(runs), len(tests))
        where = "imapd.store.maildir.uidformat:parse"
        self.assertTrue(any(where in each.functions for each in runs))
        mutants = [
            each
            for each in mutants_of("imapd.store.maildir.uidformat")
            if each.function == "parse"
        ]
        self.assertTrue(mutants)
        self.assertTrue(any(map(Judge(runs).is_killed, mutants[:5])))

    def test_whoever_lives_for_a_reason_is_there(self) -> None:
        names = {each.name for module in MODULES for each in mutants_of(module)}
        self.assertGreater(len(names), 500)
        self.assertEqual(explained().keys() - names, set())
        for name, why in explained().items():
            self.assertTrue(why.strip(), name)
