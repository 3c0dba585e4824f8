"""A mailbox and an account in memory, as the floors above the store see them.

What the test does to ``MemoryMailbox.disk`` is what another program does.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from imapd.errors import ImapError, MessageGone, NoSuchMailbox
from imapd.ids import INBOX, MailboxPath, Octets, Uid
from imapd.mailbox.streams import HeldStream
from imapd.mime import scan
from imapd.model.flags import DELETED, NO_FLAGS, Flags, StoreMode, combine
from imapd.model.mailbox import (
    Appended,
    Changes,
    Copied,
    Folder,
    MessageMeta,
    MessageState,
    NamespaceStyle,
)
from imapd.model.modseqs import ModSeqs
from imapd.model.texts import MessageWords, TextFound
from imapd.store.api import WouldBlock


@dataclass(slots=True)
class MemoryMessage:
    octets: bytes
    flags: Flags = NO_FLAGS
    date_seconds: int = 0
    recent: bool = False


class MemoryDelivery:
    def __init__(self) -> None:
        self.messages: list[MemoryMessage] = []
        self.aborted = False

    def begin(self, flags: Iterable[bytes], internal_date_seconds: int | None) -> None:
        date = internal_date_seconds or 0
        self.messages.append(MemoryMessage(b"", frozenset(flags), date))

    def write(self, octets: bytes) -> None:
        self.messages[-1].octets += octets

    def end(self) -> None:
        pass

    def settle(self) -> None:
        pass

    def abort(self) -> None:
        self.aborted = True


class MemoryMailbox:
    """What is on disk, for all who opened it; its methods get the ``OpenMailbox``."""

    def __init__(self, path: MailboxPath = INBOX) -> None:
        self.path = path
        self.read_only = False
        self.uid_validity = 1
        self.uid_next = 1
        self.guid = "0" * 32
        self.disk: dict[Uid, MemoryMessage] = {}
        self.columns: dict[str, dict[Uid, bytes]] = {}
        self.indexed: dict[Uid, MessageWords] = {}
        self.reads: list[Uid] = []
        self.syncs = 0
        self.closed = 0
        self.lost = False
        self.directories: Sequence[bytes] = ()

    def watched_directories(self) -> Sequence[bytes]:
        return self.directories

    @property
    def keywords(self) -> Sequence[bytes]:
        known = {flag for each in self.disk.values() for flag in each.flags}
        return sorted(flag for flag in known if not flag.startswith(b"\\"))

    def deliver(
        self, octets: bytes = b"Subject: x\r\n\r\nx\r\n", *flags: bytes, date: int = 0
    ) -> Uid:
        """Another program brings a message."""
        uid = Uid(self.uid_next)
        self.uid_next += 1
        self.disk[uid] = MemoryMessage(octets, frozenset(flags), date, recent=True)
        return uid

    def renumber(self) -> None:
        """Another program lost the numbers, and made new ones."""
        messages = list(self.disk.values())
        self.disk, self.uid_next = {}, 1
        self.uid_validity += 1
        for each in reversed(messages):
            self.disk[Uid(self.uid_next)] = each
            self.uid_next += 1

    def changed(self, opened: "OpenMailbox") -> bool:
        now = {uid: each.flags for uid, each in self.disk.items()}
        return self.lost or opened.validity != self.uid_validity or now != opened.told

    def sync(self, opened: "OpenMailbox", claim_recent: bool) -> Changes:
        self.syncs += 1
        if self.lost:
            raise NoSuchMailbox("No such mailbox")
        changes = Changes(renumbered=opened.validity not in (0, self.uid_validity))
        opened.validity = self.uid_validity
        told = opened.told
        changes.expunged = sorted(uid for uid in told if uid not in self.disk)
        for uid, each in sorted(self.disk.items()):
            if uid not in told:
                changes.added.append(MessageState(uid, each.flags, each.recent))
            elif told[uid] != each.flags:
                changes.flags[uid] = each.flags
            if claim_recent:
                each.recent = False
        opened.told = {uid: each.flags for uid, each in self.disk.items()}
        return changes

    def store_flags(
        self,
        opened: "OpenMailbox",
        uids: Iterable[Uid],
        mode: StoreMode,
        flags: Iterable[bytes],
    ) -> Changes:
        wanted = list(flags)
        for uid in uids:
            if uid in self.disk:
                self.disk[uid].flags = combine(self.disk[uid].flags, mode, wanted)
        return self._known(opened)

    def _known(self, opened: "OpenMailbox") -> Changes:
        """What changed of messages that were told."""
        changes, told = Changes(), opened.told
        changes.expunged = sorted(uid for uid in told if uid not in self.disk)
        for uid in changes.expunged:
            del told[uid]
        for uid in told:
            if told[uid] != self.disk[uid].flags:
                changes.flags[uid] = told[uid] = self.disk[uid].flags
        return changes

    def expunge(self, opened: "OpenMailbox", uids: Iterable[Uid]) -> Changes:
        for uid in uids:
            if uid in self.disk and DELETED in self.disk[uid].flags:
                del self.disk[uid]
        return self._known(opened)

    def is_as_opened(self, opened: "OpenMailbox") -> bool:
        return True

    def begin_delivery(self, opened: "OpenMailbox") -> MemoryDelivery:
        return MemoryDelivery()

    def commit(
        self, opened: "OpenMailbox", delivery: MemoryDelivery, claim_recent: bool
    ) -> Appended:
        changes = Changes()
        uids = [self._take_in(opened, each, changes) for each in delivery.messages]
        for uid in uids:
            self.disk[uid].recent = not claim_recent
        return Appended(self.uid_validity, uids, changes)

    def commit_all(
        self,
        opened: "OpenMailbox",
        deliveries: Sequence[MemoryDelivery],
        claim_recent: bool,
    ) -> list[Appended | ImapError]:
        return [self.commit(opened, each, claim_recent) for each in deliveries]

    def _take_in(
        self, opened: "OpenMailbox", message: MemoryMessage, changes: Changes
    ) -> Uid:
        uid = self.deliver(message.octets, *message.flags, date=message.date_seconds)
        opened.told[uid] = self.disk[uid].flags
        changes.added.append(MessageState(uid, self.disk[uid].flags, recent=True))
        return uid

    def copy_from(
        self,
        opened: "OpenMailbox",
        source: "OpenMailbox",
        uids: Iterable[Uid],
        move: bool,
        claim_recent: bool,
    ) -> Copied:
        to_target, there = Changes(), source.box.disk
        pairs = [
            (uid, self._take_in(opened, there[uid], to_target))
            for uid in sorted(set(uids))
            if uid in there
        ]
        if move:
            for uid, _ in pairs:
                del there[uid]
        return Copied(self.uid_validity, pairs, to_target, source.box._known(source))

    def meta(
        self, opened: "OpenMailbox", uids: Iterable[Uid]
    ) -> dict[Uid, MessageMeta]:
        return {
            uid: MessageMeta(
                uid,
                self.disk[uid].date_seconds,
                Octets(len(scan.to_wire(self.disk[uid].octets))),
            )
            for uid in uids
            if uid in self.disk
        }

    def read(
        self, opened: "OpenMailbox", uid: Uid, most_octets: int | None = None
    ) -> bytes:
        self.reads.append(uid)
        if uid not in self.disk:
            raise MessageGone("The message is gone")
        return self.disk[uid].octets[:most_octets]

    def read_dated(
        self, opened: "OpenMailbox", uid: Uid, most_octets: int | None = None
    ) -> tuple[bytes, MessageMeta]:
        octets = self.read(opened, uid, most_octets)
        return octets, self.meta(opened, [uid])[uid]

    def try_store_flags(
        self,
        opened: "OpenMailbox",
        uids: Sequence[Uid],
        mode: StoreMode,
        flags: Sequence[bytes],
    ) -> Changes:
        return self.store_flags(opened, uids, mode, flags)

    def try_read(self, opened: "OpenMailbox", uid: Uid, largest_octets: int) -> bytes:
        octets = self.read(opened, uid)
        if len(octets) > largest_octets:
            raise WouldBlock
        return octets

    def stream(self, opened: "OpenMailbox", uid: Uid) -> HeldStream:
        return HeldStream(self.read(opened, uid))

    def load_column(
        self, opened: "OpenMailbox", kind: str, uids: Sequence[Uid]
    ) -> list[bytes | None]:
        column = self.columns.get(kind, {})
        return [column.get(uid) for uid in uids]

    def save_column(
        self, opened: "OpenMailbox", kind: str, values: Mapping[Uid, bytes]
    ) -> None:
        self.save_columns(opened, {kind: values})

    def save_columns(
        self, opened: "OpenMailbox", columns: Mapping[str, Mapping[Uid, bytes]]
    ) -> None:
        for kind, values in columns.items():
            self.columns.setdefault(kind, {}).update(values)

    def find_text(
        self, opened: "OpenMailbox", needle: str, *, in_header: bool
    ) -> TextFound:
        found = TextFound()
        for uid, words in self.indexed.items():
            pieces = words.body + b"\n" + (words.header if in_header else b"")
            found.indexed.add(uid)
            if len(needle.split()) != 1 or needle != needle.strip():
                found.candidates.add(uid)
            elif needle.encode() in pieces:
                found.found.add(uid)
        return found

    def unindexed(self, opened: "OpenMailbox", uids: Iterable[Uid]) -> list[Uid]:
        return [uid for uid in uids if uid not in self.indexed]

    def index_texts(
        self, opened: "OpenMailbox", messages: Mapping[Uid, MessageWords]
    ) -> None:
        self.indexed.update(messages)

    def tidy_texts(self, opened: "OpenMailbox") -> None:
        for uid in self.indexed.keys() - self.disk.keys():
            del self.indexed[uid]

    def close(self, opened: "OpenMailbox") -> None:
        self.closed += 1
        opened.told, opened.validity = {}, 0


_OPERATIONS = frozenset(
    [
        "changed",
        "sync",
        "store_flags",
        "expunge",
        "is_as_opened",
        "begin_delivery",
        "commit",
        "commit_all",
        "copy_from",
        "meta",
        "read",
        "try_read",
        "stream",
        "try_store_flags",
        "load_column",
        "save_column",
        "save_columns",
        "find_text",
        "unindexed",
        "index_texts",
        "tidy_texts",
        "close",
    ]
)


class OpenMailbox:
    """A ``MailboxStore``: what one opener was told of a ``MemoryMailbox``.

    Modification sequences count from 1000 on, and nothing is written down.
    """

    def __init__(self, box: MemoryMailbox) -> None:
        self.box = box
        self.kept: ModSeqs | None = None
        self.told: dict[Uid, Flags] = {}
        self.validity = 0

    memory_octets = 1000
    is_confirmed = True

    @property
    def uid_validity(self) -> int:
        """As it was at the last look."""
        return self.validity or self.box.uid_validity

    @property
    def modseqs(self) -> ModSeqs | None:
        return None if self.kept is None else self.kept.copy()

    def track(self) -> Changes:
        changes: Changes = self.sync(False)
        if self.kept is None:
            self.kept = ModSeqs(1000)
        return changes

    def unsaved(self) -> None:
        return None

    def _numbered(self, operation: Any, *args: Any, **named: Any) -> Any:
        done = operation(self, *args, **named)
        found = [done, getattr(done, "target", None)]
        for changes in found:
            if isinstance(changes, Changes) and changes and self.kept is not None:
                changes.modseq = self.kept.highest + 1
                self.kept.record(changes)
        return done

    def __getattr__(self, name: str) -> Any:
        there = getattr(self.box, name)
        return partial(self._numbered, there) if name in _OPERATIONS else there


@dataclass
class MemoryAccount:
    """Mailboxes by path; ``mailbox`` opens one, as often as it is called."""

    boxes: dict[MailboxPath, MemoryMailbox] = field(
        default_factory=lambda: {INBOX: MemoryMailbox()}
    )
    namespace_style: NamespaceStyle = NamespaceStyle.SLASH
    subscribed: set[MailboxPath] = field(default_factory=set)
    closed: int = 0
    as_opened: bool = True

    def is_as_opened(self) -> bool:
        return self.as_opened

    def folders(self) -> list[Folder]:
        return [Folder(path) for path in sorted(self.boxes)]

    def directories(self, path: MailboxPath) -> list[bytes]:
        below = [each for each in sorted(self.boxes) if each[: len(path)] == path]
        return [one for each in below for one in self.boxes[each].directories[:1]]

    def mailbox(self, path: MailboxPath) -> Any:
        if path not in self.boxes:
            raise NoSuchMailbox("No such mailbox")
        return OpenMailbox(self.boxes[path])

    def create(self, path: MailboxPath, special_use: bytes | None = None) -> None:
        self.boxes[path] = MemoryMailbox(path)

    def delete(self, path: MailboxPath) -> None:
        self.boxes.pop(path).lost = True

    def rename(self, old: MailboxPath, new: MailboxPath) -> None:
        target = self.boxes.setdefault(new, MemoryMailbox(new))
        source = self.boxes[old]
        target.copy_from(
            OpenMailbox(target), OpenMailbox(source), list(source.disk), True, False
        )
        if old != INBOX:
            self.boxes.pop(old).lost = True

    def subscriptions(self) -> list[MailboxPath]:
        return sorted(self.subscribed)

    def subscribe(self, path: MailboxPath) -> None:
        self.subscribed.add(path)

    def unsubscribe(self, path: MailboxPath) -> None:
        self.subscribed.discard(path)

    def close(self) -> None:
        self.closed += 1
