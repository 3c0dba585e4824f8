"""Every operation of the store on the file system, as one thin function each.

Callers write ``fsops.rename(...)`` and never import the functions by name: the
crash tests replace them here, one by one, to stop the process or to fail with an
errno at the k-th operation.  Paths are bytes, as names of mail files are bytes.

Nothing here follows a symbolic link in the last component, blocks on a FIFO, or
creates anything that others than the owner can read.  What opens a file, lists names,
or makes, replaces or removes one follows none in any component (see ``handles.py``):
however a directory became a link, nothing is stored in another place, or read from it.
What only looks (``status``, ``look``) goes by path, which costs a third: it tells if
something is there, or changed, and a client hears no more of it.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import close, fdatasync, fsync, ftruncate
from typing import Final

from imapd.store import renames
from imapd.store.handles import LISTED, listed, located, named, open_in, open_strictly
from imapd.store.statx import Look, look

FILE_MODE: Final = 0o600
DIRECTORY_MODE: Final = 0o700

#: Names of the functions that change or may fail to read the disk: what a crash
#: test replaces.  ``replace_file`` and its like are made of these.
OPERATIONS: Final = (
    "open_read",
    "open_status",
    "open_exclusive",
    "open_append",
    "read_at",
    "write",
    "fsync",
    "fdatasync",
    "ftruncate",
    "close",
    "link",
    "rename",
    "rename_new",
    "move_new",
    "unlink",
    "mkdir",
    "rmdir",
    "set_times",
    "names",
    "entries",
    "status",
    "status_strictly",
    "look",
    "fsync_directory",
    "open_directory",
    "names_in",
    "status_in",
    "unlink_in",
    "rmdir_in",
)

#: What is used from here and made elsewhere.
__all__ = ["Look", "close", "fdatasync", "fsync", "ftruncate", "look"]

_CAREFUL = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
#: Why no file stands under a name, nor will tomorrow: a link, a pipe, a directory, or
#: more octets than anybody wrote.
NOT_A_FILE: Final = (errno.ELOOP, errno.EINVAL, errno.EISDIR, errno.EFBIG)
_READ_STEP_OCTETS = 1 << 20


# -- one system call each -----------------------------------------------------


def open_read(path: bytes) -> int:
    """Open a regular file for reading; anything else is an ``OSError``.

    A symbolic link gives ``ELOOP``; a FIFO, directory or device ``EINVAL``,
    without blocking.
    """
    return open_status(path)[0]


def open_status(path: bytes) -> tuple[int, os.stat_result]:
    """Do what ``open_read`` does, and tell what it saw of the file."""
    return _regular(open_strictly(path, os.O_RDONLY | _CAREFUL), path)


def open_exclusive(
    path: bytes, mode: int = FILE_MODE, directory: int | None = None
) -> int:
    """Create a file for writing and reading; ``FileExistsError`` if it is there.

    With ``directory``, a descriptor, the path is a name in it.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _CAREFUL
    if directory is None:
        return open_strictly(path, flags, mode)
    return os.open(path, flags, mode, dir_fd=directory)


def open_append(path: bytes) -> int:
    """Open an existing regular file for reading, and for writing at its end."""
    return _regular(open_strictly(path, os.O_RDWR | os.O_APPEND | _CAREFUL), path)[0]


def read_at(descriptor: int, count: int, offset: int) -> bytes:
    """Read up to ``count`` octets; ``b""`` at the end of the file."""
    return os.pread(descriptor, count, offset)


def write(descriptor: int, octets: bytes) -> None:
    """Write all of the octets, in as many calls as it takes."""
    written = os.write(descriptor, octets)
    if written < len(octets):
        rest = memoryview(octets)[written:]
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def rename(old: bytes, new: bytes) -> None:
    """Rename, replacing what has the new name: for control files."""
    with located(old) as (source, one), located(new) as (target, two):
        os.rename(one, two, src_dir_fd=source, dst_dir_fd=target)


