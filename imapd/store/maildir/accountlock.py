"""The lock of one account: for what changes its folders and its subscriptions.

It is a kernel lock on the Maildir's root directory itself: it needs no file, dies
with its process, and excludes the threads of one process as well as other
processes.  Dovecot and Courier know nothing of it; where they have a lock of their
own for the same file, that is taken too: see ``dot_lock``.
"""

import fcntl
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from twisted.logger import Logger

from imapd.errors import InUse
from imapd.store import fsops
from imapd.store.maildir.names import unique_base

_log = Logger()

STALE_SECONDS: Final = 120
_STEP_SECONDS: Final = 0.02
_CONTENT_OCTETS: Final = 512

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
        _flock(descriptor, time.monotonic() + seconds)
        yield
    finally:
        fsops.close(descriptor)  # which gives the lock back


def _flock(descriptor: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise InUse("The account is locked; try again") from None
            time.sleep(_STEP_SECONDS)
        except OSError as error:
            _note_unlocked(descriptor, error)
            return
        else:
            return


def _note_unlocked(descriptor: int, error: OSError) -> None:
    """A file system without locks on directories (NFS): go on, and say so once."""
    device = os.fstat(descriptor).st_dev
    with _local:
        if device in _unlocked_file_systems:
            return
        _unlocked_file_systems.add(device)
    _log.warn(
        "store: this file system cannot lock directories ({error!r}): "
        "run one server process only",
        error=error,
    )


@contextmanager
def dot_lock(path: bytes, seconds: float) -> Iterator[None]:
    """Hold a lock file of Dovecot's while the block runs; hold the account first.

    Raises:
        InUse: somebody else held it for all of the time.
    """
    deadline = time.monotonic() + seconds
    draft = b"%b/tmp/%b.lock" % (os.path.dirname(path), unique_base())
    identity = _write_draft(draft)
    try:
        # A crash after link() leaves a lock that says whose it was.
        while not _link(draft, path):
            if not _remove_if_stale(path):
                if time.monotonic() >= deadline:
                    raise InUse("The account is locked; try again")
                time.sleep(_STEP_SECONDS)
    finally:
        fsops.remove_if_there(draft)
    try:
        yield
    finally:
        status = fsops.status_or_none(path)
        if status is not None and _identity(status) == identity:
            fsops.remove_if_there(path)


def _write_draft(draft: bytes) -> tuple[int, int]:
    """Write who we are: the next one sees at once if we died."""
    descriptor = fsops.open_exclusive(draft)
    try:
        with suppress(OSError):  # on a full disk an empty lock must do
            fsops.write(descriptor, b"%d:%b" % (os.getpid(), _host_name()))
        return _identity(os.fstat(descriptor))
    finally:
        fsops.close(descriptor)


def _link(draft: bytes, path: bytes) -> bool:
    try:
        fsops.link(draft, path)
    except FileExistsError:
        return False
    return True


def _remove_if_stale(path: bytes) -> bool:
    """Remove a lock file that nobody holds; tell whether to try again at once."""
    status = fsops.status_or_none(path)
    if status is None:
        return True
    try:
        holder = fsops.read_file(path, _CONTENT_OCTETS)
    except OSError:
        holder = b""  # Dovecot writes the new contents into it, however large
    pid, _, host = holder.partition(b":")
    if pid.isdigit() and len(pid) < 10 and host.strip() == _host_name():
        stale = not _is_alive(int(pid))
    else:
        stale = time.time() - status.st_mtime > STALE_SECONDS
    if not stale:
        return False
    now = fsops.status_or_none(path)
    if now is not None and _identity(now) == _identity(status):
        _log.warn("store: removed the stale lock {path!r}", path=path)
        fsops.remove_if_there(path)
    return True


def _is_alive(pid: int) -> bool:
    if pid == os.getpid():
        return False  # we hold the account: it is of an earlier process
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _host_name() -> bytes:
    return socket.gethostname().encode("ascii", "replace")


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
