"""Whether a message costs more in a mailbox of ten times as many."""

from contextlib import AbstractContextManager
from functools import partial

from benchmarks.bench import Bench, selected
from benchmarks.client import Connection
from benchmarks.results import Kind, Sample
from benchmarks.scenarios.changes import store_all
from benchmarks.scenarios.pressure import many
from benchmarks.scenarios.readings import (
    READINGS,
    Reading,
    Unit,
    measure_cold_fetch,
    measure_cold_select,
    measure_reading,
)
from benchmarks.servers import Server

#: What is compared, by the name of its row among the others.
COMPARED = (
    *(reading.name for reading in READINGS if reading.growth),
    "select-cold",
    *(f"{reading.name}-cold" for reading in READINGS if reading.cold),
    "store-all",
)
METRICS = tuple(
    f"{prefix}-{name}" for prefix in ("large", "growth") for name in COMPARED
)


def growth(bench: Bench) -> None:
    """All of them, on mailboxes of small messages."""
    with _rows(bench, *(reading.name for reading in READINGS if reading.growth)):
        for server in bench.servers:
            with bench.excused(server):
                _make_ready(bench, server)
    for reading in READINGS:
        if reading.growth:
            with _rows(bench, reading.name):
                _warm(bench, reading)
    with _rows(bench, "select-cold"):
        _cold_select(bench)
    for reading in READINGS:
        if reading.cold:
            with _rows(bench, f"{reading.name}-cold"):
                _cold_fetch(bench, reading)
    with _rows(bench, "store-all"):
        for prefix, account in (("few", few), ("large", many)):
            store_all(bench, partial(account, bench), f"{prefix}-store-all", 1)
    for name in COMPARED:
        _compare(bench, name)


def _rows(bench: Bench, *names: str) -> AbstractContextManager[None]:
    prefixes = ("large", "growth")
    return bench.rows(*(f"{prefix}-{name}" for prefix in prefixes for name in names))


def _make_ready(bench: Bench, server: Server) -> None:
    """Let a server finish what it makes of both mailboxes, so that both are alike.

    Some make what is asked for when it is asked for, and not before.
    """
    for account in (few, many):
        connection = selected(server, account(bench, server))
        bench.rest(server)
        for reading in READINGS:
            if reading.cold:
                connection.command(reading.command)
        bench.rest(server)
        connection.logout()


def few(bench: Bench, server: Server) -> str:
    """A user with the lesser mailbox."""
    return bench.account(server, "user3", "small", bench.options.small_messages)


def _sizes(bench: Bench) -> tuple[tuple[str, int], tuple[str, int]]:
    options = bench.options
    return ("few", options.small_messages), ("large", options.many_messages)


def _warm(bench: Bench, reading: Reading) -> None:
    def prepare(server: Server) -> tuple[Connection, Connection]:
        lesser = selected(server, few(bench, server))
        return lesser, selected(server, many(bench, server))

    def measure(
        server: Server, state: tuple[Connection, Connection], turn: int
    ) -> None:
        for prefix, connection in zip(("few", "large"), state, strict=True):
            name = f"{prefix}-{reading.name}"
            unit = Unit.MESSAGE if reading.unit is Unit.COMMAND else reading.unit
            measure_reading(bench, server, connection, reading, metric=name, unit=unit)

    def finish(state: tuple[Connection, Connection]) -> None:
        for connection in state:
            connection.logout()

    servers = bench.supporting(reading.capability)
    bench.interleave(prepare, measure, finish, servers=servers, rounds=1)


def _cold_select(bench: Bench) -> None:
    def measure(server: Server, _: None, turn: int) -> None:
        for prefix, count in _sizes(bench):
            with bench.fresh_account(server, "small", count) as user:
                name = f"{prefix}-select-cold"
                measure_cold_select(bench, server, user, name, Unit.MESSAGE)

    bench.interleave(lambda server: None, measure, rounds=1, warm_up=False)


def _cold_fetch(bench: Bench, reading: Reading) -> None:
    def measure(server: Server, _: None, turn: int) -> None:
        for prefix, count in _sizes(bench):
            with bench.fresh_account(server, "small", count) as user:
                name = f"{prefix}-{reading.name}-cold"
                measure_cold_fetch(bench, server, user, reading, name)

    bench.interleave(lambda server: None, measure, rounds=1, warm_up=False)


def _compare(bench: Bench, name: str) -> None:
    """Record the cost of a message in the large mailbox over that in the small."""
    metrics = bench.results.metrics
    lesser, greater = metrics.get(f"few-{name}"), metrics.get(f"large-{name}")
    if not lesser or not greater:
        return
    for server in bench.servers:
        values = lesser.value(server.name), greater.value(server.name)
        cpus = lesser.cpu(server.name), greater.cpu(server.name)
        if values[0] and values[1] is not None:
            # Too little CPU time for the clock: nothing to divide by.
            cpu = cpus[1] / cpus[0] if cpus[0] and cpus[1] is not None else None
            sample = Sample(values[1] / values[0], cpu)
            unit, metric = "tenfold", f"growth-{name}"
            bench.record(server, metric, sample, unit=unit, kind=Kind.FACTOR)