def rename_new(old: bytes, new: bytes, directory: int, to: int | None = None) -> None:
    """Rename a message in an open directory, or into another, never over a file.

    Raises:
        FileExistsError: the new name is taken; nothing was changed.
    """
    renames.rename_new(directory, old, directory if to is None else to, new)


def move_new(old: bytes, new: bytes) -> None:
    """Rename from one directory to another, without ever replacing a file.

    Raises:
        FileExistsError: the new name is taken; nothing was changed.
    """
    with located(old) as (source, one), located(new) as (target, two):
        renames.rename_new(source, one, target, two)


def link(
    source: bytes,
    target: bytes,
    *,
    src_dir_fd: int | None = None,
    dst_dir_fd: int | None = None,
) -> None:
    """Give a file a second name; each is in a directory that is open, or a path."""
    if src_dir_fd is not None and dst_dir_fd is not None:  # as for all messages
        os.link(
            source,
            target,
            src_dir_fd=src_dir_fd,
            dst_dir_fd=dst_dir_fd,
            follow_symlinks=False,
        )
        return
    with (
        named(source, src_dir_fd) as (one, old),
        named(target, dst_dir_fd) as (two, new),
    ):
        os.link(old, new, src_dir_fd=one, dst_dir_fd=two, follow_symlinks=False)


def unlink(path: bytes) -> None:
    """Remove a name of a file."""
    with located(path) as (directory, name):
        os.unlink(name, dir_fd=directory)


def rmdir(path: bytes) -> None:
    """Remove an empty directory."""
    with located(path) as (directory, name):
        os.rmdir(name, dir_fd=directory)


def mkdir(path: bytes, mode: int = DIRECTORY_MODE) -> None:
    """Make one directory."""
    with located(path) as (directory, name):
        os.mkdir(name, mode, dir_fd=directory)


def set_times(path: bytes | int, mtime_ns: int, directory: int | None = None) -> None:
    """Set both times of a file, or of what is open, in nanoseconds since 1970.

    With ``directory``, a descriptor, the path is a name in it.
    """
    times = (mtime_ns, mtime_ns)
    if isinstance(path, int):
        os.utime(path, ns=times)
        return
    if directory is not None:
        os.utime(path, ns=times, dir_fd=directory, follow_symlinks=False)
        return
    with located(path) as (here, name):
        os.utime(name, ns=times, dir_fd=here, follow_symlinks=False)


def names(directory: bytes) -> list[bytes]:
    """Return the names in a directory, in the order the file system gives them."""
    with listed(directory) as descriptor:
        return names_in(descriptor)


def entries(directory: bytes) -> tuple[list[bytes], list[bytes]]:
    """Return the names in a directory, and those that may not be of regular files.

    File systems tell that with the name; else it is looked at in the open directory.
    """
    with listed(directory) as descriptor:
        with os.scandir(descriptor) as found:
            every = list(found)
        odd = [each.name for each in every if not each.is_file(follow_symlinks=False)]
    # In one go: one by one it would be the dearest part of a listing.
    names = "\0".join([each.name for each in every])
    return os.fsencode(names).split(b"\0") if every else [], [*map(os.fsencode, odd)]


def status(path: bytes) -> os.stat_result:
    """Look at what the name itself is: links are not followed."""
    return os.lstat(path)


def status_strictly(path: bytes) -> os.stat_result:
    """Look at what the name itself is, where no part of the path is a link.

    Raises:
        OSError: ``ELOOP`` where one is.
    """
    with located(path) as (directory, name):
        return os.stat(name, dir_fd=directory, follow_symlinks=False)


def fsync_directory(directory: bytes, opened: int | None = None) -> None:
    """Make the names in a directory durable; ``opened`` is it, if it is open."""
    if opened is not None:
        os.fsync(opened)
        return
    with listed(directory) as descriptor:
        os.fsync(descriptor)


# -- below an open directory, where no name can lead elsewhere ----------------


def open_directory(path: bytes, parent: int | None = None) -> int:
    """Open a directory itself, not what a link of that name leads to.

    With ``parent``, the descriptor of a directory, the path is looked up there.
    """
    if parent is None:
        return open_strictly(path, LISTED)
    return open_in(parent, path, LISTED)


