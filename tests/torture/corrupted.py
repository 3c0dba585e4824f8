"""Look at a corrupted account as the server shows it, and say what is wrong with that.

What may be lost is what a file held that was destroyed: keywords, subscriptions, with
all of a UID list the UIDs.  What must hold whatever was destroyed: every message is
there, whole, under one UID; no UID names another message than before under the same
UIDVALIDITY, but where a well-formed line of a corrupted file says so; nothing but
``ImapError`` is raised, and after it has been opened the account is in order.
"""

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import implementer

from imapd.errors import StoreDamaged
from imapd.ids import INBOX, MailboxPath, Uid
from imapd.limits import Limits
from imapd.model.flags import FLAGGED, StoreMode
from imapd.store.maildir.account import MaildirAccount
from imapd.store.maildir.mailbox import MaildirMailbox
from tests.torture.originals import COLUMNS, DIRECTORIES, WORK, Original, append

_LINE = re.compile(rb"([0-9]{1,10})(?: [^:\n]*?)? :?([^\n]*)")
_HEADER_WORDS = (rb"V[0-9]+", rb"N[0-9]+", rb"G[0-9a-fA-F]{32}")
_RENAMED: MailboxPath = ("Renamed",)
ADDED = b"Subject: added\n\nafter the corruption\n"


@dataclass
class Shown:
    """One mailbox."""

    uid_validity: int
    uid_next: int
    octets: dict[int, bytes] = field(default_factory=dict)
    flags: dict[int, frozenset[bytes]] = field(default_factory=dict)


def _starts_well(path: Path) -> bool:
    """Whether a list of subscriptions is none of a version that nobody knows."""
    with path.open("rb") as file:
        start = file.read(2)
    return start != b"V\t" and path.stat().st_size < 1 << 20


