"""A directory becomes a link to elsewhere while something is done in it.

At every operation there is, by the count of ``fsops.OPERATIONS``; SQLite, which opens
its files by their names, is not among them.
"""

import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from imapd.errors import ImapError
from imapd.ids import INBOX, Uid
from imapd.model.flags import StoreMode
from imapd.store import fsops, handles
from imapd.store.api import WouldBlock
from imapd.store.maildir.account import MaildirAccount
from imapd.store.maildir.folders import FolderTree
from imapd.store.maildir.mailbox import MaildirMailbox
from tests.store.folders import MEMORY, FolderTestCase


class Swapper:
    """Before the k-th operation something is done, by another program."""

    def __init__(self, at: int, swap: Callable[[], None]) -> None:
        self.at = at
        self.swap = swap
        self.count = 0

    @property
    def hit(self) -> bool:
        return self.count >= self.at

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*args: Any, **more: Any) -> Any:
            self.count += 1
            if self.count == self.at:
                self.swap()
            return function(*args, **more)

        return stepped


@contextmanager
def swapped(at: int, swap: Callable[[], None]) -> Iterator[Swapper]:
    swapper = Swapper(at, swap)
    with ExitStack() as stack:
        for name in fsops.OPERATIONS:
            wrapped = swapper.wrap(getattr(fsops, name))
            stack.enter_context(mock.patch.object(fsops, name, wrapped))
        yield swapper


class SwappedTests(FolderTestCase):
    """Hardening: F07, F11.  At each operation there is; nothing outside is touched."""

    parent = MEMORY
    asides = 0

    def setUp(self) -> None:
        super().setUp()
        self.outside = self.root / "victim"
        for part in ("cur", "new", "tmp"):
            (self.outside / part).mkdir(parents=True)
            (self.outside / part / "1600000000.M1P1.h").write_bytes(b"precious")
        (self.outside / "dovecot-uidlist").write_bytes(b"precious")
        self.before = self.look()
        self.maildir = self.root / "m"
        for part in ("cur", "new", "tmp"):
            (self.maildir / part).mkdir(parents=True)
        self.tree = FolderTree(bytes(self.maildir))

    def look(self) -> dict[Path, bytes | None]:
        return {
            path: path.read_bytes() if path.is_file() else None
            for path in sorted(self.outside.rglob("*"))
        }

    def exchange(self, name: str) -> None:
        """Put a link to the victim's in the place of a folder's, or of the folder."""
        for folder in [*self.maildir.glob(".*"), *(self.maildir / "tmp").iterdir()]:
            target = folder / name
            if target.is_dir() and not folder.is_symlink():
                self.asides += 1
                target.rename(self.root / f"aside{self.asides}")
                target.symlink_to(self.outside / name)

    def everywhere(self, name: str, action: Callable[[], object]) -> int:
        """Exchange a directory before each operation in turn; how many there are."""
        for k in range(1, 200):
            for left in self.maildir.glob(".*"):
                left.rename(self.root / f"left-{name}-{k}-{left.name}")
            self.tree.create(b".A", 1)
            (self.maildir / ".A" / "cur" / "1600000000.M1P1.h").write_bytes(b"x")
            with (
                swapped(k, lambda: self.exchange(name)) as swapper,
                contextlib.suppress(ImapError, OSError),
            ):
                action()
            self.assertEqual(self.look(), self.before, f"{name!r} at {k}")
            if not swapper.hit:
                self.assertGreater(self.asides, 3, name)
                return k
        raise AssertionError("it never ends")

    def test_while_a_mailbox_is_removed(self) -> None:
        for name in ("", "cur", "new", "tmp"):
            count = self.everywhere(name, lambda: self.tree.remove(b".A"))
            self.assertGreater(count, 10, name)


