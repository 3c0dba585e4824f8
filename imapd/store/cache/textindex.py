"""The text index of an account: ``imapd-text.sqlite3``, beside the cache.

Like the cache it is never the truth and never required: it may be deleted at any
moment, a damaged one is removed, no error of it reaches a caller, and what it does
not know of is read.  A mailbox is its numbering (``MailboxCore.numbering``).

New messages make new segments (``textsegment``); eight of a size are merged into
one of the next, so that each message is written a few times at most and there are
never many segments.  Words of expunged messages stay until ``tidy`` or a merge
that is told who is alive.
"""

import sqlite3
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from twisted.logger import Logger

from imapd.ids import Uid
from imapd.model.texts import MessageWords, TextFound
from imapd.store.cache import textrows, textsegment
from imapd.store.cache.expendable import ExpendableDatabase
from imapd.store.cache.textmerge import (
    BODY,
    HEADER,
    Merger,
    Segment,
    batches,
    built,
    costs_too_much,
    due,
)
from imapd.store.cache.textprobe import Probe
from imapd.store.cache.textsegment import Damaged, Gone, Postings
from imapd.store.database import Schema

_log = Logger()

FILE_NAME: Final = b"imapd-text.sqlite3"
LARGEST_OCTETS: Final = 4 << 30

_PAGE_OCTETS: Final = 4096
_SCHEMA: Final = Schema(
    application_id=0x696D7478,  # "imtx"
    version=1,
    durable=False,
    statements=textrows.STATEMENTS,
)

_T = TypeVar("_T")


class TextDatabase:
    """The text index of one account.  For any thread; it never raises."""

    def __init__(self, path: bytes) -> None:
        self._database = ExpendableDatabase(path, _SCHEMA)

    # Asking.

    def search(self, mailbox: str, needle: str, *, in_header: bool) -> TextFound:
        """Say who has a search string, which is folded and not empty."""
        probe = Probe.of(needle)
        sections = (BODY, HEADER) if in_header else (BODY,)
        found = TextFound()
        seen: set[int] = set()
        for _ in range(2):  # again, where another process merged meanwhile
            lost = False
            for segment in self._segments(mailbox):
                if segment.id in seen:
                    continue
                seen.add(segment.id)
                bits = self._look(segment, probe, sections)
                if bits is None:
                    lost = True
                else:
                    _note(found, segment, bits, exact=probe.exact)
            if not lost:
                break
        return found

    def missing(self, mailbox: str, uids: Iterable[Uid]) -> list[Uid]:
        """Return those of the messages that are not indexed, and are to be."""
        known: set[int] = set()
        for segment in self._segments(mailbox):
            known.update(segment.uids)
        known.update(
            self._database.attempt(
                lambda it: textrows.left_out(it, mailbox), write=False
            )
            or ()
        )
        return [uid for uid in uids if uid not in known]

    # Telling.

    def add(
        self,
        mailbox: str,
        messages: Mapping[Uid, MessageWords],
        alive: Container[Uid] | None = None,
    ) -> None:
        """Index messages; the more at once, the less each of them costs.

        Where segments are merged, messages that are not in ``alive`` are dropped.
        """
        left_out = [uid for uid, words in messages.items() if words.too_many]
        new = [made for batch in batches(messages) for made in built(batch, left_out)]

        def write(connection: sqlite3.Connection) -> None:
            _bound(connection)
            textrows.insert_left_out(connection, mailbox, left_out)
            for segment, sections in new:
                textrows.insert(connection, mailbox, segment, sections)

        if messages:
            self._database.attempt(write, write=True)
        while some := due(self._segments(mailbox)):
            if not self._rewrite(mailbox, some, alive):
                break

    def tidy(self, mailbox: str, alive: Container[Uid]) -> None:
        """Make segments anew of which more than half is expunged."""
        for segment in self._segments(mailbox):
            waste = sum(uid not in alive for uid in segment.uids)
            if 2 * waste > len(segment.uids):
                self._rewrite(mailbox, [segment], alive)

    def forget(self, mailbox: str) -> None:
        """Drop a whole mailbox."""
        self._database.attempt(lambda it: textrows.forget(it, mailbox), write=True)

    def close(self) -> None:
        """Give the descriptor back."""
        self._database.close()

    # Segments.

    def _segments(self, mailbox: str) -> list[Segment]:
        found, damaged = self._database.attempt(
            lambda it: textrows.segments(it, mailbox), write=False
        ) or ([], [])
        if damaged:
            self._drop(damaged, "a list of messages")
        return found

    def _look(
        self, segment: Segment, probe: Probe, sections: Iterable[int]
    ) -> int | None:
        """Return who of a segment has it, a bit for each; None if it cannot be read."""

        def read(connection: sqlite3.Connection) -> int:
            have = 0
            for section in sections:
                have = probe.look(
                    textrows.vocabulary(connection, segment, section),
                    textrows.chunk_reader(connection, segment, section),
                    have,
                )
            return have

        return self._unless_damaged(segment, read)

    def _read(self, segment: Segment) -> list[Postings] | None:
        def read(connection: sqlite3.Connection) -> list[Postings]:
            return [
                textsegment.postings_of(
                    textrows.vocabulary(connection, segment, section),
                    textrows.chunks(connection, segment, section),
                )
                for section in (BODY, HEADER)
            ]

        return self._unless_damaged(segment, read)

    def _rewrite(
        self, mailbox: str, old: Sequence[Segment], alive: Container[Uid] | None
    ) -> bool:
        """Put one segment in the place of others; the work is outside of any lock."""
        merger = Merger(alive)
        for segment in old:
            postings = self._read(segment)
            if postings is None:
                return False
            merger.add(segment, postings)
        new, sections = merger.result()
        ids = [segment.id for segment in old]
        too_dear = costs_too_much(new, sections)

        def write(connection: sqlite3.Connection) -> bool:
            if not all(textrows.is_there(connection, each) for each in ids):
                return False  # somebody else has done it, or it was all deleted
            _bound(connection)
            textrows.delete(connection, ids)
            if too_dear:
                textrows.insert_left_out(connection, mailbox, map(Uid, new.uids))
            elif new.uids:
                textrows.insert(connection, mailbox, new, sections)
            return True

        return bool(self._database.attempt(write, write=True))

    def _unless_damaged(
        self, segment: Segment, read: Callable[[sqlite3.Connection], _T]
    ) -> _T | None:
        try:
            return self._database.attempt(read, write=False)
        except Gone:
            return None
        except Damaged as error:
            self._drop([segment.id], str(error))
            return None

    def _drop(self, ids: Sequence[int], why: str) -> None:
        _log.warn(
            "store: text index {path!r}: damaged, {count} parts made anew: {why}",
            path=self._database.path,
            count=len(ids),
            why=why,
        )
        self._database.attempt(
            lambda connection: textrows.delete(connection, ids), write=True
        )


def _note(found: TextFound, segment: Segment, bits: int, *, exact: bool) -> None:
    found.indexed.update(map(Uid, segment.uids))
    into = found.found if exact else found.candidates
    into.update(Uid(segment.uids[each]) for each in textsegment.ordinals_of(bits))


def _bound(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA max_page_count={LARGEST_OCTETS // _PAGE_OCTETS}")
