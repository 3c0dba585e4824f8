"""How long a harness may try, and what chance tells it: the seed finds all again."""

import math
import random
import time
from collections.abc import Iterator


class Budget:
    """Seconds from now on, or an amount of trials whatever time they take; and a seed.

    What is counted, such as messages or commands, the harness says with ``did``.
    """

    def __init__(
        self,
        seconds: float,
        seed: int,
        amount: int = 0,
        whole: "Budget | None" = None,
        *,
        least: int = 0,
    ) -> None:
        """``seconds`` are of wall time; a harness may finish the trial it is in.

        With an ``amount`` they end nothing; before the ``least`` was done neither: a
        slow machine takes longer.  ``whole`` is what this is a part of.
        """
        self.seconds = seconds
        self.seed = seed
        self.amount = amount
        self.least = least
        self.done = 0
        self._whole = whole
        self._end = time.monotonic() + seconds

    def did(self, count: int = 1) -> None:
        """Count what was done; it is of the whole, too."""
        self.done += count
        if self._whole is not None:
            self._whole.did(count)

    @property
    def is_spent(self) -> bool:
        """Whether no further trial may begin."""
        if self.amount:
            return self.done >= self.amount
        return self.done >= self.least and time.monotonic() >= self._end

    @property
    def may_leave_off(self) -> bool:
        """Whether what could be tried whole may be left unfinished: time is up."""
        return not self.amount and self.is_spent

    def part(self, share: float) -> "Budget":
        """Return a budget of that share, of which the seconds begin now."""
        amount, least = (math.ceil(n * share) for n in (self.amount, self.least))
        return Budget(self.seconds * share, self.seed, amount, self, least=least)

    def trials(self, name: str) -> Iterator[tuple[str, random.Random]]:
        """Yield a name, to be told if it fails, and its chance until all is spent.

        There is at least one.  ``name`` keeps two harnesses of one seed apart.

        Raises:
            ValueError: so much is wanted, and the first trial was not counted.
        """
        number = 0
        while True:
            label = f"{name}:{self.seed}:{number}"
            yield label, random.Random(label)
            if self.is_spent:
                return
            if (self.amount or self.least) and not self.done:
                raise ValueError(f"{label} counts nothing: it would never end")
            number += 1


def chance(label: str) -> random.Random:
    """Return the chance of a trial by its name, to do that one again."""
    return random.Random(label)
