"""``dovecot-keywords``: which keyword a letter ``a`` to ``z`` of a file name means.

Lines ``<0..25> <keyword>``.  It is written under the lock of the UID list, replaced
whole, and its mtime grows with every write: Dovecot compares whole seconds.
"""

import re
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Final, Protocol

from twisted.logger import Logger

from imapd.store import fsops, quiet
from imapd.store.locks import MailboxLock
from imapd.store.maildir.keptaside import keep_aside

_log = Logger()

FILE_NAME: Final = b"dovecot-keywords"
LETTER_COUNT: Final = 26
FIRST_LETTER: Final = ord("a")
LETTERS: Final = frozenset(range(FIRST_LETTER, FIRST_LETTER + LETTER_COUNT))

_MOST_OCTETS: Final = 1 << 20
_LINE = re.compile(rb"([0-9]{1,2}) ([^\r\n]+)")
#   flag-keyword = atom                       ; RFC 3501 §9
_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]]+\Z')
_NANOSECONDS: Final = 1_000_000_000


class KeywordOverflow(Protocol):
    """Where keywords live that found no letter.  Kept in the account's state."""

    def keywords(self, guid: str) -> dict[int, frozenset[bytes]]:
        """Return those of all messages of a mailbox, by UID."""

    def change(
        self, mailbox: str, changes: "OverflowChanges"
    ) -> dict[int, frozenset[bytes]]:
        """Add and remove some, durably; return what these messages have now."""

    def set(self, guid: str, changes: Mapping[int, frozenset[bytes]]) -> None:
        """Replace those of some messages, durably; an empty set removes."""


#: What to add to, and what to take from, the keywords of each message.
OverflowChanges = Mapping[int, tuple[frozenset[bytes], frozenset[bytes]]]


class KeywordTable:
    """The letters of one folder."""

    def __init__(self, directory: bytes) -> None:
        self._path = directory + b"/" + FILE_NAME
        self._names: list[bytes | None] = [None] * LETTER_COUNT
        self._indexes: dict[bytes, int] = {}  # by name in lower case
        self._stamp: tuple[int, int, int] | None = None
        self._mtime_seconds = 0
        self._in_the_way = False  # what is there is not what it should be

    def changed(self) -> bool:
        """Whether the file is not the one last read."""
        return self._stamp_now() != self._stamp

    def refresh(self) -> bool:
        """Read the file if it changed; return whether it did.

        Something else in its place says nothing: mail is read without keywords.

        Raises:
            OSError: it cannot be read just now.
        """
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return False
        self._in_the_way = False
        try:
            octets = fsops.read_file(self._path, _MOST_OCTETS)
        except FileNotFoundError:
            octets, stamp = b"", None
        except OSError as error:
            if error.errno not in fsops.NOT_A_FILE:
                raise
            if quiet.is_due("keywords", self._path):
                _log.error(
                    "store: {path!r} is no list of keywords: {error}",
                    path=self._path,
                    error=repr(error),
                )
            octets, self._in_the_way = b"", True
        self._set_names(octets)
        self._stamp = stamp
        self._mtime_seconds = stamp[2] // _NANOSECONDS if stamp else 0
        return True

    def name_of(self, letter: int) -> bytes:
        """Return the keyword of a letter; ``unknown-<n>`` if the file has none.

        Of two that differ in case only, the first letter's spelling is that of both.
        """
        index = letter - FIRST_LETTER
        name = self._names[index]
        if name is not None and self.has_name(letter):
            return self._names[self._indexes[name.lower()]] or name
        made_up = b"unknown-%d" % index
        while self._indexes.get(made_up.lower(), index) != index:
            made_up += b"?"
        return made_up

    def has_name(self, letter: int) -> bool:
        """Whether the file names a letter, with a name that can be a keyword."""
        name = self._names[letter - FIRST_LETTER]
        return name is not None and is_keyword(name)

    def letter_of(self, name: bytes) -> int | None:
        """Return the letter of a keyword, without regard to case."""
        lower = name.lower()
        index = self._indexes.get(lower)
        if index is None and lower.startswith(b"unknown-"):
            for letter in LETTERS:
                if self._names[letter - FIRST_LETTER] is None and (
                    self.name_of(letter) == lower
                ):
                    return letter
        return None if index is None else index + FIRST_LETTER

    def names(self) -> list[bytes]:
        """Return the keywords that have a letter, once, in the order of letters."""
        return [
            name
            for index, name in enumerate(self._names)
            if name is not None
            and _ATOM.match(name)
            and self._indexes[name.lower()] == index
        ]

    def assign(
        self, lock: MailboxLock, names: Iterable[bytes], used_letters: Collection[int]
    ) -> None:
        """Give letters to new keywords while there are letters left, durably.

        ``used_letters`` are in file names: one that has lost its name is not given
        to another keyword.  ``lock`` is held.
        """
        self.refresh()
        added = False
        free = [
            index
            for index in range(LETTER_COUNT)
            if self._names[index] is None and index + FIRST_LETTER not in used_letters
        ]
        for name in names:
            if self.letter_of(name) is None and free:
                self._put(free.pop(0), name)
                added = True
        if added:
            lock.check()
            self._write()

    def _write(self) -> None:
        lines = [
            b"%d %b\n" % (index, name)
            for index, name in enumerate(self._names)
            if name is not None
        ]
        seconds = max(int(time.time()), self._mtime_seconds + 1)
        self._stamp = None  # if it fails half way, read what is there
        if self._in_the_way:
            keep_aside(self._path)
            self._in_the_way = False
        # A crash in here leaves the old file or the new one; letters that no file
        # name has yet are harmless.
        fsops.replace_file(self._path, b"".join(lines), mtime_ns=seconds * _NANOSECONDS)
        self._mtime_seconds = seconds
        self._stamp = self._stamp_now()

    def _stamp_now(self) -> tuple[int, int, int] | None:
        status = fsops.status_or_none(self._path)
        if status is None:
            return None
        return (status.st_ino, status.st_size, status.st_mtime_ns)

    def _set_names(self, octets: bytes) -> None:
        self._names = [None] * LETTER_COUNT
        self._indexes = {}
        for line in octets.split(b"\n"):
            found = _LINE.match(line)
            if found and int(found[1]) < LETTER_COUNT:
                self._put(int(found[1]), found[2])

    def _put(self, index: int, name: bytes) -> None:
        self._names[index] = name
        self._indexes.setdefault(name.lower(), index)


def is_keyword(name: bytes) -> bool:
    """Whether a name follows ``flag-keyword``.  RFC 3501 §9."""
    return _ATOM.match(name) is not None
