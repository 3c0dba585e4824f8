"""Many hands on one Maildir at once: who was told what, and what is there at last.

Two servers of ours, each with a client at work and one that only looks; Dovecot with
a client; a deliverer as qmail has it and Courier's; a mail reader for files; mbsync,
and somebody who works on its copy.  What is visible is what was delivered less what
was deleted, nobody was told of an expunge that was none, and nobody's flags are lost.
"""

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.live.base import PortServer
from tests.live.dovecot import DovecotServer
from tests.live.process import temporary_folder
from tests.torture.budget import Budget
from tests.torture.delivering import Courier, Near, Qmail, Reader, deliverquota
from tests.torture.figures import Figure, at_least, at_most, told
from tests.torture.ledger import FLAG_OF, Ledger, message, number_of
from tests.torture.maildirs import read_account
from tests.torture.numbering import Numbered, NumberingServer
from tests.torture.renames import renames
from tests.torture.sessions import ARCHIVE, USER, Hand, Session, Watcher

_ITEM = b"FLAGS BODY.PEEK[HEADER.FIELDS (X-Number)]"
#: Dovecot may look at a folder a second after it changed it.
_SETTLE_SECONDS = 1.5
#: What mbsync puts into the header of what it uploads.
_TUID = re.compile(rb"(?m)^X-TUID: .*\n")
_LETTERS = {"\\Answered": "R", "\\Flagged": "F", "\\Draft": "D"}
_FOLDERS = ("INBOX", ARCHIVE)
#: With fewer messages delivered, or UIDs given by ours, what is judged says little.
_LEAST = 20
#: Until then they go on, for so many times the time: the machine may be a slow one,
#: and Dovecot may be the first to number nearly all that comes.
_LONGEST = 10
_PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class Row:
    """A message as a server shows it."""

    number: int
    flags: frozenset[str]


Shown = dict[tuple[str, int], Row]


def _shown(server: PortServer) -> Shown:
    """All that a session finds that has just come: by folder and UID."""
    found: Shown = {}
    with server.connect(USER) as client:
        for folder in _FOLDERS:
            client.select(folder, examine=True)
            for uid, row in client.fetch(b"1:*", _ITEM).items():
                flags, text = (
                    row[b"FLAGS"],
                    [value for key, value in row.items() if key.startswith(b"BODY[")],
                )
                assert isinstance(flags, list)
                assert isinstance(text[0], bytes)
                words = {flag.decode() for flag in flags if isinstance(flag, bytes)}
                words -= {"\\Recent"}
                found[folder, uid] = Row(number_of(text[0]), frozenset(words))
    return found


