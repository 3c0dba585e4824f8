"""How many of the branches of protocol and storage the tests take, with coverage.py.

``make coverage`` runs it alone.  It measures the whole suite but for the harnesses:
what chance meets once is no test.  Processes that tests start are measured too.
Without coverage.py, or with less time than it takes, there is a figure that says so.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tests.live.process import REPOSITORY
from tests.torture.budget import Budget
from tests.torture.figures import Figure, at_least, told

IS_THERE: Final = importlib.util.find_spec("coverage") is not None
#: Of them a bound is kept; of the others the figure is told.
JUDGED: Final = ("mailbox", "server", "store", "wire")
LEAST_PERCENT: Final = 95.0
#: So long the suite takes on two busy cores, measured.
_LEAST_SECONDS: Final = 1200.0
_LEFT_OUT: Final = ("tests/torture", "tests/benchmarks")
#: One process a core, as ``make test`` has it; a file of tests stays in one.
_PYTEST: Final = ("-p", "no:cacheprovider", "-n", "auto", "--dist", "loadfile")
#: Of its words so many are told where something went wrong.
_TOLD_CHARACTERS: Final = 3000


def packages(report: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Of each package: branches taken, and branches that there are.

    ``report`` is what ``coverage json`` writes.
    """
    found: dict[str, tuple[int, int]] = {}
    for name, file in report["files"].items():
        parts = Path(name).parts
        inside = parts[parts.index("imapd") + 1 :]
        if len(inside) < 2:
            continue
        taken, there = found.get(inside[0], (0, 0))
        summary = file["summary"]
        found[inside[0]] = (
            taken + summary["covered_branches"],
            there + summary["num_branches"],
        )
    return {name: each for name, each in found.items() if each[1]}


def figures(report: Mapping[str, Any]) -> Iterator[Figure]:
    """A figure of each package, and of all that are judged together."""
    found = packages(report)
    missing = [name for name in JUDGED if name not in found]
    if missing:
        raise AssertionError(f"covered: nothing was measured of {missing}")
    for name, (taken, there) in sorted(found.items()):
        what, percent = f"branches taken, {name}", 100 * taken / there
        if name in JUDGED:
            yield at_least("G24", what, percent, "%", LEAST_PERCENT)
        else:
            yield told("G24", what, percent, "%")
    taken, there = (sum(found[name][at] for name in JUDGED) for at in (0, 1))
    what = "branches taken, protocol and storage"
    yield at_least("G24", what, 100 * taken / there, "%", LEAST_PERCENT)


def _coverage(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run coverage.py with the settings of ``setup.cfg``."""
    environment = os.environ | {
        "COVERAGE_FILE": str(folder / "data"),
        "PYTHONPATH": os.pathsep.join((str(REPOSITORY), *filter(None, sys.path))),
    }
    return subprocess.run(
        [sys.executable, "-m", "coverage", *arguments],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


def measure(tests: tuple[str, ...]) -> tuple[dict[str, Any], str]:
    """Run these tests; return the report, and what pytest said of them."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        said = _coverage(folder, "run", "-m", "pytest", *_PYTEST, *tests)
        for step in (("combine", "-q"), ("json", "-q", "-o", f"{place}/report.json")):
            done = _coverage(folder, *step)
            if done.returncode:
                words = (said.stdout + done.stdout + done.stderr)[-_TOLD_CHARACTERS:]
                raise AssertionError(f"covered: {step[0]}: {words}")
        report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report, said.stdout[-_TOLD_CHARACTERS:]


def run(budget: Budget) -> Iterator[Figure]:
    """G24."""
    if not IS_THERE:
        yield told("G24", "covered: SKIPPED, coverage is not installed", 0, "")
        return
    if budget.seconds < _LEAST_SECONDS:
        what = f"covered: SKIPPED, it takes {_LEAST_SECONDS:.0f} s"
        yield told("G24", what, 0, "")
        return
    report, said = measure(("tests", *(f"--ignore={path}" for path in _LEFT_OUT)))
    # Tests of time fail here, where each line costs more; they are tests elsewhere.
    print(said.rpartition("short test summary info")[2])
    yield from figures(report)
