"""Let the power go after every operation, and lose what was not synced.

Commands are recorded with their sync points (``disk.py``).  At each position every
legal state is laid out as a directory, opened by a server and checked: what
docs/durability.rst promises beyond a loss of power must be there.  Hardening
sections 3 and 7, L3.
"""

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final
from unittest import mock

from imapd.store import dotlock
from tests.store.faults import CHANGING, Killed, Plan, injected
from tests.store.folders import MEMORY
from tests.torture.budget import Budget
from tests.torture.checker import Mercy, Told, check
from tests.torture.crash import close_dead, listed, reopen
from tests.torture.disk import Disk, Pending, Recorder, lay_out, recording, subsets
from tests.torture.figures import Figure, at_most, told
from tests.torture.scenarios import SCENARIOS, Scenario, Workshop
from tests.torture.scripts import script
from tests.torture.storeactor import Actor

#: Of so many pending operations all subsets are tried, else so many random ones.
ALL_SUBSETS_OF: Final = 12
_STATE: Final = "imapd-state.sqlite3"
_CACHE: Final = "imapd-cache.sqlite3"
_UNOPENED: Final = Mercy(unopened=True, power_lost=True)
_OPENED: Final = Mercy(power_lost=True)

#: Where a server may die: also between what it did and its sync.
_STEPS: Final = CHANGING | {"fsync", "fdatasync", "fsync_directory"}

Change = Callable[[bytes, bytes], bytes]


@dataclass
class Recording:
    """What was done, and what had been told after each operation."""

    label: str
    disk: Disk
    #: (operations done, what was told, the state's file), ascending.
    marks: list[tuple[int, Told, bytes | None]] = field(default_factory=list)
    cache: bytes | None = None  # of before: derived data, which may be of any time

    def told_at(self, position: int) -> tuple[Told, bytes | None]:
        """What a client may know when the power goes there."""
        known = [mark for mark in self.marks if mark[0] <= position]
        return known[-1][1].copy(), known[-1][2]


class Watch:
    """A recorder of one account, and the marks."""

    def __init__(self, root: Path, told_before: Told) -> None:
        self.root = root
        self.told = told_before
        self.recorder = Recorder(os.fsencode(root.parent))
        self.marks: list[tuple[int, Told, bytes | None]] = []
        cache = root / _CACHE
        self._cache = cache.read_bytes() if cache.exists() else None

    def mark(self) -> None:
        path = self.root / _STATE
        octets = path.read_bytes() if path.exists() else None
        now = len(self.recorder.disk.log), self.told.copy(), octets
        self.marks.append(now)

    def result(self, label: str) -> Recording:
        return Recording(label, self.recorder.disk, self.marks, self._cache)


def record(workshop: Workshop, scenario: Scenario) -> Recording:
    """Do one command."""
    root, told_before = workshop.account(scenario)
    watch = Watch(root, told_before)
    watch.mark()
    with recording(watch.recorder):
        actor = Actor(root, watch.told, watch.mark)
        scenario.before(actor)
        scenario.act(actor)
    close_dead(actor)
    workshop.remove(root)
    return watch.result(scenario.name)


def record_script(workshop: Workshop, label: str, chance: random.Random) -> Recording:
    """Do several commands, and kill the server within one of them; another goes on."""
    root, told_before = workshop.account(SCENARIOS[0])
    watch = Watch(root, told_before)
    watch.mark()
    with recording(watch.recorder):
        for at in (chance.randint(1, 60), 1 << 30):
            actor = None
            with injected(Plan(at, counts=_STEPS)), suppress(Killed):
                actor = Actor(root, watch.told, watch.mark)
                script(actor, chance)
            if actor is not None:
                close_dead(actor)
    workshop.remove(root)
    return watch.result(label)