class Crowd:
    """All of them, over one account."""

    def __init__(
        self, root: Path, seed: int, seconds: float, *, beside: bool = False
    ) -> None:
        """``beside``: Dovecot is one of them."""
        self._root, self._seed, self._seconds = root, seed, seconds
        self._beside = beside
        self.ledger = Ledger()
        #: Messages that got a second UID from Dovecot.
        self.given_again = 0
        #: UIDs that servers of ours were seen to give.
        self.given = 0
        self.near: Near | None = None
        self._over = threading.Event()
        self._watchers: list[Watcher] = []

    def work(self) -> list[str]:
        """Let them work; return what is wrong then."""
        with contextlib.ExitStack() as stack:
            own = [NumberingServer(self._root, label=name) for name in ("one", "two")]
            servers: list[PortServer] = [*own]
            if self._beside:
                servers.append(DovecotServer(self._root))
            for server in servers:
                stack.enter_context(server)
            self._prepare(servers[0])
            hands = self._hands(servers)
            for watcher in self._watchers:
                stack.callback(watcher.close)
            for hand in hands:
                hand.start()
            try:
                self._wait(own)
            finally:
                self._over.set()
            for hand in hands:
                hand.join()
            return self._judge(servers, own)

    def _wait(self, own: list[NumberingServer]) -> None:
        """For as long as they have, and until they did something."""
        began = time.monotonic()
        time.sleep(self._seconds)
        while time.monotonic() < began + _LONGEST * self._seconds:
            given = Numbered(each.numbered for each in own).given
            if (
                self.ledger.problems
                or min(len(self.ledger.there), len(given)) >= _LEAST
            ):
                return
            time.sleep(_PAUSE_SECONDS)

    def _prepare(self, server: PortServer) -> None:
        """Make the folders, and their keywords.

        Letters that two servers make at the same moment are not safe with Dovecot:
        docs/durability.rst.
        """
        words = [flag for flag in FLAG_OF.values() if not flag.startswith("\\")]
        numbers = self.ledger.numbers()
        with server.connect(USER) as client:
            client.command(b"CREATE " + client.wire_name(ARCHIVE))
            for folder in _FOLDERS:
                one = next(numbers) + 9  # nobody removes it
                client.append(folder, message(one).replace(b"\n", b"\r\n"), words)
                self.ledger.there.add(one)
                for word in words:
                    self.ledger.flags[one, word] = True

    def _hands(self, servers: list[PortServer]) -> list[Hand]:
        maildir = servers[0].maildir(USER)
        more = (self.ledger, self._seed, self._over)
        names = ("one", "two", "dovecot")
        self._watchers = [Watcher(server, *more) for server in servers[:2]]
        found: list[Hand] = [
            *(
                Session(name, each, *more)
                for name, each in zip(names[: len(servers)], servers, strict=True)
            ),
            *self._watchers,
            Qmail(maildir, *more),
            Reader(maildir, *more),
        ]
        if program := deliverquota():
            found.append(Courier(program, maildir, *more))
        home = self._root / "near"
        home.mkdir()
        self.near = Near(servers[1], home, *more)
        return [*found, self.near]

    def _judge(
        self, servers: list[PortServer], own: list[NumberingServer]
    ) -> list[str]:
        if self.near is not None and not self.ledger.problems:
            self.near.sync((0,))
            self.near.sync((0,))  # what changed while the first ran
        time.sleep(_SETTLE_SECONDS)
        _shown(servers[-1])  # and write what it put off
        shown = {server.folder.name: _shown(server) for server in servers}
        ours = shown.pop("one")
        wrong = list(self.ledger.problems)
        for name, theirs in shown.items():
            wrong += _difference(f"one and {name}", ours, theirs)
        # Dovecot misses files that others rename while it lists them, tells of their
        # expunge and gives them new UIDs, as its own sessions do to each other.
        renumbered = self.ledger.renumbered()
        numbered = Numbered(each.numbered for each in own)
        self.given = len(numbered.given)
        again = set()
        if self._beside:
            again = renumbered.keys() - numbered.blamed_for(renumbered)
        self.given_again = len(again)
        wrong += self._messages(ours)
        wrong += self._files(servers[0].maildir(USER), ours)
        untrue = (self.ledger.phantoms() | renumbered.keys()) - again
        wrong += [
            f"phantom EXPUNGE, or second UID: {one}, {self.ledger.told_gone.get(one)}"
            for one in sorted(untrue)
        ]
        for watcher in self._watchers:
            wrong += self._watched(watcher, ours)
        if self.near is not None:
            wrong += self._copy(self.near, ours)
        for server in servers:
            said = server.complaints(races=False)
            wrong += [f"{server.folder.name} said: {line}" for line in said]
        return wrong

    def _messages(self, shown: Shown) -> list[str]:
        """Visible is what was delivered less what was deleted; flags are as told."""
        ledger = self.ledger
        wrong = []
        numbers = [row.number for row in shown.values()]
        twice = {one for one in numbers if numbers.count(one) > 1}
        lost = ledger.there - ledger.removed - set(numbers)
        wrong += [
            f"{kind}: {sorted(which)}"
            for kind, which in (
                ("shown twice", twice),
                ("LOST", lost),
                ("from nowhere", set(numbers) - ledger.there),
            )
            if which
        ]
        for (folder, uid), row in shown.items():
            if row.number in ledger.moved:  # flags may come while it is on its way
                continue
            for flag in FLAG_OF.values():
                wanted = ledger.flags.get((row.number, flag), False)
                if wanted is not None and (flag in row.flags) is not wanted:
                    wrong.append(f"{folder} UID {uid}: {flag} is {not wanted}")
        return wrong

    def _files(self, maildir: Path, shown: Shown) -> list[str]:
        """What is on the disk is what is shown, and in good order."""
        wrong = []
        folders = read_account(str(maildir).encode())
        for name, folder in folders.items():
            # Dovecot appends the second one, and leaves the first until it rewrites.
            wrong += [
                f"{name or 'INBOX'}: {one}"
                for one in folder.problems
                if not (self.given_again and one.endswith("a file two UIDs"))
            ]
            for one in folder.messages:
                key = (name or "INBOX", one.uid or 0)
                row = shown.get(key)
                if row is None or number_of(one.octets) != row.number:
                    wrong.append(f"{key}, {one.name!r}, is shown as {row}")
                elif _TUID.sub(b"", one.octets) != message(row.number):
                    wrong.append(f"{key} is not what was delivered")
        count = sum(len(folder.messages) for folder in folders.values())
        if count != len(shown):
            wrong.append(f"{count} files, {len(shown)} messages")
        return wrong

    def _watched(self, watcher: Watcher, shown: Shown) -> list[str]:
        """Who was told of every change knows what is there."""
        if watcher.view is None:
            return []
        watcher.view.look()
        watcher.view.look()
        expected = sorted(uid for folder, uid in shown if folder == "INBOX")
        known = list(watcher.view.uids)
        if known == expected:
            return []
        return [f"{watcher.name}, of {len(expected)}: {set(known) ^ set(expected)}"]

    def _copy(self, near: Near, shown: Shown) -> list[str]:
        """The copy has nothing else than the INBOX.

        It may have less: what is told of the flags of a message that came meanwhile
        mbsync 1.4 takes for the end of its listing, and all below it for known.
        """
        inbox = {
            row.number: row.flags for (box, _), row in shown.items() if box == "INBOX"
        }
        there = near.numbers()
        wrong = []
        if not set(there) <= set(inbox):
            wrong.append(f"only the copy has {sorted(set(there) - set(inbox))}")
        for one in set(there) & set(inbox):
            for flag, letter in _LETTERS.items():
                if (letter in there[one]) is not (flag in inbox[one]):
                    wrong.append(f"the copy of {one} has {there[one]}: {inbox[one]}")
        return wrong


