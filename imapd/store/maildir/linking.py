"""Give a message a second name in another folder, durably as far as its contents go."""

import errno
import os
import stat
import time
from contextlib import suppress
from typing import Final

from imapd.errors import Unavailable
from imapd.store import fsops
from imapd.store.maildir.names import unique_base
from imapd.store.maildir.writeback import WRITTEN_BACK_SECONDS

#: Why a file cannot be linked, and must be copied.
_NO_LINK: Final = (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP)
_PIECE_OCTETS: Final = 1 << 20


def link_or_copy(
    source: bytes,
    folder: bytes,
    path: bytes,
    source_directory: int | None,
    directory: int,
) -> None:
    """Link a file to ``folder/path``, or, on another file system, make a synced copy.

    ``directory`` is the one that the new name is in, opened; ``source_directory`` that
    of the source, if it is open, which saves the system the way there.

    Raises:
        FileNotFoundError: there is no ``source`` any more.
        FileExistsError: the new name is taken.
        Unavailable: the file cannot be read, for which the folder is not to blame.
        OSError: it cannot be linked or copied.
    """
    with _reading():
        name = source if source_directory is None else _name(source)
        look = fsops.look(name, source_directory)
        if not stat.S_ISREG(look.mode):  # a link, a FIFO or a directory
            raise OSError(errno.EINVAL, "not a regular file", source)
        if _is_young(look):
            _sync(source)
    try:
        fsops.link(
            name,
            _name(path),
            src_dir_fd=source_directory,
            dst_dir_fd=directory,
        )
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        _copy(source, folder, _name(path), directory)


def _name(path: bytes) -> bytes:
    return path[path.rfind(b"/") + 1 :]


class _reading:  # noqa: N801  a statement, and no generator: it is hot
    """Tell what is wrong with the source apart from what is with the folder."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, _type: object, error: object, _traceback: object) -> None:
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            raise Unavailable("A message cannot be read") from error


def _is_young(look: fsops.Look) -> bool:
    """Whether contents may be younger than what the kernel has written back.

    The ctime tells most, but it also moves with every link and rename, and flags
    are renames: then mtime and birth decide, one of which moves with contents.
    """
    now = time.time()
    if now - look.changed_seconds >= WRITTEN_BACK_SECONDS:
        return False
    born, written = look.born_seconds, look.written_seconds
    # A clock that was set back makes it look young, which is safe.
    return born is None or now - max(born, written) < WRITTEN_BACK_SECONDS


def _sync(source: bytes) -> None:
    """Make contents durable that another program may have left to the kernel.

    What is older is on its way to the disk, and reaches it with the names.
    """
    descriptor = fsops.open_read(source)
    try:
        fsops.fdatasync(descriptor)
    finally:
        fsops.close(descriptor)


def _copy(source: bytes, folder: bytes, name: bytes, directory: int) -> None:
    draft = b"%b/tmp/%b" % (folder, unique_base())
    with _reading():
        descriptor = fsops.open_read(source)
    try:
        # A crash in here leaves litter in tmp/ for 36 hours.
        _write_copy(descriptor, draft)
        try:
            fsops.link(draft, name, dst_dir_fd=directory)
        finally:
            with suppress(OSError):
                fsops.unlink(draft)
    finally:
        fsops.close(descriptor)


def _read(descriptor: int, offset: int) -> bytes:
    with _reading():
        return fsops.read_at(descriptor, _PIECE_OCTETS, offset)


def _write_copy(descriptor: int, draft: bytes) -> None:
    copy_descriptor = fsops.open_exclusive(draft)
    try:
        try:
            offset = 0
            while piece := _read(descriptor, offset):
                fsops.write(copy_descriptor, piece)
                offset += len(piece)
            fsops.set_times(copy_descriptor, os.fstat(descriptor).st_mtime_ns)
            fsops.fsync(copy_descriptor)
        finally:
            fsops.close(copy_descriptor)
    except (OSError, Unavailable):
        with suppress(OSError):
            fsops.unlink(draft)
        raise
