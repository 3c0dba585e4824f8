"""One server at work on an account, and the record of what it has answered.

Each command first says what it may change, so that a crash within it is judged
fairly; is done; and then says what was acknowledged.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from imapd.errors import ImapError
from imapd.ids import MailboxPath, Uid
from imapd.limits import Limits
from imapd.model.flags import StoreMode
from imapd.model.mailbox import Changes
from imapd.store.maildir.account import MaildirAccount, StoreOptions
from imapd.store.maildir.mailbox import MaildirMailbox
from tests.torture.checker import Told

LONG_AGO = 1_600_000_000
LIMITS = Limits(lock_seconds=1)


def message(word: str) -> bytes:
    """A message as it is on disk; each word gives another one."""
    return b"Subject: %b\n\n%b\n" % (word.encode(), (word.encode() + b" ") * 5)


def path_of(folder: str) -> MailboxPath:
    """The mailbox of a folder as the checker calls it."""
    return tuple(folder.split(".")) if folder else ()


class Refused(Exception):
    """The command was answered with NO."""


class Actor:
    """Works through the store as the floor above it does."""

    def __init__(
        self, root: Path, told: Told, on_told: Callable[[], None] = lambda: None
    ) -> None:
        """``on_told`` is called when a command begins, and when it was answered."""
        self.told = told
        self._on_told = on_told
        self.boxes: dict[str, MaildirMailbox] = {}
        #: The UIDs that were there when a mailbox was opened.
        self.listed: dict[str, list[int]] = {}
        with self._answering():
            self.account = MaildirAccount(
                root, options=StoreOptions(text_index=False), limits=LIMITS
            )

    @contextmanager
    def _answering(self) -> Iterator[None]:
        self._on_told()
        try:
            yield
        except ImapError as error:
            raise Refused(str(error)) from error
        finally:
            self._on_told()

    def close(self) -> None:
        with self._answering():
            for box in self.boxes.values():
                box.close()
            self.boxes.clear()
            self.account.close()

    # -- reading --

    def select(self, folder: str, *, claim: bool = True) -> MaildirMailbox:
        """Open a mailbox, or look at it again."""
        with self._answering():
            box = self.boxes.get(folder)
            if box is None:
                box = self.account.mailbox(path_of(folder))
            changes = box.sync(claim)
            if folder not in self.boxes:
                self.listed[folder] = [int(state.uid) for state in changes.added]
            self.boxes[folder] = box
            self._note(folder, box, changes)
        return box

    def _note(self, folder: str, box: MaildirMailbox, changes: Changes) -> None:
        """Take down what a client was told of, each message with what it reads."""
        if not box.uid_validity or box.read_only:  # numbers of this process only
            return
        told = self.told
        for state in changes.added:
            key = (folder, box.uid_validity, int(state.uid))
            if key not in told.numbers:
                told.numbers[key] = box.read(state.uid)
                told.fixed[(told.numbers[key], folder)] = (
                    frozenset({folder}),
                    int(state.uid),
                )
                told.whole.add(told.numbers[key])
                told.shown.add((told.numbers[key], folder))
                if told.somewhere.get(told.numbers[key]) == frozenset({folder}):
                    del told.somewhere[told.numbers[key]]
        self._note_next(folder, box)

    def _note_next(self, folder: str, box: MaildirMailbox) -> None:
        if box.uid_validity and not box.read_only:
            self.told.nexts[folder] = (box.uid_validity, box.uid_next)

    def octets(self, folder: str, uid: int) -> bytes:
        """What was told of a UID."""
        return self.told.numbers[folder, self.boxes[folder].uid_validity, uid]

    # -- messages --

    def append(
        self, folder: str, words: Sequence[str], flags: Iterable[str]
    ) -> list[Uid]:
        """APPEND, MULTIAPPEND; the UIDs of APPENDUID."""
        wanted = [message(word) for word in words]
        self.told.whole.update(wanted)
        flags = frozenset(flags)
        box = self.boxes[folder]
        together = (folder, frozenset(wanted))
        with self._answering():
            delivery = box.begin_delivery()
            try:
                for octets in wanted:
                    delivery.begin([flag.encode() for flag in flags], LONG_AGO)
                    half = len(octets) // 2
                    delivery.write(octets[:half].replace(b"\n", b"\r\n"))
                    delivery.write(octets[half:].replace(b"\n", b"\r\n"))
                    delivery.end()
                done = box.commit(delivery, False)
            except ImapError:
                self.told.together.append(together)
                raise
            finally:
                delivery.abort()
            for uid, octets in zip(done.uids, wanted, strict=True):
                self._stored(folder, box, uid, octets)
                self.told.flags[octets, folder] = (flags, frozenset())
            self._note_next(folder, box)
            return list(done.uids)

    def _stored(
        self, folder: str, box: MaildirMailbox, uid: Uid, octets: bytes
    ) -> None:
        self.told.numbers[folder, box.uid_validity, uid] = octets
        self.told.fixed[octets, folder] = (frozenset({folder}), uid)
        self.told.shown.discard((octets, folder))
        self.told.gone.discard((octets, folder))

    def copy(self, source: str, target: str, uids: Sequence[int], move: bool) -> None:
        """COPY, MOVE."""
        told = self.told
        wanted = {uid: self.octets(source, uid) for uid in uids}
        if move:
            for octets in wanted.values():
                told.fixed.pop((octets, source), None)
                told.somewhere[octets] = frozenset({source, target})
        with self._answering():
            try:
                done = self.boxes[target].copy_from(
                    self.boxes[source], [Uid(uid) for uid in uids], move, False
                )
            except ImapError:
                told.together.append((target, frozenset(wanted.values())))
                if move:
                    for uid, octets in wanted.items():
                        told.somewhere.pop(octets)
                        told.fixed[octets, source] = (frozenset({source}), uid)
                raise
            for old, new in done.pairs:
                octets = wanted[old]
                self._stored(target, self.boxes[target], new, octets)
                told.somewhere.pop(octets, None)
                flags = told.flags.get((octets, source))
                if flags is not None:
                    told.flags[octets, target] = flags
                if move and old in done.source.expunged:
                    told.gone.add((octets, source))
            self._note(target, self.boxes[target], done.target)
            self._note_next(source, self.boxes[source])
            self._note_next(target, self.boxes[target])

    def store(self, folder: str, uids: Sequence[int], flags: Iterable[str]) -> None:
        """STORE +FLAGS."""
        flags = frozenset(flags)
        keys = [(self.octets(folder, uid), folder) for uid in uids]
        old = {
            key: self.told.flags.pop(key, (frozenset(), frozenset())) for key in keys
        }
        with self._answering():
            self.boxes[folder].store_flags(
                [Uid(uid) for uid in uids],
                StoreMode.ADD,
                [flag.encode() for flag in flags],
            )
            for key, (has, _) in old.items():
                self.told.flags[key] = (has | flags, frozenset())

    def expunge(self, folder: str, uids: Sequence[int]) -> None:
        r"""EXPUNGE, UID EXPUNGE, of messages that are \Deleted."""
        keys = [(self.octets(folder, uid), folder) for uid in uids]
        for key in keys:
            self.told.fixed.pop(key, None)
            self.told.somewhere.pop(key[0], None)
        with self._answering():
            done = self.boxes[folder].expunge([Uid(uid) for uid in uids])
            self.told.gone.update(
                key for key, uid in zip(keys, uids, strict=True) if uid in done.expunged
            )
            self._note_next(folder, self.boxes[folder])

    # -- mailboxes --

    def create(self, folder: str, use: bytes | None = None) -> None:
        self.told.folders.pop(folder, None)
        with self._answering():
            self.account.create(path_of(folder), use)
            self.told.folders[folder] = True

    def delete(self, folder: str) -> None:
        told = self.told
        box = self.boxes.pop(folder, None)
        told.folders.pop(folder, None)
        for octets, home in list(told.fixed):
            if home == folder:
                del told.fixed[octets, home]
                told.flags.pop((octets, home), None)
        self._forget_travellers({folder})
        with self._answering():
            self.account.delete(path_of(folder))
            told.folders[folder] = False
            if folder in told.nexts:
                told.dead[folder] = told.nexts.pop(folder)[0]
        if box is not None:
            del box

    def rename(self, old: str, new: str) -> None:
        """RENAME of a mailbox and all below it."""
        told = self.told
        for name in list(self.boxes):
            if name == old or name.startswith(old + "."):
                self.boxes.pop(name).close()
        known = [name for name, is_there in told.folders.items() if is_there]
        names = {
            name: new + name[len(old) :]
            for name in known
            if name == old or name.startswith(old + ".")
        }
        self._forget_travellers(set(names))
        tree = (frozenset(names), frozenset(names.values()))
        told.trees.append(tree)
        for name, target in names.items():
            told.folders.pop(name)
            told.folders.pop(target, None)
            for (octets, home), (_, uid) in list(told.fixed.items()):
                if home == name:
                    told.fixed[octets, home] = (frozenset({name, target}), uid)
            for (home, validity, uid), octets in list(told.numbers.items()):
                if home == name:
                    told.numbers[target, validity, uid] = octets
        with self._answering():
            self.account.rename(path_of(old), path_of(new))
            told.trees.remove(tree)
            for name, target in names.items():
                self._renamed(name, target)

    def _renamed(self, name: str, target: str) -> None:
        """Note that a folder has its new name for good."""
        told = self.told
        told.folders[name], told.folders[target] = False, True
        for (octets, home), (_, uid) in list(told.fixed.items()):
            if home == name:
                del told.fixed[octets, home]
                told.fixed[octets, target] = (frozenset({target}), uid)
                if (octets, name) in told.shown:
                    told.shown.add((octets, target))
        if name in told.nexts:
            told.nexts[target] = told.nexts.pop(name)

    def _forget_travellers(self, folders: set[str]) -> None:
        """What was on its way there when a server died may go with the folder."""
        for octets, homes in list(self.told.somewhere.items()):
            if homes & folders and len(homes) > 1:
                del self.told.somewhere[octets]

    def rename_inbox(self, new: str) -> None:
        """RENAME of the INBOX: its messages go, it stays."""
        told = self.told
        box = self.boxes.pop("", None)
        if box is not None:
            box.close()
        moved = [octets for octets, home in told.fixed if home == ""]
        for octets in moved:
            del told.fixed[octets, ""]
        unseen = [one for one, homes in told.somewhere.items() if homes == {""}]
        told.folders.pop(new, None)
        for octets in (*moved, *unseen):
            told.somewhere[octets] = frozenset({"", new})
        with self._answering():
            self.account.rename((), path_of(new))
            told.folders[new] = True
            for octets in moved:
                told.somewhere[octets] = frozenset({new})
            # Of these nobody was told.  Where they could not be given UIDs, they are
            # as those that are delivered after it.
            for octets in unseen:
                told.somewhere[octets] = frozenset({"", new})

    def subscribe(self, folder: str, wanted: bool) -> None:
        self.told.subscribed.pop(folder, None)
        change = self.account.subscribe if wanted else self.account.unsubscribe
        with self._answering():
            change(path_of(folder))
            self.told.subscribed[folder] = wanted


def deliver(root: Path, told: Told, folder: str, word: str, part: str = "new") -> None:
    """Put a message there as a delivery agent does."""
    directory = root / ("." + folder if folder else "")
    number = LONG_AGO + len(told.whole)
    name = f"{number}.M1P1.mx" + (":2," if part == "cur" else "")
    octets = message(word)
    draft = directory / "tmp" / re.sub(":.*", "", name)
    draft.write_bytes(octets)
    draft.rename(directory / part / name)
    told.whole.add(octets)
    told.somewhere[octets] = frozenset({folder})