NAMES = [f"{1600000000 + at}.M1P1.h:2,{flags}" for at, flags in enumerate(("S", "T"))]
OCTETS = b"Subject: ours\n\nbody\n"
#: Of other length, and all of its words are the victim's.
SECRET = b"Subject: secret\n\n" + 997 * b"secret "
SECRET_SIZES = (len(SECRET), len(SECRET) + 2)
SECRET_LETTERS = ":2,D"
#: Has the victim's sizes in it; who knows the name has one like it.
NAMES.append(f"1600000005.M1P1.h,S={SECRET_SIZES[0]},W={SECRET_SIZES[1]}:2,")


def fill(maildir: Path, octets: bytes) -> None:
    """Make an account whose every file has the name it has in any other."""
    for folder in (maildir, maildir / ".A", maildir / ".B"):
        for part in ("cur", "new", "tmp"):
            (folder / part).mkdir(parents=True)
        for name in NAMES:
            (folder / "cur" / name).write_bytes(octets)
        (folder / "new" / "1600000009.M1P1.h").write_bytes(octets)
        if folder != maildir:
            (folder / "maildirfolder").write_bytes(b"")


def first(box: MaildirMailbox) -> Uid:
    return box.sync(claim_recent=False).added[0].uid


def every(box: MaildirMailbox) -> list[Uid]:
    return [one.uid for one in box.sync(claim_recent=False).added]


def append(account: MaildirAccount) -> object:
    box = account.mailbox(("A",))
    delivery = box.begin_delivery()
    try:
        delivery.begin([b"\\Seen", b"word"], 1_500_000_000)
        delivery.write(b"one\r\n")
        delivery.write(b"two\n")
        delivery.end()
        return box.commit(delivery, claim_recent=True)
    finally:
        delivery.abort()


def fetch(account: MaildirAccount) -> object:
    box = account.mailbox(("A",))
    uids = every(box)
    stream = box.stream(uids[0])
    try:
        streamed = stream.read()
    finally:
        stream.close()
    parts = [box.read(uid) for uid in uids], box.try_read(uids[0], 10_000)
    return streamed, parts, box.meta(uids), box.read_dated(uids[-1])


def names(account: MaildirAccount) -> object:
    """Tell what is there: messages with their flags, and mailboxes."""
    box = account.mailbox(("A",))
    told = box.sync(claim_recent=False).added
    return told, box.sync(claim_recent=False), account.folders()


def store(account: MaildirAccount) -> object:
    r"""Set flags and take one away; of one message, of all, and of those in ``new``."""
    box = account.mailbox(("A",))
    uids = every(box)
    changes = box.store_flags(uids[:1], StoreMode.ADD, [b"\\Flagged", b"\\Deleted"])
    other = box.store_flags(uids, StoreMode.REPLACE, [b"\\Answered"])
    return changes, other, box.store_flags(uids, StoreMode.REMOVE, [b"\\Seen"])


def copy(account: MaildirAccount, *, move: bool = False) -> object:
    source, target = account.mailbox(("A",)), account.mailbox(("B",))
    return target.copy_from(source, every(source), move, True)


def expunge(account: MaildirAccount) -> object:
    box = account.mailbox(("A",))
    return box.expunge(every(box))


def control(account: MaildirAccount) -> object:
    """Write what is replaced whole: subscriptions, and a UID list."""
    account.subscribe(("A",))
    found = account.mailbox(("A",)).sync(claim_recent=True)
    account.unsubscribe(("A",))
    return found, account.subscriptions()


