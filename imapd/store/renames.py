"""Rename, but never over a file."""

import ctypes
import errno
import os
from contextlib import suppress
from typing import Final

_LIBC = ctypes.CDLL(None, use_errno=True)
_RENAMEAT2 = getattr(_LIBC, "renameat2", None)
_RENAME_NOREPLACE: Final = 1


def rename_new(source: int, old: bytes, target: int, new: bytes) -> None:
    """Rename ``old`` in ``source`` to ``new`` in ``target``, both of them open.

    Raises:
        FileExistsError: the new name is taken; nothing was changed.
    """
    if _RENAMEAT2 is not None:
        if _RENAMEAT2(source, old, target, new, _RENAME_NOREPLACE) == 0:
            return
        number = ctypes.get_errno()
        if number not in (errno.ENOSYS, errno.EINVAL):
            raise OSError(number, os.strerror(number), old, None, new)
    # This file system cannot refuse in one step (NFS): look first, which leaves a
    # moment in which another program may take the name.
    with suppress(FileNotFoundError):
        os.stat(new, dir_fd=target, follow_symlinks=False)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new)
    os.rename(old, new, src_dir_fd=source, dst_dir_fd=target)
