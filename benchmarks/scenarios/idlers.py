"""Many connections that do nothing: what they take, and how soon they are told."""

import os
import resource
import statistics
import time
from collections.abc import Sequence

from benchmarks.bench import Bench
from benchmarks.client import Connection, Refused
from benchmarks.results import Kind, Sample
from benchmarks.servers import Server

_LEAST_USERS = 25
_OF_A_USER = 40
_MESSAGES = 100
_REST_SECONDS = 1.5
#: Long enough to see what comes round by the second, and a share of what is sent to
#: each client every two minutes.
_CPU_SECONDS = 10.0
_PATIENCE_SECONDS = 20
_MEGABYTE = 1e6


def idle(bench: Bench, suffix: str, *, tls: bool) -> None:
    """Memory of each of many connections in IDLE; a delivery while they are there."""
    servers = bench.servers
    if tls:
        servers = bench.only(
            lambda server: server.has_logins, "its TLS is not run here"
        )
    bench.interleave(
        lambda server: _idle_users(bench, server),
        lambda server, users, turn: _measure(bench, server, users, suffix, tls),
        servers=servers,
        rounds=1,
        warm_up=False,
    )


def _idle_users(bench: Bench, server: Server) -> list[str]:
    # Memory that was used before and is free again would hide what is taken.
    server.restart()
    count = max(_LEAST_USERS, -(-bench.options.idle // _OF_A_USER))
    users = [f"user{101 + number}" for number in range(count)]
    for user in users:
        bench.account(server, user, "small", _MESSAGES)
        # What a mailbox takes once is no cost of the connections.
        connection = server.connect(user)
        connection.select()
        connection.logout()
    return users


def _check_files(wanted: int) -> None:
    """Raise ``Refused`` where this process may not have that many sockets."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed != resource.RLIM_INFINITY and allowed < wanted:
        raise Refused(f"only {allowed} files may be open here")


def _measure(
    bench: Bench, server: Server, users: Sequence[str], suffix: str, tls: bool
) -> None:
    wanted = bench.options.idle
    _check_files(wanted + 200)
    # First, so that it is watched as in a server with few connections.
    watcher = server.connect(users[-1], tls=tls)
    connections: list[Connection] = [watcher]
    try:
        watcher.select()
        watcher.idle()
        bench.settle()
        before = server.tree.memory()
        for number in range(wanted):
            connection = server.connect(users[number % len(users)], tls=tls)
            connections.append(connection)
            connection.select()
            connection.idle()
        time.sleep(_REST_SECONDS)
        # What logins have set off in the background is no cost of idling.
        bench.settle()
        after, cpu = server.tree.memory(), server.tree.cpu_seconds()
        time.sleep(_CPU_SECONDS)
        cpu = (server.tree.cpu_seconds() - cpu) / _CPU_SECONDS
        delays = _delivery_delays(bench, server, users[-1], watcher)
    finally:
        for connection in connections:
            connection.close()
    taken = max(0, after.pss_octets - before.pss_octets)
    rows = (
        (f"idle{suffix}", taken / wanted, "connection", Kind.OCTETS),
        (f"idle{suffix}-total", after.pss_octets, f"{wanted} connections", Kind.OCTETS),
        (f"idle{suffix}-cpu", cpu, f"{wanted} connections", Kind.SHARE),
    )
    for metric, value, unit, kind in rows:
        bench.record(server, metric, Sample(value), unit=unit, kind=kind)
    if delays:
        sample = Sample(statistics.median(delays))
        bench.record(server, f"delivery{suffix}", sample, unit="delivery")
    _wait_until_gone(server, before.processes)


def _delivery_delays(
    bench: Bench, server: Server, user: str, watcher: Connection
) -> list[float]:
    """Seconds from the rename into ``new/`` to EXISTS at an idle connection."""
    delays = []
    for number in range(bench.options.deliveries):
        # Not in step with whatever polls once a second.
        time.sleep(1.0 + 0.37 * number)
        watcher.receive(0.01)
        delay = _wait_for_exists(watcher, _deliver(server, user, number))
        if delay is None:
            reason = f"no EXISTS within {_PATIENCE_SECONDS} s of a delivery"
            names = tuple(name for name in bench.metrics if "delivery" in name)
            bench.results.excuse(names, server.name, reason)
            break
        delays.append(delay)
    return delays


def _deliver(server: Server, user: str, number: int) -> float:
    """Deliver one message; return when."""
    maildir = server.maildir(user)
    name = f"{int(time.time())}.M{time.monotonic_ns()}P{os.getpid()}Q{number}.bench"
    text = f"From: a@example.com\nSubject: {number}\nMessage-ID: <{name}>\n\nhello\n"
    (maildir / "tmp" / name).write_text(text)
    begin = time.perf_counter()
    os.rename(maildir / "tmp" / name, maildir / "new" / name)
    return begin


def _wait_for_exists(connection: Connection, begin: float) -> float | None:
    received = b""
    while time.perf_counter() - begin < _PATIENCE_SECONDS:
        received += connection.receive(0.5)
        if b" EXISTS\r\n" in received:
            return time.perf_counter() - begin
    return None


def _wait_until_gone(server: Server, processes: int) -> None:
    """Let a server of many processes clear up before the next is measured."""
    end = time.monotonic() + _REST_SECONDS
    while time.monotonic() < end and len(server.tree.pids()) > processes:
        time.sleep(0.2)
