"""The two locks of a Maildir folder, so that our neighbours keep out of our way.

``dovecot-uidlist.lock`` is Dovecot's, ``tmp/courier.lock`` Courier's.  Both are
dot locks: files that are created by ``link`` and say ``<pid>:<host>``.  A lock is
stale when its process is dead and was on this host, or when it could be on another
and was not touched for 120 seconds; a lock whose process lives is never broken.
"""

import errno
import os
import random
import stat
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Final

from twisted.logger import Logger

from imapd.errors import InUse, Unavailable
from imapd.store import fsops
from imapd.store.maildir.names import unique_base

_log = Logger()

UIDLIST_LOCK: Final = b"dovecot-uidlist.lock"
COURIER_LOCK: Final = b"tmp/courier.lock"
STALE_SECONDS: Final = 120
TOUCH_SECONDS: Final = 10

_CONTENT_OCTETS = 512
_WAIT_SECONDS = (0.005, 0.1)

_DirectoryKey = tuple[int, int]

_held: set[_DirectoryKey] = set()
_released = threading.Condition()


def _forget_after_fork() -> None:
    """Start a forked child with no lock held: its threads that held them are gone."""
    global _released  # noqa: PLW0603 - the old one may be locked for ever
    _held.clear()
    _released = threading.Condition()


os.register_at_fork(after_in_child=_forget_after_fork)


class MailboxLock:
    """Both locks of one folder, held while the ``with`` block runs.

    Threads and processes exclude each other.  It is not re-entrant.
    """

    def __init__(self, directory: bytes, seconds: float) -> None:
        self._directory = directory
        self._seconds = seconds
        self._key: _DirectoryKey | None = None
        self._taken: list[bytes] = []
        self._identity: _DirectoryKey | None = None
        self._touched = 0.0

    def __enter__(self) -> "MailboxLock":
        """Wait for the locks.

        Raises:
            InUse: somebody else held one for all of the time.
            Unavailable: something that is no lock has its name.
            OSError: it cannot be created.
        """
        deadline = time.monotonic() + self._seconds
        self._enter_process(deadline)
        try:
            self._enter_files(deadline)
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the locks back, those that are still ours."""
        self._release()

    def touch(self) -> None:
        """Tell others that we are alive; call it now and then in long work.

        Raises:
            Unavailable: the lock was taken from us.
        """
        if time.monotonic() - self._touched < TOUCH_SECONDS:
            return
        self.check()
        with suppress(OSError):  # a lock that cannot be touched is still a lock
            fsops.set_times(self._path(self._taken[0]), time.time_ns())
        self._touched = time.monotonic()

    def check(self) -> None:
        """Make sure, before something is published, that the locks are still ours.

        Raises:
            Unavailable: the lock was taken from us: we were thought dead.
        """
        for name in self._taken:
            if not self._is_ours(name):
                _log.warn("store: lock {name!r} was taken from us", name=name)
                raise Unavailable("The mailbox lock was lost")

    # -- within this process --

    def _enter_process(self, deadline: float) -> None:
        status = fsops.status(self._directory)
        key = (status.st_dev, status.st_ino)
        with _released:
            if not _released.wait_for(
                lambda: key not in _held, deadline - time.monotonic()
            ):
                raise InUse("The mailbox is locked; try again")
            _held.add(key)
        self._key = key

    def _release(self) -> None:
        try:
            for name in reversed(self._taken):
                if self._is_ours(name):
                    # A crash before this leaves a lock whose process is dead: the
                    # next one to want it breaks it.
                    with suppress(OSError):
                        fsops.unlink(self._path(name))
        finally:
            self._taken.clear()
            if self._key is not None:
                with _released:
                    _held.discard(self._key)
                    _released.notify_all()
                self._key = None

    # -- between processes --

    def _enter_files(self, deadline: float) -> None:
        draft = self._path(b"tmp/" + unique_base() + b".lock")
        self._write_draft(draft)
        try:
            for name in (UIDLIST_LOCK, COURIER_LOCK):
                self._enter_file(draft, name, deadline)
        finally:
            with suppress(OSError):
                fsops.unlink(draft)
        self._touched = time.monotonic()

    def _write_draft(self, draft: bytes) -> None:
        """Write who we are; on a full disk an empty lock must do."""
        descriptor = fsops.open_exclusive(draft)
        try:
            with suppress(OSError):
                fsops.write(descriptor, b"%d:%b" % (os.getpid(), _hostname()))
            status = os.fstat(descriptor)
        finally:
            fsops.close(descriptor)
        self._identity = (status.st_dev, status.st_ino)

    def _enter_file(self, draft: bytes, name: bytes, deadline: float) -> None:
        path = self._path(name)
        while True:
            try:
                # A crash after this leaves a lock whose process is dead.
                fsops.link(draft, path)
            except FileExistsError:
                if _break_if_stale(path, self._path(b"tmp/")):
                    continue
                if time.monotonic() >= deadline:
                    raise InUse("The mailbox is locked; try again") from None
                time.sleep(random.uniform(*_WAIT_SECONDS))  # noqa: S311 - a delay
            else:
                self._taken.append(name)
                return

    def _is_ours(self, name: bytes) -> bool:
        with suppress(OSError):
            status = fsops.status(self._path(name))
            return (status.st_dev, status.st_ino) == self._identity
        return False

    def _path(self, name: bytes) -> bytes:
        return b"%b/%b" % (self._directory, name)


def _hostname() -> bytes:
    """Return the host as Dovecot and Courier write it into their locks."""
    return os.fsencode(os.uname().nodename)


def _break_if_stale(path: bytes, temporary: bytes) -> bool:
    """Remove a lock nobody holds; tell whether it is worth trying again at once."""
    status = fsops.status_or_none(path)
    if status is None:
        return True
    if not stat.S_ISREG(status.st_mode):
        _log.warn("store: {path!r} is not a lock file", path=path)
        raise Unavailable("The mailbox cannot be locked")
    if not _is_stale(path, status):
        return False
    # Two waiters may both have seen it.  Take it away under another name first: if
    # it is not the one we looked at, somebody is new there and gets it back.
    aside = temporary + unique_base() + b".stale"
    try:
        fsops.rename(path, aside)
    except FileNotFoundError:
        return True
    moved = fsops.status_or_none(aside)
    if moved is not None and moved.st_ino != status.st_ino:
        with suppress(FileExistsError):
            fsops.link(aside, path)
    else:
        _log.info("store: removed the stale lock {path!r}", path=path)
    # A crash before this leaves litter in tmp/, which goes after 36 hours.
    fsops.remove_if_there(aside)
    return True


def _is_stale(path: bytes, status: os.stat_result) -> bool:
    """Whether the process that made the lock is gone."""
    try:
        content = fsops.read_file(path, _CONTENT_OCTETS)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return False  # released just now; the next link will tell
        content = b""
    number, _, host = content.strip().partition(b":")
    if host == _hostname() and number.isdigit() and 0 < len(number) <= 10:
        return not _is_alive(int(number))
    last_change = max(status.st_mtime, status.st_ctime)
    return time.time() - last_change > STALE_SECONDS


def _is_alive(pid: int) -> bool:
    """Whether a process of this host lives; our own number is an older one's.

    Threads of this process do not meet here: the table of held locks parts them.
    """
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
