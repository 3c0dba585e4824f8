"""Accounts in a temporary folder, and what other servers' files in them say.

The files are read with as little as possible: this is what ours is held against.
"""

import tempfile
import unittest
from pathlib import Path
from typing import Any

from twisted.logger import capturedLogs, formatEvent

from tests.support import maildirs
from tests.support.server import Server

SYSTEM = {"D": rb"\Draft", "F": rb"\Flagged", "R": rb"\Answered"}
SYSTEM |= {"S": rb"\Seen", "T": rb"\Deleted"}


class AccountCase(unittest.TestCase):
    def setUp(self) -> None:
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.top = Path(place.name)
        self.root = self.top / "example.org"
        self.events = self.enterContext(capturedLogs())

    def sample(self, user: str) -> Path:
        return maildirs.copy_sample(user, self.top)

    def server(self, **more: Any) -> Server:
        self.root.mkdir(exist_ok=True)
        return Server(self, root=self.root, **more)

    def logged(self, *words: str) -> int:
        """How many lines of the log have all of these words."""
        lines = map(formatEvent, self.events)
        return sum(all(word in line for word in words) for line in lines)


def files(folder: Path) -> dict[str, Path]:
    """The message files by base name."""
    return {
        path.name.partition(":")[0]: path
        for part in ("cur", "new")
        for path in (folder / part).iterdir()
        if not path.name.startswith(".")
    }


def dovecot_numbers(folder: Path) -> tuple[int, int, dict[str, int]]:
    """UIDVALIDITY, the least UIDNEXT, UIDs by base."""
    head, *rest = (folder / "dovecot-uidlist").read_text().splitlines()
    words = {word[0]: word[1:] for word in head.split()[1:]}
    uids = {line.partition(" :")[2]: int(line.split()[0]) for line in rest}
    return int(words["V"]), int(words["N"]), uids


def courier_numbers(folder: Path) -> tuple[int, int, dict[str, int]]:
    head, *rest = (folder / "courierimapuiddb").read_text().splitlines()
    pairs = (line.split(" ", 1) for line in rest)
    _, validity, following = head.split()
    return int(validity), int(following), {base: int(uid) for uid, base in pairs}


def dovecot_keywords(folder: Path) -> dict[str, set[bytes]]:
    table = folder / "dovecot-keywords"
    names = {}
    if table.exists():
        for line in table.read_bytes().splitlines():
            number, name = line.split(b" ")
            names[chr(ord("a") + int(number))] = name
    return {
        base: {names[each] for each in letters(path) if each in names}
        for base, path in files(folder).items()
    }


def courier_keywords(folder: Path) -> dict[str, set[bytes]]:
    place = folder / "courierimapkeywords"
    found: dict[str, set[bytes]] = {}
    if not place.exists():
        return found
    names, _, lines = (place / ":list").read_bytes().partition(b"\n\n")
    for line in lines.splitlines():
        base, _, numbers = line.rpartition(b":")
        words = {names.splitlines()[int(number)] for number in numbers.split()}
        found[base.decode()] = words
    for path in place.glob("[!:.]*"):
        found[path.name] = set(path.read_bytes().split())
    return found


def letters(path: Path) -> str:
    return path.name.partition(":2,")[2].partition(",")[0]
