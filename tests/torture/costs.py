"""What inputs take of the processor, each beside its size."""

from array import array
from typing import Final

_BLOCK_OCTETS: Final = 8192


class Costs:
    """Processor time of many inputs.

    The collector of garbage runs when it likes, within some input, and takes longer
    the more there is in the process: the one input in a thousand that costs most is
    told, not bounded.
    """

    def __init__(self) -> None:
        self._blocks = array("d")
        self.slowest = 0.0

    def add(self, octets: int, seconds: float) -> None:
        """An input of so many octets took so long."""
        self.slowest = max(self.slowest, seconds)
        self._blocks.append(seconds / (1 + octets // _BLOCK_OCTETS))

    def of_a_block(self, share: float) -> float:
        """Return the seconds for 8 KiB that so many of all inputs keep within."""
        ordered = sorted(self._blocks)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
