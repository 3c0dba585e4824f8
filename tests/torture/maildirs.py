"""Read a Maildir++ and its lists as their formats say: no code of the server.

``dovecot-uidlist`` of version 3, ``dovecot-keywords``, ``subscriptions`` and the
names of message files, each as Dovecot documents it.  What is wrong with a file is
told in words, not raised: the checker wants all of it.
"""

import os
import re
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

UIDLIST: Final = b"dovecot-uidlist"
COURIER_UIDS: Final = b"courierimapuiddb"
_SYSTEM: Final = {"D": "\\Draft", "F": "\\Flagged", "R": "\\Answered", "S": "\\Seen"}
_SYSTEM["T"] = "\\Deleted"
_LARGEST: Final = 1 << 32


@dataclass
class Message:
    """A file in ``new`` or ``cur``."""

    part: str
    name: bytes
    base: bytes
    octets: bytes
    flags: frozenset[str]
    uid: int | None = None  # None: no list names it yet


@dataclass
class Folder:
    """One folder; ``name`` is ``""`` for the INBOX, else without the first dot."""

    name: str
    uid_validity: int = 0  # 0: there is no list
    uid_next: int = 0
    guid: str = ""
    uids: dict[int, bytes] = field(default_factory=dict)  # base by UID
    messages: list[Message] = field(default_factory=list)
    is_couriers: bool = False  # it has Courier's numbers
    tmp_count: int = 0
    #: Those that are held, or whose process died.
    locks: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def by_octets(self) -> dict[bytes, Message]:
        """The messages by what is in them."""
        return {message.octets: message for message in self.messages}


def _read(path: bytes) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def read_account(root: bytes) -> dict[str, Folder]:
    """Every folder of a Maildir++."""
    found = {"": read_folder(root, "")}
    for entry in os.listdir(root):
        inner = root + b"/" + entry
        if entry.startswith(b".") and os.path.isdir(inner + b"/cur"):
            name = entry[1:].decode("utf-8", "surrogateescape")
            found[name] = read_folder(inner, name)
    return found


def read_folder(directory: bytes, name: str) -> Folder:
    folder = Folder(name)
    folder.is_couriers = os.path.exists(directory + b"/" + COURIER_UIDS)
    octets = _read(directory + b"/" + UIDLIST)
    if octets is not None:
        _read_uid_list(folder, octets)
    keywords = _read_keywords(_read(directory + b"/dovecot-keywords") or b"")
    uids = {base: uid for uid, base in folder.uids.items()}
    for part in ("new", "cur"):
        _read_part(folder, directory, part, keywords, uids)
    if os.path.isdir(directory + b"/tmp"):
        folder.tmp_count = len(os.listdir(directory + b"/tmp"))
    else:
        folder.problems.append("there is no tmp")
    locks = (UIDLIST + b".lock", b"tmp/courier.lock")
    folder.locks = [
        one.decode() for one in locks if os.path.lexists(directory + b"/" + one)
    ]
    return folder


#   3 V<uidvalidity> N<next uid> G<guid> [<key><value>...]
#   <uid> [<key><value> ...] :<base of the file name>
def _read_uid_list(folder: Folder, octets: bytes) -> None:
    say = folder.problems.append
    header, line_end, body = octets.partition(b"\n")
    words = header.split(b" ")
    if not line_end or words[0] != b"3":
        say(f"the UID list begins with {header[:40]!r}")
        return
    keys = {word[:1]: word[1:] for word in words[1:]}
    if not (keys.get(b"V", b"").isdigit() and keys.get(b"N", b"").isdigit()):
        say(f"the UID list has no numbers: {header[:80]!r}")
        return
    if not re.fullmatch(rb"[0-9a-f]{32}", keys.get(b"G", b"")):
        say(f"the UID list has no GUID: {header[:80]!r}")
    folder.guid = keys.get(b"G", b"").decode("ascii", "replace")
    folder.uid_validity, folder.uid_next = int(keys[b"V"]), int(keys[b"N"])
    lines = body.split(b"\n")
    if lines.pop():
        say("the UID list ends within a line")
    last = 0
    for line in lines:
        number, space, rest = line.partition(b" ")
        more, colon, base = rest.partition(b":")
        if not number.isdigit() or not space or not colon or not base:
            say(f"the UID list has a line {line[:80]!r}")
            continue
        if more and not re.fullmatch(rb"([A-Z][^ ]* )+", more):
            say(f"the UID list has keys {more[:40]!r}")
        uid = int(number)
        if not last < uid < _LARGEST:
            say(f"the UID list has {uid} after {last}")
        last = uid
        folder.uids[uid] = base.partition(b":")[0]
    # A reader takes the larger of what the header says and what the lines do.
    folder.uid_next = max(folder.uid_next, last + 1)
    if len(set(folder.uids.values())) < len(folder.uids):
        say("the UID list gives a file two UIDs")


