"""Directories, opened so that no name on the way to them is a link.

Who may write in a Maildir beside us can exchange a directory for a link between any
two of our system calls.  So what makes, replaces, removes or opens a file does not
have the system look its whole path up: the directory is opened here, each component
as what it is itself, and what is done is done to one name in it.  Linux opens it in
one call, ``openat2`` (5.6 and later); where that is missing it takes one for each
component.  Nothing is kept open from one operation to the next.

Paths must be real: where a link is allowed, whoever allows it says where it leads.
"""

import ctypes
import errno
import os
import stat
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

#: A directory that is open, and a name in it.
Named = tuple[int, bytes]

#: Enough for a name to be looked up in it, even where it may not be listed.
_WAY: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
#: How a directory is opened to be listed, or synced.
LISTED: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

_LIBC = ctypes.CDLL(None, use_errno=True)
#   struct open_how of <linux/openat2.h>: flags, mode, resolve; 64 bits each
_RESOLVE_NO_SYMLINKS: Final = 4
_OpenHow = ctypes.c_uint64 * 3
# All arguments are made beforehand: that is half of what the call costs us.
_OPENAT2_NUMBER: Final = ctypes.c_long(437)  # of all machines but one, long gone
_HERE: Final = ctypes.c_long(-100)  # AT_FDCWD
_HOW_OCTETS: Final = ctypes.c_size_t(24)


def _prepared() -> Callable[..., Any] | None:
    """Return ``syscall(2)`` if it leads to ``openat2``."""
    if not sys.platform.startswith("linux"):
        return None
    call = _LIBC.syscall
    call.restype = ctypes.c_long
    how = _OpenHow(_WAY, 0, _RESOLVE_NO_SYMLINKS)
    found = call(_OPENAT2_NUMBER, _HERE, b"/", how, _HOW_OCTETS)
    if found < 0:  # an old kernel, or a container that knows none of it
        return None
    os.close(found)
    return call


_OPENAT2 = _prepared()
_hows: dict[tuple[int, int], ctypes.Array[ctypes.c_uint64]] = {}


class located:  # noqa: N801  a statement, and no generator: it is hot
    """The directory that a path's last name is in, as a descriptor, and that name.

    An ``OSError`` of the block that names the name is given the path.
    """

    __slots__ = ("_descriptor", "_name", "_path")

    def __init__(self, path: bytes) -> None:
        self._path = path

    def __enter__(self) -> Named:
        """Find it.

        Raises:
            OSError: there is none; ``ELOOP`` where a link is on the way.
        """
        directory, self._name = _split(self._path)
        self._descriptor = open_strictly(directory, _WAY)
        return self._descriptor, self._name

    def __exit__(self, _type: object, error: object, _traceback: object) -> None:
        """Give it back."""
        os.close(self._descriptor)
        if isinstance(error, OSError):
            if error.filename == self._name:
                error.filename = self._path
            if error.filename2 == self._name:
                error.filename2 = self._path


class listed:  # noqa: N801  as above
    """A directory, opened to be listed or synced, as a descriptor."""

    __slots__ = ("_descriptor", "_path")

    def __init__(self, path: bytes) -> None:
        self._path = path

    def __enter__(self) -> int:
        """Open it.

        Raises:
            OSError: there is none; ``ELOOP`` where a link is on the way, or it is one.
        """
        self._descriptor = open_strictly(self._path, LISTED)
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        """Close it."""
        os.close(self._descriptor)


def named(path: bytes, directory: int | None) -> AbstractContextManager[Named]:
    """Where a path leads; with the descriptor of a directory it is a name there."""
    return located(path) if directory is None else nullcontext((directory, path))


def open_strictly(path: bytes, flags: int, mode: int = 0) -> int:
    """Open what the path names, where no part of it is a link, the last neither.

    Raises:
        OSError: ``ELOOP`` where there is one.
    """
    if _OPENAT2 is None:
        return _open_by_component(path, flags, mode)
    how = _hows.get((flags, mode))
    if how is None:
        how = _hows[flags, mode] = _OpenHow(flags, mode, _RESOLVE_NO_SYMLINKS)
    if b"\0" in path:
        raise ValueError("embedded null byte")
    sys.audit("open", path, None, flags)
    while True:
        found = _OPENAT2(_OPENAT2_NUMBER, _HERE, path, how, _HOW_OCTETS)
        if found >= 0:
            return int(found)
        number = ctypes.get_errno()
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number), path)


def open_in(directory: int, name: bytes, flags: int, mode: int = 0) -> int:
    """Open one name in an open directory, but no link.

    Raises:
        OSError: ``ELOOP`` where it is one.
    """
    try:
        return os.open(name, flags | os.O_NOFOLLOW, mode, dir_fd=directory)
    except NotADirectoryError:
        # What the system says of a link where a directory was wanted.
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISLNK(found.st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name) from None
        raise


def _split(path: bytes) -> tuple[bytes, bytes]:
    at = path.rfind(b"/")
    if at > 0:
        return path[:at], path[at + 1 :]
    return (b".", path) if at else (b"/", path[1:] or b".")


def _open_by_component(path: bytes, flags: int, mode: int) -> int:
    directory, name = _split(path.rstrip(b"/") or b"/")
    at = os.open(b"/" if directory.startswith(b"/") else b".", _WAY)
    try:
        for component in directory.split(b"/"):
            if component not in (b"", b"."):
                above, at = at, open_in(at, component, _WAY)
                os.close(above)
        return open_in(at, name or b".", flags, mode)
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(at)
