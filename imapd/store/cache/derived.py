"""What was computed from messages, ready to send: ``imapd-cache.sqlite3``.

Nothing here is the truth.  The file may be deleted at any moment, also while the
server runs; a damaged one is removed; one that has grown too large is begun anew.
No error of it ever reaches a caller: what cannot be loaded is computed again.

A mailbox is its GUID and its UIDVALIDITY, so that numbers which begin anew find
nothing old.  Every row has a check sum over all it says.
"""

import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Final, TypeVar

from twisted.logger import Logger

from imapd.ids import LARGEST_NUMBER, Octets, Uid
from imapd.model.mailbox import Derived
from imapd.store import database, quiet
from imapd.store.database import Database, Schema

_log = Logger()

FILE_NAME: Final = b"imapd-cache.sqlite3"
LARGEST_OCTETS: Final = 4 << 30

_PAGE_OCTETS: Final = 4096
#: So many numbers may lie unasked between two that are read in one go.
_LARGEST_GAP: Final = 16

_SCHEMA: Final = Schema(
    application_id=0x696D6361,  # "imca"
    version=1,
    durable=False,
    statements=(
        "CREATE TABLE derived (mailbox TEXT NOT NULL, uid INTEGER NOT NULL, "
        "date INTEGER NOT NULL, size INTEGER NOT NULL, envelope BLOB NOT NULL, "
        "body BLOB NOT NULL, bodystructure BLOB NOT NULL, crc INTEGER NOT NULL, "
        "PRIMARY KEY (mailbox, uid)) WITHOUT ROWID",
    ),
)
_RANGE: Final = (
    "SELECT uid, date, size, envelope, body, bodystructure, crc "
    "FROM derived WHERE mailbox = ? AND uid BETWEEN ? AND ?"
)

_T = TypeVar("_T")
_Row = tuple[int, int, int, bytes, bytes, bytes, int]


class DerivedDatabase:
    """The cache of one account.  For any thread; it never raises."""

    def __init__(self, path: bytes) -> None:
        self._database = Database(path, _SCHEMA, damaged=database.remove)

    def load(self, guid: str, uids: Iterable[Uid]) -> dict[Uid, Derived]:
        """Return what is there of these messages."""
        wanted = set(uids)

        def read(connection: sqlite3.Connection) -> dict[Uid, Derived]:
            found = {}
            for first, last in ranges(wanted):
                for row in connection.execute(_RANGE, (guid, first, last)):
                    derived = _derived(guid, row) if row[0] in wanted else None
                    if derived is not None:
                        found[Uid(row[0])] = derived
            return found

        return self._try(read, write=False) or {}

    def save(self, guid: str, derived: Mapping[Uid, Derived]) -> None:
        """Keep these."""
        rows = [_row(guid, uid, one) for uid, one in derived.items()]
        if not rows:
            return

        def write(connection: sqlite3.Connection) -> None:
            limit = LARGEST_OCTETS // _PAGE_OCTETS
            connection.execute(f"PRAGMA max_page_count={limit}")
            connection.executemany(
                "INSERT OR REPLACE INTO derived VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows
            )

        self._try(write, write=True)

    def forget(self, guid: str, uids: Iterable[Uid] | None = None) -> None:
        """Drop these messages; None: the whole mailbox."""
        pairs = None if uids is None else [(guid, uid) for uid in uids]

        def write(connection: sqlite3.Connection) -> None:
            if pairs is None:
                connection.execute("DELETE FROM derived WHERE mailbox = ?", (guid,))
            else:
                connection.executemany(
                    "DELETE FROM derived WHERE mailbox = ? AND uid = ?", pairs
                )

        self._try(write, write=True)

    def close(self) -> None:
        """Give the descriptor back."""
        self._database.close()

    def _try(
        self, work: Callable[[sqlite3.Connection], _T], *, write: bool
    ) -> _T | None:
        try:
            with self._database.transaction(write=write) as connection:
                return work(connection)
        except (sqlite3.Error, OSError) as error:
            path = self._database.path
            if quiet.is_due(path, str(error)):
                _log.warn(
                    "store: cache {path!r} passed over: {error!r}",
                    path=path,
                    error=error,
                )
            if "full" in str(error):  # ours, or the disk: either way it must shrink
                self._database.close()
                with suppress(OSError):
                    database.remove(self._database.path)
            return None


def ranges(uids: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Cover the numbers with few ranges: rows are read in runs, not one by one."""
    first = last = 0
    for uid in sorted(uids):
        if not 0 < uid <= LARGEST_NUMBER:
            continue
        if last and uid - last > _LARGEST_GAP:
            yield first, last
            first = uid
        first = first or uid
        last = uid
    if last:
        yield first, last


def _derived(guid: str, row: _Row) -> Derived | None:
    """Make a result of a row; None if it is not as it was written."""
    uid, date, size, envelope, body, bodystructure, crc = row
    blobs = (envelope, body, bodystructure)
    if not all(isinstance(blob, bytes) for blob in blobs):
        return None
    if crc != _crc(guid, uid, date, size, blobs):
        return None
    return Derived(date, Octets(size), *blobs)


def _row(guid: str, uid: int, one: Derived) -> tuple[str, *_Row]:
    blobs = (one.envelope, one.body, one.bodystructure)
    date, size = one.internal_date_seconds, one.rfc822_size
    return guid, uid, date, size, *blobs, _crc(guid, uid, date, size, blobs)


def _crc(
    guid: str, uid: int, date: int, size: int, blobs: tuple[bytes, bytes, bytes]
) -> int:
    lengths = " ".join(str(len(blob)) for blob in blobs)
    crc = zlib.crc32(f"{guid} {uid} {date} {size} {lengths} ".encode())
    for blob in blobs:
        crc = zlib.crc32(blob, crc)
    return crc
