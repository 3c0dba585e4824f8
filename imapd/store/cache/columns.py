"""What was computed from messages, ready to send: ``imapd-cache.sqlite3``.

Nothing here is the truth.  The file may be deleted at any moment, also while the
server runs; a damaged one is removed; one that has grown too large is begun anew.
No error of it ever reaches a caller: what cannot be loaded is computed again.

A mailbox is its GUID and its UIDVALIDITY, so that numbers which begin anew find
nothing old.  Values lie in pages (``pages.py``), and every page has a check sum
over all it says.
"""

import sqlite3
import time
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Final, TypeVar

from twisted.logger import Logger

from imapd.ids import Uid
from imapd.model.columns import FIELDS
from imapd.store.cache import pagerows, pages, progress
from imapd.store.cache.expendable import ExpendableDatabase
from imapd.store.cache.pagerows import IsGone
from imapd.store.cache.progress import Progress
from imapd.store.database import Schema

_log = Logger()

FILE_NAME: Final = b"imapd-cache.sqlite3"
LARGEST_OCTETS: Final = 4 << 30

_PAGE_OCTETS: Final = 4096
#: Pages that are pruned in one transaction: nobody else writes for so long.
_PRUNED_PAGES: Final = 32
#: Free pages given back in one transaction, and how many may stay free.
_FREED_PAGES: Final = 2048
_SPARE_PAGES: Final = 2048

_SNAPSHOTS: Final = (
    "CREATE TABLE snapshot (folder TEXT PRIMARY KEY, mailbox TEXT NOT NULL, "
    "octets BLOB NOT NULL, crc INTEGER NOT NULL)"
)
_SCHEMA: Final = Schema(
    application_id=0x696D6361,  # "imca"
    version=3,
    durable=False,
    shrinks=True,
    statements=(*pagerows.STATEMENTS, *progress.STATEMENTS, _SNAPSHOTS),
)

_T = TypeVar("_T")


