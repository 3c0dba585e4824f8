"""``make torture``: run the harnesses for a while and print their figures."""

import argparse
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import chain

from tests.torture.budget import Budget
from tests.torture.figures import Figure, at_least, table
from tests.torture.harnesses import HARNESSES, Harness


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make torture", description="Hunt for lost mail and open doors."
    )
    add = parser.add_argument
    add("--seconds", type=float, default=600.0, help="for all together; default 600")
    add(
        "--gate",
        action="store_true",
        help="each until its gate, whatever time it takes",
    )
    add("--seed", type=int, default=None, help="to do it all again; default: any")
    add("--only", default="", help="a,b,c; without: all")
    add(
        "--list",
        action="store_true",
        help="list the harnesses and their gates, and end",
    )
    return parser.parse_args(arguments)


def _chosen(only: str) -> list[Harness]:
    names = [name for name in only.split(",") if name]
    known = {harness.name: harness for harness in HARNESSES}
    unknown = [name for name in names if name not in known]
    if unknown:
        known_names = ", ".join(known)
        raise SystemExit(f"torture: no harness {unknown[0]!r}; there are {known_names}")
    return [known[name] for name in names] if names else list(HARNESSES)


def run_one(harness: Harness, budget: Budget, figures: list[Figure]) -> bool:
    """Run one; False: it found a defect, which is printed."""
    began = time.monotonic()
    used = _processor_seconds()
    try:
        for figure in chain(harness.load()(budget), _of_gate(harness, budget)):
            figures.append(figure)
            print(table([figure]).split("\n")[1], flush=True)
    except AssertionError as error:
        print(f"{harness.name}: DEFECT: {error}", flush=True)
        return False
    seconds, used = time.monotonic() - began, _processor_seconds() - used
    print(f"{harness.name}: {seconds:.0f} s, {used:.0f} s of CPU time", flush=True)
    return True


def _of_gate(harness: Harness, budget: Budget) -> Iterator[Figure]:
    """Whether as much was done as had to be."""
    if budget.amount:
        unit, goal = harness.gate.unit, harness.goals[-1]
        what = f"{harness.name}: {unit} in all"
        yield at_least(goal, what, budget.done, unit, budget.amount)


def _processor_seconds() -> float:
    """Of this process and of those that it has waited for."""
    return sum(os.times()[:4])


def main(arguments: Sequence[str]) -> int:
    """Return the exit status: 1 where a defect was found or a bound not kept."""
    options = _parse(arguments)
    if options.list:
        for harness in HARNESSES:
            gate = f"{harness.gate.amount:,} {harness.gate.unit}"
            print(f"{harness.name:13} {gate:20} {', '.join(harness.goals)}")
        return 0
    seed = random.randrange(1 << 31) if options.seed is None else options.seed
    chosen = _chosen(options.only)
    until = "gate" if options.gate else f"{options.seconds:.0f} seconds"
    print(f"seed {seed}, {until}", flush=True)
    figures: list[Figure] = []
    sound = True
    shares = sum(harness.share for harness in chosen) or 1
    for harness in chosen:
        missing = harness.missing()
        if missing:
            print(f"{harness.name}: SKIPPED, without {', '.join(missing)}")
            continue
        budget = Budget(options.seconds * harness.share / shares, seed)
        if options.gate:
            budget = harness.gate_budget(seed)
        sound = run_one(harness, budget, figures) and sound
    print()
    print(table(figures))
    return 0 if sound and all(one.met is not False for one in figures) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
