"""What Courier keeps beside the mail: UIDs, keywords and subscriptions.

``courierimapuiddb`` in a folder is a UID list of version 1.  ``courierimapkeywords/``
has ``:list``, which is keyword names, an empty line and ``<base>:<i> <j>...``, and
changes not yet in it: a file ``<base>``, or else the ``.<n>.<base>`` of the highest
n, with a keyword a line.  ``courierimapsubscribed`` in the root has an IMAP name a
line, in UTF-8 or, before Courier 5.0, in modified UTF-7.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from twisted.logger import Logger

from imapd.ids import INBOX, MailboxPath
from imapd.store import fsops
from imapd.store.maildir import layout
from imapd.store.maildir.keywords import is_keyword
from imapd.store.maildir.takeover import TakenOver
from imapd.store.maildir.uidformat import (
    BrokenUidList,
    UidTable,
    parse,
    parse_header,
    salvage,
)

_log = Logger()

UIDS: Final = b"courierimapuiddb"
KEYWORDS: Final = b"courierimapkeywords"
KEYWORD_LIST: Final = KEYWORDS + b"/:list"
SUBSCRIBED: Final = b"courierimapsubscribed"
#: Our UID list, set aside when Courier's was better; the second name says that
#: Courier had been told everything before it went on.  They begin with ``imapd-``.
REPLACED: Final = b"imapd-uidlist.replaced"
HANDED_BACK: Final = b"imapd-uidlist.handed-back"

_LARGEST_OCTETS: Final = 256 << 20
_LARGEST_PENDING_OCTETS: Final = 64 << 10
_NUMBERED = re.compile(rb"\.([0-9]{1,15})\.(.+)", re.DOTALL)
_INDEX = re.compile(rb"[0-9]{1,6}")


@dataclass(slots=True)
class Keywords:
    """The keywords of a folder: names as first spelled, and each message's."""

    names: list[bytes] = field(default_factory=list)
    messages: dict[bytes, frozenset[bytes]] = field(default_factory=dict)
    pending_files: list[bytes] = field(default_factory=list)  # in the directory
    readable: bool = True  # so that what is not in it is not so


def take_over(directory: Path) -> TakenOver | None:
    """Return what Courier knows of a folder; None: nothing, or nothing that holds.

    The UIDVALIDITY stays as long as it can be read, and every mapping that can be
    read stays with it; 0 stands for one that cannot.
    """
    folder = bytes(directory)
    table = read_uids(folder)
    keywords = read_keywords(folder)
    if table is None:
        if not keywords.messages:
            return None
        # Its numbers are lost, what users said about their mail is not.
        table = UidTable()
    return TakenOver(
        uid_validity=table.uid_validity,
        uid_next=table.uid_next,
        entries=[(uid, base) for base, uid in table.uids.items()],
        keywords=keywords.names,
        message_keywords=keywords.messages,
        keywords_complete=keywords.readable
        and fsops.exists(folder + b"/" + HANDED_BACK),
        guid=_guid_of(folder, table.uid_validity),
    )


def _guid_of(folder: bytes, uid_validity: int) -> str:
    """Return the GUID that a folder had with us under this UIDVALIDITY, or ``""``."""
    for name in (HANDED_BACK, REPLACED):
        with suppress(OSError, BrokenUidList):
            octets = fsops.read_file(folder + b"/" + name, _LARGEST_OCTETS)
            table = parse_header(octets.partition(b"\n")[0])
            if table.uid_validity == uid_validity:
                return table.guid
    return ""


def read_uids(folder: bytes) -> UidTable | None:
    """Return the UID list of a folder; None: there is none that can be used."""
    path = folder + b"/" + UIDS
    try:
        octets = fsops.read_file(path, _LARGEST_OCTETS)
    except FileNotFoundError:
        return None
    except OSError as error:
        _log.error(
            "store: {path!r} cannot be read: {error}", path=path, error=repr(error)
        )
        return None
    if not octets.startswith(b"1 "):
        _log.error("store: {path!r} is no UID list of Courier's", path=path)
        return None
    try:
        return parse(octets)
    except BrokenUidList as error:
        table = salvage(octets)
        _log.error(
            "store: {path!r} is damaged, {count} UIDs are used: {error}",
            path=path,
            count=len(table.uids),
            error=repr(error),
        )
        return table if table.uid_validity and table.uids else None


