"""Every harness there is, as a row."""

import importlib
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from tests.torture.budget import Budget
from tests.torture.figures import Figure

Run = Callable[[Budget], Iterable[Figure]]


#: The unit of a gate that is a time: of those that count nothing.
SECONDS: Final = "s"


@dataclass(frozen=True, slots=True)
class Gate:
    """How much of it there must have been before a release."""

    amount: int
    unit: str


@dataclass(frozen=True, slots=True)
class Harness:
    """Where it is, what it takes, and what it shows."""

    name: str
    #: A module of this package with a function ``run(budget)``.
    module: str
    #: The goals of which it prints a figure.
    goals: tuple[str, ...]
    #: What ``--gate`` runs it for.
    gate: Gate
    #: Of the seconds, beside the others.
    share: float = 1
    #: Programs without which it is skipped, visibly.
    needs: tuple[str, ...] = ()

    def missing(self) -> list[str]:
        """Return the programs that this machine lacks."""
        path = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
        return [each for each in self.needs if shutil.which(each, path=path) is None]

    def load(self) -> Run:
        """Import it."""
        module = importlib.import_module(f"tests.torture.{self.module}")
        run: Run = module.run
        return run

    def gate_budget(self, seed: int) -> Budget:
        """Return what it takes for its gate."""
        if self.gate.unit == SECONDS:
            return Budget(self.gate.amount, seed)
        return Budget(0, seed, self.gate.amount)


HARNESSES: Final[tuple[Harness, ...]] = (
    Harness("administered", "administered", ("D15",), Gate(30, SECONDS), share=0.5),
    Harness("bombs", "bombs", ("G2",), Gate(20, "families")),
    Harness("canary", "canary", ("G21",), Gate(30, SECONDS), share=0.5),
    Harness("control", "control", ("G12",), Gate(20_000, "accounts"), share=4),
    Harness("covered", "covered", ("G24",), Gate(900, SECONDS), share=3),
    # All single faults in any case; those are more.
    Harness("crash", "crash", ("G6",), Gate(10_000, "trials")),
    Harness("fuzz", "fuzz", ("G1",), Gate(2_000_000, "commands"), share=6),
    Harness("guessing", "guessing", ("G19",), Gate(60, SECONDS), share=0.2),
    Harness("guided", "guided", ("G1",), Gate(60, SECONDS)),
    Harness(
        *("hands", "hands", ("G9", "G10"), Gate(180, SECONDS)),
        needs=("dovecot", "mbsync"),
    ),
    Harness("injection", "injection", ("P18",), Gate(30, SECONDS)),
    Harness("killed", "killed", ("G7",), Gate(200, "points"), needs=("strace",)),
    Harness("limits", "limitsweep", ("G5",), Gate(1, SECONDS)),
    Harness(
        *("load", "load", ("G13", "G14", "G15", "G16", "G17", "G18", "V07", "V13")),
        *(Gate(60, SECONDS), 4),
    ),
    Harness("mime", "mime", ("G2",), Gate(200_000, "messages"), share=3),
    Harness("model", "machine", ("L0",), Gate(60, SECONDS)),
    Harness("mutation", "mutation", ("G24",), Gate(50, "mutants")),
    Harness("names", "namefuzz", ("G3",), Gate(500_000, "names"), share=2),
    Harness("powerloss", "powerloss", ("G8",), Gate(5_000, "states")),
    Harness("sasl", "saslfuzz", ("P05", "P06"), Gate(10_000, "exchanges")),
    Harness("soak", "soak", ("G23",), Gate(480, SECONDS), share=2),
    Harness("starttls", "starttls", ("G4",), Gate(20, SECONDS)),
    Harness("stopping", "stopping", ("G22",), Gate(120, SECONDS)),
    Harness("timing", "timing", ("G20",), Gate(120, SECONDS), share=2),
    Harness("wire", "wirefuzz", ("G1",), Gate(2_000_000, "commands"), share=2),
)
