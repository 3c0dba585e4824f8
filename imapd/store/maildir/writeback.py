"""What was written so lately that it may be nowhere but in memory.

Another process, of ours or of Dovecot, may have made it and died, or not cared, before
it was synced.  What we are to keep must not lie below a name that can be lost.
"""

import errno
import os
import time
from contextlib import suppress
from typing import Final

from imapd.store import fsops

#: The kernel writes back what is older than 30 seconds; there may be a lot of it.
WRITTEN_BACK_SECONDS: Final = 120

#: The folder in its account, the account where the user's is, and that.
_LEVEL_COUNT: Final = 3
_LISTS: Final = (b"/cur", b"/new", b"/dovecot-uidlist")


def is_young(path: bytes) -> bool:
    """Whether a name may have been made so lately; also where nobody can say."""
    try:
        born = fsops.look(path).born_seconds
    except FileNotFoundError:
        return False
    # A clock that was set back makes it look young, which is safe.
    return born is None or time.time() - born < WRITTEN_BACK_SECONDS


def secure_numbers(descriptor: int, written_seconds: float) -> None:
    """Sync a UID list that somebody else wrote, before a client is told what it says.

    A disk that refuses keeps nobody from reading: it refuses new numbers, too.
    """
    # A clock that was set back makes it look young, which is safe.
    if time.time() - written_seconds < WRITTEN_BACK_SECONDS:
        with suppress(OSError):
            fsops.fdatasync(descriptor)


def secure(folder: bytes) -> None:
    """Sync the names that lead to the messages of a folder, and to its UID list.

    Raises:
        OSError: it did not work.
    """
    if any(is_young(folder + name) for name in _LISTS):
        fsops.fsync_directory(folder)
    for _ in range(_LEVEL_COUNT):
        if not is_young(folder):
            return
        folder = os.path.dirname(folder)
        try:
            fsops.fsync_directory(folder)
        except OSError as error:
            # Above the account we may not read; and made nothing there.
            if error.errno not in (errno.EACCES, errno.EPERM):
                raise
            return


def sync_messages(folder: bytes) -> None:
    """Sync the names of messages, above all those that are no more.

    Raises:
        OSError: it did not work.
    """
    for part in (b"/cur", b"/new"):
        fsops.fsync_directory(folder + part)
