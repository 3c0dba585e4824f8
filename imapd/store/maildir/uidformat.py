"""The text of ``dovecot-uidlist``: read version 3 and 1, write version 3.

``3 V<uidvalidity> N<nextuid> G<32 hex>[ <K><value>...]``, then a line a message,
``<uid>[ <K><value>...] :<base>``.  Dovecot removes a file in which a UID does not
ascend, a name is empty or has a ``/``, or V or N is 0, and then renumbers the
folder: what is written here must never be such a file.
"""

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import lt
from typing import Any, Final

from imapd.errors import StoreDamaged
from imapd.ids import LARGEST_NUMBER, Uid
from imapd.store.maildir.names import base_of

LARGEST_UID: Final = LARGEST_NUMBER - 1  # Dovecot refuses 2**32 - 1

_NUMBER = re.compile(rb"[0-9]{1,10}\Z")
_GUID = re.compile(rb"[0-9a-fA-F]{32}\Z")
_V1_HEADER = re.compile(rb"1 +([0-9]{1,10}) +([0-9]{1,10})\s*\Z")


#: Records are made once; and seldom, so that one lock serves all tables.
_LOADING = threading.RLock()


class BrokenUidList(Exception):
    """The file is not what Dovecot would read."""


@dataclass(slots=True)
class UidTable:
    """A UID list in memory.  ``uids`` is in ascending order of UIDs."""

    uid_validity: int = 0
    uid_next: int = 1  # larger than all UIDs
    guid: str = ""  # empty: the file has none yet
    header_extras: bytes = b""  # keys we do not know, with their values
    version: int = 3
    uids: dict[bytes, Uid] = field(default_factory=dict)
    extras: dict[Uid, bytes] = field(default_factory=dict)
    last_uid: int = 0  # of the last line
    line_count: int = 0  # without the header
    #: The last line has no line end: a writer died, or is writing.
    torn: bool = False
    #: What the file says where ``uid_next`` is more: UIDs were lost to failed writes.
    safe_next: int = field(default=0, compare=False)
    #: Records were added that give known bases other UIDs, as Dovecot may do.
    renumbered: bool = field(default=False, compare=False)
    #: Makes ``uids`` and ``extras`` when one of them is first asked for.
    later: "Callable[[], tuple[dict[bytes, Uid], dict[Uid, bytes]]] | None" = field(
        default=None, compare=False, repr=False
    )

    def load_later(
        self, load: "Callable[[], tuple[dict[bytes, Uid], dict[Uid, bytes]]]"
    ) -> None:
        """Hold no records until somebody asks for them: most mailboxes need none."""
        del self.uids, self.extras
        self.later = load

    def __getattr__(self, name: str) -> Any:
        """Called for a slot that has no value: the records are asked for."""
        if name not in ("uids", "extras"):
            raise AttributeError(name)
        with _LOADING:  # readers come from other threads than the one that syncs
            load = self.later
            if load is not None:
                uids, extras = load()  # if it fails, the next one tries again
                self.uids, self.extras = uids, extras
                self.later = None
        return object.__getattribute__(self, name)

    @property
    def told_next(self) -> int:
        """The next UID as another process would tell it, if this one died now.

        It may be less than ``uid_next``: who was told of that would not look for
        messages that get the UIDs in between after all.
        """
        return self.safe_next or self.uid_next

    def burn(self, uid_next: int) -> None:
        """Give no UID below this one; no file says so yet."""
        self.safe_next = self.told_next
        self.uid_next = uid_next

    def add(self, uid: Uid, base: bytes, extras: bytes = b"") -> None:
        """Take one record; a base that is there already gets its newer UID."""
        old = self.uids.pop(base, None)
        if old is not None:
            self.extras.pop(old, None)
            self.renumbered = True
        self.uids[base] = uid
        if extras:
            self.extras[uid] = extras
        self.last_uid = uid
        self.line_count += 1
        self.uid_next = max(self.uid_next, uid + 1)
        if self.safe_next:
            self.safe_next = max(self.safe_next, uid + 1)

    def extend(self, uids: Sequence[Uid], bases: Sequence[bytes]) -> None:
        """Take records without extras, ascending, after those that are there."""
        there = dict(zip(bases, uids, strict=True))
        if len(there) < len(bases) or not self.uids.keys().isdisjoint(there):
            for uid, base in zip(uids, bases, strict=True):
                self.add(uid, base)
        elif there:
            if self.uids:
                self.uids.update(there)
            else:
                self.uids = there
            self.last_uid = uids[-1]
            self.line_count += len(uids)
            self.uid_next = max(self.uid_next, uids[-1] + 1)
            if self.safe_next:
                self.safe_next = max(self.safe_next, uids[-1] + 1)


