"""The servers that are compared, each over its own copies of the same Maildirs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.servers.base import Server
from benchmarks.servers.courier import Courier
from benchmarks.servers.dovecot import Dovecot, FastDovecot
from benchmarks.servers.imapd import Imapd, ImapdWorkers

__all__ = [
    "OURS",
    "REFERENCE",
    "SERVERS",
    "VARIANTS",
    "Courier",
    "Server",
    "missing",
]

#: In the order of the table.
SERVERS: Final[Mapping[str, type[Server]]] = {
    one.name: one for one in (Imapd, ImapdWorkers, Dovecot, FastDovecot, Courier)
}
#: Whose figures are divided by whose.
REFERENCE: Final = Dovecot.name
OURS: Final = Imapd.name
#: Ours in other settings: what the names of their rows end in.
VARIANTS: Final[Mapping[str, str]] = {ImapdWorkers.name: "-workers"}


def missing(name: str) -> str | None:
    """Why a server cannot run here, or None when it can."""
    return SERVERS[name].missing()


def make(
    name: str,
    folder: Path,
    mail: Path,
    options: tuple[str, ...] = (),
    twistd_options: tuple[str, ...] = (),
) -> Server:
    """Prepare a server; the options are only for ours."""
    ours = name == OURS or name in VARIANTS
    server = SERVERS[name](folder / name, mail / name, options if ours else ())
    if isinstance(server, Imapd):
        server.twistd_options = twistd_options
    return server
