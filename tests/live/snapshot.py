"""What an account looks like to a client: two of these must be equal over a hand-over.

Read with :mod:`tests.live.client` alone, so that the server under test cannot
agree with itself by using the same wrong code twice.
"""

import calendar
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from tests.live.client import Client, Value, number

_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"
_DATE = re.compile(
    r" ?(\d\d?)-(\w{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)", re.ASCII
)
_ITEMS = b"FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[]"
_BATCH = 200  # messages in one FETCH: the bodies are held in memory


class Connectable(Protocol):
    """A running server."""

    def connect(self, user: str) -> Client:
        """A connection that is logged in."""


@dataclass(frozen=True, slots=True)
class Message:
    r"""One message; ``flags`` are without \Recent, ``keywords`` in lower case."""

    flags: frozenset[str]
    keywords: frozenset[str]
    internaldate_seconds: int
    size_octets: int
    body_sha256: str


@dataclass(frozen=True, slots=True)
class Folder:
    """One mailbox that can be selected."""

    uidvalidity: int
    uidnext: int
    messages: Mapping[int, Message]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One account; folders and subscriptions are named as in ``"Archive/2020"``."""

    folders: Mapping[str, Folder]
    subscriptions: frozenset[str]

    def contents(self) -> list[str]:
        """The SHA-256 of every message everywhere, with repetition."""
        return [
            message.body_sha256
            for folder in self.folders.values()
            for message in folder.messages.values()
        ]


def snapshot(server: Connectable, user: str) -> Snapshot:
    """Look at everything that ``user`` has, and change nothing."""
    with server.connect(user) as client:
        folders = {name: _folder(client, name) for name in client.selectable()}
        # Courier lists the parents too; \\Noselect says that they are not subscribed.
        listed = client.folders(b"LSUB").items()
        subscribed = {name for name, words in listed if b"\\noselect" not in words}
        return Snapshot(folders, frozenset(subscribed))


def _folder(client: Client, name: str) -> Folder:
    told = client.select(name, examine=True)
    messages: dict[int, Message] = {}
    uids = client.uids() if told[b"EXISTS"] else []
    if len(uids) != told[b"EXISTS"]:
        raise AssertionError(f"{name}: EXISTS {told[b'EXISTS']}, but UIDs {uids}")
    for start in range(0, len(uids), _BATCH):
        batch = uids[start : start + _BATCH]
        asked = b",".join(b"%d" % uid for uid in batch)
        rows = client.fetch(asked, _ITEMS)
        if sorted(rows) != batch:
            raise AssertionError(f"{name}: SEARCH has {batch}, FETCH {sorted(rows)}")
        messages |= {uid: _message(row) for uid, row in rows.items()}
    # STATUS of the selected mailbox is discouraged; UIDNEXT is optional in SELECT.
    uidnext = told.get(b"UIDNEXT")
    if uidnext is None:
        uidnext = client.status(name, b"UIDNEXT")
    return Folder(told[b"UIDVALIDITY"], uidnext, messages)


def _message(row: Mapping[bytes, Value]) -> Message:
    listed, date, body = row[b"FLAGS"], row[b"INTERNALDATE"], row[b"BODY[]"]
    assert isinstance(listed, list)
    assert isinstance(date, bytes)
    words = {word.decode().lower() for word in listed if isinstance(word, bytes)}
    system = {word for word in words if word.startswith("\\")}
    octets = body if isinstance(body, bytes) else b""
    return Message(
        frozenset(system - {"\\recent"}),
        frozenset(words - system),
        epoch(date.decode()),
        number(row[b"RFC822.SIZE"]),
        hashlib.sha256(octets).hexdigest(),
    )


def epoch(date_time: str) -> int:
    """Seconds since 1970 of an INTERNALDATE, whatever zone it is told in."""
    found = _DATE.fullmatch(date_time)
    if found is None:
        raise AssertionError(f"not a date-time: {date_time!r}")
    day, month, year, hour, minute, second, sign, off_hours, off_minutes = (
        found.groups()
    )
    offset = int(off_hours) * 3600 + int(off_minutes) * 60
    local = calendar.timegm(
        (
            int(year),
            _MONTHS.index(month) // 3 + 1,
            int(day),
            int(hour),
            int(minute),
            int(second),
        )
    )
    return local - offset if sign == "+" else local + offset


def difference(a: Snapshot, b: Snapshot) -> list[str]:
    """Every difference, one line each; empty when a client notices nothing."""
    lines = [
        f"subscription {name} only in a" for name in a.subscriptions - b.subscriptions
    ]
    lines += [
        f"subscription {name} only in b" for name in b.subscriptions - a.subscriptions
    ]
    for name in sorted(a.folders.keys() | b.folders.keys()):
        mine, other = a.folders.get(name), b.folders.get(name)
        if mine is None or other is None:
            lines.append(f"folder {name} only in {'b' if mine is None else 'a'}")
        else:
            lines += [f"{name}: {line}" for line in _folder_difference(mine, other)]
    return lines


def _folder_difference(a: Folder, b: Folder) -> Iterator[str]:
    if a.uidvalidity != b.uidvalidity:
        yield f"UIDVALIDITY {a.uidvalidity} != {b.uidvalidity}"
    if a.uidnext != b.uidnext:
        yield f"UIDNEXT {a.uidnext} != {b.uidnext}"
    for uid in sorted(a.messages.keys() | b.messages.keys()):
        mine, other = a.messages.get(uid), b.messages.get(uid)
        if mine is None or other is None:
            yield f"UID {uid} only in {'b' if mine is None else 'a'}"
        elif mine != other:
            for field in Message.__slots__:
                x, y = getattr(mine, field), getattr(other, field)
                if x != y:
                    x, y = (
                        sorted(v) if isinstance(v, frozenset) else v for v in (x, y)
                    )
                    yield f"UID {uid} {field} {x} != {y}"