def parse(octets: bytes) -> UidTable:
    """Read a whole file.

    Raises:
        BrokenUidList: Dovecot would throw it away.
    """
    header, line_end, _ = octets.partition(b"\n")
    if not line_end:
        raise BrokenUidList("no header")
    table = parse_header(header)
    parse_records(table, octets, len(header) + 1)
    return table


def parse_header(line: bytes) -> UidTable:
    """Read the first line, without its line end."""
    line = line.rstrip(b"\r")
    if line.startswith(b"1 "):
        return _parse_header_v1(line)
    if not line.startswith(b"3 "):
        raise BrokenUidList("unknown version")
    table = UidTable()
    numbers = {b"V": 0, b"N": 0}
    extras = []
    for word in filter(None, line[2:].split(b" ")):
        key, value = word[:1], word[1:]
        if key in numbers:
            numbers[key] = int(value) if _NUMBER.match(value) else 0
        elif key == b"G":
            if not _GUID.match(value):
                raise BrokenUidList("bad mailbox GUID")
            table.guid = value.decode("ascii").lower()
        else:
            extras.append(word)
    table.header_extras = b" ".join(extras)
    return _with_numbers(table, numbers[b"V"], numbers[b"N"])


def _parse_header_v1(line: bytes) -> UidTable:
    """Read ``1 <uidvalidity> <nextuid>``, as Courier writes it."""
    found = _V1_HEADER.match(line)
    if found is None:
        raise BrokenUidList("bad header of version 1")
    return _with_numbers(UidTable(version=1), int(found[1]), int(found[2]))


def _with_numbers(table: UidTable, uid_validity: int, uid_next: int) -> UidTable:
    if not 0 < uid_validity <= LARGEST_NUMBER or not 0 < uid_next <= LARGEST_NUMBER:
        raise BrokenUidList("UIDVALIDITY or next UID out of range")
    table.uid_validity = uid_validity
    table.uid_next = uid_next
    return table


def parse_records(table: UidTable, octets: bytes, start: int) -> int:
    """Add the records from ``start`` on; return where the last whole line ended.

    A last line without its end is left alone: it is being written just now, or
    its writer died, and then nobody was told its UID.
    """
    end = octets.rfind(b"\n", start) + 1
    table.torn = max(end, start) < len(octets)
    if not end:
        return start
    for line in octets[start : end - 1].split(b"\n"):
        uid, base, extras = parse_record(line, table.version)
        if uid <= table.last_uid:
            raise BrokenUidList(f"UID {uid} follows {table.last_uid}")
        if table.version == 1 and uid >= table.uid_next:
            raise BrokenUidList(f"UID {uid} is not below the next UID")
        table.add(uid, base, extras)
    return end


def parse_record(line: bytes, version: int) -> tuple[Uid, bytes, bytes]:
    """Read one line: UID, base and the other keys as they stand."""
    number, space, rest = line.partition(b" ")
    if not space or not _NUMBER.match(number):
        raise BrokenUidList("a line does not start with a UID")
    uid = int(number)
    if not 0 < uid <= LARGEST_UID:
        raise BrokenUidList(f"UID {uid} is out of range")
    extras = b""
    if version == 1:
        name = rest.lstrip(b" ")
    elif rest.startswith(b":"):
        name = rest[1:]
    else:
        extras, name = _split_extras(rest)
    base = base_of(name.rstrip(b"\r"))
    if not base or b"/" in name or b"\0" in name:
        raise BrokenUidList(f"UID {uid} has a bad file name")
    return Uid(uid), base, extras


def _split_extras(rest: bytes) -> tuple[bytes, bytes]:
    """Part ``S12 W13 :name``; keys that are not A to Z are dropped, as by Dovecot."""
    if rest.lstrip(b" ").startswith(b":"):
        return b"", rest.lstrip(b" ")[1:]
    head, found, name = rest.partition(b" :")
    if not found:
        raise BrokenUidList("a line has no file name")
    words = [word for word in head.split(b" ") if b"A" <= word[:1] <= b"Z"]
    return b" ".join(words), name