Command = Callable[[MaildirAccount], object]
#: Each with what is exchanged: the account, the mailbox, and what of it it works in.
COMMANDS: dict[str, tuple[Command, tuple[str, ...]]] = {
    "append": (append, ("", ".A/cur", ".A/tmp")),
    "control": (control, ("",)),
    "copy": (copy, (".A/cur", ".B/cur")),
    "create": (
        lambda account: account.create(("A", "new"), b"\\Sent"),
        ("", ".A", "tmp"),
    ),
    "expunge": (expunge, (".A/cur",)),
    "fetch": (fetch, (".A", ".A/cur")),
    "list": (names, ("", ".A", ".A/cur", ".A/new")),
    "move": (lambda account: copy(account, move=True), (".A/cur",)),
    "rename": (
        lambda account: account.rename(("A",), ("C",)),
        ("", ".A"),
    ),
    "rename inbox": (
        lambda account: account.rename(INBOX, ("C",)),
        ("cur", "tmp"),
    ),
    "store": (store, (".A/cur", ".A/new")),
}


class EverySwapTests(FolderTestCase):
    """Hardening: F07.  Whatever becomes a link, and when: nothing is done elsewhere."""

    parent = MEMORY

    def setUp(self) -> None:
        super().setUp()
        self.victim = self.root / "victim"
        fill(self.victim, SECRET)
        for folder in (self.victim, self.victim / ".A", self.victim / ".secret"):
            for part in ("cur", "new"):  # nobody else has a draft
                (folder / part).mkdir(parents=True, exist_ok=True)
                (folder / part / f"1600000007.M2P2.h{SECRET_LETTERS}").touch()
        MaildirAccount(self.victim).close()
        self.before = self.look()
        self.pristine = self.root / "pristine"
        fill(self.pristine, OCTETS)
        MaildirAccount(self.pristine).close()
        self.maildir = self.root / "m"
        # What is not found is looked for again, after a pause for other programs.
        self.enterContext(mock.patch("time.sleep"))

    def look(self) -> dict[Path, object]:
        """All there is, with what a rename, a touch or a write would leave."""
        return {
            path: (
                path.lstat().st_mtime_ns,
                path.lstat().st_nlink,
                path.read_bytes() if path.is_file() else None,
            )
            for path in sorted(self.victim.rglob("*"))
        }

    def exchange(self, place: str) -> None:
        target = self.maildir / place
        with contextlib.suppress(FileNotFoundError):  # it was removed meanwhile
            target.rename(self.root / "aside")
            target.symlink_to(self.victim / place)

    def attempt(self, command: str, place: str, at: int) -> bool:
        """Exchange it before the operation of that number; whether there is one."""
        for name in ("m", "aside"):
            shutil.rmtree(self.root / name, ignore_errors=True)
            (self.root / name).unlink(missing_ok=True)
        shutil.copytree(self.pristine, self.maildir, symlinks=True)
        account = MaildirAccount(self.maildir)
        said: object = None
        with swapped(at, lambda: self.exchange(place)) as swapper:
            with contextlib.suppress(ImapError, OSError, WouldBlock):
                said = COMMANDS[command][0](account)
            with contextlib.suppress(ImapError, OSError, sqlite3.Error):
                account.close()
        where = f"{command}, {place!r} at {at}"
        after = self.look()
        paths = after.keys() | self.before.keys()
        changed = [each for each in paths if after.get(each) != self.before.get(each)]
        self.assertEqual(changed, [], where)
        self.assertNotIn("secret", repr(said), where)
        self.assertNotIn("Draft", repr(said), where)
        for size in SECRET_SIZES:
            self.assertNotIn(str(size), repr(said), where)
        return swapper.hit

    def check(self, command: str) -> None:
        for place in COMMANDS[command][1]:
            at = 1
            while self.attempt(command, place, at):
                at += 1
            self.assertGreater(at, 8, f"{command}, {place!r}")

    def test_where_the_system_takes_one_component_at_a_time(self) -> None:
        with mock.patch.object(handles, "_OPENAT2", None):
            for command in ("create", "rename"):
                self.check(command)


def _test_of(command: str) -> Callable[[EverySwapTests], None]:
    return lambda self: self.check(command)


for _command in COMMANDS:
    _name = f"test_{_command.replace(' ', '_')}"
    setattr(EverySwapTests, _name, _test_of(_command))
