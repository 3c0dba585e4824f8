"""Lock files, as Dovecot and Courier make them, and when one is nobody's any more.

A lock is a file that is made by ``link`` and says ``<pid>:<host>``.  It is stale
when its process was on this host and is dead, or this host was started since; or,
where it could be on another host, or its process is younger than it, when it was not
touched for 120 seconds.  A lock whose process lives is never broken.
"""

import os
import re
import stat
import time
from contextlib import suppress
from typing import Final

from twisted.logger import Logger

from imapd.errors import Unavailable
from imapd.store import fsops, quiet
from imapd.store.maildir.names import unique_base

_log = Logger()

STALE_SECONDS: Final = 120

#: A clock that is set right soon after the start moves the start by this at most.
_START_SECONDS: Final = 60
_CONTENT_OCTETS: Final = 512
_STARTTIME: Final = 19  # of the fields behind the name.  proc_pid_stat(5)
_DRAFT: Final = re.compile(rb"\d+\.M\d+P\d+Q\d+R[0-9a-f]{16}\..+\.lock")  # unique_base

#: Device and inode of a lock file: whether it is still the one that we made.
Identity = tuple[int, int]


class Draft:
    """Who we are, in a file that can be linked to the name of a lock.

    ``temporary`` is the directory it is made in, on the same file system.
    """

    def __init__(self, temporary: bytes) -> None:
        """Write it.

        Raises:
            OSError: it cannot be made.
        """
        self._temporary = temporary
        self._name = unique_base() + b".lock"
        self._path = b"%b/%b" % (temporary, self._name)
        self._says: bytes | None = None
        descriptor = fsops.open_exclusive(self._path)
        try:
            with suppress(OSError):  # on a full disk an empty lock must do
                who = _who()
                fsops.write(descriptor, who)
                self._says = who
            self.identity = _identity(os.fstat(descriptor))
        finally:
            fsops.close(descriptor)

    def take(
        self, path: bytes, temporary: int | None = None, directory: int | None = None
    ) -> bool:
        """Try to take a lock, and break it if it is stale; False: it is held.

        The directories that the draft and the lock are in may be given opened.

        Raises:
            Unavailable: something that is no lock has its name.
            OSError: it cannot be made.
        """
        while True:
            try:
                # A crash after this leaves a lock whose process is dead.
                fsops.link(
                    self._path if temporary is None else self._name,
                    path if directory is None else path.rpartition(b"/")[2],
                    src_dir_fd=temporary,
                    dst_dir_fd=directory,
                )
            except FileExistsError:
                if not _break_if_stale(path, self._temporary):
                    return False
            else:
                return True

    def renew(self, temporary: int) -> bool:
        """Make it look as if it was just made; False: it cannot be used any more.

        ``temporary`` is the directory it is in, opened.
        """
        if self._says is not None:
            if self._says != _who():
                return False  # it is the process's that we were forked from
            with suppress(OSError):  # removed as litter
                fsops.set_times(self._name, time.time_ns(), temporary)
                return True
        self.remove()
        return False

    def remove(self) -> None:
        """Remove the draft; locks taken with it stay."""
        with suppress(OSError):  # litter, gone after 36 hours
            fsops.unlink(self._path)


class KeptDraft:
    """A draft for one lock after the other; for one thread at a time.

    Making and removing a file for each lock is most of what a lock costs: file systems
    pass over what was removed lately when they look for a place for the next file, the
    messages among them.
    """

    def __init__(self, temporary: bytes) -> None:
        """Make none yet."""
        self._temporary = temporary
        self._draft: Draft | None = None

    def take(self, temporary: int) -> Draft:
        """Return one that is as good as new; ``temporary`` is its directory, opened.

        Raises:
            OSError: it cannot be made.
        """
        if self._draft is None or not self._draft.renew(temporary):
            self._draft = Draft(self._temporary)
        return self._draft

    def remove(self) -> None:
        """Remove it, until there is need of it again."""
        draft, self._draft = self._draft, None
        if draft is not None:
            draft.remove()


