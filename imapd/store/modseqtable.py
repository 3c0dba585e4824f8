"""Modification sequences in the state of an account: plain rows, each checked.

A mailbox has one head, with what was expunged, and a chunk for each 1,024 UIDs: of
each message its number and a signature of its flags, by which a change is found that
nobody wrote down.  Several processes write: what one finds here of another is
merged, and the greater number stays.

Rows that are damaged, or do not fit together, are as good as not there.
"""

import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from sqlite3 import Connection
from typing import Final

from imapd.model.modseqs import Expunged

STATEMENTS: Final = (
    "CREATE TABLE modseq (mailbox TEXT PRIMARY KEY, head BLOB NOT NULL, "
    "crc INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE modseq_chunk (mailbox TEXT NOT NULL, chunk INTEGER NOT NULL, "
    "version INTEGER NOT NULL, messages BLOB NOT NULL, crc INTEGER NOT NULL, "
    "PRIMARY KEY (mailbox, chunk)) WITHOUT ROWID",
)

CHUNK_UIDS: Final = 1024
_LARGEST: Final = 2**63 - 1
#: What a head or a chunk may have at most, unpacked: anything more is damage.
_HEAD_OCTETS: Final = 64 << 20
_CHUNK_OCTETS: Final = 16 * CHUNK_UIDS

#: By UID: (modification sequence, signature of the flags).
Rows = dict[int, tuple[int, int]]


def chunk_of(uid: int) -> int:
    """Return the number of the chunk that a UID belongs to."""
    return uid // CHUNK_UIDS


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of a mailbox as a whole.

    ``version`` counts its writings; ``chunks`` are those that have messages.
    """

    version: int
    highest: int
    floor: int
    uid_next: int
    chunks: frozenset[int] = frozenset()
    expunged: Sequence[Expunged] = ()


@dataclass(frozen=True, slots=True)
class Saved:
    """What was found; a chunk is None if it is damaged."""

    head: Head
    chunks: dict[int, Rows | None] = field(default_factory=dict)


def read(connection: Connection, mailbox: str, since: int = -1) -> Saved | None:
    """Return the head, and the chunks written after the version ``since``."""
    head = _read_head(connection, mailbox)
    if head is None:
        return None
    found = Saved(head)
    if head.version != since:
        rows = connection.execute(
            "SELECT chunk, version, messages, crc FROM modseq_chunk "
            "WHERE mailbox = ? AND version > ?",
            (mailbox, since),
        )
        for chunk, version, messages, crc in rows:
            if chunk in head.chunks:
                found.chunks[chunk] = _unpack_chunk(
                    mailbox, chunk, version, messages, crc
                )
    if since < 0:
        for chunk in head.chunks - found.chunks.keys():
            found.chunks[chunk] = None
    return found


def read_chunks(
    connection: Connection, mailbox: str, chunks: Iterable[int]
) -> dict[int, Rows]:
    """Return those of the chunks that are there, and whole."""
    found = {}
    for chunk in chunks:
        row = connection.execute(
            "SELECT version, messages, crc FROM modseq_chunk "
            "WHERE mailbox = ? AND chunk = ?",
            (mailbox, chunk),
        ).fetchone()
        rows = None if row is None else _unpack_chunk(mailbox, chunk, *row)
        if rows is not None:
            found[chunk] = rows
    return found


def write(
    connection: Connection, mailbox: str, head: Head, chunks: Mapping[int, Rows]
) -> None:
    """Replace the head and some chunks; one without messages is removed."""
    packed = _pack_head(head)
    connection.execute(
        "INSERT OR REPLACE INTO modseq VALUES (?, ?, ?)",
        (mailbox, packed, zlib.crc32(packed, zlib.crc32(mailbox.encode()))),
    )
    for chunk, rows in chunks.items():
        if not rows:
            connection.execute(
                "DELETE FROM modseq_chunk WHERE mailbox = ? AND chunk = ?",
                (mailbox, chunk),
            )
            continue
        messages = _pack_chunk(rows)
        crc = _chunk_crc(mailbox, chunk, head.version, messages)
        connection.execute(
            "INSERT OR REPLACE INTO modseq_chunk VALUES (?, ?, ?, ?, ?)",
            (mailbox, chunk, head.version, messages, crc),
        )


def forget(connection: Connection, mailbox: str) -> None:
    """Drop what is kept for a mailbox that is deleted, or numbered anew."""
    connection.execute("DELETE FROM modseq WHERE mailbox = ?", (mailbox,))
    connection.execute("DELETE FROM modseq_chunk WHERE mailbox = ?", (mailbox,))


# -- octets --


def _pack_head(head: Head) -> bytes:
    numbers = array("Q", [head.version, head.highest, head.floor, head.uid_next])
    numbers.append(len(head.chunks))
    numbers.extend(sorted(head.chunks))
    for entry in head.expunged:
        numbers.extend(entry)
    return zlib.compress(numbers.tobytes(), 1)


def _read_head(connection: Connection, mailbox: str) -> Head | None:
    row = connection.execute(
        "SELECT head, crc FROM modseq WHERE mailbox = ?", (mailbox,)
    ).fetchone()
    if row is None or not isinstance(row[0], bytes):
        return None
    packed, crc = row
    if crc != zlib.crc32(packed, zlib.crc32(mailbox.encode())):
        return None
    numbers = _unpack(packed, "Q", _HEAD_OCTETS)
    if numbers is None or len(numbers) < 5 or max(numbers) > _LARGEST:
        return None
    version, highest, floor, uid_next, count = numbers[:5]
    chunks, history = numbers[5 : 5 + count], numbers[5 + count :]
    if len(chunks) != count or len(history) % 3:
        return None
    triples = zip(history[::3], history[1::3], history[2::3], strict=True)
    return Head(version, highest, floor, uid_next, frozenset(chunks), list(triples))


def _pack_chunk(rows: Rows) -> bytes:
    uids = sorted(rows)
    columns = (
        array("I", uids),
        array("Q", [rows[uid][0] for uid in uids]),
        array("I", [rows[uid][1] for uid in uids]),
    )
    return zlib.compress(b"".join(column.tobytes() for column in columns), 1)


def _unpack_chunk(
    mailbox: str, chunk: int, version: int, messages: object, crc: int
) -> Rows | None:
    if not isinstance(messages, bytes) or not isinstance(version, int):
        return None
    if crc != _chunk_crc(mailbox, chunk, version, messages):
        return None
    words = _unpack(messages, "I", _CHUNK_OCTETS)
    if words is None or len(words) % 4:
        return None
    count = len(words) // 4
    values = array("Q", words[count : 3 * count].tobytes())
    pairs = zip(values, words[3 * count :], strict=True)
    rows = dict(zip(words[:count], pairs, strict=True))
    return rows if all(chunk_of(uid) == chunk for uid in rows) else None


def _unpack(packed: bytes, typecode: str, most_octets: int) -> "array[int] | None":
    inflate = zlib.decompressobj()
    try:
        octets = inflate.decompress(packed, most_octets)
        numbers = array(typecode)
        numbers.frombytes(octets)
    except (zlib.error, ValueError):
        return None
    return numbers if inflate.eof else None


def _chunk_crc(mailbox: str, chunk: int, version: int, messages: bytes) -> int:
    return zlib.crc32(messages, zlib.crc32(f"{mailbox} {chunk} {version}".encode()))
