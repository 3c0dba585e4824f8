"""What is made of a report of coverage.py."""

import unittest
from typing import Any

from tests.torture.budget import Budget
from tests.torture.covered import IS_THERE, JUDGED, figures, packages, run


def report(**branches: tuple[int, int]) -> dict[str, Any]:
    summaries = {
        f"/somewhere/imapd/{name}/{part}.py": {
            "summary": {"covered_branches": taken, "num_branches": there}
        }
        for name, (taken, there) in branches.items()
        for part in ("one", "deeper/two")
    }
    empty = {"summary": {"covered_branches": 0, "num_branches": 0}}
    return {"files": {**summaries, "imapd/ids.py": empty, "imapd/x/y.py": empty}}


class CoveredTests(unittest.TestCase):
    def test_packages(self) -> None:
        found = packages(report(wire=(9, 10), auth=(1, 2)))
        self.assertEqual(found, {"wire": (18, 20), "auth": (2, 4)})

    def test_figures(self) -> None:
        all_of_them = dict.fromkeys(JUDGED, (99, 100))
        said = {each.what: each for each in figures(report(auth=(1, 2), **all_of_them))}
        self.assertEqual(said["branches taken, auth"].met, None)
        self.assertEqual(said["branches taken, wire"].met, True)
        poor = {**all_of_them, "store": (70, 100)}
        said = {each.what: each for each in figures(report(**poor))}
        self.assertEqual(said["branches taken, store"].met, False)
        self.assertEqual(said["branches taken, protocol and storage"].met, False)

    def test_what_was_not_measured_is_no_figure(self) -> None:
        with self.assertRaisesRegex(AssertionError, "wire"):
            list(figures(report(auth=(1, 2))))

    def test_without_it_or_without_time_it_says_so(self) -> None:
        (only,) = run(Budget(0, 7))
        self.assertIn("it takes" if IS_THERE else "not installed", only.what)
