"""The time in microseconds, as one process sees it: never set back.

A process goes on from the latest time that the clock of the machine has shown it, by
the clock that only runs: what it numbers by its time is above all that it has told,
and above what others told that saw the same time.
"""

import time
from collections.abc import Callable


class NumberClock:
    """Since 1970, by the clock of the machine before it was set back."""

    def __init__(
        self,
        wall_ns: Callable[[], int] = time.time_ns,
        steady_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """It knows of no earlier time than now."""
        self._wall_ns, self._steady_ns = wall_ns, steady_ns
        self._ahead_ns = wall_ns() - steady_ns()  # the most that it ever was

    def microseconds(self) -> int:
        """The time; for any thread."""
        steady_ns = self._steady_ns()
        ahead_ns = self._wall_ns() - steady_ns
        self._ahead_ns = max(self._ahead_ns, ahead_ns)
        return (steady_ns + self._ahead_ns) // 1000
