"""The coverage-guided fuzzer atheris at what reads commands, where it is installed.

It runs in a process of its own, which it ends; the first octets it tries are whole
commands of every kind.  By hand::

    python -m tests.torture.guided -max_total_time=60 FOLDER

Without it there is a figure that says so, and the fuzzers that need nothing.
"""

import importlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

from tests.torture.budget import Budget
from tests.torture.figures import Figure, at_least, told

IS_THERE: Final = importlib.util.find_spec("atheris") is not None
#: Packages whose branches it follows.
FOLLOWED: Final = ("imapd.wire", "imapd.model")

_EXECUTED = re.compile(r"number_of_executed_units: ([0-9]+)")
_COVERED = re.compile(r"\bcov: ([0-9]+)")


def main(arguments: Sequence[str]) -> None:
    """Fuzz until a defect or the end of the time; does not return."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=list(FOLLOWED)):
        wirefuzz = importlib.import_module("tests.torture.wirefuzz")

    def one(data: bytes) -> None:
        if data:
            wirefuzz.trial(data[1:], Random(data[0]))

    atheris.Setup(list(arguments), one)
    atheris.Fuzz()


def _corpus(folder: Path, seed: int) -> None:
    from tests.torture.wirefuzz import stock

    for number, octets in enumerate(stock(Random(seed))):
        (folder / f"{number}").write_bytes(bytes([number % 256]) + octets)


def run(budget: Budget) -> Iterator[Figure]:
    """G1."""
    if not IS_THERE:
        yield told("G1", "guided: SKIPPED, atheris is not installed", 0, "")
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        _corpus(folder, budget.seed)
        seconds = max(1, int(budget.seconds))
        options = (f"-max_total_time={seconds}", f"-seed={budget.seed or 1}")
        more = ("-print_final_stats=1", "-max_len=4096", f"-artifact_prefix={place}/")
        done = subprocess.run(
            [sys.executable, "-m", "tests.torture.guided", *options, *more, place],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds * 4 + 120,
            check=False,
        )
    said = done.stdout + done.stderr
    assert done.returncode == 0, f"guided: {said[-4000:]}"
    executed = [int(each) for each in _EXECUTED.findall(said)]
    covered = [int(each) for each in _COVERED.findall(said)]
    yield at_least("G1", "guided: inputs", sum(executed), "inputs", 1)
    yield told("G1", "guided: branches at the end", max(covered, default=0), "edges")


if __name__ == "__main__":
    main(sys.argv)
