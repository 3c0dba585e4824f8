"""In the server of ``soak``: what is in use, told when it is asked for by a signal.

The allocator's size says little in a short time: it grows with the most that was
ever in use at once, and keeps what was given back between what was not.
"""

import ctypes
import gc
import os
import re
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any, Final, cast

from imapd.mailbox import accounts

#: Means nothing to a server.
ASKED: Final = signal.SIGPROF
_FILE: Final = "in-use"
_ERRORS: Final = 2
_ALLOCATED: Final = re.compile(rb"bytes in allocated blocks\s*=\s*([\d,]+)")


class _MallocInfo(ctypes.Structure):
    """``struct mallinfo2``; mallinfo(3)."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


def install(open_seconds: float, keep_seconds: float) -> None:
    """Answer from now on; close accounts, and open them anew, after so long."""
    accounts.OPEN_SECONDS = open_seconds  # type: ignore[assignment]
    accounts.KEEP_SECONDS = keep_seconds  # type: ignore[assignment]
    signal.signal(ASKED, _asked)


def _asked(*_: object) -> None:
    """Answer in the next turn of the reactor.

    A handler may be called in the middle of anything: what it raised in the callback
    of a weak reference would be told of as a fault of the server's.
    """
    from twisted.internet import reactor  # not chosen before

    cast(Any, reactor).callFromThread(_tell)


def _of_python() -> int:
    """Octets of its small objects: it takes places for many of them at once."""
    kept = os.dup(_ERRORS)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), _ERRORS)
        try:
            # There is no other way to it than what it writes there.
            getattr(sys, "_debugmallocstats")()  # noqa: B009
        finally:
            os.dup2(kept, _ERRORS)
            os.close(kept)
        file.seek(0)
        found = _ALLOCATED.search(file.read())
    return 0 if found is None else int(found[1].replace(b",", b""))


def _tell() -> None:
    gc.collect()
    octets = _of_python()
    mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo is not None:  # of glibc, since 2.33
        mallinfo.restype = _MallocInfo
        info = mallinfo()
        octets += info.uordblks + info.hblkhd
    answer = Path.home() / (_FILE + ".new")
    answer.write_text(f"{sys.getallocatedblocks()} {octets}")
    answer.replace(Path.home() / _FILE)


def read(folder: Path) -> tuple[int, int] | None:
    """Objects of Python, and octets of it and of C; None: not answered yet.

    The answer is forgotten.
    """
    try:
        blocks, octets = map(int, (folder / _FILE).read_text().split())
    except FileNotFoundError:
        return None
    (folder / _FILE).unlink()
    return blocks, octets
