"""The files that a database is in, beside what SQLite does with them."""

import os
import sqlite3
import stat
import time
from contextlib import suppress

from twisted.logger import Logger

from imapd.store import fsops

_log = Logger()


def remove(path: bytes) -> None:
    """Take a damaged database away for good."""
    fsops.remove_if_there(path + b"-journal")
    status = fsops.status_or_none(path)
    if status is not None and stat.S_ISDIR(status.st_mode):
        move_aside(path)
    else:
        fsops.remove_if_there(path)


def move_aside(path: bytes) -> None:
    """Keep a damaged database under another name, for whoever can mend it."""
    aside = b"%b.damaged-%d" % (path, time.time_ns())
    with suppress(FileNotFoundError):
        fsops.rename(path, aside)
    with suppress(FileNotFoundError):
        fsops.rename(path + b"-journal", aside + b"-journal")
    fsops.fsync_directory(os.path.dirname(path))


def put_aside(path: bytes) -> None:
    """Rename what is no file, where SQLite would open one."""
    _log.error("store: {path!r} is no file of ours, and put aside", path=path)
    fsops.rename(path, b"%b.damaged-%d" % (path, time.time_ns()))


def identity(path: bytes) -> tuple[int, int] | None:
    """Return device and inode of what has the name; None: nothing has."""
    status = fsops.status_or_none(path)
    return None if status is None else (status.st_dev, status.st_ino)


def own_identity(path: bytes) -> tuple[int, int]:
    """Look where no link leads: SQLite opens by path, and would follow one.

    Raises:
        sqlite3.OperationalError: it is not there, or a link is on the way.
    """
    try:
        status = fsops.status_strictly(path)
    except OSError as error:
        raise sqlite3.OperationalError(f"not where it was: {error!r}") from error
    return status.st_dev, status.st_ino