def drafts_in(temporary: bytes) -> list[bytes]:
    """Names of drafts, of whatever process of ours, as far as they can be read.

    Once the directory has another name they are no use: their makers look for them,
    and for the locks, under the old one.
    """
    with suppress(OSError):
        return [name for name in fsops.names(temporary) if _DRAFT.fullmatch(name)]
    return []


def is_held(path: bytes, identity: Identity) -> bool:
    """Whether a lock is there and is the one that was made with this draft."""
    with suppress(OSError):
        return _identity(fsops.status(path)) == identity
    return False


def release(directory: int, name: bytes, identity: Identity) -> None:
    """Give a lock back that is in an open directory, if it is still ours."""
    with suppress(OSError):
        if _identity(fsops.status_in(directory, name)) == identity:
            # A crash before this leaves a lock whose process is dead: the next one to
            # want it breaks it.
            fsops.unlink_in(directory, name)


def _break_if_stale(path: bytes, temporary: bytes) -> bool:
    """Remove a lock nobody holds; tell whether it is worth trying again at once."""
    status = fsops.status_or_none(path)
    if status is None:
        return True
    if not stat.S_ISREG(status.st_mode):
        if quiet.is_due("lock", path):
            _log.warn("store: {path!r} is not a lock file", path=path)
        raise Unavailable("The mailbox cannot be locked")
    try:
        if not _is_stale(path, status):
            return False
    except FileNotFoundError:  # released just now
        return True
    # Two waiters may both have seen it.  Take it away under another name first: if
    # it is not the one we looked at, somebody is new there and gets it back.
    aside = b"%b/%b.stale" % (temporary, unique_base())
    try:
        fsops.rename(path, aside)
    except FileNotFoundError:
        return True
    moved = fsops.status_or_none(aside)
    if moved is not None and _version(moved) != _version(status):
        with suppress(FileExistsError):
            fsops.link(aside, path)
    else:
        _log.info("store: removed the stale lock {path!r}", path=path)
    # A crash before this leaves litter in tmp/, which goes after 36 hours.
    fsops.remove_if_there(aside)
    return True


def _is_stale(path: bytes, status: os.stat_result) -> bool:
    """Whether the process that made the lock is gone.

    Raises:
        FileNotFoundError: the lock is gone itself.
    """
    try:
        content = fsops.read_file(path, _CONTENT_OCTETS)
    except FileNotFoundError:
        raise
    except OSError:
        content = b""  # subscriptions.lock: Dovecot writes the new contents into it
    last_change = max(status.st_mtime, status.st_ctime)
    number, _, host = content.strip().partition(b":")
    if host == _host_name() and number.isdigit() and 0 < len(number) <= 10:
        # After a start of the machine the number may be that of anybody.
        if last_change < _start_of_host() - _START_SECONDS or not _is_alive(
            int(number)
        ):
            return True
        # After one of a container it is, as a rule, another process of ours.
        if last_change >= _start_of(int(number)):
            return False
    return time.time() - last_change > STALE_SECONDS


def _start_of_host() -> float:
    """When this machine was started."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    if clock is None:  # not Linux: not known
        return 0.0
    return time.time() - time.clock_gettime(clock)


def _start_of(pid: int) -> float:
    """When a process was started; 0: nobody can say."""
    with suppress(OSError, ValueError, IndexError):
        said = fsops.read_file(b"/proc/%d/stat" % pid).rpartition(b")")[2]
        ticks = int(said.split()[_STARTTIME])
        return _start_of_host() + ticks / os.sysconf("SC_CLK_TCK")
    return 0.0


def _is_alive(pid: int) -> bool:
    """Whether a process of this host lives; our own number is an older one's.

    Threads of this process do not meet here: who makes a lock file holds a lock
    within the process first.
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


def _who() -> bytes:
    """What our lock files say."""
    return b"%d:%b" % (os.getpid(), _host_name())


def _host_name() -> bytes:
    """Return the host as Dovecot and Courier write it into their locks."""
    return os.fsencode(os.uname().nodename)


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino


def _version(status: os.stat_result) -> tuple[Identity, int]:
    """Which file, and which time it was taken or touched: locks come back."""
    return _identity(status), status.st_mtime_ns
