"""Pages in their table: read in runs, merged, written, and pruned.

Beside a page lies a digest of the UIDs in it, so that what a whole mailbox lacks,
and what it has of messages that are gone, is found without reading a page.
"""

import sqlite3
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from imapd.ids import LARGEST_NUMBER, Uid
from imapd.model.columns import family_of, is_compressed
from imapd.store.cache import pages

#: Kinds of one family in a mailbox: what clients ask for is theirs to choose.
MOST_OF_A_FAMILY: Final = 8
#: So many pages may lie unasked between two that are read in one go.
_LARGEST_GAP: Final = 4

STATEMENTS: Final = (
    "CREATE TABLE page (mailbox TEXT NOT NULL, kind TEXT NOT NULL, "
    "block INTEGER NOT NULL, uids INTEGER NOT NULL, octets BLOB NOT NULL, "
    "crc INTEGER NOT NULL)",
    "CREATE UNIQUE INDEX page_key ON page (mailbox, kind, block)",
)
_RANGE: Final = (
    "SELECT block, octets, crc FROM page "
    "WHERE mailbox = ? AND kind = ? AND block BETWEEN ? AND ?"
)
_DELETE: Final = "DELETE FROM page WHERE mailbox = ? AND kind = ? AND block = ?"
_KINDS: Final = "SELECT DISTINCT kind FROM page WHERE mailbox = ? AND kind GLOB ?"

Page = tuple[Sequence[int], list[bytes]]
#: Whether the message of a UID is known to be gone.
IsGone = Callable[[Uid], bool]
#: By kind and number of a page: the digest of the UIDs in it.
Survey = dict[tuple[str, int], int]


def digest(uids: Iterable[int]) -> int:
    """What stands beside a page of these UIDs, which ascend."""
    return zlib.crc32(array("I", uids).tobytes())


def read(
    connection: sqlite3.Connection, mailbox: str, kind: str, wanted: Iterable[int]
) -> dict[int, Page]:
    """Return the pages of these numbers that are there and as they were written."""
    compressed = is_compressed(kind)
    numbers = set(wanted)
    found: dict[int, Page] = {}
    for first, last in ranges(numbers):
        for row in connection.execute(_RANGE, (mailbox, kind, first, last)):
            if row[0] in numbers:
                page = _page(mailbox, kind, row, compressed)
                if page is not None:
                    found[row[0]] = page
    return found


def _page(
    mailbox: str, kind: str, row: tuple[int, bytes, int], compressed: bool
) -> Page | None:
    """Make values of a row; None if it is not as it was written."""
    block, octets, check = row
    if not isinstance(octets, bytes) or check != crc(mailbox, kind, block, octets):
        return None
    return pages.unpack(octets, compressed=compressed)


def add(
    connection: sqlite3.Connection,
    mailbox: str,
    kind: str,
    values: Mapping[Uid, bytes],
    is_gone: IsGone | None,
) -> None:
    """Put values into their pages, and take out what is gone."""
    if not _has_room(connection, mailbox, kind):
        return
    uids = [uid for uid in sorted(values) if 0 < uid <= LARGEST_NUMBER]
    groups = pages.groups(uids)
    old = read(connection, mailbox, kind, (block for block, _, _ in groups))
    for block, start, stop in groups:
        merged = _without(_as_dict(old.get(block)), is_gone)
        merged.update((int(uid), values[uid]) for uid in uids[start:stop])
        _write(connection, mailbox, kind, block, merged)


def _has_room(connection: sqlite3.Connection, mailbox: str, kind: str) -> bool:
    """Whether one more kind of the family may be kept."""
    family = family_of(kind)
    if family is None:
        return True
    kinds = {row[0] for row in connection.execute(_KINDS, (mailbox, family + "*"))}
    return kind in kinds or len(kinds) < MOST_OF_A_FAMILY


def survey(connection: sqlite3.Connection, mailbox: str) -> Survey:
    """Return which pages there are, and of whom."""
    query = "SELECT kind, block, uids FROM page WHERE mailbox = ?"
    rows = connection.execute(query, (mailbox,))
    return {(kind, block): uids for kind, block, uids in rows}


def prune(
    connection: sqlite3.Connection,
    mailbox: str,
    some: Iterable[tuple[str, int]],
    is_gone: IsGone,
) -> int:
    """Take out of some pages what is gone; return how many were changed."""
    changed = 0
    for kind, block in some:
        try:
            page = read(connection, mailbox, kind, [block]).get(block)
        except (KeyError, ValueError):  # a kind of another version of ours
            page = None
        old = _as_dict(page)
        left = _without(old, is_gone)
        if not left:
            connection.execute(_DELETE, (mailbox, kind, block))
        elif len(left) != len(old):
            _write(connection, mailbox, kind, block, left)
        else:
            continue
        changed += 1
    return changed


def _as_dict(page: Page | None) -> dict[int, bytes]:
    return {} if page is None else dict(zip(*page, strict=True))


def _without(values: dict[int, bytes], is_gone: IsGone | None) -> dict[int, bytes]:
    if is_gone is None:
        return values
    return {uid: each for uid, each in values.items() if not is_gone(Uid(uid))}


def _write(
    connection: sqlite3.Connection,
    mailbox: str,
    kind: str,
    block: int,
    values: Mapping[int, bytes],
) -> None:
    octets = pages.pack(values, compress=is_compressed(kind))
    check = crc(mailbox, kind, block, octets)
    connection.execute(
        "INSERT OR REPLACE INTO page VALUES (?, ?, ?, ?, ?, ?)",
        (mailbox, kind, block, digest(sorted(values)), octets, check),
    )


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


def crc(mailbox: str, kind: str, block: int, octets: bytes) -> int:
    """The check sum over all that a page says, and that what was asked for says."""
    head = f"{mailbox} {kind} {block} {len(octets)} ".encode()
    return zlib.crc32(octets, zlib.crc32(head))
