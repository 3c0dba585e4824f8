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

    @property
    def count(self) -> int:
        """How many numbers are written, without any ``*``."""
        return sum(abs(b - a) + 1 for a, b in self.ranges)

    @property
    def ascends(self) -> bool:
        """Whether each number written is greater than the one before it."""
        flat = [number for pair in self.ranges for number in pair]
        return all(a <= b for a, b in self.ranges) and all(
            flat[at] < flat[at + 1] for at in range(1, len(flat) - 1, 2)
        )

    def numbers(self) -> Iterator[int]:
        """Each number in the order written; ``*`` must not be among them."""
        for first, last in self.ranges:
            yield from range(first, last + 1)

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


Ranges = list[tuple[int, int]]


def merge(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Sort ranges, and join those that meet."""
    return SequenceSet(tuple(ranges)).resolve(0)


def intersect(left: Ranges, right: Ranges) -> Ranges:
    """What both name; each sorted and disjoint, as the result is."""
    found: Ranges = []
    at = other = 0
    while at < len(left) and other < len(right):
        first = max(left[at][0], right[other][0])
        last = min(left[at][1], right[other][1])
        if first <= last:
            found.append((first, last))
        if left[at][1] < right[other][1]:
            at += 1
        else:
            other += 1
    return found


def subtract(ranges: Ranges, ascending: Sequence[int]) -> Ranges:
    """What is left of sorted, disjoint ranges without the numbers given."""
    left: Ranges = []
    for first, last in ranges:
        begin = first
        at = bisect_left(ascending, first)
        while at < len(ascending) and ascending[at] <= last:
            if begin < ascending[at]:
                left.append((begin, ascending[at] - 1))
            begin = ascending[at] + 1
            at += 1
        if begin <= last:
            left.append((begin, last))
    return left
