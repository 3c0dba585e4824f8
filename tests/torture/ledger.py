"""What many hands did to one account, and what each of them was told.

Messages are known by the number in their ``X-Number``.  Everybody may flag any
message with flags of its own, and remove or move those alone that are its by the last
digit of the number: so what must be there at the end is known whatever happened when.
"""

import itertools
import re
import threading
from collections.abc import Iterator

#: Who removes which, by the last digit; all others stay.
REMOVED_BY = {0: "one", 1: "two", 2: "dovecot", 3: "reader", 4: "near"}
MOVED_BY = {5: "one", 6: "dovecot"}
#: Nobody else changes them.
FLAG_OF = {
    "one": "Alpha",
    "two": "Beta",
    "dovecot": "\\Answered",
    "reader": "\\Flagged",
    "near": "\\Draft",
}
_NUMBER = re.compile(rb"(?im)^X-Number: *(\d+)")
_EACH = 1_000_000


def message(number: int) -> bytes:
    """A message as it is on disk."""
    return b"Subject: many hands\nX-Number: %d\n\nGr\xc3\xbc\xc3\x9fe %d\n" % (
        number,
        number,
    )


def number_of(octets: bytes) -> int:
    """The number of a message, or of its header."""
    found = _NUMBER.search(octets)
    assert found is not None, octets
    return int(found[1])


class Ledger:
    """Several threads write into one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._makers = itertools.count(1)
        self.there: set[int] = set()
        #: Noted before it is tried.
        self.removed: set[int] = set()
        self.moved: set[int] = set()
        #: (number, flag): as last acknowledged; None: on its way, or refused.
        self.flags: dict[tuple[int, str], bool | None] = {}
        self.names: dict[tuple[str, int, int], int] = {}
        #: (folder, number): a session was told that it is gone, and of which server.
        self.told_gone: dict[tuple[str, int], set[str]] = {}
        self.problems: list[str] = []
        self.deeds: dict[str, int] = {}

    def numbers(self) -> Iterator[int]:
        """Yield numbers that nobody else has."""
        with self._lock:
            first = next(self._makers) * _EACH
        return itertools.count(first)

    def did(self, what: str) -> None:
        with self._lock:
            self.deeds[what] = self.deeds.get(what, 0) + 1

    def saw(self, folder: str, validity: int, uid: int, number: int) -> None:
        """A UID names one message, for everybody and for ever."""
        with self._lock:
            known = self.names.setdefault((folder, validity, uid), number)
        if known != number:
            self.problems.append(f"{folder} UID {uid} is {known} and {number}")

    def may_be_gone(self, folder: str, number: int) -> bool:
        """Whether somebody began to take it out of there."""
        return number in self.removed or (folder == "INBOX" and number in self.moved)

    def is_told_gone(self, folder: str, number: int, server: str) -> None:
        """A client of that server took it off its list."""
        with self._lock:
            self.told_gone.setdefault((folder, number), set()).add(server)

    def renumbered(self) -> dict[tuple[str, int], set[int]]:
        """Folders and numbers of messages that have had two UIDs there, with them."""
        uids: dict[tuple[str, int], set[int]] = {}
        for (folder, _, uid), number in self.names.items():
            uids.setdefault((folder, number), set()).add(uid)
        return {key: some for key, some in uids.items() if len(some) > 1}

    def phantoms(self) -> set[tuple[str, int]]:
        """What was told to be gone, and nobody had touched."""
        return {key for key in self.told_gone if not self.may_be_gone(*key)}
