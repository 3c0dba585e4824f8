"""SQLite files of ours that may be damaged, deleted or unwritable at any moment.

The state and the cache of an account are two such files; what they hold is said in
``state.py`` and ``cache/derived.py``.  Both keep a rollback journal and no
write-ahead log: at rest each is one file, which a backup can copy, ``rm`` can
remove, and no ``-wal`` of an older file can be mistaken for a part of.

A connection is opened when it is needed, and a process keeps only so many of them:
ten thousand idle accounts hold no descriptor.
"""

import errno
import os
import sqlite3
import stat
import threading
import urllib.parse
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final
from weakref import ref

from twisted.logger import Logger

from imapd.store import fsops, sqlfiles

_log = Logger()

BUSY_SECONDS: Final = 10.0
CHECKED_OCTETS: Final = 4 << 20  # a larger file is checked only as it is read
_OPEN_CONNECTIONS: Final = 128

#: What SQLite says of a file that is not, or no longer, a database of ours.
_DAMAGED = (
    *("malformed", "not a database", "unsupported file format"),
    *("no such table", "no such column"),
)

#: Why there will be no file, however often we try.
_FOR_GOOD = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR)
_FULL = (errno.ENOSPC, errno.EDQUOT)
#: What SQLite opens beside a database if it is there.
_BESIDE = (b"-journal", b"-wal")


class Unusable(Exception):
    """The file is there, but is no database that we may read."""


@dataclass(frozen=True, slots=True)
class Schema:
    """What makes a file one of ours.  ``version`` counts up with every change."""

    application_id: int
    version: int
    statements: Sequence[str]
    durable: bool  # whether a commit is synced to the disk
    #: What turns a file of an older version into one of the next, by its version.
    upgrades: Mapping[int, Sequence[str]] = field(default_factory=dict)
    shrinks: bool = False  # whether free pages can be given back: incremental_vacuum


class Database:
    """One SQLite file, for any number of threads and processes.

    ``damaged`` is called with the path of a file that cannot be used, and must
    take it out of the way.
    """

    def __init__(
        self, path: bytes, schema: Schema, damaged: Callable[[bytes], None]
    ) -> None:
        self.path = path
        self.in_memory = False  # the place cannot be written: nothing will be kept
        self._schema = schema
        self._damaged = damaged
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    @contextmanager
    def transaction(self, *, write: bool = True) -> Iterator[sqlite3.Connection]:
        """Read, or read and write, what no other transaction sees half of.

        A damaged file is taken away; the caller's next transaction finds it new.

        Raises:
            sqlite3.Error: it did not work; nothing was changed.
        """
        with self._lock:
            connection = self._connected()
            try:
                # IMMEDIATE: two writers wait for each other here, where SQLite
                # lets them, and not when one of them has read already.
                connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                yield connection
                connection.execute("COMMIT")
            except UnicodeDecodeError as error:
                # SQLite says what is wrong with a schema in the words of the schema.
                damage = sqlite3.DatabaseError("malformed: the schema is no text")
                self._roll_back(connection, damage)
                raise damage from error
            except BaseException as error:
                self._roll_back(connection, error)
                raise

    @property
    def is_there(self) -> bool:
        """Whether there may be something in it: asking makes no file."""
        return self.in_memory or fsops.exists(self.path)

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        with self._lock:
            _POOL.forget(self)
            self._disconnect()

    def try_close(self) -> bool:
        """Close the connection unless a thread is using it."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            if not self.in_memory:  # it would forget everything
                self._disconnect()
            return True
        finally:
            self._lock.release()

    def _roll_back(self, connection: sqlite3.Connection, error: BaseException) -> None:
        with suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error) and self._is_at_fault(error):
            self._disconnect()
            self._take_away(error)

    def _is_at_fault(self, error: sqlite3.Error) -> bool:
        if "readonly" in str(error):
            # The header says so (or that the file was moved away, which is no fault).
            return not self.in_memory and self._identity == sqlfiles.identity(self.path)
        return is_damage(error)

    def _connected(self) -> sqlite3.Connection:
        self._clear_beside()
        if self._connection is not None:
            if self.in_memory or self._identity == sqlfiles.identity(self.path):
                _POOL.used(self)
                return self._connection
            self._disconnect()  # deleted or replaced under us
        try:
            connection = self._open()
        except (Unusable, sqlite3.DatabaseError) as error:
            if isinstance(error, sqlite3.OperationalError) and not is_damage(error):
                raise
            self._take_away(error)
            connection = self._open()
        self._connection = connection
        _POOL.used(self)
        return connection

    def _clear_beside(self) -> None:
        """Put aside what is no file where SQLite looks for a journal of its own.

        It looks before every transaction, and would wait for ever at a FIFO.
        """
        if self.in_memory:
            return
        try:
            for suffix in _BESIDE:
                status = fsops.status_or_none(self.path + suffix)
                if status is not None and not stat.S_ISREG(status.st_mode):
                    sqlfiles.put_aside(self.path + suffix)
        except OSError as error:
            raise sqlite3.OperationalError(f"no place to work: {error!r}") from error

    def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
        self._connection = self._identity = None

    def _take_away(self, error: Exception) -> None:
        _log.error(
            "store: {path!r} is damaged and will be made anew: {error}",
            path=self.path,
            error=repr(error),
        )
        try:
            self._damaged(self.path)
        except OSError as second:
            _log.error(
                "store: {path!r} cannot be moved: {error}",
                path=self.path,
                error=repr(second),
            )
            raise sqlite3.OperationalError("unusable") from second

    def _open(self) -> sqlite3.Connection:
        try:
            writable = self._make_file()
        except OSError as error:
            if error.errno in _FOR_GOOD:
                return self._open_in_memory(error)
            # What is kept in memory only would be lost: say that it does not work.
            what = "is full" if error.errno in _FULL else "fails"
            raise sqlite3.OperationalError(f"the disk {what}: {error!r}") from error
        identity = sqlfiles.own_identity(self.path)
        connection = _connect(_uri(self.path, "rw" if writable else "ro"))
        try:
            # Which of them was opened?
            if sqlfiles.own_identity(self.path) != identity:
                raise sqlite3.OperationalError("replaced just now")
            self._prepare(connection, writable)
            if not writable:
                return self._copy_to_memory(connection)
        except UnicodeDecodeError as error:  # in what SQLite says of the schema
            connection.close()
            raise Unusable("the schema is no text") from error
        except BaseException:
            connection.close()
            raise
        self._identity = identity
        return connection

    def _make_file(self) -> bool:
        """Make the file if it is not there; tell whether it may be written."""
        status = fsops.status_or_none(self.path)
        if status is None:
            with suppress(FileExistsError):  # another process was faster
                fsops.close(fsops.open_exclusive(self.path))
                fsops.fsync_directory(os.path.dirname(self.path))
            return True
        if not stat.S_ISREG(status.st_mode):
            raise Unusable("not a regular file")
        directory = os.path.dirname(self.path)
        return os.access(self.path, os.W_OK) and os.access(directory, os.W_OK)

    def _prepare(self, connection: sqlite3.Connection, writable: bool) -> None:
        schema = self._schema
        if writable:
            # FULL does not sync that the journal is gone: it would come back, and
            # undo what was committed.
            synchronous = "EXTRA" if schema.durable else "OFF"
            connection.execute(f"PRAGMA synchronous={synchronous}")
            connection.execute("PRAGMA journal_mode=DELETE")
        # One transaction: another process may be making the tables just now, and a
        # mixture of before and after would look like a file of somebody else's.
        connection.execute("BEGIN")
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        connection.execute("COMMIT")
        if not tables and writable:
            _create(connection, schema)
            return
        current = version == schema.version or version in schema.upgrades
        if application != schema.application_id or not current:
            raise Unusable(f"application {application}, version {version}")
        if os.path.getsize(self.path) <= CHECKED_OCTETS:
            # Unnamed, it makes a file for temporary tables, too, which keeps 100 KB.
            (answer,) = connection.execute("PRAGMA main.quick_check(1)").fetchone()
            if answer != "ok":
                raise Unusable(answer)
        if writable:
            _upgrade(connection, schema)

    def _open_in_memory(self, error: OSError) -> sqlite3.Connection:
        _log.warn(
            "store: {path!r} cannot be made, nothing of it will be kept: {error}",
            path=self.path,
            error=repr(error),
        )
        connection = _connect(":memory:")
        _create(connection, self._schema)
        self.in_memory = True
        return connection

    def _copy_to_memory(self, source: sqlite3.Connection) -> sqlite3.Connection:
        """An account we may only read: go on with a copy of what it has."""
        connection = _connect(":memory:")
        source.backup(connection)
        source.close()
        _upgrade(connection, self._schema)
        self.in_memory = True
        return connection


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is at fault, rather than the moment (busy, full, I/O)."""
    return any(word in str(error) for word in _DAMAGED)


