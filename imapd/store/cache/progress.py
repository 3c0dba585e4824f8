"""How far the cache of each mailbox is filled, and who fills it just now.

Highest UID and count together tell whether a mailbox has still the same messages:
numbers only grow, so none came if the highest is the same, and none went if the
count is.
"""

import sqlite3
from array import array
from dataclasses import dataclass
from typing import Final

from imapd.ids import Uid

STATEMENTS: Final = (
    "CREATE TABLE progress (mailbox TEXT PRIMARY KEY, version TEXT NOT NULL, "
    "messages INTEGER NOT NULL, highest INTEGER NOT NULL, skipped BLOB NOT NULL)",
    "CREATE TABLE claim (mailbox TEXT PRIMARY KEY, owner TEXT NOT NULL, "
    "until_seconds REAL NOT NULL)",
)
#: Of so many messages it is kept that they cannot be read.
MOST_SKIPPED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Progress:
    """What a mailbox was like when everything of it was in the cache."""

    version: str  # of what everything is
    messages: int
    highest_uid: int  # 0: there was none
    skipped: frozenset[Uid] = frozenset()  # those of which nothing could be made


def load(connection: sqlite3.Connection, mailbox: str) -> Progress | None:
    """Return what was kept; None: nothing."""
    query = "SELECT version, messages, highest, skipped FROM progress WHERE mailbox = ?"
    row = connection.execute(query, (mailbox,)).fetchone()
    if row is None:
        return None
    version, messages, highest, packed = row
    skipped = array("I")
    if isinstance(packed, bytes) and not len(packed) % skipped.itemsize:
        skipped.frombytes(packed)
    return Progress(version, messages, highest, frozenset(map(Uid, skipped)))


def save(connection: sqlite3.Connection, mailbox: str, progress: Progress) -> None:
    """Keep it."""
    skipped = sorted(progress.skipped)[-MOST_SKIPPED:]
    connection.execute(
        "INSERT OR REPLACE INTO progress VALUES (?, ?, ?, ?, ?)",
        (
            mailbox,
            progress.version,
            progress.messages,
            progress.highest_uid,
            array("I", skipped).tobytes(),
        ),
    )


def claim(
    connection: sqlite3.Connection,
    mailbox: str,
    owner: str,
    now_seconds: float,
    seconds: float,
) -> bool:
    """Claim a mailbox for a while; False: another has it.

    What is too far in the future was claimed under another clock, and is over.
    """
    row = connection.execute(
        "SELECT owner, until_seconds FROM claim WHERE mailbox = ?", (mailbox,)
    ).fetchone()
    others = row is not None and row[0] != owner
    if others and now_seconds < row[1] <= now_seconds + 2 * seconds:
        return False
    connection.execute(
        "INSERT OR REPLACE INTO claim VALUES (?, ?, ?)",
        (mailbox, owner, now_seconds + seconds),
    )
    return True


def release(connection: sqlite3.Connection, mailbox: str, owner: str) -> None:
    """Give a claim back."""
    connection.execute(
        "DELETE FROM claim WHERE mailbox = ? AND owner = ?", (mailbox, owner)
    )


def forget(connection: sqlite3.Connection, mailbox: str) -> None:
    """Drop what is kept of a mailbox."""
    connection.execute("DELETE FROM progress WHERE mailbox = ?", (mailbox,))
    connection.execute("DELETE FROM claim WHERE mailbox = ?", (mailbox,))