def header_line(table: UidTable) -> bytes:
    """Return ``3 V1 N2 G0123...``, with its line end.

    Raises:
        StoreDamaged: a number that Dovecot would refuse.
    """
    if not (
        0 < table.uid_validity <= LARGEST_NUMBER
        and table.last_uid < table.uid_next <= LARGEST_NUMBER
        and len(table.guid) == 32
    ):
        raise StoreDamaged("The mailbox has run out of numbers")
    extras = b" " + table.header_extras if table.header_extras else b""
    return b"3 V%d N%d G%b%b\n" % (
        table.uid_validity,
        table.uid_next,
        table.guid.encode("ascii"),
        extras,
    )


def record_lines(
    uids: Sequence[Uid],
    bases: Sequence[bytes],
    extras: Mapping[Uid, bytes],
    after: int,
) -> bytes:
    """Return the lines of records.

    Each UID must be larger than that of the line before, first ``after``.

    Raises:
        StoreDamaged: a record that Dovecot would refuse.
    """
    if not uids:
        return b""
    ascending = all(map(lt, uids, uids[1:]))
    if not (after < uids[0] and uids[-1] <= LARGEST_UID and ascending):
        raise StoreDamaged("The mailbox has run out of UIDs")
    names = b"\n".join(bases)
    ends = names.count(b"\n") != len(bases) - 1
    if ends or not all(bases) or b"/" in names or b"\0" in names:
        raise StoreDamaged("A message file has an impossible name")
    if extras:
        more = [b" " + extras[uid] if extras.get(uid) else b"" for uid in uids]
        rows = zip(uids, more, bases, strict=True)
        return b"".join(map(b"%d%b :%b\n".__mod__, rows))
    return b"".join(map(b"%d :%b\n".__mod__, zip(uids, bases, strict=True)))


def serialise(table: UidTable) -> bytes:
    """Return a whole file."""
    bases, uids = list(table.uids), list(table.uids.values())
    return header_line(table) + record_lines(uids, bases, table.extras, 0)


def salvage(octets: bytes) -> UidTable:
    """Take from a broken file all that is certain: every valid, ascending record.

    ``uid_validity`` is 0 where it cannot be read; ``uid_next`` is above every
    number seen in a place where UIDs stand, valid or not.
    """
    header, _, body = octets.partition(b"\n")
    try:
        table = parse_header(header)
    except BrokenUidList:
        table = _salvage_header(header)
    seen = table.uid_next
    for line in body.split(b"\n"):
        number = re.match(rb"[0-9]{1,10}(?= )", line)
        if number and int(number[0]) <= LARGEST_UID:
            seen = max(seen, int(number[0]) + 1)
        try:
            uid, base, extras = parse_record(line, table.version)
        except BrokenUidList:
            continue
        if uid > table.last_uid:
            table.add(uid, base, extras)
    table.uid_next = seen
    return table


def _salvage_header(line: bytes) -> UidTable:
    """Find what can be found in a header that is not right."""
    table = UidTable(version=1 if line.startswith(b"1 ") else 3)
    words = line.rstrip(b"\r").split(b" ")
    for word in words:
        value = word[1:]
        if word[:1] == b"V" and _NUMBER.match(value) and int(value) <= LARGEST_NUMBER:
            table.uid_validity = int(value)
        elif word[:1] == b"N" and _NUMBER.match(value):
            table.uid_next = max(1, min(int(value), LARGEST_NUMBER))
        elif word[:1] == b"G" and _GUID.match(value):
            table.guid = value.decode("ascii").lower()
    return table


def merge(found: UidTable, known: UidTable) -> UidTable:
    """Join what a broken file still says with what we had read from it before."""
    merged = UidTable(
        known.uid_validity,
        max(found.uid_next, known.uid_next),
        known.guid or found.guid,
        known.header_extras,
    )
    by_uid = {uid: base for base, uid in found.uids.items()}
    by_uid.update((uid, base) for base, uid in known.uids.items())
    for uid in sorted(by_uid):
        more = known.extras.get(uid) or found.extras.get(uid, b"")
        merged.add(uid, by_uid[uid], more)
    return merged