def read_keywords(folder: bytes) -> Keywords:
    """Return the keywords of a folder, changes not yet in the list folded in."""
    found = Keywords()
    spelled: dict[bytes, bytes] = {}
    try:
        octets = fsops.read_file(folder + b"/" + KEYWORD_LIST, _LARGEST_OCTETS)
        names = fsops.names(folder + b"/" + KEYWORDS)
    except FileNotFoundError:
        octets = b""
        names = _names_if_there(folder + b"/" + KEYWORDS)
    except OSError as error:
        _log.error(
            "store: keywords of {path!r}: {error}", path=folder, error=repr(error)
        )
        found.readable = False
        return found
    for base, keywords in _listed(octets):
        found.messages[base] = _spell(keywords, spelled)
    for base, files in _pending(names).items():
        found.pending_files.extend(files)
        pending = _read_pending(b"%b/%b/%b" % (folder, KEYWORDS, files[0]))
        if pending is None:
            found.readable = False
        else:
            found.messages[base] = _spell(pending, spelled)
    found.messages = {base: words for base, words in found.messages.items() if words}
    found.names = list(spelled.values())
    return found


def keyword_list(messages: Mapping[bytes, frozenset[bytes]]) -> bytes:
    """Return a ``:list`` that says this."""
    names = sorted({name for keywords in messages.values() for name in keywords})
    index = {name: number for number, name in enumerate(names)}
    lines = [name + b"\n" for name in names]
    lines.append(b"\n")
    for base, keywords in sorted(messages.items()):
        numbers = b" ".join(b"%d" % index[name] for name in sorted(keywords))
        if numbers:
            lines.append(b"%b:%b\n" % (base, numbers))
    return b"".join(lines)


def subscribed_path(line: bytes) -> MailboxPath | None:
    """Return the mailbox that a line of ``courierimapsubscribed`` names.

    None: it is none of this account (``#shared...``), or cannot be read.
    """
    if line.upper() == b"INBOX":
        return INBOX
    if line[:6].upper() != b"INBOX.":
        return None
    try:
        path = tuple(layout.decode_component(part) for part in line[6:].split(b"."))
    except ValueError:
        return None
    return path if layout.candidate_directories(path) else None


def subscribed_line(path: MailboxPath) -> bytes:
    """Return the line for a mailbox, in UTF-8 as Courier writes it since 5.0."""
    return ".".join(("INBOX", *path)).encode("utf-8")


def read_subscribed(root: bytes) -> list[bytes] | None:
    """Return the lines of ``courierimapsubscribed``; None: there is no such file.

    Raises:
        OSError: it cannot be read.
    """
    try:
        octets = fsops.read_file(root + b"/" + SUBSCRIBED, _LARGEST_OCTETS)
    except FileNotFoundError:
        return None
    return [line for line in octets.split(b"\n") if line]


def signature(folder: bytes, *names: bytes) -> str:
    """Return a text that changes when one of the files does; ``""``: none is there."""
    found = []
    for name in names:
        status = fsops.status_or_none(folder + b"/" + name)
        if status is not None:
            found.append(f"{status.st_mtime_ns}:{status.st_size}:{status.st_ino}")
    return " ".join(found)


def _names_if_there(directory: bytes) -> list[bytes]:
    try:
        return fsops.names(directory)
    except OSError:
        return []


def _listed(octets: bytes) -> list[tuple[bytes, list[bytes]]]:
    """Take ``:list`` apart; lines that cannot be read are left out."""
    head, _, body = octets.partition(b"\n\n")
    if octets.startswith(b"\n"):
        head, body = b"", octets[1:]
    names = head.split(b"\n")
    found = []
    for line in body.split(b"\n"):
        base, colon, numbers = line.rpartition(b":")
        if not colon or not base or b"/" in base:
            continue
        words = [word for word in numbers.split(b" ") if _INDEX.fullmatch(word)]
        indexes = [int(word) for word in words if int(word) < len(names)]
        found.append((base, [names[index] for index in indexes]))
    return found


def _pending(names: Sequence[bytes]) -> dict[bytes, list[bytes]]:
    """Return the files with a message's keywords, the one that counts first."""
    ranked: dict[bytes, list[tuple[int, bytes]]] = {}
    for name in names:
        if name.startswith((b":", b".tmp")):
            continue
        match = _NUMBERED.fullmatch(name)
        if match:
            ranked.setdefault(match[2], []).append((-int(match[1]), name))
        elif not name.startswith(b"."):
            ranked.setdefault(name, []).append((-(10**16), name))
    return {base: [name for _, name in sorted(files)] for base, files in ranked.items()}


def _read_pending(path: bytes) -> list[bytes] | None:
    try:
        return fsops.read_file(path, _LARGEST_PENDING_OCTETS).split(b"\n")
    except OSError as error:
        _log.warn(
            "store: {path!r} cannot be read: {error}", path=path, error=repr(error)
        )
        return None


def _spell(keywords: list[bytes], spelled: dict[bytes, bytes]) -> frozenset[bytes]:
    """Give each keyword its first spelling; drop what IMAP could not say."""
    usable = (keyword for keyword in keywords if is_keyword(keyword))
    return frozenset(spelled.setdefault(word.lower(), word) for word in usable)
