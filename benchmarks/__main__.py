"""``make bench``, or ``python -m benchmarks``."""

import contextlib
import json
import os
import platform
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import servers, table
from benchmarks.bench import Bench
from benchmarks.chart import chart
from benchmarks.mail.maildir import Stock
from benchmarks.options import Options, parse
from benchmarks.results import Results
from benchmarks.scenarios import SCENARIOS, Scenario, choose

_BROKEN = 1
_INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Run, print the table, write what was asked for.

    Returns:
        The exit status; 1 where a scenario broke: the rest is shown and written.
    """
    options, raw = parse(arguments)
    if raw.list:
        print("scenarios:", *(scenario.name for scenario in SCENARIOS))
        print("servers:", *servers.SERVERS)
        return 0
    if raw.render:
        stored = json.loads(raw.render.read_text())
        results = Results.from_json(stored)
        print(table.render(results))
        _write(options, results, stored["run"])
        return 0
    try:
        chosen = choose(options.scenarios, quick=options.quick)
        names = _taking_part(_installed(options), chosen)
    except ValueError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    _allow_files()
    begin = time.time()
    results, status = _run(options, names, chosen)
    run = _description(options, begin)
    print(f"\n{table.render(results)}\n{_caption(run)}", flush=True)
    if status == _INTERRUPTED:
        print("bench: interrupted; no file was written", file=sys.stderr)
        return status
    _write(options, results, run)
    return status


def _allow_files() -> None:
    """Let us, and the servers that we start, have as many sockets as we may."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _installed(options: Options) -> tuple[str, ...]:
    """Return the servers to measure, and say which are missing.

    Raises:
        ValueError: there is none of that name.
    """
    for name in options.servers:
        if name not in servers.SERVERS:
            raise ValueError(f"no server {name}; known: {', '.join(servers.SERVERS)}")
    names = []
    for name in options.servers or servers.SERVERS:
        reason = servers.missing(name)
        if reason:
            print(f"bench: without {name}: {reason}", flush=True)
        else:
            names.append(name)
    return tuple(names)


def _taking_part(names: tuple[str, ...], chosen: list[Scenario]) -> tuple[str, ...]:
    """Leave out those that no scenario is about."""
    crowds = any(scenario.crowd for scenario in chosen)
    return tuple(
        name for name in names if crowds or not servers.SERVERS[name].only_crowds
    )


def _run(
    options: Options, names: tuple[str, ...], chosen: list[Scenario]
) -> tuple[Results, int]:
    """Return the results, and the exit status."""
    options.stock.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-")).absolute()
    # On the same file system as the stock, where copies are links, and where mail
    # is written to a disk even if temporary files are not.
    mail = Path(tempfile.mkdtemp(prefix="run-", dir=options.stock))
    try:
        with contextlib.ExitStack() as stack:
            started = [
                stack.enter_context(
                    servers.make(
                        *(name, folder, mail),
                        options.imapd_options,
                        options.twistd_options,
                    )
                )
                for name in names
            ]
            bench = Bench(options, started, Stock(options.stock, options.real_mail))
            for server in started:
                server.probe(bench.reader(server))
            status = _INTERRUPTED
            with contextlib.suppress(KeyboardInterrupt):
                all_whole = True
                for scenario in chosen:
                    all_whole &= _run_one(bench, scenario)
                status = 0 if all_whole else _BROKEN
            bench.results.arrange([name for one in SCENARIOS for name in one.metrics])
            return bench.results, status
    finally:
        if options.keep:
            print(f"bench: logs are in {folder}, mail is in {mail}")
        else:
            for one in (folder, mail):
                shutil.rmtree(one, ignore_errors=True)


def _run_one(bench: Bench, scenario: Scenario) -> bool:
    """Return False where it broke, and not a server."""
    print(f"-- {scenario.name}", flush=True)
    begin = time.monotonic()
    whole = bench.run(scenario)
    for name in scenario.metrics:
        metric = bench.results.metrics.get(name)
        if metric and metric.samples:
            values = [
                f"{server} {table.quantity(metric.value(server), metric.kind)}"
                f" (CPU {table.quantity(metric.cpu(server), metric.kind)})"
                for server in metric.samples
            ]
            print(f"   {name}: {', '.join(values)}", flush=True)
    print(f"   {time.monotonic() - begin:.0f} s", flush=True)
    return whole


def _description(options: Options, begin: float) -> dict[str, Any]:
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime(begin)),
        "seconds": round(time.time() - begin),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "messages": options.messages,
        "many_messages": options.many_messages,
        "rounds": options.rounds,
        "idle": options.idle,
    }


def _caption(run: dict[str, Any]) -> str:
    return (
        f"{run['date']}: {run['messages']} mixed and {run['many_messages']} small "
        f"messages, {run['rounds']} rounds, {run['cpus']} CPUs, "
        f"Python {run['python']}, {run['seconds']} s"
    )


def _write(options: Options, results: Results, run: dict[str, Any]) -> None:
    if options.json:
        stored = {"run": run, **results.as_json()}
        options.json.write_text(json.dumps(stored, indent=1) + "\n")
    if options.chart:
        options.chart.write_text(chart(results, _caption(run)))


if __name__ == "__main__":
    # So that the servers are stopped, whatever ends us.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
