"""The lock of one account: for what changes its folders and its subscriptions.

It is a kernel lock on the Maildir's root directory itself: it needs no file, dies
with its process, and excludes the threads of one process as well as other
processes.  Dovecot and Courier know nothing of it; where they have a lock of their
own for the same file, that is taken too: see ``dot_lock``.
"""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from twisted.logger import Logger

from imapd.errors import InUse
from imapd.store import fsops
from imapd.store.dotlock import Draft, release

_log = Logger()

_STEP_SECONDS: Final = 0.02

_unlocked_file_systems: set[int] = set()  # by st_dev: those that cannot flock
_local = threading.Lock()


@contextmanager
def account_lock(root: bytes, seconds: float) -> Iterator[None]:
    """Hold the account while the block runs.  Not re-entrant.

    Raises:
        InUse: somebody else held it for all of the time.
    """
    descriptor = fsops.open_directory(root)
    try:
        _flock(root, descriptor, time.monotonic() + seconds)
        yield
    finally:
        fsops.close(descriptor)  # which gives the lock back


def _flock(root: bytes, descriptor: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise InUse("The account is locked; try again") from None
            time.sleep(_STEP_SECONDS)
        except OSError as error:
            _note_unlocked(root, descriptor, error)
            return
        else:
            return


def _note_unlocked(root: bytes, descriptor: int, error: OSError) -> None:
    """A file system without locks on directories (NFS): go on, and say so once."""
    device = os.fstat(descriptor).st_dev
    with _local:
        if device in _unlocked_file_systems:
            return
        _unlocked_file_systems.add(device)
    _log.warn(
        "store: the file system of {root!r} cannot lock directories ({error}): "
        "run one server process only",
        root=root,
        error=repr(error),
    )


@contextmanager
def dot_lock(path: bytes, seconds: float) -> Iterator[None]:
    """Hold a lock file of Dovecot's while the block runs; hold the account first.

    Raises:
        InUse: somebody else held it for all of the time.
        Unavailable: something that is no lock has its name.
    """
    deadline = time.monotonic() + seconds
    above, name = os.path.dirname(path), os.path.basename(path)
    # Held open: the lock is given back by who has no descriptor left, too.
    with fsops.opened_directory(above) as directory:
        draft = Draft(above + b"/tmp")
        try:
            while not draft.take(path, None, directory):
                if time.monotonic() >= deadline:
                    raise InUse("The account is locked; try again")
                time.sleep(_STEP_SECONDS)
        finally:
            draft.remove()
        try:
            yield
        finally:
            release(directory, name, draft.identity)
