"""The stage on which scenarios run: servers in turn, mail for each, a stopwatch."""

import contextlib
import itertools
import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from benchmarks.client import Connection, Refused
from benchmarks.mail.maildir import Stock, copy_maildir
from benchmarks.options import Options
from benchmarks.processes import rest, settle
from benchmarks.results import Kind, Results, Sample
from benchmarks.servers import Server

if TYPE_CHECKING:
    from benchmarks.scenarios import Scenario

_AFTERWARDS_SECONDS = 0.04
_WARM_UP_SECONDS = 4
_SLOW_SECONDS = 8
#: A mailbox of 100,000 messages is indexed in less.
_REST_SECONDS = 1200
_FIRST_FRESH_USER = 500

#: What goes wrong at a server, and costs only its figure.
FAILURES = (OSError, Refused)

_State = TypeVar("_State")


@dataclass
class Span:
    """What a stopwatch was held to."""

    count: float = 1


class Bench:
    """Given to each scenario.

    A server gets the same mail as the others, in its own Maildirs, when a scenario
    first asks for it.
    """

    def __init__(
        self, options: Options, servers: Sequence[Server], stock: Stock
    ) -> None:
        self.options = options
        self._all_servers = tuple(servers)
        #: Those that the scenario is about.
        self.servers = list(servers)
        self.results = Results(tuple(server.name for server in servers))
        #: The metrics of the scenario that runs.
        self.metrics: tuple[str, ...] = ()
        self._stock = stock
        self._recording = True
        #: What a warm-up recorded; it counts where it took too long for another.
        self._held: list[Callable[[], None]] = []
        #: In this turn, for servers to come to rest: no time of the one it is about.
        self._waited_seconds = 0.0
        self._fresh = itertools.count(_FIRST_FRESH_USER)

    # --- mail -----------------------------------------------------------------

    def account(self, server: Server, user: str, profile: str, count: int) -> str:
        """Give a user that mail in INBOX, unless there is some already."""
        if not server.maildir(user).exists():
            source = self._stock.maildir(profile, count)
            copy_maildir(source, server.maildir(user))
        return user

    @contextlib.contextmanager
    def fresh_account(self, server: Server, profile: str, count: int) -> Iterator[str]:
        """Yield a user whose mail the server has never seen: nothing is cached."""
        user = f"user{next(self._fresh)}"
        self.account(server, user, profile, count)
        try:
            yield user
        finally:
            self.settle()
            shutil.rmtree(server.maildir(user).parent, ignore_errors=True)

    def reader(self, server: Server) -> str:
        """A user whose mixed mail is only read."""
        return self.account(server, "user1", "mixed", self.options.messages)

    def writer(self, server: Server) -> str:
        """A user whose mixed mail is changed."""
        return self.account(server, "user2", "mixed", self.options.messages)

    # --- turns ----------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """For how long a round repeats what takes no time; a warm-up does it once."""
        return self.options.seconds if self._recording else 0.0

    def interleave(
        self,
        prepare: Callable[[Server], _State],
        measure: Callable[[Server, _State, int], None],
        finish: Callable[[_State], None] = lambda state: None,
        *,
        servers: Sequence[Server] | None = None,
        rounds: int | None = None,
        warm_up: bool = True,
    ) -> None:
        """Run ``measure`` for each server in turn, A B A B, in rounds from 0 on.

        ``warm_up``: one more round before, -1, that is not counted.  A server that
        takes very long for one, and has a figure by then, has no other.
        """
        states: dict[Server, _State] = {}
        for server in self.servers if servers is None else servers:
            with self.excused(server):
                states[server] = prepare(server)
        total = self.options.rounds if rounds is None else rounds
        running = set(states)
        for turn in range(-1 if warm_up else 0, total):
            for server in [server for server in states if server in running]:
                if not self._take_turn(server, measure, states[server], turn):
                    running.remove(server)
        for state in states.values():
            finish(state)

    def _take_turn(
        self,
        server: Server,
        measure: Callable[[Server, _State, int], None],
        state: _State,
        turn: int,
    ) -> bool:
        """Return whether it shall have another turn."""
        self._recording, self._held = turn >= 0, []
        self._waited_seconds = 0.0
        begin, took = time.monotonic(), None
        try:
            with self.excused(server):
                measure(server, state, turn)
                took = time.monotonic() - begin - self._waited_seconds
        finally:
            self._recording = True
        if took is None:
            return False
        if took <= _SLOW_SECONDS:
            return True
        for add in self._held:
            add()
        return turn < 0 and not self._held

    @contextlib.contextmanager
    def excused(self, server: Server) -> Iterator[None]:
        """Let a server fail inside, and say why."""
        try:
            yield
        except FAILURES as error:
            self._excuse(server, error)

    def _excuse(self, server: Server, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"[:200]
        if not server.running:
            reason += f"; the server has ended: {server.last_words()}"
        self.results.excuse(self.metrics, server.name, reason)

    def run(self, scenario: "Scenario") -> bool:
        """Run it; False where we broke.

        Whatever happens, each server that it is about then has a figure in each row,
        or a reason.
        """
        self.metrics = scenario.metrics
        self.servers = [
            server
            for server in self._all_servers
            if scenario.crowd or not server.only_crowds
        ]
        whole = False
        try:
            scenario.run(self)
            whole = True
        except Exception as error:  # hours of other figures shall not be lost
            traceback.print_exc()
            for server in self.servers:
                self._excuse(server, error)
        for name in scenario.metrics:
            for server in self.servers:
                if not self.results.has_word(name, server.name):
                    reason = "it ended without a figure, and nothing says why"
                    self.results.excuse((name,), server.name, reason)
        return whole

    @contextlib.contextmanager
    def rows(self, *names: str) -> Iterator[None]:
        """Say of what rows is inside, in a scenario of many: no others are excused."""
        before, self.metrics = self.metrics, names
        try:
            yield
        finally:
            self.metrics = before

    def supporting(self, capability: str) -> list[Server]:
        """Return the servers that have it; the others are excused."""
        return self.only(
            lambda server: capability in server.capabilities, f"no {capability}"
        )

    def only(self, condition: Callable[[Server], bool], reason: str) -> list[Server]:
        """Return the servers for which that is true; the others are excused."""
        for server in self.servers:
            if not condition(server):
                self.results.excuse(self.metrics, server.name, reason)
        return [server for server in self.servers if condition(server)]

    # --- stopwatch ------------------------------------------------------------

    def settle(self) -> None:
        """Wait until no server does anything any more."""
        begin = time.monotonic()
        if not settle([server.tree for server in self._all_servers]):
            for name in self.metrics:
                self.results.note(name, "a server was still at work on what was before")
        self._waited_seconds += time.monotonic() - begin

    def rest(self, server: Server) -> None:
        """Wait until it has made all that it makes of a mailbox in the background."""
        if not rest(server.tree, _REST_SECONDS):
            for name in self.metrics:
                text = f"{server.name} was not ready in {_REST_SECONDS:.0f} s"
                self.results.note(name, text)

    @contextlib.contextmanager
    def span(
        self, server: Server, metric: str, unit: str, *, at_once: bool = False
    ) -> Iterator[Span]:
        """Measure what is done inside; set ``count`` to the units of work.

        ``at_once``: do not wait before until all servers are quiet.

        Raises:
            Refused: no unit of work was done.
        """
        if not at_once:
            self.settle()
        span = Span()
        before, client = server.tree.cpu_seconds(), time.process_time()
        begin = time.perf_counter()
        yield span
        wall = time.perf_counter() - begin
        client = time.process_time() - client
        # What a server does after its answer is work too.
        time.sleep(_AFTERWARDS_SECONDS)
        cpu = server.tree.cpu_seconds() - before
        if not span.count:
            raise Refused(f"not one {unit} was done in {wall:.1f} s")
        sample = Sample(wall / span.count, cpu / span.count, client / wall)
        self.record(server, metric, sample, unit=unit)

    def record(
        self,
        server: Server,
        metric: str,
        sample: Sample,
        *,
        unit: str,
        kind: Kind = Kind.SECONDS,
    ) -> None:
        """Add a sample; that of a warm-up is held back."""
        add = partial(
            self.results.add, metric, server.name, sample, unit=unit, kind=kind
        )
        if self._recording:
            add()
        else:
            self._held.append(add)

    def repeat(
        self, action: Callable[[], float], least: int = 1, *, warm_ups: int = 1
    ) -> float:
        """Repeat it for ``seconds``; return the sum of what it returned.

        ``warm_ups``: so often in a warm-up, unless the second takes long: the first
        may find nothing made yet.
        """
        total, times = 0.0, 0
        end = time.perf_counter() + self.seconds
        while times < least or time.perf_counter() < end:
            total += action()
            times += 1
        end = time.perf_counter() + _WARM_UP_SECONDS
        while not self._recording and times < warm_ups and time.perf_counter() < end:
            total += action()
            times += 1
        return total


def selected(server: Server, user: str) -> Connection:
    """Return a connection of that user with INBOX selected."""
    connection = server.connect(user)
    try:
        connection.select()
    except BaseException:
        connection.close()
        raise
    return connection