def _read_keywords(octets: bytes) -> dict[str, str]:
    """``<number> <keyword>`` a line, 0 for the letter a."""
    found = {}
    for line in octets.split(b"\n"):
        number, _, word = line.partition(b" ")
        if number.isdigit() and int(number) < 26 and word:
            found[chr(ord("a") + int(number))] = word.decode("ascii", "replace")
    return found


def _read_part(
    folder: Folder,
    directory: bytes,
    part: str,
    keywords: dict[str, str],
    uids: dict[bytes, int],
) -> None:
    where = directory + b"/" + part.encode()
    if not os.path.isdir(where):
        folder.problems.append(f"there is no {part}")
        return
    for name in os.listdir(where):
        octets = _read(where + b"/" + name)
        if octets is None or name.startswith(b"."):
            continue
        base, _, info = name.partition(b":")
        letters = info[2:].partition(b",")[0].decode("ascii", "replace")
        flags = frozenset(_SYSTEM.get(one) or keywords.get(one, one) for one in letters)
        message = Message(part, name, base, octets, flags, uids.get(base))
        if any(other.base == base for other in folder.messages):
            folder.problems.append(f"two files have the base {base!r}")
        folder.messages.append(message)


def read_subscriptions(root: bytes) -> tuple[set[str] | None, list[str]]:
    """The names, components joined by dots (None: no file), and what is wrong with it.

    Version 2: ``V<TAB>2``, an empty line, then names whose components are separated
    by tabs.  Version 1 has names with dots, and no header.
    """
    octets = _read(root + b"/subscriptions")
    if octets is None:
        return None, []
    problems = []
    if octets.startswith(b"V\t2\n\n"):
        octets = octets[5:].replace(b"\t", b".")
    if b"\0" in octets or octets[-1:] not in (b"", b"\n"):
        problems.append("the subscriptions are torn")
    lines = [line.decode("utf-8", "replace") for line in octets.split(b"\n") if line]
    if len(set(lines)) < len(lines):
        problems.append("a name is subscribed twice")
    return {"" if line.upper() == "INBOX" else line for line in lines}, problems


def read_overflow(root: bytes, folder: Folder) -> dict[int, set[str]]:
    """Keywords that found no letter, by UID: the table of the account's state.

    A copy is read, with the journal of whoever died while writing.
    """
    name = b"imapd-state.sqlite3"
    query = "SELECT uid, keywords FROM keyword WHERE mailbox = ?"
    with tempfile.TemporaryDirectory() as place:
        for suffix in (b"", b"-journal"):
            octets = _read(root + b"/" + name + suffix)
            if octets is not None:
                with open(os.fsencode(place) + b"/state" + suffix, "wb") as file:
                    file.write(octets)
        try:
            with closing(sqlite3.connect(f"{place}/state")) as connection:
                key = f"{folder.guid}.{folder.uid_validity}"
                rows = connection.execute(query, (key,)).fetchall()
        except sqlite3.Error:
            return {}
    return {uid: set(words.decode("ascii").split()) for uid, words in rows}
