"""Stop the store, or let it fail, at its k-th operation on the file system.

The operations are those of ``fsops.OPERATIONS``, and what is done with a database:
each statement is one.
"""

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final
from unittest import mock

from imapd.store import fsops


class Killed(BaseException):
    """The process is dead: nothing it would still do is done."""


#: What changes what others see on the disk.  Dying before anything else is dying
#: after the last of these.
CHANGING: Final = frozenset(
    {
        *("open_exclusive", "write", "ftruncate", "link", "rename", "rename_new"),
        *("move_new", "unlink", "unlink_in", "mkdir", "rmdir", "rmdir_in"),
        *("set_times", "commit"),
    }
)
_SQLITE: Final = frozenset({"sqlite", "commit"})
#: Where a process that has no descriptor left fails.
OPENING: Final = frozenset(
    {
        *("open_read", "open_status", "open_exclusive", "open_append"),
        *("open_directory", "names", "entries", "names_in", "fsync_directory"),
        # The directory is opened in which a name is to be made or removed.
        *("link", "rename", "move_new", "unlink", "mkdir", "rmdir", "set_times"),
        "status_strictly",
    }
)
_NAMES: Final = frozenset(
    {
        *("link", "rename", "rename_new", "move_new", "unlink", "unlink_in"),
        *("mkdir", "rmdir"),
        *("rmdir_in", "set_times", "open_exclusive", "open_append"),
    }
)
#: Which operations can fail with which errno; those not named here: all.
POSSIBLE: Final = {
    errno.EMFILE: OPENING | _SQLITE,
    errno.ENOSPC: frozenset(
        {
            *("open_exclusive", "write", "fsync", "fdatasync", "fsync_directory"),
            *("link", "rename", "rename_new", "move_new", "mkdir"),
            *_SQLITE,
        }
    ),
    # Not "status": what may not be looked at stays so, and is no folder of ours.
    errno.EACCES: _NAMES
    | _SQLITE
    | {"open_read", "open_status", "open_directory", "names", "entries"},
    errno.EROFS: _NAMES | _SQLITE,
}
ERRNOS: Final = (errno.ENOSPC, errno.EIO, errno.EMFILE, errno.EACCES)

#: What SQLite says of it.
_SAID: Final = {
    errno.ENOSPC: "database or disk is full",
    errno.EIO: "disk I/O error",
    errno.EROFS: "attempt to write a readonly database",
}


@dataclass(frozen=True)
class Plan:
    """What happens, and when.  Operations count from 1."""

    at: int
    number: int | None = None  # errno; None: killed
    #: With an errno: killed so many operations later.
    then_killed_after: int | None = None
    lasting: bool = False  # with an errno: all that come later fail too
    #: A write is cut in the middle before it fails or dies.
    torn: bool = False
    #: Only operations that change the disk, and that can fail so, count.
    counts: frozenset[str] | None = None


class Faults:
    """Counts operations; from the k-th on, or only there, something happens."""

    def __init__(self, plan: Plan, die: Callable[[], None] | None = None) -> None:
        self.plan = plan
        self.count = 0
        self.hit = ""
        self.is_dead = False
        self.is_over = False  # what is left of it, such as a connection, works
        self._since_hit = 0
        self._die = die  # really: it does not return

    def step(self, name: str, tear: Callable[[], None] | None = None) -> None:
        """Tell of an operation; ``tear`` does the half of it.

        Raises:
            Killed, OSError
        """
        plan = self.plan
        if self.is_over:
            return
        if self.is_dead:
            raise Killed(name)
        if self.hit:
            self._since_hit += 1
            if self._since_hit == plan.then_killed_after:
                self._kill(name, tear)
        counted = plan.counts is None or name in plan.counts
        self.count += counted
        if not counted or self.count < plan.at:
            return
        if plan.number is None:
            self.hit = name
            self._kill(name, tear)
        if self.count == plan.at or plan.lasting:
            self.hit = self.hit or name
            if plan.torn and tear is not None:
                tear()
            raise OSError(plan.number, os.strerror(plan.number or 0))

    def _kill(self, name: str, tear: Callable[[], None] | None) -> None:
        if self.plan.torn and tear is not None:
            tear()
        self.is_dead = True
        if self._die is not None:
            self._die()
        raise Killed(name)


@contextmanager
def injected(plan: Plan, die: Callable[[], None] | None = None) -> Iterator[Faults]:
    """Replace the operations while the block runs."""
    state = Faults(plan, die)
    connections: list[sqlite3.Connection] = []

    def wrap(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*args: Any, **more: Any) -> Any:
            if name == "write":
                descriptor, octets = args
                half = octets[: len(octets) // 2]
                state.step(name, lambda: function(descriptor, half))
            elif name != "close":  # closing frees the test's own descriptors
                state.step(name)
            return function(*args, **more)

        return stepped

    class Connection(sqlite3.Connection):
        """Its statements are operations too."""

        def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
            try:
                # Before COMMIT nothing of a transaction counts.
                state.step("commit" if sql == "COMMIT" else "sqlite")
            except OSError as error:
                said = _SAID.get(error.errno or 0, "unable to open database file")
                raise sqlite3.OperationalError(said) from error
            return super().execute(sql, *args)

    real_connect = sqlite3.connect

    def connect(*args: Any, **more: Any) -> sqlite3.Connection:
        connection = real_connect(*args, **more, factory=Connection)
        connections.append(connection)
        return connection

    with ExitStack() as stack:
        for name in fsops.OPERATIONS:
            stack.enter_context(
                mock.patch.object(fsops, name, wrap(name, getattr(fsops, name)))
            )
        stack.enter_context(mock.patch.object(sqlite3, "connect", connect))
        try:
            yield state
        finally:
            state.is_over = True
            for connection in connections if state.is_dead else ():
                connection.close()  # the dead hold no locks; what was open is undone


@contextmanager
def faults(at: int, number: int | None = None) -> Iterator[Faults]:
    """Stop at the k-th operation, or fail once there."""
    with injected(Plan(at, number)) as state:
        yield state
