"""Let the threads of a process take memory from the same few places, and give it back.

glibc gives every thread an arena of its own, from which what the others gave back
is not taken again.  Ours open and close the databases of whichever account comes, in
turn: after some hours each arena is as large as the most that it ever held, and all
of them together a multiple of what is in use.
"""

import ctypes
import os
from typing import Final

#: Of glibc, <malloc.h>; mallopt(3).
_M_ARENA_MAX: Final = -8
#: Threads that have the interpreter take memory one at a time in any case.
_ARENAS: Final = 2
#: How an administrator tunes glibc, beside the variable of its own.
_TUNED: Final = "GLIBC_TUNABLES"


def share() -> None:
    """Have no more arenas than that; before threads are started, once for good.

    Without effect where the C library has no such thing, or the environment has said
    how many there shall be.
    """
    if "MALLOC_ARENA_MAX" in os.environ or "arena_max" in os.environ.get(_TUNED, ""):
        return
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Give the system what is free, wherever it is; takes some milliseconds.

    Without effect where the C library has no such thing.
    """
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)
