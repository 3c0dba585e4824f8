"""What inputs take of the processor, each beside its size."""

import math
from collections import Counter
from typing import Final

_BLOCK_OCTETS: Final = 8192
#: Steps of about one hundredth.
_STEPS: Final = 100


class Costs:
    """Processor time of any number of inputs, in the same memory.

    The collector of garbage runs when it likes, within some input, and takes longer
    the more there is in the process: the one input in a thousand that costs most is
    told, not bounded.
    """

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self.slowest = 0.0

    def add(self, octets: int, seconds: float) -> None:
        """An input of so many octets took so long."""
        self.slowest = max(self.slowest, seconds)
        each = max(seconds / (1 + octets // _BLOCK_OCTETS), 1e-6)
        self._counts[math.ceil(math.log(each) * _STEPS)] += 1

    def of_a_block(self, share: float) -> float:
        """Return the seconds for 8 KiB that so many of all inputs keep within."""
        wanted = share * self._counts.total()
        found = 0
        for step, count in sorted(self._counts.items()):
            found += count
            if found >= wanted:
                return math.exp(step / _STEPS)
        return 0.0
