"""One client among greedy ones, and one that asks for everything and reads nothing."""

import multiprocessing
import signal
import statistics
import time
from collections.abc import Sequence
from multiprocessing.process import BaseProcess

from benchmarks.bench import Bench, selected
from benchmarks.client import Connection, Door
from benchmarks.results import Kind, Sample
from benchmarks.servers import Server
from benchmarks.servers.base import PASSWORD

_GREEDY = 8
_PAUSE_SECONDS = 0.005
_RECEIVE_OCTETS = 65536
_ASKED_OCTETS = 1e9
_UNREAD_SECONDS = 3.0

#: The worst each of them can ask for, over and over: (capability, command).
_WORST = (
    ("IMAP4REV1", b"SEARCH TEXT nowhereatall"),
    ("IMAP4REV1", b"FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE)"),
    ("IMAP4REV1", b"SEARCH BODY nowhereatall"),
    ("IMAP4REV1", b"UID FETCH 1:* BODY.PEEK[]"),
    ("SORT", b"SORT (SUBJECT) UTF-8 ALL"),
    ("THREAD=REFERENCES", b"THREAD REFERENCES UTF-8 ALL"),
    ("IMAP4REV1", b"SEARCH OR SUBJECT nowhereatall NOT FROM nobody"),
    ("IMAP4REV1", b"UID FETCH 1:* (FLAGS BODY.PEEK[HEADER])"),
)


def greedy_commands(server: Server) -> list[bytes]:
    """Return what the greedy ask of it; what it has not is replaced by SEARCH TEXT."""
    return [
        command if capability in server.capabilities else _WORST[0][1]
        for capability, command in _WORST
    ]


def _be_greedy(door: Door, user: str, command: bytes) -> None:
    """Ask, read, ask again, until terminated; in a process of its own."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not as the one that we come from
    connection = Connection(door)
    if not door.opening:
        connection.login(user, PASSWORD)
    connection.select()
    while True:
        connection.command(command)


def _start_greedy(server: Server, user: str) -> list[BaseProcess]:
    context = multiprocessing.get_context("fork")
    started: list[BaseProcess] = []
    for command in greedy_commands(server)[:_GREEDY]:
        arguments = (server.door(user), user, command)
        process = context.Process(target=_be_greedy, args=arguments, daemon=True)
        process.start()
        started.append(process)
    return started


def loaded(bench: Bench) -> None:
    """NOOP of one session while eight others want all they can of the same mailbox."""

    def measure(server: Server, user: str, turn: int) -> None:
        connection = selected(server, user)
        bench.settle()
        greedy = _start_greedy(server, user)
        try:
            time.sleep(1.0)
            delays = _noop_delays(connection, 3.0 if bench.options.quick else 10.0)
            alive = sum(process.is_alive() for process in greedy)
        finally:
            for process in greedy:
                process.terminate()
            for process in greedy:
                process.join()
            connection.close()
        if alive < _GREEDY:
            text = f"{server.name}: only {alive} of {_GREEDY} others held out"
            bench.results.note("noop-loaded-p99", text)
        # Twice, because a single one has no percentiles.
        percentiles = statistics.quantiles(delays * 2, n=100)
        for metric, value in (
            ("noop-loaded-p50", percentiles[49]),
            ("noop-loaded-p99", percentiles[98]),
        ):
            bench.record(server, metric, Sample(value), unit="command")

    bench.interleave(
        lambda server: many(bench, server), measure, rounds=1, warm_up=False
    )


def many(bench: Bench, server: Server) -> str:
    """A user with the largest mailbox."""
    return bench.account(server, "user4", "small", bench.options.many_messages)


def _noop_delays(connection: Connection, seconds: float) -> list[float]:
    delays: list[float] = []
    end = time.perf_counter() + seconds
    # Some servers need minutes for one: that is the answer, then.
    while time.perf_counter() < end or not delays:
        begin = time.perf_counter()
        connection.command(b"NOOP")
        delays.append(time.perf_counter() - begin)
        time.sleep(_PAUSE_SECONDS)
    return delays


def unread(bench: Bench, metric: str, *, tls: bool) -> None:
    """Growth of memory while a client asks for a gigabyte and reads nothing of it."""
    servers = bench.servers
    if tls:
        servers = bench.only(
            lambda server: server.has_logins, "its TLS is not run here"
        )

    def measure(server: Server, user: str, turn: int) -> None:
        # Memory that was used before and is free again would hide what is taken.
        server.restart()
        connection = server.connect(user, tls=tls, receive_octets=_RECEIVE_OCTETS)
        try:
            connection.select()
            # Once with a reader, so that only what is unread makes the difference.
            octets = connection.command(b"UID FETCH 1:* BODY.PEEK[]")
            bench.settle()
            before = server.tree.memory().pss_octets
            times = max(1, round(_ASKED_OCTETS / max(octets, 1)))
            connection.send(_pipelined(times))
            most = before
            end = time.monotonic() + _UNREAD_SECONDS
            while time.monotonic() < end:
                time.sleep(0.1)
                most = max(most, server.tree.memory().pss_octets)
        finally:
            connection.close()
        sample = Sample(most - before)
        bench.record(server, metric, sample, unit="client", kind=Kind.OCTETS)

    bench.interleave(bench.reader, measure, servers=servers, rounds=1, warm_up=False)


def _pipelined(times: int) -> bytes:
    lines: Sequence[bytes] = [
        b"u%d UID FETCH 1:* BODY.PEEK[]\r\n" % number for number in range(times)
    ]
    return b"".join(lines)
