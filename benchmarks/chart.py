"""The result as an SVG chart: one bar a row, how many times better we are."""

import math
from collections.abc import Iterator
from html import escape

from benchmarks.goals import goals_of, is_compared
from benchmarks.results import Metric, Results
from benchmarks.servers import OURS, REFERENCE
from benchmarks.table import quantity, times

_LEAST, _MOST = 0.01, 1000.0
_LEFT, _WIDTH, _RIGHT = 190, 480, 170
_TOP, _ROW, _BOTTOM = 70, 26, 40
_BAR = 8
_MOST_CHARACTERS = 26

# Both palettes have at least 3:1 against their background.
_STYLE = """\
text { font: 12px system-ui, sans-serif; fill: #24292f; }
.title { font-size: 15px; font-weight: 600; }
.small { font-size: 11px; fill: #57606a; }
.back { fill: #ffffff; }
.grid { stroke: #d0d7de; }
.one { stroke: #24292f; stroke-width: 1.5; }
.goal { stroke: #9a6700; stroke-width: 2; }
.wall { fill: #0969da; }
.cpu { fill: #1a7f6b; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .small { fill: #9da7b3; }
  .back { fill: #0d1117; }
  .grid { stroke: #30363d; }
  .one { stroke: #e6edf3; }
  .goal { stroke: #d29922; }
  .wall { fill: #4493f8; }
  .cpu { fill: #3fb99c; }
}
"""


def _place(ratio: float) -> float:
    """Where a ratio is on the logarithmic axis."""
    inside = min(max(ratio, _LEAST), _MOST)
    share = math.log(inside / _LEAST) / math.log(_MOST / _LEAST)
    return _LEFT + _WIDTH * share


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">'
        f"{escape(text)}</text>"
    )


def _line(kind: str, x: float, top: float, bottom: float) -> str:
    return (
        f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" '
        f'y1="{top:.1f}" y2="{bottom:.1f}"/>'
    )


def _bar(kind: str, ratio: float, top: float) -> str:
    one, end = _place(1), _place(ratio)
    return (
        f'<rect class="{kind}" x="{min(one, end):.1f}" y="{top:.1f}" '
        f'width="{max(abs(end - one), 1):.1f}" height="{_BAR}"/>'
    )


def compared(results: Results) -> list[Metric]:
    """Return the rows in which the reference has a figure."""
    return [
        metric
        for metric in results.visible()
        if is_compared(metric.name) and metric.value(REFERENCE) is not None
    ]


def _row(results: Results, metric: Metric, top: float) -> Iterator[str]:
    wall = metric.ratio(OURS, REFERENCE)
    cpu = metric.cpu_ratio(OURS, REFERENCE)
    middle = top + _ROW / 2
    yield _text(_LEFT - 10, middle + 4, metric.name, anchor="end")
    right = _LEFT + _WIDTH + 8
    if metric.value(OURS) is None:
        reason = results.reasons.get((metric.name, OURS), "not measured")
        yield _text(right, middle + 4, reason[:_MOST_CHARACTERS], "small")
        return
    label = [times(wall)]
    if wall is not None:
        yield _bar("wall", wall, middle - _BAR - 1)
    if cpu is not None:
        yield _bar("cpu", cpu, middle + 1)
        label.append(times(cpu))
    for goal in goals_of(metric):
        if goal.at_most is None and goal.against == REFERENCE and goal.times > 1:
            yield _line("goal", _place(goal.times), top + 3, top + _ROW - 3)
    text = f"{' / '.join(label)}  ({quantity(metric.value(OURS), metric.kind)})"
    yield _text(right, middle + 4, text, "small")


def _axis(bottom: float) -> Iterator[str]:
    power = round(math.log10(_LEAST))
    while 10.0**power <= _MOST:
        x = _place(10.0**power)
        yield _line("one" if power == 0 else "grid", x, _TOP, bottom)
        yield _text(x, bottom + 16, f"{10.0**power:g}", "small", "middle")
        power += 1


def chart(results: Results, caption: str = "") -> str:
    """Return the chart, readable on a light and on a dark page."""
    metrics = compared(results)
    bottom = _TOP + _ROW * len(metrics)
    width, height = _LEFT + _WIDTH + _RIGHT, bottom + _BOTTOM
    title = f"{REFERENCE} / {OURS}: above 1 {OURS} is faster, cheaper or smaller"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{_STYLE}</style>",
        f'<rect class="back" width="{width}" height="{height}"/>',
        _text(10, 24, title, "title"),
        _text(10, 42, caption, "small"),
        *_legend(),
        *_axis(bottom),
    ]
    for number, metric in enumerate(metrics):
        parts += _row(results, metric, _TOP + _ROW * number)
    return "\n".join([*parts, "</svg>", ""])


def _legend() -> Iterator[str]:
    for x, kind, text in (
        (10, "wall", "wall time, or memory"),
        (160, "cpu", "server CPU"),
    ):
        yield f'<rect class="{kind}" x="{x}" y="52" width="10" height="{_BAR}"/>'
        yield _text(x + 14, 60, text, "small")
    yield _text(_LEFT + _WIDTH + 8, 60, f"wall / CPU  ({OURS})", "small")
    yield _line("goal", 260, 50, 62)
    yield _text(266, 60, "goal, where it is more than 1", "small")
