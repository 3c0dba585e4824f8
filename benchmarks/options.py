"""The command line of ``make bench``."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).resolve().parent


@dataclass(frozen=True, kw_only=True)
class Options:
    """How much to measure, of whom, and where to put it."""

    messages: int
    rounds: int
    #: Of a round that repeats what takes no time.
    seconds: float
    idle: int
    deliveries: int
    servers: tuple[str, ...]
    scenarios: tuple[str, ...]
    imapd_options: tuple[str, ...]
    twistd_options: tuple[str, ...]
    real_mail: Path | None
    stock: Path
    json: Path | None
    chart: Path | None
    keep: bool
    quick: bool

    @property
    def small_messages(self) -> int:
        """Of the lesser of the two mailboxes whose cost a message is compared."""
        return self.messages if not self.quick else self.messages // 2

    @property
    def many_messages(self) -> int:
        """Of the greater one: ten times as many."""
        return 10 * self.small_messages


#: (option, --quick, full)
_SIZES = (
    ("messages", 2000, 10000),
    ("rounds", 2, 3),
    ("seconds", 0.2, 0.5),
    ("idle", 100, 1000),
    ("deliveries", 2, 5),
)


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(",")))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make bench",
        description="Measure this server and, where installed, Dovecot and Courier.",
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="small mailboxes and few rounds")
    add("--scenarios", type=_names, default=(), help="a,b,c; without: all")
    add("--servers", type=_names, default=(), help="a,b; without: those installed")
    for name, quick, full in _SIZES:
        text = f"default {full}, with --quick {quick}"
        add(f"--{name}", type=type(full), help=text)
    add("--imapd-options", default="", help='of twistd imapd, such as "--workers 2"')
    add(
        "--twistd-options", default="", help="of twistd itself: see docs/benchmarks.rst"
    )
    add("--real-mail", type=Path, help="a folder of .eml files to mix in")
    add("--stock", type=Path, help="where generated mail is kept")
    add("--json", type=Path, help="write all samples there")
    add("--chart", type=Path, help="write the SVG chart there")
    add("--keep", action="store_true", help="leave mail and logs of the servers")
    add("--list", action="store_true", help="list scenarios and servers, and end")
    add("--render", type=Path, metavar="JSON", help="only show a stored run")
    return parser


def _default_stock() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "imapd-benchmarks"


def parse(arguments: Sequence[str]) -> tuple[Options, argparse.Namespace]:
    """Return the options, and the raw ones for what is no measurement."""
    raw = _parser().parse_args(arguments)
    sizes: dict[str, Any] = {
        name: (quick if raw.quick else full)
        if getattr(raw, name) is None
        else getattr(raw, name)
        for name, quick, full in _SIZES
    }
    whole = not (raw.quick or raw.scenarios or raw.servers or raw.render)
    options = Options(
        **sizes,
        servers=raw.servers,
        scenarios=raw.scenarios,
        imapd_options=tuple(raw.imapd_options.split()),
        twistd_options=tuple(raw.twistd_options.split()),
        real_mail=raw.real_mail,
        stock=(raw.stock or _default_stock()).absolute(),
        # Only a whole run replaces the published figures by itself.
        json=raw.json or (_PACKAGE / "results.json" if whole else None),
        chart=raw.chart or (_PACKAGE.parent / "docs/benchmark.svg" if whole else None),
        keep=raw.keep,
        quick=raw.quick,
    )
    return options, raw
