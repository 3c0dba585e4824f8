"""In the server of ``soak``: what is in use, told when it is asked for by a signal.

The allocator's size says little in a short time: it grows with the most that was
ever in use at once, and keeps what was given back between what was not.
"""

import ctypes
import gc
import signal
import sys
from pathlib import Path
from typing import Final

from imapd.mailbox import accounts

#: Means nothing to a server.
ASKED: Final = signal.SIGPROF
_FILE: Final = "in-use"


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
    signal.signal(ASKED, lambda *_: _tell())


def _tell() -> None:
    gc.collect()
    octets = 0
    mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo is not None:  # of glibc, since 2.33
        mallinfo.restype = _MallocInfo
        info = mallinfo()
        octets = info.uordblks + info.hblkhd
    answer = Path.home() / (_FILE + ".new")
    answer.write_text(f"{sys.getallocatedblocks()} {octets}")
    answer.replace(Path.home() / _FILE)


def read(folder: Path) -> tuple[int, int] | None:
    """Objects of Python, and octets of C; None: not answered yet. Forget the answer."""
    try:
        blocks, octets = map(int, (folder / _FILE).read_text().split())
    except FileNotFoundError:
        return None
    (folder / _FILE).unlink()
    return blocks, octets
