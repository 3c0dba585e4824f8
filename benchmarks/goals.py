"""What we want to reach, as data; shown beside what was measured."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from benchmarks.results import Metric, Results, without_variant
from benchmarks.scenarios import SCENARIOS
from benchmarks.servers import OURS, REFERENCE

_COURIER: Final = "courier"
_FAST: Final = "dovecot-fast"


@dataclass(frozen=True)
class Goal:
    """To be so many times better than another server, or at most so much."""

    metric: str
    #: In wall time and in CPU time, or in whatever else the row counts.
    times: float = 1
    against: str = REFERENCE
    #: Instead of a ratio: seconds, octets, a factor or a share, as the row has it.
    at_most: float | None = None
    #: Only where the row has this unit: a total says nothing without its number.
    unit: str | None = None

    def met(self, metric: Metric) -> bool | None:
        """Whether the row reaches it; None where the figures are missing."""
        value = metric.value(OURS)
        if self.at_most is not None:
            figures = [one for one in (value, metric.cpu(OURS)) if one is not None]
            return max(figures) <= self.at_most if figures else None
        ratios = (
            metric.ratio(OURS, self.against),
            metric.cpu_ratio(OURS, self.against),
        )
        known = [ratio for ratio in ratios if ratio is not None]
        return min(known) >= self.times if known else None


#: Rows that are only held against a bound: a ratio of two such figures, mostly near
#: zero, says nothing.
_NOT_COMPARED: Final = re.compile("growth-.*|.*-total|.*-cpu|unread(-tls)?")

_SPECIAL: Final = (
    Goal("login", times=10),
    Goal("login", times=2, against=_FAST),
    Goal("login-tls", times=2, against=_FAST),
    Goal("envelope", times=10),
    Goal("search-body", times=10),
    Goal("search-text", times=10),
    Goal("idle", times=10),
    Goal("idle-tls", times=10),
    Goal("delivery", times=5),
    Goal("delivery-tls", times=5),
    Goal("mixed", against=_FAST),
    Goal("store", against=_COURIER),
    Goal("append", against=_COURIER),
    Goal("idle-tls-total", at_most=400e6, unit="10000 connections"),
    Goal("idle-tls-cpu", at_most=0.02, unit="10000 connections"),
    Goal("noop-loaded-p99", at_most=0.1),
    Goal("unread", at_most=4e6),
    Goal("unread-tls", at_most=8e6),
)


def _all_goals() -> Iterator[Goal]:
    special = {
        goal.metric
        for goal in _SPECIAL
        if goal.against == REFERENCE and goal.at_most is None
    }
    for scenario in SCENARIOS:
        for metric in scenario.metrics:
            if metric.startswith("growth-"):
                yield Goal(metric, at_most=1.3)
            elif metric not in special and is_compared(metric):
                yield Goal(metric)
    yield from _SPECIAL


def is_compared(metric: str) -> bool:
    """Whether a row is compared with the reference."""
    return not _NOT_COMPARED.fullmatch(metric)


GOALS: Final = tuple(_all_goals())


def goals_of(metric: Metric) -> list[Goal]:
    """Return the goals that a row has; a variant of it has the same."""
    name = without_variant(metric.name)
    return [
        goal
        for goal in GOALS
        if goal.metric == name and goal.unit in (None, metric.unit)
    ]


def summary(results: Results) -> str:
    """``41 of 60 goals met, 3 not measured``."""
    verdicts = [
        goal.met(metric) for metric in results.visible() for goal in goals_of(metric)
    ]
    unknown = verdicts.count(None)
    text = f"{verdicts.count(True)} of {len(verdicts)} goals met"
    return f"{text}, {unknown} not measured" if unknown else text
