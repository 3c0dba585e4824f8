"""The Maildirs under the server: read by themselves, and changed as others would.

It shares nothing with the server.  A file is known by its base name; its UID stands in
``dovecot-uidlist``, its flags in its own name, keywords by ``dovecot-keywords``.

A change of another program counts for the server as soon as the directory's time says
so, and the clock's tick may hide one behind another (``store/maildir/scan.py``).  What
happens here is meant to lie apart: each change gives the directory a time of its own,
some seconds ago, so nobody has to wait.
"""

import os
import time
from collections.abc import Iterable
from pathlib import Path

from tests.torture.model import Flags

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
LETTERS = {
    "D": r"\draft",
    "F": r"\flagged",
    "R": r"\answered",
    "S": r"\seen",
    "T": r"\deleted",
}
FLAG_LETTERS = {flag: letter for letter, flag in LETTERS.items()}
_AGO_NS = 10_000_000_000
_STEP_NS = 1_000_003  # no whole milliseconds: a clock of fractions


class Folder:
    """One Maildir folder, and whoever changes it beside the server."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._time_ns = time.time_ns() - _AGO_NS
        self._time_ns += 1 - self._time_ns % 1_000_000
        self._counter = 0

    # What is there.

    def numbers(self) -> dict[str, int]:
        """UIDs by base name, also of files that are gone."""
        try:
            lines = (self.path / "dovecot-uidlist").read_text().splitlines()
        except FileNotFoundError:
            return {}
        found = {}
        for line in lines[1:]:
            uid, _, base = line.partition(" ")
            found[base.rpartition(":")[2]] = int(uid)
        return found

    def files(self) -> dict[str, str]:
        """Where each message is: ``new/NAME`` or ``cur/NAME`` by base name."""
        found: dict[str, str] = {}
        for part in ("new", "cur"):
            for name in os.listdir(self.path / part):
                base = name.partition(":2,")[0]
                if base in found:
                    raise AssertionError(f"two files of {base} in {self.path}")
                found[base] = f"{part}/{name}"
        return found

    def flags(self, place: str) -> Flags:
        """What a file's name says, in lower case."""
        letters = place.partition(":2,")[2]
        names = dict(LETTERS)
        if any(letter.islower() for letter in letters):
            for line in (self.path / "dovecot-keywords").read_text().splitlines():
                bit, _, keyword = line.partition(" ")
                names[chr(ord("a") + int(bit))] = keyword.lower()
        return frozenset(names[letter] for letter in letters)

    def subject(self, place: str) -> str:
        """What the file's first line says, all of which belongs to one message."""
        octets = (self.path / place).read_bytes()
        lines = octets.decode().splitlines()
        subject = lines[0].partition(": ")[2]
        if lines != message(subject).decode().splitlines():
            raise AssertionError(f"{place} has other octets: {octets!r}")
        return subject

    # What other programs do.

    def deliver(self, subject: str, flags: Iterable[str] | None) -> str:
        """Put a message into ``new``, or with flags into ``cur``; return its base."""
        self._counter += 1
        base = f"1700000{self._counter:03}.M1P1.foreign"
        name = base if flags is None else base + ":2," + self._letters(flags)
        part = "new" if flags is None else "cur"
        (self.path / "tmp" / base).write_bytes(message(subject, b"\n"))
        os.rename(self.path / "tmp" / base, self.path / part / name)
        self._touch(part)
        return base

    def mark(self, place: str, flags: Iterable[str]) -> None:
        """Give a file other system flags; its keywords stay.  It is in ``cur`` then."""
        part, _, name = place.partition("/")
        base, _, letters = name.partition(":2,")
        keywords = "".join(letter for letter in letters if letter.islower())
        new = f"{base}:2,{self._letters(flags)}{keywords}"
        os.rename(self.path / place, self.path / "cur" / new)
        self._touch("cur", part)

    def remove(self, place: str) -> None:
        """Unlink a file."""
        os.unlink(self.path / place)
        self._touch(place.partition("/")[0])

    @staticmethod
    def _letters(flags: Iterable[str]) -> str:
        known = (FLAG_LETTERS.get(flag) for flag in flags)
        return "".join(sorted(letter for letter in known if letter))

    def _touch(self, *parts: str) -> None:
        for part in parts:
            self._time_ns += _STEP_NS
            os.utime(self.path / part, ns=(self._time_ns, self._time_ns))


def message(subject: str, end: bytes = b"\r\n") -> bytes:
    """A small message that is told from others by its subject, and its body too."""
    return end.join(
        (b"Subject: %b" % subject.encode(), b"", b"%b." % subject.encode(), b"")
    )
