"""Every path this process opens, makes, renames or removes: is it where it may be?

By the interpreter's audit events, and so beneath whatever the server calls.  The
hook cannot be taken away again; it does nothing while nobody watches.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

#: Event -> the arguments that are paths, each with its directory's descriptor.
_EVENTS: Final[dict[str, tuple[tuple[int, int | None], ...]]] = {
    "open": ((0, None),),
    "os.listdir": ((0, None),),
    "os.scandir": ((0, None),),
    "os.mkdir": ((0, 2),),
    "os.rename": ((0, 2), (1, 3)),
    "os.link": ((0, 2), (1, 3)),
    "os.symlink": ((1, 2),),
    "os.remove": ((0, 1),),
    "os.rmdir": ((0, 1),),
    "os.chmod": ((0, 2),),
    "os.utime": ((0, 3),),
    "os.truncate": ((0, None),),
    "sqlite3.connect": ((0, None),),
}
#: What an interpreter reads for itself.
_OWN: Final = tuple(
    {
        *(os.path.realpath(place) for place in (sys.prefix, sys.base_prefix)),
        *("/proc", "/dev/null", "/dev/urandom", "/usr", "/lib"),
        str(Path(__file__).resolve().parents[2]),
    }
)


@dataclass
class Seen:
    """What was opened; ``outside`` tells of each path that must not have been."""

    top: str
    home: str
    inside: int = 0
    outside: list[str] = field(default_factory=list)


_seen: Seen | None = None
_hooked = False


def _where(path: Any, directory: Any) -> str | None:
    if isinstance(path, int) or path is None:
        return None  # a descriptor: it was opened before
    name = os.fsdecode(path)
    if name.startswith(":memory:") or not name:
        return None
    if name.startswith("file:"):
        name = name[5:].partition("?")[0]
    if isinstance(directory, int) and directory >= 0 and not os.path.isabs(name):
        name = os.readlink(f"/proc/self/fd/{directory}") + "/" + name
    return os.path.realpath(name)


def _is_one_name(path: Any) -> bool:
    """Whether it leads nowhere but into a directory: of which, this event is silent."""
    name = os.fsencode(path) if isinstance(path, bytes | str) else b""
    return b"/" not in name and name not in (b"", b"..")


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    seen = _seen
    places = _EVENTS.get(event) if seen is not None else None
    if seen is None or places is None:
        return
    if event == "open" and _is_one_name(arguments[0]):
        return  # in a directory that was opened before
    for at, directory in places:
        where = _where(
            arguments[at], None if directory is None else arguments[directory]
        )
        if where is None:
            continue
        if where == seen.home or where.startswith(seen.home + "/"):
            seen.inside += 1
        elif event == "open" and seen.home.startswith(where.rstrip("/") + "/"):
            continue  # a directory that the account's own name is in: it is synced
        elif where.startswith(seen.top) or not where.startswith(_OWN):
            seen.outside.append(f"{event} {where}")


@contextmanager
def watching(top: Path, home: Path) -> Iterator[Seen]:
    """Look at every path; what is not below ``home``, or Python's own, is outside.

    The directories that lead to ``home`` may be opened, to be synced; not listed.
    ``top`` is the folder of all accounts, wherever it lies.
    """
    global _seen, _hooked  # noqa: PLW0603  there is one interpreter
    if not _hooked:
        _hooked = True
        sys.addaudithook(_hook)
    _seen = seen = Seen(os.path.realpath(top), os.path.realpath(home))
    try:
        yield seen
    finally:
        _seen = None