@implementer(ILogObserver)
class Failures:
    """Collects what the log has that nobody may ever see there: our own bugs."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        if "log_failure" in event or event["log_level"].name == "critical":
            self.texts.append(formatEvent(event))

    def __enter__(self) -> "Failures":
        globalLogPublisher.addObserver(self)
        return self

    def __exit__(self, *_: object) -> None:
        globalLogPublisher.removeObserver(self)


class Trial:
    """One corrupted account, opened twice.

    ``files`` are those that were corrupted; the caches are asked where they are among
    them, and where nothing is.
    """

    def __init__(self, original: Original, files: Collection[str]) -> None:
        self.original = original
        self.caches = not files or any("sqlite3" in name for name in files)
        self.state_damaged = any("imapd-state" in name for name in files)
        #: Whatever could say which UIDs were given out is lost.
        self.forgetful = all(
            any(part in name for name in files)
            for part in ("uid", "imapd-state", "imapd-cache")
        )
        self.told = original.told
        self.root = original.root
        self.wrong: list[str] = []
        self.lines = self._lines()
        self._bases = self._base_names()

    def run(self) -> list[str]:
        """Return all that is wrong; none is well."""
        with Failures() as failures:
            first = self._open(change=True)
            second = self._open(change=False)
        self.wrong += [f"the log has {text!r}" for text in failures.texts]
        for path, now in second.items():
            before = first.get(path)
            if before is None:
                self.wrong.append(f"{path} came only later")
                continue
            if now.uid_validity != before.uid_validity:
                self.wrong.append(f"{path} is renumbered again")
            elif now.octets != before.octets:
                self.wrong.append(f"{path} has other UIDs when it is opened again")
            elif now.uid_next < before.uid_next:
                self.wrong.append(f"{path} has a lower next UID")
            if self._kept(now) != self._kept(before):
                self.wrong.append(f"{path} has other flags when it is opened again")
        self.wrong += [line for path in second for line in self._disk(path)]
        return self.wrong

    def lost(self) -> list[str]:
        """Return what is not in the files any more, whether or not it is shown."""
        missing = {
            octets for messages in self.told.messages.values() for octets in messages
        } - self._base_names().keys()
        return [f"{octets!r} is in no file" for octets in missing]

    def _kept(self, shown: Shown) -> dict[int, frozenset[bytes]]:
        """The flags that stay: a state that is found damaged later loses keywords."""
        if not self.state_damaged:
            return shown.flags
        return {
            uid: frozenset(flag for flag in flags if flag.startswith(b"\\"))
            for uid, flags in shown.flags.items()
        }

    # -- what the server shows --

    def _open(self, *, change: bool) -> dict[MailboxPath, Shown]:
        shown = {}
        account = MaildirAccount(self.root, limits=Limits(lock_seconds=1))
        try:
            for folder in account.folders():
                box = account.mailbox(folder.path)
                try:
                    shown[folder.path] = self._look(box, change=change)
                finally:
                    box.close()
            self._subscriptions(account, change=change)
        finally:
            account.close()
        there = {path for path in shown if shown[path].octets}
        expected = set(self.told.messages)
        moved = {_RENAMED if path == WORK else path for path in expected}
        if there not in (expected, moved):
            self.wrong.append(f"there are {sorted(there)}")
        return shown

    def _look(self, box: MaildirMailbox, *, change: bool) -> Shown:
        changes = box.sync(True)
        shown = Shown(box.uid_validity, box.uid_next)
        for one in changes.added:
            shown.octets[one.uid] = box.read(one.uid)
            shown.flags[one.uid] = one.flags
        self._judge(box, shown, changed=not change)
        if self.caches:
            self._caches(box, shown)
            box.track()
        if change:
            self._change(box, shown)
        return shown

    def _change(self, box: MaildirMailbox, shown: Shown) -> None:
        """Work goes on: it must not meet anything that was left wrong."""
        first = min(shown.octets)
        box.store_flags([Uid(first)], StoreMode.ADD, [FLAGGED])
        shown.flags[first] |= {FLAGGED}
        if box.path == INBOX:
            uid = append(box, ADDED, [FLAGGED])
            if uid < shown.uid_next or uid in shown.octets:
                self.wrong.append(f"a new message gets UID {uid}")
            shown.octets[uid] = ADDED
            shown.flags[uid] = frozenset({FLAGGED})
            box.sync(True)
        shown.uid_next = box.uid_next

    def _subscriptions(self, account: MaildirAccount, *, change: bool) -> None:
        try:
            if change:
                account.subscribe(("Fresh",))
            if ("Fresh",) not in account.subscriptions():
                self.wrong.append("a subscription is lost")
        except StoreDamaged:  # a version that is not known is not touched
            path = self.root / "subscriptions"
            if path.is_file() and not path.is_symlink() and _starts_well(path):
                raise

    # -- the judge --

    def _judge(self, box: MaildirMailbox, shown: Shown, *, changed: bool) -> None:
        path = WORK if box.path == _RENAMED else box.path
        messages = self.told.messages.get(path)
        if messages is None:
            return
        expected = Counter(list(messages))
        if changed and path == INBOX:
            expected[ADDED] += 1
        found = Counter(shown.octets.values())
        if found != expected:
            lost, more = expected - found, found - expected
            self.wrong.append(f"{path} lost {list(lost)}, and has {list(more)} more")
        if shown.octets and max(shown.octets) >= shown.uid_next:
            self.wrong.append(f"{path}: the next UID is one that was given")
        self._validity(path, shown)
        for uid, octets in shown.octets.items():
            before = self.told.numbers.get((path, shown.uid_validity, uid), octets)
            said = (uid, self._bases.get(octets)) in self.lines
            if before != octets and not (said or self.forgetful):
                self.wrong.append(f"{path}: UID {uid} was {before!r}, is {octets!r}")
            system = {flag for flag in shown.flags[uid] if flag.startswith(b"\\")}
            if octets in messages and not changed and system != messages[octets]:
                self.wrong.append(f"{path}: UID {uid} has the flags {system}")

    def _validity(self, path: MailboxPath, shown: Shown) -> None:
        before = self.told.validities[path]
        said = any(b"%d" % shown.uid_validity in line for line in self._headers)
        if shown.uid_validity < before and not said:
            self.wrong.append(f"{path}: UIDVALIDITY fell to {shown.uid_validity}")

    def _caches(self, box: MaildirMailbox, shown: Shown) -> None:
        """What the caches say is right, or they say nothing."""
        path = WORK if box.path == _RENAMED else box.path
        if shown.uid_validity != self.told.validities.get(path):
            return
        known = {
            uid
            for uid, octets in shown.octets.items()
            if self.told.numbers.get((path, shown.uid_validity, uid)) == octets
        }
        for kind in COLUMNS:
            uids = sorted(known)
            values = box.load_column(kind, [Uid(uid) for uid in uids])
            for uid, value in zip(uids, values, strict=True):
                if value not in (None, self.told.columns.get((path, kind, uid))):
                    self.wrong.append(f"{path}: the cache has {value!r} for {uid}")
        for word in (b"word3", b"message"):
            found = box.find_text(word.decode(), in_header=False)
            true = {uid for uid in known if word in shown.octets[uid]}
            known_to_it = found.indexed & known
            if found.found & known_to_it - true or (
                true & known_to_it - found.found - found.candidates
            ):
                self.wrong.append(f"{path}: the text index says {found} of {word!r}")

    # -- the files --

    def _lines(self) -> set[tuple[int, bytes]]:
        """Say what every well-formed line of a corrupted list says."""
        found = set()
        self._headers = []
        for directory in set(DIRECTORIES.values()):
            for name in ("dovecot-uidlist", "courierimapuiddb"):
                path = self.root / directory / name
                if not path.is_symlink() and path.is_file():
                    with path.open("rb") as file:
                        octets = file.read(1 << 20)
                    self._headers.append(octets.partition(b"\n")[0])
                    for line in octets.split(b"\n"):
                        if match := _LINE.match(line.rstrip(b"\r")):
                            base = match[2].partition(b":")[0]
                            found.add((int(match[1]), base))
        return found

    def _base_names(self) -> dict[bytes, bytes]:
        return {
            path.read_bytes(): path.name.partition(":")[0].encode()
            for directory in set(DIRECTORIES.values())
            for part in ("cur", "new")
            for path in (self.root / directory / part).glob("*")
        }

    def _disk(self, mailbox: MailboxPath) -> list[str]:
        """What Dovecot would say of the folder as it was left behind."""
        folder = self.root / DIRECTORIES.get(mailbox, "." + ".".join(mailbox))
        path: Path = folder / "dovecot-uidlist"
        if not path.is_file():
            return [f"{mailbox} has no UID list"]
        # A reader of Dovecot's passes over a CR before a line end, and more blanks.
        header, *lines = path.read_bytes().replace(b"\r\n", b"\n").split(b"\n")
        wrong = []
        words = header.split(b" ")
        known = [
            any(re.fullmatch(one, word) for word in words) for one in _HEADER_WORDS
        ]
        if words[0] != b"3" or not all(known):
            wrong.append(f"{mailbox}: the UID list begins with {header!r}")
        if lines.pop():
            wrong.append(f"{mailbox}: the UID list is torn")
        uids, bases = [], set()
        for line in lines:
            match = re.fullmatch(rb"([0-9]{1,10})(?: +[A-Z][^ ]*)* +:([^/\0]+)", line)
            if match is None:
                wrong.append(f"{mailbox}: the UID list has {line!r}")
                continue
            uids.append(int(match[1]))
            bases.add(match[2].partition(b":")[0])
        if sorted(set(uids)) != uids:
            wrong.append(f"{mailbox}: the UIDs do not ascend: {uids}")
        names = [
            one.name.encode()
            for part in ("cur", "new")
            for one in (folder / part).iterdir()
        ]
        missing = {name.partition(b":")[0] for name in names} - bases
        return [*wrong, *(f"{mailbox}: {base!r} has no UID" for base in missing)]