def record_death(
    workshop: Workshop, scenario: Scenario, at: int
) -> tuple[Recording, bool]:
    """Kill the server at an operation; another opens all there is and takes mail.

    What the first had not synced is under what the second is told to keep.  Returns
    whether there was such an operation.
    """
    root, told_before = workshop.account(scenario)
    watch = Watch(root, told_before)
    watch.mark()
    with recording(watch.recorder):
        actor = None
        with injected(Plan(at, counts=_STEPS)) as state, suppress(Killed):
            actor = Actor(root, watch.told, watch.mark)
            scenario.before(actor)
            scenario.act(actor)
        if actor is not None:
            close_dead(actor)
        actor = Actor(root, watch.told, watch.mark)
        for folder in sorted(listed(actor)):
            actor.select(folder)
            actor.append(folder, [f"after death in {folder}"], [])
        close_dead(actor)
    workshop.remove(root)
    return watch.result(f"{scenario.name}, killed at {at}"), bool(state.hit)


# -- what may be left --


def _cut(chance: random.Random) -> Change:
    """Torn where chance says."""
    share = chance.random()
    return lambda safe, unsafe: safe + unsafe[: int(len(unsafe) * share)]


def _zeros(safe: bytes, unsafe: bytes) -> bytes:
    return safe + bytes(len(unsafe))


def _dropped(safe: bytes, _: bytes) -> bytes:
    return safe


def _any_data(pending: Pending, chance: random.Random) -> dict[int, Change]:
    changes: dict[int, Change] = {}
    for inode in pending.data:
        kind = chance.randrange(4)
        if kind:
            changes[inode] = (_dropped, _zeros, _cut(chance))[kind - 1]
    return changes


def losses(
    pending: Pending, chance: random.Random, most: int
) -> Iterator[tuple[frozenset[int], dict[int, Change]]]:
    """Choices of what is lost: all where they are few, else random ones.

    Of few names every subset is tried, each with another fate of the data; among
    the random ones are what is lost from some point on, as a journal loses it.
    """
    names = pending.names
    if len(names) <= ALL_SUBSETS_OF and 1 << len(names) <= most:
        for lost in subsets(names):
            yield lost, _any_data(pending, chance)
        return
    yield frozenset(), {}
    yield frozenset(names), dict.fromkeys(pending.data, _dropped)
    for _ in range(most - 2):
        if chance.random() < 0.3:
            lost = frozenset(names[chance.randrange(len(names)) :])
        else:
            share = chance.random()
            lost = frozenset(one for one in names if chance.random() < share)
        yield lost, _any_data(pending, chance)


def _frozen(told: Told) -> tuple[frozenset[object], ...]:
    """The same for two that promise the same."""
    parts = (getattr(told, one.name) for one in fields(told))
    return tuple(
        frozenset(part.items() if isinstance(part, dict) else part) for part in parts
    )


