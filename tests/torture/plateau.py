"""Whether what a server takes at rest still grows, or has found its size.

The allocator's size follows peaks, so that a straight line through samples taken under
load says little in a short time.  Here there are samples at rest, when nobody is
connected; and slopes that few of them cannot make, of the last half of a run.

Two sizes are looked at.  What is in use has little chance in it: that of caches, those
of the allocator's threads too, which fill up to some three MiB, ever more slowly.  Of
it a rise counts where chance is not likely to have made it, and from where it is known
well enough, its slope as it is.  What the process has in memory is larger by what the
allocator keeps between that.  It goes up and down by some MiB, and with each peak that
is the highest so far it stays higher: of it the floor must not rise by more than that.
"""

import math
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tests.torture.figures import Figure, at_most, told

_MEBI: Final = 1 << 20
#: Of so many samples in the last half the least of a slope is judged.
_LEAST_SAMPLES: Final = 8
#: In so many standard errors is the truth, of twenty times nineteen.
_ERRORS: Final = 1.96
#: Two of the places, of one MiB each, that Python takes for small objects.
_MOST_RISE_MEBI: Final = 2.0
#: As G23 has it.
_MOST_SLOPE: Final = 1.0


@dataclass(frozen=True, slots=True)
class Rest:
    """What there is when nobody is connected and nothing is done."""

    files: Counter[str]
    #: Of all memory that is in no file.
    own_octets: int
    #: Objects of Python, however large.
    objects: int
    #: What the code of Python and of C has asked for, and not given back.
    used_octets: int
    #: Of work until then, rests not counted; and what was done.
    seconds: float = 0.0
    sessions: int = 0


def slope(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The median of the slopes between any two points; what it may be wrong by.

    A quarter of the points may be anything without effect.  H. Theil 1950;
    P. K. Sen 1968, whose interval of 95 % this is half of, on its wider side.
    """
    slopes = sorted(
        (later[1] - sooner[1]) / (later[0] - sooner[0])
        for at, sooner in enumerate(points)
        for later in points[at + 1 :]
        if later[0] > sooner[0]
    )
    count = len(points)
    if count < 4 or not slopes:
        return 0.0, math.inf
    middle = statistics.median(slopes)
    deviation = math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    away = _ERRORS * deviation / 2
    low = max(0, math.floor(len(slopes) / 2 - away))
    high = min(len(slopes) - 1, math.ceil(len(slopes) / 2 + away))
    return middle, max(slopes[high] - middle, middle - slopes[low])


def last_half(rests: Sequence[Rest]) -> list[Rest]:
    """Those after half of the work."""
    middle = (rests[0].seconds + rests[-1].seconds) / 2
    return [each for each in rests if each.seconds >= middle]


def figures(rests: Sequence[Rest]) -> Iterator[Figure]:
    """G23 by the samples at rest, in the order in which they were taken."""
    half = last_half(rests)
    sessions = half[-1].sessions - half[0].sessions
    yield told("G23", "soak: last half, sessions", sessions, "sessions")
    yield told("G23", "soak: last half, rests", len(half), "rests")
    used = [each.used_octets for each in half]
    own = [each.own_octets for each in half]
    rise, wrong = _slope(half, used)
    yield from _slopes("soak: at rest, in use", rise, wrong)
    if len(half) >= _LEAST_SAMPLES:
        what = "soak: at rest, in use, slope at least"
        yield at_most("G23", what, rise - wrong, "MiB/h", _MOST_SLOPE)
    yield told("G23", "soak: in use, of a session", _each(half, used), "octets")
    yield from _slopes("soak: at rest, memory", *_slope(half, own))
    if len(rests) >= 2 * _LEAST_SAMPLES:
        what = "soak: at rest, memory, floor"
        yield at_most("G23", what, floor_rise(rests) / _MEBI, "MiB", _MOST_RISE_MEBI)


def floor_rise(rests: Sequence[Rest]) -> int:
    """Octets by which the least of the last quarter is above that of the first."""
    quarter = max(1, len(rests) // 4)
    first, last = (
        min(each.own_octets for each in part)
        for part in (rests[:quarter], rests[-quarter:])
    )
    return last - first


def _slope(rests: Sequence[Rest], octets: Sequence[int]) -> tuple[float, float]:
    """MiB in an hour of work, and what that may be wrong by."""
    sizes = zip(rests, octets, strict=True)
    return slope([(each.seconds / 3600, size / _MEBI) for each, size in sizes])


def _each(rests: Sequence[Rest], octets: Sequence[int]) -> float:
    """Octets of each session."""
    sizes = zip(rests, octets, strict=True)
    return slope([(float(each.sessions), float(size)) for each, size in sizes])[0]


def _slopes(name: str, rise: float, wrong: float) -> Iterator[Figure]:
    """One that is known well enough is held against the bound."""
    if wrong <= _MOST_SLOPE:
        yield at_most("G23", f"{name}, slope", rise, "MiB/h", _MOST_SLOPE)
    else:
        yield told("G23", f"{name}, slope", rise, "MiB/h")
    yield told("G23", f"{name}, slope may be wrong by", wrong, "MiB/h")
