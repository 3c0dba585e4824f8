"""What a harness says when it is done: rows of one table."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One row; ``goal`` names what it is held against, as ``G1``."""

    goal: str
    what: str
    value: float
    unit: str
    #: The bound in words, such as ``0`` or ``< 4``; empty where none is set.
    bound: str = ""
    #: Whether it keeps the bound; None: it is only told.
    met: bool | None = None


def at_most(goal: str, what: str, value: float, unit: str, most: float) -> Figure:
    """A figure that must not be larger than ``most``."""
    return Figure(goal, what, value, unit, f"at most {most:,.7g}", value <= most)


def at_least(goal: str, what: str, value: float, unit: str, least: float) -> Figure:
    """A figure that must not be smaller than ``least``."""
    return Figure(goal, what, value, unit, f"at least {least:,.7g}", value >= least)


def told(goal: str, what: str, value: float, unit: str) -> Figure:
    """A figure without a bound."""
    return Figure(goal, what, value, unit)


_VERDICTS = {True: "kept", False: "MISSED", None: ""}


def table(figures: Iterable[Figure]) -> str:
    """All rows, in columns."""
    rows = [("goal", "what", "value", "unit", "bound", "")]
    rows += [
        (
            *(one.goal, one.what, f"{one.value:,.7g}", one.unit),
            *(one.bound, _VERDICTS[one.met]),
        )
        for one in figures
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if index == 2 else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
