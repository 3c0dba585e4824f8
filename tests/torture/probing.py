"""One client that asks for little, while others ask for all: how long it waits."""

import contextlib
import multiprocessing
import statistics
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection as Pipe

from benchmarks.client import Connection, Door
from benchmarks.servers.base import PASSWORD
from tests.torture.figures import Figure, at_most, told
from tests.torture.serving import Served

_PAUSE_SECONDS = 0.01
P99_SECONDS = 0.1


class Probe:
    """How long each NOOP took, in seconds; filled when the probe has ended."""

    def __init__(self) -> None:
        self.delays: list[float] = []

    def figures(self, goal: str, during: str, slack: float) -> Iterator[Figure]:
        """How long they took, judged."""
        if len(self.delays) < 2:
            raise AssertionError(f"{during}: NOOP was never answered")
        p99 = statistics.quantiles(self.delays, n=100)[98]
        most = P99_SECONDS * slack
        yield at_most(goal, f"{during}: NOOP p99", p99, "s", most)
        yield told(goal, f"{during}: NOOP, longest", max(self.delays), "s")
        yield told(goal, f"{during}: NOOP", len(self.delays), "commands")


def _ask(door: Door, user: str, pipe: Pipe) -> None:
    """In a process of its own, until it is told to end."""
    connection = Connection(door)
    connection.login(user, PASSWORD)
    connection.select()
    pipe.send(None)
    delays: list[float] = []
    while not pipe.poll():
        begin = time.perf_counter()
        connection.command(b"NOOP")
        delays.append(time.perf_counter() - begin)
        time.sleep(_PAUSE_SECONDS)
    connection.close()
    pipe.send(delays)


@contextlib.contextmanager
def probing(server: Served, user: str) -> Iterator[Probe]:
    """NOOP every hundredth of a second, all the while."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(
        target=_ask, args=(server.door(user), user, theirs), daemon=True
    )
    process.start()
    theirs.close()
    probe = Probe()
    try:
        ours.recv()
        yield probe
        ours.send(None)
        probe.delays = ours.recv()
        process.join(10)
    finally:
        process.kill()
        process.join()
        ours.close()