class _Pool:
    """Databases with a connection, the latest used last, while anybody has them."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._lock = threading.Lock()
        self._open: OrderedDict[int, ref[Database]] = OrderedDict()  # by id()

    def used(self, database: Database) -> None:
        """Note a use, and close what was not used for longest if there are too many."""
        with self._lock:
            self._open[id(database)] = ref(database)
            self._open.move_to_end(id(database))
            too_many = len(self._open) - self._count
            # try_close never waits, so holding our lock here cannot deadlock.
            for key in list(self._open)[:too_many] if too_many > 0 else ():
                other = self._open[key]()
                if other is None or (other is not database and other.try_close()):
                    del self._open[key]

    def forget(self, database: Database) -> None:
        """The database has no connection any more."""
        with self._lock:
            self._open.pop(id(database), None)


_POOL: Final = _Pool(_OPEN_CONNECTIONS)


def _connect(where: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        where,
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,  # transactions are ours to begin
        check_same_thread=False,  # each database has a lock
        cached_statements=32,
    )
    try:
        # Views and triggers are code, and none of ours: a file that somebody else
        # prepared cannot make us run any.
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("PRAGMA cell_size_check=ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _create(connection: sqlite3.Connection, schema: Schema) -> None:
    if schema.shrinks:  # without effect once there are tables
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    connection.execute("BEGIN IMMEDIATE")
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not tables:  # else another process has just made them
        for statement in schema.statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id={schema.application_id}")
        connection.execute(f"PRAGMA user_version={schema.version}")
    connection.execute("COMMIT")


def _upgrade(connection: sqlite3.Connection, schema: Schema) -> None:
    """Bring the tables of an older version to the present, all steps or none."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == schema.version:
        return
    connection.execute("BEGIN IMMEDIATE")
    # Another process may have been faster.
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    while version != schema.version:
        for statement in schema.upgrades[version]:
            connection.execute(statement)
        version += 1
    connection.execute(f"PRAGMA user_version={schema.version}")
    connection.execute("COMMIT")


def _uri(path: bytes, mode: str) -> str:
    return f"file:{urllib.parse.quote_from_bytes(os.path.abspath(path))}?mode={mode}"