class Plant:
    """Makes and judges states in a directory of its own."""

    def __init__(self) -> None:
        self.top = Path(tempfile.mkdtemp(prefix="imapd-power-", dir=MEMORY))
        self.workshop = Workshop(self.top)
        #: Of the same octets under the same promises one is counted, and tried.
        self.states = 0
        self._seen: set[int] = set()
        self._singles: list[Recording] = []

    def __enter__(self) -> "Plant":
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.top, ignore_errors=True)

    def singles(self) -> list[Recording]:
        """Each command, recorded once: of another recording all names are others."""
        if not self._singles:
            self._singles = [record(self.workshop, each) for each in SCENARIOS]
        return self._singles

    def position(
        self, done: Recording, position: int, chance: random.Random, most: int
    ) -> None:
        """Try what the power may leave at one position.

        Raises:
            AssertionError: a promise was broken.
        """
        pending = done.disk.pending(position)
        for lost, data in losses(pending, chance, most):
            state = done.disk.state(position, lost, data)
            known, database = done.told_at(position)
            key = hash((frozenset(state.items()), _frozen(known)))
            if key in self._seen:
                continue
            self._seen.add(key)
            kind = chance.choice(("none", "last", "first"))
            if kind == "first":
                database = done.marks[0][2]
            database = None if kind == "none" else database
            cache = done.cache if chance.random() < 0.8 else None
            lines = self._judge(state, known, database, cache)
            if lines:
                what = [str(done.disk.log[index]) for index in sorted(lost)]
                before = [
                    str(one) for one in done.disk.log[max(0, position - 3) : position]
                ]
                raise AssertionError(
                    "\n  ".join(
                        [
                            f"{done.label}, power lost after {position}, state {kind}:",
                            *lines[:8],
                            "lost:",
                            *what[:20],
                            "just done:",
                            *before,
                        ]
                    )
                )

    def _judge(
        self,
        state: dict[bytes, bytes | None],
        known: Told,
        database: bytes | None,
        cache: bytes | None,
    ) -> list[str]:
        self.states += 1
        top = self.top / f"state{self.states}"
        lay_out(os.fsencode(top), state)
        root = top / "Maildir"
        lines = []
        if database is not None and root.exists():
            (root / _STATE).write_bytes(database)
        if cache is not None and root.exists():
            (root / _CACHE).write_bytes(cache)
        if (root / "cur").exists():
            lines = check(os.fsencode(root), known, _UNOPENED)
            lines = [f"as it lies there: {line}" for line in lines]
        # Two minutes later: the lock of a process that is no more may be empty.
        with mock.patch.object(dotlock, "STALE_SECONDS", -1):
            lines += reopen(root, known, _OPENED)
        shutil.rmtree(top)
        return lines


def run_all(plant: Plant, budget: Budget, most: int) -> int:
    """Every command at every position, up to so many states at each.

    Returns the number of positions; the order is the seed's.
    """
    chance = random.Random(budget.seed)
    places = [
        (done, position)
        for done in plant.singles()
        for position in range(len(done.disk.log) + 1)
    ]
    chance.shuffle(places)
    for count, (done, position) in enumerate(places):
        if budget.is_spent:
            return count
        before = plant.states
        plant.position(done, position, chance, most)
        budget.did(plant.states - before)
    return len(places)


def run_deaths(plant: Plant, budget: Budget, step: int = 1) -> int:
    """Every command killed at every ``step``-th operation, and the power then."""
    chance = random.Random(budget.seed)
    scenarios = list(SCENARIOS)
    chance.shuffle(scenarios)
    count = 0
    for scenario in scenarios:
        at, there = chance.randint(1, step), True
        while there:
            if budget.is_spent:
                return count
            done, there = record_death(plant.workshop, scenario, at)
            before = plant.states
            plant.position(done, len(done.disk.log), chance, 4)
            budget.did(plant.states - before)
            count += 1
            at += step
    return count


def run_scripts(plant: Plant, budget: Budget) -> int:
    """Random commands with a death of the server in between."""
    count = 0
    for label, chance in budget.trials("powerloss"):
        done = record_script(plant.workshop, label, chance)
        count += 1
        for _ in range(12):
            position = chance.randint(0, len(done.disk.log))
            before = plant.states
            plant.position(done, position, chance, 4)
            budget.did(plant.states - before)
            if budget.is_spent:
                break
    return count


def run(budget: Budget) -> Iterator[Figure]:
    """Single commands, ever more states at each position; then scripts."""
    single = budget.part(0.4)
    with Plant() as plant:
        most = 8
        while not single.is_spent and most <= 1 << ALL_SUBSETS_OF:
            run_all(plant, single, most)
            most *= 8
        yield told("G8", "states of single commands", plant.states, "states")
        count = run_deaths(plant, budget.part(0.25))
        yield told("G8", "commands killed before the power went", count, "deaths")
        count = run_scripts(plant, budget)
        yield told("G8", "scripts with a killed server", count, "scripts")
        yield told("G8", "states that a loss of power left", plant.states, "states")
        # A broken promise ends all of it with its state.
        yield at_most("G8", "broken promises of class A", 0, "states", 0)
