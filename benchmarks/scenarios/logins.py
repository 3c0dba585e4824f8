"""Logins: one after the other, over TLS, twenty at once.  And NOOPs, as many."""

import time
from collections.abc import Callable

from benchmarks.bench import Bench, selected
from benchmarks.client import Connection
from benchmarks.crowd import Crowd, Park, Script
from benchmarks.servers import Server

AT_ONCE = 20
_GRACE_SECONDS = 60


def login(bench: Bench, metric: str, *, tls: bool) -> None:
    """Connect, LOGIN, LOGOUT."""

    def measure(server: Server, user: str, turn: int) -> None:
        def action() -> float:
            server.connect(user, tls=tls).logout()
            return 1

        with bench.span(server, metric, "login") as span:
            span.count = bench.repeat(action, 5)

    bench.interleave(bench.reader, measure, servers=_with_logins(bench))


def _with_logins(bench: Bench) -> list[Server]:
    return bench.only(lambda server: server.has_logins, "its login is not run here")


def login_crowd(bench: Bench) -> None:
    """The same from twenty clients at once."""

    def measure(server: Server, user: str, turn: int) -> None:
        done = 0

        def script() -> Script:
            nonlocal done
            yield from server.login_steps(user)
            yield b"LOGOUT"
            done += 1

        with bench.span(server, "login-20", "login") as span:
            run_crowd(bench, server, AT_ONCE, bench.seconds, lambda: (user, script()))
            span.count = done

    bench.interleave(bench.reader, measure, servers=_with_logins(bench))


def run_crowd(
    bench: Bench,
    server: Server,
    size: int,
    seconds: float,
    make: Callable[[], tuple[str, Script]],
) -> None:
    """Keep ``size`` clients at work for that time; each that ended has a successor.

    So many there are in any case: a warm-up has no time, and is to warm.
    """
    crowd = Crowd()
    end = time.perf_counter() + seconds
    made = 0

    def refill() -> None:
        nonlocal made
        while len(crowd) < size and (made < size or time.perf_counter() < end):
            user, script = make()
            crowd.add(server.door(user), script)
            made += 1

    try:
        refill()
        crowd.run(seconds + _GRACE_SECONDS, refill)
        _tell_errors(bench, server, crowd)
    finally:
        crowd.close()


def _tell_errors(bench: Bench, server: Server, crowd: Crowd) -> None:
    for name in bench.metrics if crowd.errors else ():
        count, first = len(crowd.errors), crowd.errors[0]
        bench.results.note(name, f"{server.name}: {count} failed, such as: {first}")
    for name in bench.metrics if crowd.busy else ():
        text = f"{server.name}: {crowd.busy} clients still waited at the end"
        bench.results.note(name, text)


def noop(bench: Bench) -> None:
    """NOOP on one connection."""

    def measure(server: Server, connection: Connection, turn: int) -> None:
        def action() -> float:
            for _ in range(20):
                connection.command(b"NOOP")
            return 20

        with bench.span(server, "noop", "command") as span:
            span.count = bench.repeat(action)

    bench.interleave(
        lambda server: selected(server, bench.reader(server)),
        measure,
        Connection.logout,
    )


def noop_crowd(bench: Bench) -> None:
    """NOOP on twenty connections, all of one mailbox."""

    def measure(server: Server, user: str, turn: int) -> None:
        done, end = 0, 0.0

        def script() -> Script:
            nonlocal done
            yield from server.login_steps(user)
            yield b"SELECT INBOX"
            yield Park()
            while time.perf_counter() < end:
                yield b"NOOP"
                done += 1

        crowd = Crowd()
        try:
            for _ in range(AT_ONCE):
                crowd.add(server.door(user), script())
            crowd.run(_GRACE_SECONDS)
            with bench.span(server, "noop-20", "command") as span:
                end = time.perf_counter() + max(bench.seconds, 0.02)
                crowd.release()
                crowd.run(_GRACE_SECONDS)
                span.count = done
            _tell_errors(bench, server, crowd)
        finally:
            crowd.close()

    servers = bench.servers
    if bench.options.quick:
        # Twenty sessions of Courier on one mailbox wait for its lock by the second.
        servers = bench.only(lambda server: server.has_logins, "too slow for --quick")
    bench.interleave(bench.reader, measure, servers=servers)
