"""How long a harness may try, and what chance tells it: the seed finds all again."""

import random
import time
from collections.abc import Iterator


class Budget:
    """Seconds from now on, and a seed."""

    def __init__(self, seconds: float, seed: int) -> None:
        """``seconds`` are of wall time; a harness may finish the trial it is in."""
        self.seconds = seconds
        self.seed = seed
        self._end = time.monotonic() + seconds

    @property
    def is_spent(self) -> bool:
        """Whether no further trial may begin."""
        return time.monotonic() >= self._end

    def part(self, share: float) -> "Budget":
        """Return a budget of that share of the seconds, beginning now."""
        return Budget(self.seconds * share, self.seed)

    def trials(self, name: str) -> Iterator[tuple[str, random.Random]]:
        """Yield a name, to be told if it fails, and its chance until all is spent.

        There is at least one.  ``name`` keeps two harnesses of one seed apart.
        """
        number = 0
        while True:
            label = f"{name}:{self.seed}:{number}"
            yield label, random.Random(label)
            if self.is_spent:
                return
            number += 1


def chance(label: str) -> random.Random:
    """Return the chance of a trial by its name, to do that one again."""
    return random.Random(label)
