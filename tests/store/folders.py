"""A Maildir folder in a temporary directory, for tests."""

import os
import shutil
import tempfile
import time
import unittest
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from imapd.ids import Uid
from imapd.limits import DEFAULT_LIMITS, Limits
from imapd.model.mailbox import Changes
from imapd.store.cache.progress import Progress
from imapd.store.maildir.journal import ModSeqState
from imapd.store.maildir.keywords import OverflowChanges
from imapd.store.maildir.mailbox import MaildirMailbox
from imapd.store.maildir.takeover import TakenOver

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
LONG_AGO = 1_600_000_000


class FakeOverflow:
    """Keywords without letters, in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[int, frozenset[bytes]]] = {}

    def keywords(self, guid: str) -> dict[int, frozenset[bytes]]:
        return dict(self.kept.get(guid, {}))

    def change(
        self, guid: str, changes: OverflowChanges
    ) -> dict[int, frozenset[bytes]]:
        kept = self.keywords(guid)
        found = {
            uid: frozenset((kept.get(uid, frozenset()) | added) - removed)
            for uid, (added, removed) in changes.items()
        }
        self.set(guid, found)
        return found

    def set(self, guid: str, changes: Mapping[int, frozenset[bytes]]) -> None:
        kept = self.kept.setdefault(guid, {})
        kept.update(changes)
        for uid in [uid for uid, names in kept.items() if not names]:
            del kept[uid]


class FakeCache:
    """Columns in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[Uid, bytes]] = {}
        self.snapshots: dict[str, bytes] = {}

    def load(self, mailbox: str, kind: str, uids: Sequence[Uid]) -> list[bytes | None]:
        return [self.kept.get(kind, {}).get(uid) for uid in uids]

    def save_all(
        self,
        mailbox: str,
        columns: Mapping[str, Mapping[Uid, bytes]],
        is_gone: Callable[[Uid], bool] | None = None,
    ) -> None:
        for kind, values in columns.items():
            self.kept.setdefault(kind, {}).update(values)

    def load_snapshot(self, folder: str) -> bytes | None:
        return self.snapshots.get(folder)

    def save_snapshot(self, folder: str, mailbox: str, octets: bytes) -> None:
        self.snapshots[folder] = octets

    def gaps(
        self, mailbox: str, kinds: Iterable[str], alive: Sequence[Uid]
    ) -> list[tuple[int, int]]:
        return [(0, len(alive))] if alive else []

    def prune(
        self, mailbox: str, alive: Sequence[Uid], is_gone: Callable[[Uid], bool]
    ) -> int:
        for values in self.kept.values():
            for uid in filter(is_gone, list(values)):
                del values[uid]
        return 0

    def asked_fields(self) -> list[str]:
        return []

    def progress(self, mailbox: str) -> Progress | None:
        return None

    def set_progress(self, mailbox: str, reached: Progress) -> None:
        pass

    def claim(self, mailbox: str, owner: str, seconds: float) -> bool:
        return True

    def release(self, mailbox: str, owner: str) -> None:
        pass

    def shrink(self) -> None:
        pass

    @property
    def is_kept(self) -> bool:
        return True


class FolderTestCase(unittest.TestCase):
    """Gives every test a directory of its own, and folders in it."""

    validity = 1000
    #: Where directories are made; in memory for tests that sync to disk a lot.
    parent: str | None = None

    def setUp(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="imapd-store-", dir=self.parent))
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)
        self.overflow = FakeOverflow()
        self.cache = FakeCache()
        self.taken: TakenOver | None = None
        self.modseqs: ModSeqState | None = None

    def folder(self, name: str = "box") -> Path:
        directory = self.root / name
        for part in ("cur", "new", "tmp"):
            (directory / part).mkdir(parents=True, exist_ok=True)
        return directory

    def next_validity(self) -> int:
        self.validity += 1
        return self.validity

    def open(
        self,
        name: str = "box",
        *,
        limits: Limits = DEFAULT_LIMITS,
        read_only: bool | None = None,
    ) -> MaildirMailbox:
        return MaildirMailbox(
            (name,),
            self.folder(name),
            cache=self.cache,
            overflow=self.overflow,
            take_over=lambda directory: self.taken,
            new_uid_validity=self.next_validity,
            limits=limits,
            read_only=read_only,
            modseqs=self.modseqs,
        )

    def deliver(
        self,
        name: str,
        octets: bytes = b"Subject: x\n\nbody\n",
        box: str = "box",
        part: str = "new",
    ) -> Path:
        """Put a file there as another program would, dated long ago."""
        directory = self.folder(box)
        draft = directory / "tmp" / name
        draft.write_bytes(octets)
        os.utime(draft, (LONG_AGO, LONG_AGO))
        target = directory / part / name
        os.rename(draft, target)  # from here on it may be moved at any moment
        return target


def uids_of(changes: Changes) -> list[int]:
    return [state.uid for state in changes.added]


def settle() -> None:
    """Wait until the directories' times are old enough to be trusted."""
    time.sleep(0.04)


def append(
    mailbox: MaildirMailbox,
    octets: bytes,
    flags: Iterable[bytes] = (),
    date_seconds: int | None = LONG_AGO,
) -> Uid:
    """Deliver one message; return its UID."""
    delivery = mailbox.begin_delivery()
    delivery.begin(flags, date_seconds)
    delivery.write(octets)
    delivery.end()
    return mailbox.commit(delivery, False).uids[0]