def _difference(names: str, one: Shown, other: Shown) -> list[str]:
    keys = sorted(
        key for key in one.keys() | other.keys() if one.get(key) != other.get(key)
    )
    return [f"{names} show {key}: {one.get(key)}, {other.get(key)}" for key in keys]


def crowd(seconds: float, seed: int, *, beside: bool) -> Iterator[Figure]:
    """Let all work for a while; ``beside``: and Dovecot.

    Raises:
        AssertionError: something is wrong; with all of it.
    """
    with temporary_folder() as root:
        many = Crowd(root, seed, seconds, beside=beside)
        wrong = many.work()
    assert not wrong, f"seed {seed}: " + "\n".join(wrong[:40])
    ledger = many.ledger
    crew = "many hands, Dovecot" if beside else "many hands"
    for what, count in sorted(ledger.deeds.items()):
        yield told("G10", f"{crew}: {what}", count, "")
    yield at_least("G10", f"{crew}: delivered", len(ledger.there), "messages", _LEAST)
    yield told("G10", f"{crew}: deleted", len(ledger.removed), "messages")
    yield told("G10", f"{crew}: expunges told", len(ledger.told_gone), "")
    given = f"{crew}: UIDs that ours gave"
    yield at_least("G10", given, many.given, "", _LEAST)
    if beside:
        again = "given a second UID by Dovecot"
        yield told("G10", f"{crew}: {again}", many.given_again, "messages")
    yield at_most("G10", f"{crew}: lost, phantom, or different", 0, "messages", 0)


def run(budget: Budget) -> Iterator[Figure]:
    """A third for many hands, a third with Dovecot, a third for a large folder.

    Raises:
        AssertionError: somebody lost something.
    """
    seconds = budget.seconds / 3
    yield from crowd(seconds, budget.seed, beside=False)
    yield from crowd(seconds, budget.seed, beside=True)
    yield from renames(seconds)
