"""What a file is, with the time it was made, from one system call.

Callers use it as ``fsops.look``, where the tests replace it.
"""

import ctypes
import os
import struct
from typing import Final, NamedTuple

_STATX = getattr(ctypes.CDLL(None), "statx", None)
_AT_CURRENT_DIRECTORY: Final = -100
_AT_SYMLINK_NOFOLLOW: Final = 0x100
_BTIME: Final = 0x800
_WANTED: Final = 0x7FF | _BTIME

#   struct statx of <linux/stat.h>: stx_mask at 0, stx_mode at 28, stx_btime at 80,
#   stx_ctime at 96, stx_mtime at 112; a time is seconds, nanoseconds, reserved
_PARTS = struct.Struct("=I24xH50xqI4xqI4xqI")
_Statx = ctypes.c_char * 256


class Look(NamedTuple):
    """What a file is, and when that came to be: seconds since 1970 by its clock."""

    mode: int
    written_seconds: float  # mtime
    changed_seconds: float  # ctime
    born_seconds: float | None  # None where the system does not say


def look(path: bytes, directory: int | None = None) -> Look:
    """Look at what the name itself is, and when it was made: one call for both.

    With ``directory``, a descriptor, the path is looked up there.
    """
    buffer = _Statx()
    here = _AT_CURRENT_DIRECTORY if directory is None else directory
    if _STATX is None or _STATX(here, path, _AT_SYMLINK_NOFOLLOW, _WANTED, buffer):
        # Not there, or the system does not know the call: it says which.
        status = os.stat(path, dir_fd=directory, follow_symlinks=False)
        return Look(status.st_mode, status.st_mtime, status.st_ctime, None)
    mask, mode, born, born_ns, changed, changed_ns, written, written_ns = (
        _PARTS.unpack_from(buffer)
    )
    return Look(
        mode,
        written + written_ns / 1e9,
        changed + changed_ns / 1e9,
        born + born_ns / 1e9 if mask & _BTIME else None,
    )
