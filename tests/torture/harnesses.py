"""Every harness there is, as a row."""

import importlib
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from tests.torture.budget import Budget
from tests.torture.figures import Figure

Run = Callable[[Budget], Iterable[Figure]]


@dataclass(frozen=True, slots=True)
class Harness:
    """Where it is, what it takes, and what it shows."""

    name: str
    #: A module of this package with a function ``run(budget)``.
    module: str
    #: The goals of which it prints a figure.
    goals: tuple[str, ...]
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


HARNESSES: Final[tuple[Harness, ...]] = (
    Harness("administered", "administered", ("D15",), share=0.5),
    Harness("bombs", "bombs", ("G2",)),
    Harness("canary", "canary", ("G21",), share=0.5),
    Harness("control", "control", ("G12",), share=4),
    Harness("covered", "covered", ("G24",), share=3),
    Harness("crash", "crash", ("G6",)),
    Harness("fuzz", "fuzz", ("G1",), share=6),
    Harness("guessing", "guessing", ("G19",), share=0.2),
    Harness("guided", "guided", ("G1",)),
    Harness("hands", "hands", ("G9", "G10"), needs=("dovecot", "mbsync")),
    Harness("injection", "injection", ("P18",)),
    Harness("killed", "killed", ("G7",), needs=("strace",)),
    Harness("limits", "limitsweep", ("G5",)),
    Harness(
        "load",
        "load",
        ("G13", "G14", "G15", "G16", "G17", "G18", "V07", "V13"),
        share=4,
    ),
    Harness("mime", "mime", ("G2",), share=3),
    Harness("model", "machine", ("L0",)),
    Harness("mutation", "mutation", ("G24",)),
    Harness("names", "namefuzz", ("G3",), share=2),
    Harness("powerloss", "powerloss", ("G8",)),
    Harness("sasl", "saslfuzz", ("P05", "P06")),
    Harness("soak", "soak", ("G23",), share=2),
    Harness("starttls", "starttls", ("G4",)),
    Harness("stopping", "stopping", ("G22",)),
    Harness("timing", "timing", ("G20",), share=2),
    Harness("wire", "wirefuzz", ("G1",), share=2),
)