class ColumnDatabase:
    """The cache of one account.  For any thread; it never raises."""

    def __init__(self, path: bytes) -> None:
        self._database = ExpendableDatabase(path, _SCHEMA)

    def load(self, mailbox: str, kind: str, uids: Sequence[Uid]) -> list[bytes | None]:
        """Return the values of these messages, in their order; None: not there.

        UIDs ascend.
        """
        groups = pages.groups(uids)
        found = self._database.attempt(
            lambda connection: pagerows.read(
                connection, mailbox, kind, (block for block, _, _ in groups)
            ),
            write=False,
        )
        values: list[bytes | None] = []
        for block, start, stop in groups:
            page = found.get(block) if found else None
            if page is None:
                values += [None] * (stop - start)
            else:
                values += _chosen(page, uids[start:stop])
        return values

    def save(self, mailbox: str, kind: str, values: Mapping[Uid, bytes]) -> None:
        """Keep these."""
        self.save_all(mailbox, {kind: values})

    def save_all(
        self,
        mailbox: str,
        columns: Mapping[str, Mapping[Uid, bytes]],
        is_gone: IsGone | None = None,
    ) -> None:
        """Keep values of several kinds in one transaction.

        What is gone goes from the pages that are written.
        """

        def write(connection: sqlite3.Connection) -> None:
            limit = LARGEST_OCTETS // _PAGE_OCTETS
            connection.execute(f"PRAGMA max_page_count={limit}")
            for kind, values in columns.items():
                pagerows.add(connection, mailbox, kind, values, is_gone)

        if any(columns.values()):
            self._database.attempt(write, write=True)

    def forget(self, mailbox: str) -> None:
        """Drop a whole mailbox."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM page WHERE mailbox = ?", (mailbox,))
            connection.execute("DELETE FROM snapshot WHERE mailbox = ?", (mailbox,))
            progress.forget(connection, mailbox)

        self._database.attempt(write, write=True)

    def gaps(
        self, mailbox: str, kinds: Iterable[str], alive: Sequence[Uid]
    ) -> list[tuple[int, int]]:
        """Return where messages lack a value: (first index, index after the last).

        Each is what ``alive``, which ascends, has of one page.  A page that has
        messages which are not alive is there too.
        """
        known = self._survey(mailbox)
        wanted = list(kinds)
        found = []
        for block, start, stop in pages.groups(alive):
            digest = pagerows.digest(alive[start:stop])
            if any(known.get((kind, block)) != digest for kind in wanted):
                found.append((start, stop))
        return found

    def prune(self, mailbox: str, alive: Sequence[Uid], is_gone: IsGone) -> int:
        """Drop what is there of messages that are gone; return how many pages."""
        good = {
            block: pagerows.digest(alive[start:stop])
            for block, start, stop in pages.groups(alive)
        }
        known = self._survey(mailbox)
        doubtful = iter(
            [key for key, digest in known.items() if good.get(key[1]) != digest]
        )
        changed = 0
        while some := list(islice(doubtful, _PRUNED_PAGES)):
            changed += (
                self._database.attempt(
                    lambda connection, some=some: pagerows.prune(  # type: ignore[misc]
                        connection, mailbox, some, is_gone
                    ),
                    write=True,
                )
                or 0
            )
        return changed

    def keep_only(self, mailboxes: Iterable[str]) -> None:
        """Drop every other mailbox."""
        kept = set(mailboxes)
        query = "SELECT mailbox FROM page UNION SELECT mailbox FROM snapshot"
        for mailbox in (
            self._database.attempt(lambda c: c.execute(query).fetchall(), write=False)
            or ()
        ):
            if mailbox[0] not in kept:
                self.forget(mailbox[0])

    def shrink(self) -> None:
        """Give the file system back what has become free, but for a little."""

        def write(connection: sqlite3.Connection) -> int:
            (free,) = connection.execute("PRAGMA freelist_count").fetchone()
            count = min(int(free) - _SPARE_PAGES, _FREED_PAGES)
            for _ in range(count):  # in one call Python would end after the first
                connection.execute("PRAGMA incremental_vacuum(1)")
            return max(count, 0)

        while self._database.attempt(write, write=True) == _FREED_PAGES:
            pass

    def asked_fields(self) -> list[str]:
        """Kinds of lists of fields, those of most mailboxes first."""
        query = (
            "SELECT kind FROM (SELECT DISTINCT mailbox, kind FROM page "
            "WHERE kind GLOB ?) GROUP BY kind ORDER BY count(*) DESC, kind"
        )
        rows = self._database.attempt(
            lambda connection: connection.execute(query, (FIELDS + "*",)).fetchall(),
            write=False,
        )
        return [row[0] for row in rows or ()]

    def progress(self, mailbox: str) -> Progress | None:
        """Return what ``set_progress`` was told last."""
        return self._database.attempt(
            lambda each: progress.load(each, mailbox), write=False
        )

    def set_progress(self, mailbox: str, reached: Progress) -> None:
        """Keep how far a mailbox is filled."""
        self._database.attempt(
            lambda each: progress.save(each, mailbox, reached), write=True
        )

    def claim(self, mailbox: str, owner: str, seconds: float) -> bool:
        """Keep others from filling a mailbox at the same time.

        True for everybody if the file cannot be written: nothing is kept there.
        """
        now = time.time()
        return (
            self._database.attempt(
                lambda each: progress.claim(each, mailbox, owner, now, seconds),
                write=True,
            )
            is not False
        )

    def release(self, mailbox: str, owner: str) -> None:
        """Give back a claim."""
        self._database.attempt(
            lambda each: progress.release(each, mailbox, owner), write=True
        )

    @property
    def is_kept(self) -> bool:
        """Whether what is saved can still be there tomorrow."""
        done = self._database.attempt(lambda connection: True, write=True)
        return bool(done) and not self._database.in_memory

    def _survey(self, mailbox: str) -> pagerows.Survey:
        return (
            self._database.attempt(
                lambda each: pagerows.survey(each, mailbox), write=False
            )
            or {}
        )

    def save_snapshot(self, folder: str, mailbox: str, octets: bytes) -> None:
        """Keep what is known of a folder, under its name."""
        row = (folder, mailbox, octets, pagerows.crc(mailbox, folder, 0, octets))
        query = "INSERT OR REPLACE INTO snapshot VALUES (?, ?, ?, ?)"
        self._database.attempt(
            lambda connection: connection.execute(query, row), write=True
        )

    def load_snapshot(self, folder: str) -> bytes | None:
        """Return what was saved of a folder; None: nothing, or it is damaged."""
        query = "SELECT mailbox, octets, crc FROM snapshot WHERE folder = ?"
        row = self._database.attempt(
            lambda connection: connection.execute(query, (folder,)).fetchone(),
            write=False,
        )
        if row is None or not isinstance(row[1], bytes):
            return None
        return row[1] if row[2] == pagerows.crc(row[0], folder, 0, row[1]) else None

    def close(self) -> None:
        """Give the descriptor back."""
        self._database.close()


def _chosen(page: pagerows.Page, uids: Sequence[Uid]) -> Sequence[bytes | None]:
    """The values of some messages of a page, in their order; None: not there.

    Mostly they are all of its messages, or a run of them.
    """
    known, values = page
    start = bisect_left(known, uids[0])
    stop = start + len(uids)
    if known[start:stop] == uids:
        return values[start:stop]
    found = dict(zip(known, values, strict=True))
    return [found.get(uid) for uid in uids]
