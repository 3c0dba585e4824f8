"""The text index in rows of a database: each with a check sum over all it says."""

import sqlite3
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from imapd.ids import Uid
from imapd.store.cache import textsegment
from imapd.store.cache.textmerge import LARGEST_WORDS_OCTETS, Segment
from imapd.store.cache.textprobe import VocabularyCache
from imapd.store.cache.textsegment import Damaged, Gone, Section, Vocabulary

STATEMENTS: Final = (
    "CREATE TABLE segment (id INTEGER PRIMARY KEY, mailbox TEXT NOT NULL, "
    "texts INTEGER NOT NULL, words INTEGER NOT NULL, uids BLOB NOT NULL, "
    "crc INTEGER NOT NULL)",
    "CREATE INDEX segment_mailbox ON segment (mailbox)",
    # Number 0 is the vocabulary, the others are the postings.
    "CREATE TABLE piece (segment INTEGER NOT NULL, section INTEGER NOT NULL, "
    "number INTEGER NOT NULL, content BLOB NOT NULL, crc INTEGER NOT NULL, "
    "PRIMARY KEY (segment, section, number))",
    # Messages that would cost more in the index than they are worth.
    "CREATE TABLE left_out (mailbox TEXT NOT NULL, uid INTEGER NOT NULL, "
    "PRIMARY KEY (mailbox, uid)) WITHOUT ROWID",
)
_PIECE: Final = (
    "SELECT content, crc FROM piece WHERE segment = ? AND section = ? AND number = ?"
)
#: Of all accounts; their segments never change.  A mailbox of 100,000 messages has
#: about 40 MB of them: with less, each search would have to unpack what is missing.
_VOCABULARIES: Final = VocabularyCache(64 << 20)


def segments(
    connection: sqlite3.Connection, mailbox: str
) -> tuple[list[Segment], list[int]]:
    """Return the segments of a mailbox, and the ids of those that are damaged."""
    found, damaged = [], []
    query = "SELECT id, texts, words, uids, crc FROM segment WHERE mailbox = ?"
    for id, texts, words, uids, crc in connection.execute(query, (mailbox,)):
        if (
            isinstance(uids, bytes)
            and len(uids) % 4 == 0
            and crc == _segment_crc(mailbox, id, texts, words, uids)
        ):
            numbers = array("I")
            numbers.frombytes(uids)
            found.append(Segment(id, texts, words, textsegment.little(numbers)))
        else:
            damaged.append(id)
    return found, damaged


def is_there(connection: sqlite3.Connection, segment: int) -> bool:
    """Whether there is such a segment."""
    query = "SELECT 1 FROM segment WHERE id = ?"
    return connection.execute(query, (segment,)).fetchone() is not None


def insert(
    connection: sqlite3.Connection,
    mailbox: str,
    segment: Segment,
    sections: Iterable[Section],
) -> None:
    """Write a segment."""
    uids = textsegment.little(segment.uids[:]).tobytes()
    crc = _segment_crc(mailbox, segment.id, segment.texts, segment.words, uids)
    connection.execute(
        "INSERT INTO segment VALUES (?, ?, ?, ?, ?, ?)",
        (segment.id, mailbox, segment.texts, segment.words, uids, crc),
    )
    for section, each in enumerate(sections):
        for number, content in enumerate((each.vocabulary, *each.chunks)):
            crc = _piece_crc(segment.id, section, number, content)
            connection.execute(
                "INSERT INTO piece VALUES (?, ?, ?, ?, ?)",
                (segment.id, section, number, content, crc),
            )


def delete(connection: sqlite3.Connection, ids: Iterable[int]) -> None:
    """Remove segments."""
    rows = [(id,) for id in ids]
    connection.executemany("DELETE FROM segment WHERE id = ?", rows)
    connection.executemany("DELETE FROM piece WHERE segment = ?", rows)


def forget(connection: sqlite3.Connection, mailbox: str) -> None:
    """Remove all of a mailbox."""
    query = "SELECT id FROM segment WHERE mailbox = ?"
    delete(connection, [id for (id,) in connection.execute(query, (mailbox,))])
    connection.execute("DELETE FROM left_out WHERE mailbox = ?", (mailbox,))


def left_out(connection: sqlite3.Connection, mailbox: str) -> list[int]:
    """Return the messages that are not to be indexed."""
    query = "SELECT uid FROM left_out WHERE mailbox = ?"
    return [uid for (uid,) in connection.execute(query, (mailbox,))]


def insert_left_out(
    connection: sqlite3.Connection, mailbox: str, uids: Iterable[Uid]
) -> None:
    """Note messages that are not to be indexed."""
    connection.executemany(
        "INSERT OR REPLACE INTO left_out VALUES (?, ?)",
        [(mailbox, uid) for uid in uids],
    )


def vocabulary(
    connection: sqlite3.Connection, segment: Segment, section: int
) -> Vocabulary:
    """Return the words of a section; raises Damaged."""
    key = (segment.id, section)
    found = _VOCABULARIES.get(key)
    if found is None:
        content = _piece(connection, segment.id, section, 0)
        found = textsegment.decode(content, 2 * LARGEST_WORDS_OCTETS)
        if found.message_count != len(segment.uids):
            raise Damaged("another number of messages")
        _VOCABULARIES.put(key, found)
    return found


def chunk_reader(
    connection: sqlite3.Connection, segment: Segment, section: int
) -> Callable[[int], bytes]:
    """Return what reads a piece of the postings by number; it raises Damaged."""
    return lambda number: _piece(connection, segment.id, section, number + 1)


def chunks(
    connection: sqlite3.Connection, segment: Segment, section: int
) -> Iterator[bytes]:
    """Read all postings of a section; raises Damaged."""
    query = "SELECT count(*) FROM piece WHERE segment = ? AND section = ?"
    (count,) = connection.execute(query, (segment.id, section)).fetchone()
    for number in range(1, count):
        yield _piece(connection, segment.id, section, number)


def _piece(
    connection: sqlite3.Connection, segment: int, section: int, number: int
) -> bytes:
    row = connection.execute(_PIECE, (segment, section, number)).fetchone()
    if row is None:
        if is_there(connection, segment):
            raise Damaged("a piece is missing")
        raise Gone("merged meanwhile")
    content, crc = row
    right = isinstance(content, bytes) and crc == _piece_crc(
        segment, section, number, content
    )
    if not right:
        raise Damaged("a piece is not as it was written")
    return bytes(content)


def _piece_crc(segment: int, section: int, number: int, content: bytes) -> int:
    where = f"{segment} {section} {number} {len(content)} "
    return zlib.crc32(content, zlib.crc32(where.encode()))


def _segment_crc(mailbox: str, id: int, texts: int, words: int, uids: bytes) -> int:
    where = f"{mailbox} {id} {texts} {words} {len(uids)} "
    return zlib.crc32(uids, zlib.crc32(where.encode()))
