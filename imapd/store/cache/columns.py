"""What was computed from messages, ready to send: ``imapd-cache.sqlite3``.

Nothing here is the truth.  The file may be deleted at any moment, also while the
server runs; a damaged one is removed; one that has grown too large is begun anew.
No error of it ever reaches a caller: what cannot be loaded is computed again.

A mailbox is its GUID and its UIDVALIDITY, so that numbers which begin anew find
nothing old.  Values lie in pages (``pages.py``), and every page has a check sum
over all it says.
"""

import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, TypeVar

from twisted.logger import Logger

from imapd.ids import LARGEST_NUMBER, Uid
from imapd.model.columns import family_of, is_compressed
from imapd.store import database, quiet
from imapd.store.cache import pages
from imapd.store.database import Database, Schema

_log = Logger()

FILE_NAME: Final = b"imapd-cache.sqlite3"
LARGEST_OCTETS: Final = 4 << 30

#: Kinds of one family in a mailbox: what clients ask for is theirs to choose.
MOST_OF_A_FAMILY: Final = 8

_PAGE_OCTETS: Final = 4096
#: So many pages may lie unasked between two that are read in one go.
_LARGEST_GAP: Final = 4

_SCHEMA: Final = Schema(
    application_id=0x696D6361,  # "imca"
    version=2,
    durable=False,
    statements=(
        "CREATE TABLE page (mailbox TEXT NOT NULL, kind TEXT NOT NULL, "
        "block INTEGER NOT NULL, octets BLOB NOT NULL, crc INTEGER NOT NULL)",
        "CREATE UNIQUE INDEX page_key ON page (mailbox, kind, block)",
        "CREATE TABLE snapshot (folder TEXT PRIMARY KEY, mailbox TEXT NOT NULL, "
        "octets BLOB NOT NULL, crc INTEGER NOT NULL)",
    ),
)
_RANGE: Final = (
    "SELECT block, octets, crc FROM page "
    "WHERE mailbox = ? AND kind = ? AND block BETWEEN ? AND ?"
)

_T = TypeVar("_T")
_Page = tuple[Sequence[int], list[bytes]]


class ColumnDatabase:
    """The cache of one account.  For any thread; it never raises."""

    def __init__(self, path: bytes) -> None:
        self._database = Database(path, _SCHEMA, damaged=database.remove)

    def load(self, mailbox: str, kind: str, uids: Sequence[Uid]) -> list[bytes | None]:
        """Return the values of these messages, in their order; None: not there.

        UIDs ascend.
        """
        groups = pages.groups(uids)
        found = self._try(
            lambda connection: _read(connection, mailbox, kind, groups), write=False
        )
        values: list[bytes | None] = []
        for block, start, stop in groups:
            page = found.get(block) if found else None
            if page is None:
                values += [None] * (stop - start)
            elif page[0] == uids[start:stop]:
                values += page[1]
            else:
                known = dict(zip(*page, strict=True))
                values += [known.get(uid) for uid in uids[start:stop]]
        return values

    def save(self, mailbox: str, kind: str, values: Mapping[Uid, bytes]) -> None:
        """Keep these."""
        self.save_all(mailbox, {kind: values})

    def save_all(
        self, mailbox: str, columns: Mapping[str, Mapping[Uid, bytes]]
    ) -> None:
        """Keep values of several kinds in one transaction."""

        def write(connection: sqlite3.Connection) -> None:
            limit = LARGEST_OCTETS // _PAGE_OCTETS
            connection.execute(f"PRAGMA max_page_count={limit}")
            for kind, values in columns.items():
                _add(connection, mailbox, kind, values)

        if any(columns.values()):
            self._try(write, write=True)

    def forget(self, mailbox: str, uids: Iterable[Uid] | None = None) -> None:
        """Drop these messages; None: the whole mailbox."""
        gone = None if uids is None else sorted(set(uids))

        def write(connection: sqlite3.Connection) -> None:
            if gone is None:
                connection.execute("DELETE FROM page WHERE mailbox = ?", (mailbox,))
                query = "DELETE FROM snapshot WHERE mailbox = ?"
                connection.execute(query, (mailbox,))
            else:
                _prune(connection, mailbox, gone)

        if gone is None or gone:
            self._try(write, write=True)

    def save_snapshot(self, folder: str, mailbox: str, octets: bytes) -> None:
        """Keep what is known of a folder, under its name."""
        row = (folder, mailbox, octets, _crc(mailbox, folder, 0, octets))
        query = "INSERT OR REPLACE INTO snapshot VALUES (?, ?, ?, ?)"
        self._try(lambda connection: connection.execute(query, row), write=True)

    def load_snapshot(self, folder: str) -> bytes | None:
        """Return what was saved of a folder; None: nothing, or it is damaged."""
        query = "SELECT mailbox, octets, crc FROM snapshot WHERE folder = ?"
        row = self._try(
            lambda connection: connection.execute(query, (folder,)).fetchone(),
            write=False,
        )
        if row is None or not isinstance(row[1], bytes):
            return None
        return row[1] if row[2] == _crc(row[0], folder, 0, row[1]) else None

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


