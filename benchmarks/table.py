"""The result as a table for the terminal."""

from collections.abc import Sequence

from benchmarks.goals import Goal, goals_of, is_compared, summary
from benchmarks.results import Kind, Metric, Results
from benchmarks.servers import OURS, REFERENCE

_NOTHING = "-"
_SCALES: dict[Kind, tuple[tuple[float, str], ...]] = {
    Kind.SECONDS: ((1, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns")),
    Kind.OCTETS: ((1e9, "GB"), (1e6, "MB"), (1e3, "KB"), (1, "B")),
    Kind.FACTOR: ((1, "x"),),
    Kind.SHARE: ((1e-2, "%"),),
}
_VERDICTS = {True: "met", False: "BELOW", None: "?"}
_BUSY_CLIENT = 0.7


def quantity(value: float | None, kind: Kind) -> str:
    """``1.4 ms``, ``770 KB``, ``1.07 x``: three digits and a unit."""
    if value is None:
        return _NOTHING
    scales = _SCALES[kind]
    scale, unit = next(
        (scale for scale in scales if value >= scale[0] * 0.9995), scales[-1]
    )
    return f"{_digits(value / scale)} {unit}"


def _digits(number: float) -> str:
    if number >= 100:
        return f"{number:.0f}"
    return f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def times(ratio: float | None) -> str:
    """``12.3``; of a ratio that is not there: ``-``."""
    return _NOTHING if ratio is None else _digits(ratio)


def _cell(results: Results, metric: Metric, server: str, cpu: bool) -> str:
    if (metric.name, server) in results.reasons and not metric.samples.get(server):
        return "n/a"
    if cpu and metric.cpu(server) is None:
        return _NOTHING
    return quantity(metric.cpu(server) if cpu else metric.value(server), metric.kind)


def goal_text(goal: Goal, metric: Metric) -> str:
    """``10 x dovecot: met``, ``<= 4.00 MB: BELOW``."""
    if goal.at_most is not None:
        wanted = f"<= {quantity(goal.at_most, metric.kind)}"
    elif goal.against == REFERENCE:
        wanted = f">= {goal.times:g}"
    else:
        wanted = f">= {goal.times:g} {goal.against}"
    return f"{wanted} {_VERDICTS[goal.met(metric)]}"


def _row(results: Results, metric: Metric) -> list[str]:
    cells = [metric.name, metric.unit]
    for server in results.columns:
        cells += [_cell(results, metric, server, cpu) for cpu in (False, True)]
    share = metric.client_share(OURS) or 0
    compared = is_compared(metric.name)
    return [
        *cells,
        times(metric.ratio(OURS, REFERENCE) if compared else None),
        times(metric.cpu_ratio(OURS, REFERENCE) if compared else None),
        f"{share:.0%}" if share >= _BUSY_CLIENT else "",
        ", ".join(goal_text(goal, metric) for goal in goals_of(metric)),
    ]


def rows(results: Results) -> list[list[str]]:
    """Return the cells, the headings first."""
    heads = ["scenario", "of a"]
    for server in results.columns:
        heads += [server, "CPU"]
    heads += ["x wall", "x CPU", "client", "goals"]
    return [heads, *(_row(results, metric) for metric in results.visible())]


def _aligned(cells: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    last = len(widths) - 1
    lines = []
    for row in cells:
        padded = [
            text.ljust(width) if place < 2 or place == last else text.rjust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(padded).rstrip())
    return lines


def render(results: Results) -> str:
    """Return the table, what is to be said of its rows, and how many goals are met."""
    heads, *others = _aligned(rows(results))
    lines = [heads, "-" * len(heads), *others, ""]
    excused: dict[tuple[str, str], list[str]] = {}
    for (name, server), reason in results.reasons.items():
        if not results.metrics[name].samples.get(server):
            excused.setdefault((server, reason), []).append(name)
    for (server, reason), names in excused.items():
        lines.append(f"n/a: {server}: {reason} ({', '.join(names)})")
    for (name, server), reason in results.reasons.items():
        if results.metrics[name].samples.get(server):
            lines.append(f"{name}: {server} did not finish: {reason}")
    for name, notes in results.notes.items():
        lines += [f"{name}: {note}" for note in notes]
    lines += [
        "",
        f"x wall, x CPU: {REFERENCE} divided by {OURS}; above 1 we are better.",
        "client: its share of the wall time where it was the limit, not the server.",
        summary(results),
    ]
    return "\n".join(lines)
