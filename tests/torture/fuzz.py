"""Commands, whole and broken, in every state of a whole server: all are answered.

Trials are worlds of their own: accounts, some clients, and some hundred steps each,
of which a step is one or more whole commands, or octets that may be anything.
"""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Final

from imapd.model.mailbox import NamespaceStyle
from imapd.server.registry import COMMANDS
from tests.torture.actor import Actor
from tests.torture.budget import Budget
from tests.torture.costs import Costs
from tests.torture.figures import Figure, at_least, at_most, told
from tests.torture.foreignworld import ForeignWorld
from tests.torture.inprocess import (
    PATIENT,
    USUAL,
    Trouble,
    World,
    left_over,
    listening,
    resident_octets,
    shown,
)

STEPS: Final = 400
ACTORS: Final = 3
#: How many of the worlds have accounts that are not ours.
FOREIGN: Final = 0.15
#: Worlds until caches, tables and the allocator have what they keep.
WARM: Final = 8


@dataclass
class Tally:
    """What was tried, and what it cost."""

    worlds: int = 0
    commands: int = 0
    octets: int = 0
    answered: Counter[tuple[bytes, bytes]] = field(default_factory=Counter)
    abandoned: int = 0
    costs: Costs = field(default_factory=Costs)
    resident: list[int] = field(default_factory=list)

    def sent(self, octets: bytes, seconds: float) -> None:
        """Some octets were sent, and took so much of the processor."""
        self.octets += len(octets)
        self.costs.add(len(octets), seconds)

    def told(self, name: bytes, condition: bytes) -> None:
        """A whole command was answered."""
        self.answered[name, condition] += 1

    @property
    def done(self) -> set[bytes]:
        """The commands of which at least one ended in OK."""
        return {name for name, condition in self.answered if condition == b"OK"}


def trial(label: str, chance: Random, tally: Tally) -> None:
    """Live in one world; raises AssertionError with the trial's name."""
    try:
        if chance.random() < FOREIGN:
            with listening() as trouble, ForeignWorld() as world:
                _live(world, chance, tally, trouble)
            tally.worlds += 1
            return
        limits = USUAL if chance.random() < 0.2 else PATIENT
        style = chance.choice((None, *NamespaceStyle))
        late = chance if chance.random() < 0.5 else None
        with (
            listening() as trouble,
            World(late, limits=limits, namespace=style) as world,
        ):
            _live(world, chance, tally, trouble)
    except Exception as error:
        raise AssertionError(f"{label}: {shown(error)}") from None
    tally.worlds += 1


def _live(world: World, chance: Random, tally: Tally, trouble: Trouble) -> None:
    actors = [Actor(world, chance, tally) for _ in range(ACTORS)]
    for _ in range(STEPS):
        chance.choice(actors).step(actors)
        trouble.check()


def run(budget: Budget) -> Iterator[Figure]:
    """G1."""
    tally = Tally()
    began = time.monotonic()
    before = left_over()
    for label, chance in budget.trials("fuzz"):
        before_it = tally.commands
        trial(label, chance, tally)
        budget.did(tally.commands - before_it)
        tally.resident.append(resident_octets())
    seconds = time.monotonic() - began
    after = left_over()
    yield at_least("G1", "commands", tally.commands, "commands", 1)
    yield told("G1", "commands a second", tally.commands / seconds, "/s")
    yield told("G1", "octets sent", tally.octets, "octets")
    yield told("G1", "worlds", tally.worlds, "worlds")
    yield at_least("G1", "kinds that ended in OK", len(tally.done), "commands", 1)
    yield told("G1", "kinds there are", len(COMMANDS), "commands")
    yield told("G1", "left in a literal", tally.abandoned, "connections")
    yield at_most("G1", "uncaught exceptions, stuck sessions", 0, "", 0)
    yield at_most("G1", "processor time of a step", tally.costs.slowest, "s", 1)
    dear, dearest = (tally.costs.of_a_block(share) * 1e3 for share in (0.999, 1))
    yield at_most("G1", "of 8 KiB, 999 in 1000", dear, "ms", 50)
    yield told("G1", "of 8 KiB, at the most", dearest, "ms")
    for name, count in after.items():
        yield at_most("G1", f"{name} left over", count - before[name], "", 0)
    if len(tally.resident) > WARM:
        drift = tally.resident[-1] - tally.resident[WARM]
        yield at_most("G1", "memory after the first worlds", drift / 2**20, "MiB", 4)
