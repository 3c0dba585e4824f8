r"""The file ``subscriptions`` of a Maildir, as Dovecot reads and writes it.

Version 2 begins with the line ``V<TAB>2`` and an empty one, and has a name a line,
its components separated by tabs; version 1 is names with ``.`` between components
and nothing else.  Components are written as the names of the folders are: see
``layout.py``.  The version that is there is kept, a new file is version 2.

Lines that we cannot read are nobody's to drop: they stay, octet by octet.
"""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from twisted.logger import Logger

from imapd.errors import LimitReached, StoreDamaged
from imapd.ids import INBOX, MailboxPath
from imapd.limits import Limits
from imapd.store import fsops, quiet
from imapd.store.maildir import layout
from imapd.store.maildir.accountlock import dot_lock
from imapd.store.maildir.layout import NameEncoding
from imapd.store.maildir.writeback import WRITTEN_BACK_SECONDS

_log = Logger()

FILE_NAME: Final = b"subscriptions"
LOCK_NAME: Final = b"subscriptions.lock"
LARGEST_OCTETS: Final = 64 << 20

_UNREADABLE: Final = "The list of subscriptions cannot be read"
_HEADER: Final = b"V\t2\n\n"
_ESCAPES: Final = {b"1": b"\x01", b"t": b"\t", b"n": b"\n", b"r": b"\r", b"0": b"\0"}
_ESCAPED = re.compile(rb"\x01(.?)", re.DOTALL)


@dataclass(slots=True)
class SubscriptionFile:
    """What the file says: its version, and its lines of names, undecoded."""

    version: int
    lines: list[bytes]

    def paths(self) -> list[MailboxPath]:
        """Every name that can be read, once, sorted; INBOX first."""
        found = (self._path(line) for line in self.lines)
        return sorted({path for path in found if path is not None})

    def add(self, path: MailboxPath, encoding: NameEncoding) -> bool:
        """Add a name; False: it was there."""
        if any(self._path(line) == path for line in self.lines):
            return False
        self.lines.append(self._line(path, encoding))
        return True

    def remove(self, path: MailboxPath) -> bool:
        """Remove every line of a name; False: there was none."""
        kept = [line for line in self.lines if self._path(line) != path]
        removed = len(kept) < len(self.lines)
        self.lines = kept
        return removed

    def octets(self) -> bytes:
        """The whole file."""
        header = _HEADER if self.version == 2 else b""
        return header + b"".join(line + b"\n" for line in self.lines)

    def _path(self, line: bytes) -> MailboxPath | None:
        separator = b"\t" if self.version == 2 else b"."
        parts = line.split(separator)
        if self.version == 2:
            parts = [unescape(part) for part in parts]
        try:
            path = tuple(layout.decode_component(part) for part in parts)
        except ValueError:
            return None
        if len(path) == 1 and path[0].upper() == "INBOX":
            return INBOX
        return path if layout.candidate_directories(path) else None

    def _line(self, path: MailboxPath, encoding: NameEncoding) -> bytes:
        if path == INBOX:
            return b"INBOX"
        name = layout.encode_directory(path, encoding)[1:]
        # No component of ours has a tab, a line end or \001: nothing to escape.
        return name.replace(b".", b"\t") if self.version == 2 else name


def parse(octets: bytes) -> SubscriptionFile:
    """Read the file.

    Raises:
        StoreDamaged: it is of a version that we do not know, and must stay as it is.
    """
    if _HEADER.startswith(octets):  # empty, or cut inside the header
        return SubscriptionFile(version=2, lines=[])
    version = 1
    if octets.startswith(b"V\t"):
        if not octets.startswith(_HEADER):
            raise StoreDamaged(_UNREADABLE)
        version, octets = 2, octets[len(_HEADER) :]
    lines = [line for line in octets.split(b"\n") if line]
    return SubscriptionFile(version, lines)


def unescape(octets: bytes) -> bytes:
    r"""Undo Dovecot's escaping: ``\001t`` is a tab."""
    return _ESCAPED.sub(lambda match: _ESCAPES.get(match[1], match[1]), octets)


class Subscriptions:
    """The subscriptions of one account; who changes them holds its lock."""

    def __init__(self, root: bytes, limits: Limits) -> None:
        self.path = root + b"/" + FILE_NAME
        self._lock_path = root + b"/" + LOCK_NAME
        self._limits = limits

    def paths(self) -> list[MailboxPath]:
        """Return the names, sorted.  Nothing is locked: the file is replaced whole.

        Raises:
            StoreDamaged, OSError
        """
        return self.read().paths()

    def read(self) -> SubscriptionFile:
        """Return what the file says; one that is not there says nothing.

        Raises:
            StoreDamaged, OSError
        """
        try:
            return parse(fsops.read_file(self.path, LARGEST_OCTETS))
        except FileNotFoundError:
            return SubscriptionFile(version=2, lines=[])
        except OSError as error:
            if error.errno not in fsops.NOT_A_FILE:
                raise
            if quiet.is_due("subscriptions", self.path):
                _log.error(
                    "store: {path!r}: {error}", path=self.path, error=repr(error)
                )
            raise StoreDamaged(_UNREADABLE) from error

    def add(self, path: MailboxPath, encoding: NameEncoding) -> None:
        """Add a name durably.

        Raises:
            LimitReached: there are too many.
            InUse, StoreDamaged, OSError
        """
        with dot_lock(self._lock_path, self._limits.lock_seconds):
            file = self.read()
            if not file.add(path, encoding) and self._is_old():
                return
            if len(file.lines) > self._limits.subscription_count:
                raise LimitReached("There are too many subscriptions")
            fsops.replace_file(self.path, file.octets())

    def remove(self, path: MailboxPath) -> None:
        """Remove a name durably.

        Raises:
            InUse, StoreDamaged, OSError
        """
        with dot_lock(self._lock_path, self._limits.lock_seconds):
            file = self.read()
            if file.remove(path) or not self._is_old():
                fsops.replace_file(self.path, file.octets())

    def _is_old(self) -> bool:
        """Whether the file is as it was long enough to be on the disk.

        What a server wrote that crashed then, or whose sync failed, may be nowhere
        but in memory: it is written once more before it is answered with OK.
        """
        status = fsops.status_or_none(self.path)
        if status is None:
            return True
        age_seconds = time.time() - status.st_ctime
        return age_seconds >= WRITTEN_BACK_SECONDS  # not if the clock was set back

    def replace(self, paths: Iterable[MailboxPath], encoding: NameEncoding) -> None:
        """Set the names that can be read; lines that cannot be read stay.

        Raises:
            InUse, StoreDamaged, OSError
        """
        wanted = set(paths)
        with dot_lock(self._lock_path, self._limits.lock_seconds):
            file = self.read()
            for path in file.paths():
                if path not in wanted:
                    file.remove(path)
            for path in sorted(wanted):
                file.add(path, encoding)
            fsops.replace_file(self.path, file.octets())
