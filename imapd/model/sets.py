"""``sequence-set``: message numbers or UIDs as ranges.  RFC 3501 §9."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

#: Stands for ``*``, the largest number in use; larger than any real number.
STAR = 1 << 32


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """What the client wrote: pairs in its order, ``*`` not yet resolved.

    ``saved`` is ``$`` of RFC 5182: the result of the last SEARCH.
    """

    ranges: tuple[tuple[int, int], ...]
    saved: bool = False

    @property
    def has_star(self) -> bool:
        """Whether the set depends on the largest number in use."""
        return any(STAR in pair for pair in self.ranges)

    @property
    def largest_named(self) -> int:
        """The largest number written out, 0 if only ``*`` was."""
        return max((n for pair in self.ranges for n in pair if n != STAR), default=0)

    def resolve(self, largest: int) -> list[tuple[int, int]]:
        """Sorted, disjoint, merged (first, last) pairs, with ``*`` = ``largest``.

        In O(k log k) of the ranges written, never of the numbers they span.
        With ``largest`` 0 (an empty mailbox) ``*`` names nothing.
        """
        pairs = sorted(
            (min(a, b), max(a, b))
            for a, b in (
                (largest if a == STAR else a, largest if b == STAR else b)
                for a, b in self.ranges
            )
            if a and b
        )
        merged: list[tuple[int, int]] = []
        for first, last in pairs:
            if merged and first <= merged[-1][1] + 1:
                if last > merged[-1][1]:
                    merged[-1] = (merged[-1][0], last)
            else:
                merged.append((first, last))
        return merged

    def select(self, ascending: Sequence[int]) -> list[int]:
        """The members of ``ascending`` that the set names; ``*`` is its last."""
        found: list[int] = []
        for first, last in self.resolve(ascending[-1] if ascending else 0):
            start = bisect_left(ascending, first)
            found.extend(ascending[start : bisect_right(ascending, last, start)])
        return found


def runs(ascending: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield (first, last) of each run of consecutive numbers."""
    first = last = None
    for number in ascending:
        if last is not None and number == last + 1:
            last = number
            continue
        if first is not None and last is not None:
            yield first, last
        first = last = number
    if first is not None and last is not None:
        yield first, last
