"""What is measured: one row for each scenario, in the order in which they run."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from benchmarks.bench import Bench
from benchmarks.scenarios import (
    changes,
    days,
    growth,
    idlers,
    logins,
    pressure,
    readings,
)

__all__ = ["SCENARIOS", "Scenario", "choose"]


@dataclass(frozen=True)
class Scenario:
    """Measures one or more rows of the table."""

    name: str
    run: Callable[[Bench], None]
    metrics: tuple[str, ...]
    #: Part of a run with --quick that names no scenarios.
    quick: bool = True
    #: Many clients at once: servers may differ in how many processes they have.
    crowd: bool = False


def _one(name: str, run: Callable[[Bench], None], *, crowd: bool = False) -> Scenario:
    return Scenario(name, run, (name,), crowd=crowd)


def _reading_scenarios() -> list[Scenario]:
    found = [_one("select-cold", readings.select_cold)]
    for reading in readings.READINGS:
        if reading.cold:
            run = partial(readings.cold, reading=reading)
            found.append(_one(f"{reading.name}-cold", run))
        found.append(_one(reading.name, partial(readings.warm, reading=reading)))
        if reading.name == "bodies":
            found.append(_one("one-body", readings.one_body))
    return found


def _idle_scenario(suffix: str, *, tls: bool) -> Scenario:
    rows = (f"idle{suffix}", f"idle{suffix}-total", f"idle{suffix}-cpu")
    run = partial(idlers.idle, suffix=suffix, tls=tls)
    return Scenario(f"idle{suffix}", run, (*rows, f"delivery{suffix}"), quick=not tls)


def _store_all(bench: Bench) -> None:
    changes.store_all(bench, bench.writer, "store-all", bench.options.rounds)


#: Those that change mailboxes come after those that only read.
SCENARIOS: Final = (
    _one("login", partial(logins.login, metric="login", tls=False)),
    _one("login-tls", partial(logins.login, metric="login-tls", tls=True)),
    _one("login-20", logins.login_crowd, crowd=True),
    *_reading_scenarios(),
    _one("noop", logins.noop),
    _one("noop-20", logins.noop_crowd, crowd=True),
    _one("store", changes.store),
    _one("store-all", _store_all),
    _one("append", changes.append),
    Scenario("copy", changes.copy_move_expunge, ("copy", "move", "expunge")),
    _one("resync", days.resync),
    _one("mixed", days.mixed, crowd=True),
    _idle_scenario("", tls=False),
    _idle_scenario("-tls", tls=True),
    Scenario(
        "noop-loaded",
        pressure.loaded,
        ("noop-loaded-p50", "noop-loaded-p99"),
        quick=False,
    ),
    _one("unread", partial(pressure.unread, metric="unread", tls=False)),
    Scenario(
        "unread-tls",
        partial(pressure.unread, metric="unread-tls", tls=True),
        ("unread-tls",),
        quick=False,
    ),
    Scenario("growth", growth.growth, growth.METRICS, quick=False),
)


def choose(names: tuple[str, ...], *, quick: bool) -> list[Scenario]:
    """Return those scenarios; a name stands for its variants too (``envelope-cold``).

    Raises:
        ValueError: there is none of that name.
    """
    if not names:
        return [scenario for scenario in SCENARIOS if scenario.quick or not quick]
    for name in names:
        if not any(_has_name(scenario, name) for scenario in SCENARIOS):
            raise ValueError(f"no scenario {name}; --list tells them")
    return [
        scenario
        for scenario in SCENARIOS
        if any(_has_name(scenario, name) for name in names)
    ]


def _has_name(scenario: Scenario, name: str) -> bool:
    known = (scenario.name, *scenario.metrics)
    return any(one == name or one.startswith(f"{name}-") for one in known)
