"""What the operations on one Maildir folder share: its files, tables and rules."""

import errno
import math
import os
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from twisted.logger import Logger

from imapd.errors import ImapError, ReadOnly, Unavailable
from imapd.ids import LARGEST_NUMBER, Uid
from imapd.limits import Limits
from imapd.model.mailbox import Changes
from imapd.store import fsops, quiet
from imapd.store.api import WouldBlock
from imapd.store.dotlock import KeptDraft
from imapd.store.locks import MailboxLock
from imapd.store.maildir.flagnames import FlagNames
from imapd.store.maildir.index import FileIndex
from imapd.store.maildir.keywords import KeywordOverflow
from imapd.store.maildir.scan import Directory
from imapd.store.maildir.takeover import TakenOver
from imapd.store.maildir.texts import FolderTexts, TextIndex
from imapd.store.maildir.uidformat import UidTable
from imapd.store.maildir.uidlist import UidList

_log = Logger()

_HOPELESS = (errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM)

IsGone = Callable[[Uid], bool]
TakeOver = Callable[[Path], TakenOver | None]


class ColumnCache(Protocol):
    """Where columns are kept; it never raises, and may forget all at any time."""

    def load(self, mailbox: str, kind: str, uids: Sequence[Uid]) -> list[bytes | None]:
        """Return what is there, in the order of ascending UIDs."""

    def save_all(
        self,
        mailbox: str,
        columns: Mapping[str, Mapping[Uid, bytes]],
        is_gone: IsGone | None = None,
    ) -> None:
        """Keep values by kind and UID; what is gone goes from pages it writes."""

    def prune(self, mailbox: str, alive: Sequence[Uid], is_gone: IsGone) -> int:
        """Drop what is there of messages that are gone."""

    def load_snapshot(self, folder: str) -> bytes | None:
        """Return what was saved of a folder."""

    def save_snapshot(self, folder: str, mailbox: str, octets: bytes) -> None:
        """Keep what is known of a folder, under its name."""


def numbering(guid: str, uid_validity: int) -> str:
    """Name the UIDs of a mailbox, as long as they mean the same messages."""
    return f"{guid}.{uid_validity}"


