"""The two locks of a Maildir folder, so that our neighbours keep out of our way.

``dovecot-uidlist.lock`` is Dovecot's, ``tmp/courier.lock`` Courier's: see
``dotlock.py``.  Threads of this process wait for each other in memory.
"""

import os
import random
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Final

from twisted.logger import Logger

from imapd.errors import InUse, Unavailable
from imapd.store import fsops
from imapd.store.dotlock import Draft, Identity, KeptDraft, is_held, release

_log = Logger()

UIDLIST_LOCK: Final = b"dovecot-uidlist.lock"
COURIER_LOCK: Final = b"tmp/courier.lock"
TOUCH_SECONDS: Final = 10

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

    def __init__(
        self, directory: bytes, seconds: float, kept: KeptDraft | None = None
    ) -> None:
        self._kept = kept
        self._directory = directory
        self._seconds = seconds
        self._key: _DirectoryKey | None = None
        self._taken: list[bytes] = []
        # The folder and its ``tmp``: the locks are given back where they were taken,
        # and by who has no descriptor left, too.
        self._opened: list[int] = []
        self._identity: Identity = (0, 0)
        self._touched = 0.0

    def __enter__(self) -> "MailboxLock":
        """Wait for the locks.

        Raises:
            InUse: somebody else held one for all of the time.
            Unavailable: something that is no lock has its name.
            OSError: it cannot be created.
        """
        deadline = time.monotonic() + self._seconds
        try:
            self._enter_process(deadline)
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
            if not is_held(self._path(name), self._identity):
                path = self._path(name)
                _log.warn("store: lock {path!r} was taken from us", path=path)
                raise Unavailable("The mailbox lock was lost")

    @property
    def folder(self) -> int:
        """A descriptor of the folder, while the locks are held."""
        return self._opened[0]

    @property
    def temporary(self) -> int:
        """A descriptor of its ``tmp``, while the locks are held."""
        return self._opened[1]

    def _directory_of(self, name: bytes) -> int:
        return self.folder if name == UIDLIST_LOCK else self.temporary

    # -- within this process --

    def _enter_process(self, deadline: float) -> None:
        folder = fsops.open_directory(self._directory)
        self._opened.append(folder)
        status = os.fstat(folder)
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
                at = self._directory_of(name)
                release(at, name.rpartition(b"/")[2], self._identity)
        finally:
            self._taken.clear()
            while self._opened:
                with suppress(OSError):
                    fsops.close(self._opened.pop())
            if self._key is not None:
                with _released:
                    _held.discard(self._key)
                    _released.notify_all()
                self._key = None

    # -- between processes --

    def _enter_files(self, deadline: float) -> None:
        self._opened.append(fsops.open_directory(b"tmp", self.folder))
        kept = self._kept
        draft = kept.take(self.temporary) if kept else Draft(self._path(b"tmp"))
        self._identity = draft.identity
        try:
            for name in (UIDLIST_LOCK, COURIER_LOCK):
                at = self._directory_of(name)
                while not draft.take(self._path(name), self.temporary, at):
                    if time.monotonic() >= deadline:
                        raise InUse("The mailbox is locked; try again")
                    time.sleep(random.uniform(*_WAIT_SECONDS))  # noqa: S311 - a delay
                self._taken.append(name)
        finally:
            if self._kept is None:
                draft.remove()
        self._touched = time.monotonic()

    def _path(self, name: bytes) -> bytes:
        return b"%b/%b" % (self._directory, name)