def _read(
    connection: sqlite3.Connection,
    mailbox: str,
    kind: str,
    groups: Sequence[tuple[int, int, int]],
) -> dict[int, _Page]:
    compressed = is_compressed(kind)
    wanted = {block for block, _, _ in groups}
    found: dict[int, _Page] = {}
    for first, last in ranges(wanted):
        for row in connection.execute(_RANGE, (mailbox, kind, first, last)):
            if row[0] in wanted:
                page = _page(mailbox, kind, row, compressed)
                if page is not None:
                    found[row[0]] = page
    return found


def _page(
    mailbox: str, kind: str, row: tuple[int, bytes, int], compressed: bool
) -> _Page | None:
    """Make values of a row; None if it is not as it was written."""
    block, octets, crc = row
    if not isinstance(octets, bytes) or crc != _crc(mailbox, kind, block, octets):
        return None
    return pages.unpack(octets, compressed=compressed)


def _add(
    connection: sqlite3.Connection, mailbox: str, kind: str, values: Mapping[Uid, bytes]
) -> None:
    if not _has_room(connection, mailbox, kind):
        return
    uids = [uid for uid in sorted(values) if 0 < uid <= LARGEST_NUMBER]
    groups = pages.groups(uids)
    old = _read(connection, mailbox, kind, groups)
    rows = []
    for block, start, stop in groups:
        new = {int(uid): values[uid] for uid in uids[start:stop]}
        rows.append(_row(mailbox, kind, block, {**_as_dict(old.get(block)), **new}))
    _write(connection, rows)


def _has_room(connection: sqlite3.Connection, mailbox: str, kind: str) -> bool:
    """Whether one more kind of the family may be kept."""
    family = family_of(kind)
    if family is None:
        return True
    query = "SELECT DISTINCT kind FROM page WHERE mailbox = ? AND kind GLOB ?"
    kinds = {row[0] for row in connection.execute(query, (mailbox, family + "*"))}
    return kind in kinds or len(kinds) < MOST_OF_A_FAMILY


def _prune(connection: sqlite3.Connection, mailbox: str, gone: Sequence[Uid]) -> None:
    """Take messages out of every kind there is of the mailbox."""
    query = "SELECT DISTINCT kind FROM page WHERE mailbox = ?"
    groups = pages.groups(gone)
    for (kind,) in connection.execute(query, (mailbox,)).fetchall():
        try:
            old = _read(connection, mailbox, kind, groups)
        except (KeyError, ValueError):  # a kind of another version of ours
            old = {}
        rows = []
        for block, start, stop in groups:
            left = _as_dict(old.get(block))
            before = len(left)
            for uid in gone[start:stop]:
                left.pop(uid, None)
            if not left:
                connection.execute(
                    "DELETE FROM page WHERE mailbox = ? AND kind = ? AND block = ?",
                    (mailbox, kind, block),
                )
            elif len(left) != before:
                rows.append(_row(mailbox, kind, block, left))
        _write(connection, rows)


def _as_dict(page: _Page | None) -> dict[int, bytes]:
    return {} if page is None else dict(zip(*page, strict=True))


def _row(
    mailbox: str, kind: str, block: int, values: Mapping[int, bytes]
) -> tuple[str, str, int, bytes, int]:
    octets = pages.pack(values, compress=is_compressed(kind))
    return mailbox, kind, block, octets, _crc(mailbox, kind, block, octets)


def _write(
    connection: sqlite3.Connection, rows: Iterable[tuple[str, str, int, bytes, int]]
) -> None:
    connection.executemany("INSERT OR REPLACE INTO page VALUES (?, ?, ?, ?, ?)", rows)


def ranges(blocks: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Cover the numbers with few ranges: rows are read in runs, not one by one."""
    first = last = None
    for block in sorted(blocks):
        if last is not None and first is not None and block - last > _LARGEST_GAP:
            yield first, last
            first = None
        first = block if first is None else first
        last = block
    if first is not None and last is not None:
        yield first, last


def _crc(mailbox: str, kind: str, block: int, octets: bytes) -> int:
    head = f"{mailbox} {kind} {block} {len(octets)} ".encode()
    return zlib.crc32(octets, zlib.crc32(head))