class MailboxCore(FlagNames):
    """One folder.  Its users: ``sync``, ``change``, ``transfer``, ``contents``."""

    def __init__(
        self,
        directory: Path,
        *,
        cache: ColumnCache | None,
        texts: TextIndex | None = None,
        overflow: KeywordOverflow | None,
        take_over: TakeOver,
        new_uid_validity: Callable[[], int],
        limits: Limits,
        read_only: bool | None,
        known_next: Callable[[str], int] = lambda numbering: 0,
    ) -> None:
        self.location = directory
        self.directory = os.fsencode(directory)
        self.cur = Directory(self.directory + b"/cur")
        self.new = Directory(self.directory + b"/new")
        self.uidlist = UidList(self.directory)
        self.index = FileIndex()
        super().__init__(self.directory, overflow)
        self.cache = cache
        self.texts = FolderTexts(self, texts)
        self.take_over = take_over
        self.new_uid_validity = new_uid_validity
        self.limits = limits
        #: What the state knows of the next UID of a numbering; 0: nothing.
        self.known_next = known_next
        self.read_only = self._cannot_write() if read_only is None else read_only
        self.synced = False
        #: Changes that were found by operations that then failed: told by the next.
        self._untold = Changes()
        #: The UID list that the index was last compared with.
        self.told_table: UidTable | None = None
        #: A message was missing from a listing that may have been wrong.
        self.pending = False
        #: Names in cur and new that are not those of messages.
        self.ignored: set[bytes] = set()
        #: Renamed, or of other keywords: their flags are to be compared.
        self.touched: set[Uid] = set()
        #: What we published ourselves and have told nobody yet.
        self.published: set[Uid] = set()
        #: UIDs of this process only, by base: of a mailbox we may not write.
        self.made_up: dict[bytes, Uid] = {}
        #: Writing failed in a mailbox that clients know by numbers of the disk.
        self.failed = False
        #: Paths by base as a reader last found them who met a stale name.
        self.whereabouts: dict[bytes, bytes] = {}
        #: What the folder was like when its snapshot was saved or read.
        self.snapshot_stamp: object = None
        #: Whether there may be one: not where it was looked for in vain.
        self.has_snapshot = True
        #: The numbering that the UID list had when it was last held against them.
        self.recalled = ""
        #: Messages went, and the cache may still have something of them.
        self.unpruned = False
        #: Whoever changes something just now must not wait.
        self._hurrying = False
        self._made_up_next = 1
        self._lock_draft = KeptDraft(self.directory + b"/tmp")

    @contextmanager
    def telling(self) -> Iterator[Changes]:
        """Collect changes; if the block fails, the next one to succeed tells them."""
        yield self._untold
        self._untold = Changes()

    @property
    def has_untold(self) -> bool:
        """Whether there are changes that a failed operation could not tell."""
        return bool(self._untold) or bool(self.touched)

    def reset(self) -> None:
        """Forget everything; the next sync is a first one."""
        self._lock_draft.remove()
        self._untold = Changes()
        self.forget_folder()

    def forget_folder(self) -> None:
        """Forget what was read; what is being told meanwhile goes on."""
        self.uidlist = UidList(self.directory)
        self.cur = Directory(self.cur.path)
        self.new = Directory(self.new.path)
        self.index = FileIndex()
        self.told_table = None
        self.synced = self.pending = False
        self.snapshot_stamp, self.has_snapshot, self.recalled = None, True, ""
        self.published, self.touched = set(), set()
        self.ignored, self.made_up, self.whereabouts = set(), {}, {}
        self.reset_flags()

    def read_keywords(self) -> None:
        """Read the letters' names if they changed: the next sync tells what did."""
        if self.refresh_keywords():
            self.touched.update(self.index)

    # -- numbers --

    @property
    def uid_next(self) -> int:
        """Larger than every UID that was told, made-up ones too."""
        return max(self.uidlist.table.told_next, self._made_up_next)

    @property
    def guid(self) -> str:
        """32 hex digits, from the UID list where it has them."""
        if self.uidlist.table.guid:
            return self.uidlist.table.guid
        return sha256(self.directory).hexdigest()[:32]

    @property
    def numbering(self) -> str:
        """What is kept by UID beside the Maildir is kept under this name.

        The GUID is not enough: Dovecot keeps it when it numbers a folder anew.
        """
        return numbering(self.guid, self.uidlist.table.uid_validity)

    def load_column(self, kind: str, uids: Sequence[Uid]) -> list[bytes | None]:
        """Return what the cache has.

        Of made-up UIDs that is nothing: another process made up others.
        """
        if self.cache is None:
            return [None] * len(uids)
        values = self.cache.load(self.numbering, kind, uids)
        if self.made_up:
            made_up = set(self.made_up.values())
            pairs = zip(uids, values, strict=True)
            return [None if uid in made_up else value for uid, value in pairs]
        return values

    def save_columns(self, columns: Mapping[str, Mapping[Uid, bytes]]) -> None:
        """Offer values to the cache."""
        if self.cache is None:
            return
        made_up = set(self.made_up.values())
        kept = {
            kind: {
                uid: value
                for uid, value in values.items()
                if uid in self.index and uid not in made_up
            }
            for kind, values in columns.items()
        }
        self.cache.save_all(self.numbering, kept, self.is_gone)

    def uid_of(self, base: bytes) -> Uid | None:
        """Return the UID that a base has, whether or not it is in the index."""
        return self.uidlist.table.uids.get(base) or self.made_up.get(base)

    def knows_numbers(self) -> bool:
        """Whether the index has the numbers of the present UIDVALIDITY."""
        told = self.told_table
        return told is None or told.uid_validity == self.uidlist.table.uid_validity

    @property
    def has_other_numbers(self) -> bool:
        """Whether the UID list was read since the index was compared with it.

        It is read under its lock before each change: what another server wrote then
        does not make it look changed any more.
        """
        return self.told_table is not self.uidlist.table or self.told_table.renumbered

    def make_up_uid(self, base: bytes) -> Uid:
        """Give a message a UID that only this process knows."""
        least = max(self.uidlist.table.uid_next, self._made_up_next)
        uid = self.made_up[base] = Uid(least)
        self._made_up_next = uid + 1
        return uid

    def is_gone(self, uid: Uid) -> bool:
        """Whether the message of a UID is known to be expunged.

        Only UIDs that were looked for, in an exact listing, can be known, and those
        that were seen to go.
        """
        return self.synced and self.index.is_gone(uid)

    def make_up_validity(self, bases: Iterable[bytes]) -> int:
        """Return a UIDVALIDITY for a folder that has none and cannot be written.

        It is the same as long as the same files are there, which is as long as we
        give them the same UIDs.
        """
        total = 0
        for base in bases:
            total = zlib.crc32(base, total)
        return total % LARGEST_NUMBER + 1

    # -- writing --

    @contextmanager
    def own_changes(self, *, in_new: bool) -> Iterator[None]:
        """Change ``cur``, and ``new`` if it is so, without listing them again.

        If the block fails, they are listed.
        """
        cur = self.cur.mark()
        new = self.new.mark() if in_new else None
        yield
        self.cur.adopt(cur)
        if in_new:
            self.new.adopt(new)

    def in_new(self, uids: Iterable[Uid]) -> bool:
        """Whether one of the messages lies in ``new``."""
        index = self.index
        return bool(index.new) and any(index.name(uid) in index.new for uid in uids)

    def lock(self, at_most_seconds: float = math.inf) -> MailboxLock:
        """Return both locks, not yet taken."""
        self.must_be_patient()
        seconds = min(self.limits.lock_seconds, at_most_seconds)
        return MailboxLock(self.directory, seconds, self._lock_draft)

    @contextmanager
    def hurrying(self) -> Iterator[None]:
        """Let nothing in the block wait: it raises ``WouldBlock`` instead."""
        self._hurrying = True
        try:
            yield
        finally:
            self._hurrying = False

    def must_be_patient(self) -> None:
        """Call before anything that may take its time.

        Raises:
            WouldBlock: inside of ``hurrying``.
        """
        if self._hurrying:
            raise WouldBlock

    def require_writable(self) -> None:
        """Refuse a change of a mailbox that cannot be changed.

        Raises:
            ReadOnly: it is so.
        """
        if self.read_only:
            raise ReadOnly("The mailbox is read-only")

    def note_failure(self, doing: str, error: OSError) -> None:
        """Stop writing here, until the mailbox is opened again, where it is no use.

        After a failed ``fsync`` the kernel may drop what it could not write and
        report success the next time: trying again would be a lie.
        """
        if error.errno not in _HOPELESS:
            if quiet.is_due(self.directory, doing, error.errno):
                _log.warn(
                    "store: {doing} in {path!r} failed: {error}",
                    doing=doing,
                    path=self.directory,
                    error=repr(error),
                )
            return
        _log.error(
            "store: {doing} in {path!r} failed, read-only now: {error}",
            doing=doing,
            path=self.directory,
            error=repr(error),
        )
        self.read_only = self.failed = True

    def _cannot_write(self) -> bool:
        """Whether the folder is someone's whom we may only read."""
        parts = (b"", b"/cur", b"/new", b"/tmp")
        flags = os.R_OK | os.W_OK | os.X_OK
        there = [part for part in parts if fsops.exists(self.directory + part)]
        # What is missing can be made.
        return not all(os.access(self.directory + part, flags) for part in there)

    def make_directories(self) -> None:
        """Make ``cur``, ``new`` and ``tmp`` where one is missing.

        An archive that cannot be written needs no more than ``cur``.
        """
        self.new.may_be_missing = self.read_only
        for part in (b"/cur", b"/new", b"/tmp"):
            path = self.directory + part
            status = fsops.status_or_none(path)
            if status is None and not self.read_only:
                fsops.mkdir(path)
                fsops.fsync_directory(self.directory)
            elif status is None and part != b"/cur":
                continue
            elif status is None or not stat.S_ISDIR(status.st_mode):
                if quiet.is_due("directory", path):
                    _log.warn("store: {path!r} is not a directory", path=path)
                raise Unavailable("The mailbox is damaged")

    def forget_messages(self, uids: Iterable[Uid]) -> None:
        """Drop what is kept beside the Maildir of messages that are gone."""
        gone = list(uids)
        if not gone:
            return
        # What the cache has of them goes later, and for many at once.
        self.unpruned = True
        kept = {
            int(uid): frozenset[bytes]()
            for uid in gone
            if uid in self.overflow_keywords
        }
        try:
            self.set_overflow(kept)
        except (OSError, ImapError) as error:
            # The messages are gone all the same, and their UIDs name no others.
            _log.warn(
                "store: keywords of messages expunged from {path!r} stay: {error}",
                path=self.directory,
                error=repr(error),
            )