@contextmanager
def opened_directory(path: bytes) -> Iterator[int]:
    """Open a directory for as long as the block runs."""
    descriptor = open_directory(path)
    try:
        yield descriptor
    finally:
        close(descriptor)


def names_in(directory: int) -> list[bytes]:
    """Return the names in an open directory."""
    return [os.fsencode(name) for name in os.listdir(directory)]


def status_in(directory: int, name: bytes) -> os.stat_result:
    """Look at what a name in an open directory is: links are not followed."""
    return os.stat(name, dir_fd=directory, follow_symlinks=False)


def unlink_in(directory: int, name: bytes) -> None:
    """Unlink a name in an open directory."""
    os.unlink(name, dir_fd=directory)


def rmdir_in(directory: int, name: bytes) -> None:
    """Remove an empty directory in an open directory."""
    os.rmdir(name, dir_fd=directory)


# -- made of the above --------------------------------------------------------


def status_or_none(path: bytes) -> os.stat_result | None:
    """Like ``status``; None if there is nothing of that name."""
    try:
        return status(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def exists(path: bytes) -> bool:
    """Whether anything has this name, be it a dangling link."""
    return status_or_none(path) is not None


def remove_if_there(path: bytes) -> None:
    """Unlink; a file that is gone already is no error."""
    with suppress(FileNotFoundError):
        unlink(path)


def read_file(path: bytes, limit_octets: int | None = None) -> bytes:
    """Return the contents of a regular file.

    Raises:
        OSError: it cannot be read; ``EFBIG`` if it is larger than the limit.
    """
    descriptor, status = open_status(path)
    try:
        size = status.st_size
        if limit_octets is not None and size > limit_octets:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
        return read_open(descriptor, size)
    finally:
        close(descriptor)


def read_open(descriptor: int, size_octets: int) -> bytes:
    """Return all of a file, which had that size when it was opened."""
    first = read_at(descriptor, size_octets + 1, 0)
    if len(first) == size_octets:  # the usual case: one read, no joining
        return first
    return _read_rest(descriptor, first)


def read_start(path: bytes, count: int) -> bytes:
    """Return the first ``count`` octets of a regular file, or all there are."""
    descriptor, status = open_status(path)
    try:
        # As much as there is: a larger buffer would be made, and cut, for nothing.
        return read_at(descriptor, min(count, status.st_size + 1), 0)
    finally:
        close(descriptor)


def replace_file(
    path: bytes, octets: bytes, mode: int = FILE_MODE, mtime_ns: int | None = None
) -> None:
    """Give a file new contents, durably: readers see the old or the new, whole.

    The caller holds the lock of the file: the temporary name is ``<path>.tmp``,
    and what a crashed writer left under it is removed first.  ``mtime_ns`` is for
    files whose readers compare times; None is now.
    """
    draft = path + b".tmp"
    remove_if_there(draft)
    descriptor = open_exclusive(draft, mode)
    # A crash from here to rename() leaves the old file and a draft, which the next
    # writer removes.
    try:
        try:
            write(descriptor, octets)
            if mtime_ns is not None:
                set_times(descriptor, mtime_ns)
            fsync(descriptor)  # contents before the name: never a torn file
        finally:
            close(descriptor)
        rename(draft, path)
    except OSError:
        with suppress(OSError):
            unlink(draft)
        raise
    # A crash before the next line may bring back the old file, whole.
    fsync_directory(os.path.dirname(path) or b".")


def _regular(descriptor: int, path: bytes) -> tuple[int, os.stat_result]:
    """Give the descriptor back if it is one of a regular file, else close it."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return descriptor, status


def _read_rest(descriptor: int, first: bytes) -> bytes:
    """Read to the end of a file that grew, or whose reads come short."""
    parts, offset = [first], len(first)
    while part := read_at(descriptor, _READ_STEP_OCTETS, offset):
        parts.append(part)
        offset += len(part)
    return b"".join(parts)
