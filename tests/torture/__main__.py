"""``make torture``: run the harnesses for a while and print their figures."""

import argparse
import random
import sys
import time
from collections.abc import Sequence

from tests.torture.budget import Budget
from tests.torture.figures import Figure, table
from tests.torture.harnesses import HARNESSES, Harness


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make torture", description="Hunt for lost mail and open doors."
    )
    add = parser.add_argument
    add("--seconds", type=float, default=600.0, help="for all together; default 600")
    add("--seed", type=int, default=None, help="to do it all again; default: any")
    add("--only", default="", help="a,b,c; without: all")
    add("--list", action="store_true", help="list the harnesses, and end")
    return parser.parse_args(arguments)


def _chosen(only: str) -> list[Harness]:
    names = [name for name in only.split(",") if name]
    known = {harness.name: harness for harness in HARNESSES}
    unknown = [name for name in names if name not in known]
    if unknown:
        known_names = ", ".join(known)
        raise SystemExit(f"torture: no harness {unknown[0]!r}; there are {known_names}")
    return [known[name] for name in names] if names else list(HARNESSES)


def _run(harness: Harness, budget: Budget, figures: list[Figure]) -> bool:
    """Run one; False: it found a defect, which is printed."""
    began = time.monotonic()
    try:
        for figure in harness.load()(budget):
            figures.append(figure)
            print(table([figure]).split("\n")[1], flush=True)
    except AssertionError as error:
        print(f"{harness.name}: DEFECT: {error}", flush=True)
        return False
    print(f"{harness.name}: {time.monotonic() - began:.0f} s", flush=True)
    return True


def main(arguments: Sequence[str]) -> int:
    """Return the exit status: 1 where a defect was found or a bound not kept."""
    options = _parse(arguments)
    if options.list:
        for harness in HARNESSES:
            print(f"{harness.name:16} {', '.join(harness.goals)}")
        return 0
    seed = random.randrange(1 << 31) if options.seed is None else options.seed
    chosen = _chosen(options.only)
    print(f"seed {seed}, {options.seconds:.0f} seconds", flush=True)
    figures: list[Figure] = []
    sound = True
    shares = sum(harness.share for harness in chosen) or 1
    for harness in chosen:
        missing = harness.missing()
        if missing:
            print(f"{harness.name}: SKIPPED, without {', '.join(missing)}")
            continue
        seconds = options.seconds * harness.share / shares
        sound = _run(harness, Budget(seconds, seed), figures) and sound
    print()
    print(table(figures))
    return 0 if sound and all(one.met is not False for one in figures) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
