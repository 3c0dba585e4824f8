"""What the server floor asks of an account and of a selected mailbox.

``Account`` and ``Selected`` of this floor answer over a store; an adapter of the
server floor answers over any ``IAccountIMAP``.  Coroutines run on the reactor.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from typing import Protocol

from imapd.ids import MailboxPath, Seq, Uid
from imapd.mailbox.names import Namespace
from imapd.model.flags import Flags, StoreMode
from imapd.model.mailbox import Appended, Folder, MailboxStatus
from imapd.model.numbered import Numbered
from imapd.model.requests import FetchItem, SequenceMatch
from imapd.model.search import SearchKey
from imapd.model.sets import Ranges, SequenceSet
from imapd.model.sort import Criterion, ThreadAlgorithm
from imapd.model.threads import Threads
from imapd.model.view import SessionView

Messages = Numbered
#: Lets others have their turn; raises ClientGone if the client has left.
Pause = Callable[[], Awaitable[None]]


class Listener(Protocol):
    """The session that selected a mailbox; called on the reactor."""

    def mailbox_changed(self) -> None:
        """The view has news.  Must not block or raise."""

    def mailbox_lost(self, why: str) -> None:
        """The mailbox is gone or renumbered; ``why`` may be told to the client."""


class SelectedMailbox(Protocol):
    """One session's open mailbox."""

    view: SessionView
    read_only: bool
    #: Whether what is told unasked has UID and MODSEQ too.  RFC 7162 §3.2.4.
    condstore: bool

    @property
    def uid_validity(self) -> int:
        """1 to 2**32 - 1."""

    @property
    def uid_next(self) -> int:
        """Larger than every UID ever given out here."""

    @property
    def keywords(self) -> Sequence[bytes]:
        """The keywords known in this mailbox."""

    @property
    def may_create_keywords(self) -> bool:
        r"""Whether STORE may name a new keyword: ``\*`` in PERMANENTFLAGS."""

    def flags(self, uid: Uid) -> Flags:
        r"""The flags of a message, without ``\Recent``."""

    def flags_of(self, uids: Sequence[Uid]) -> Sequence[Flags]:
        r"""The flags of messages in their order, as ``flags`` has them."""

    def first_unseen(self) -> Seq | None:
        r"""The first message without ``\Seen``."""

    async def refresh(self) -> None:
        """Take in what other programs did; the view learns of it."""

    @property
    def is_current(self) -> bool:
        """Whether ``refresh`` would find nothing; False where that is not known."""

    @property
    def highest_modseq(self) -> int:
        """The highest modification sequence; 0: none are kept here, or not yet."""

    async def track(self) -> None:
        """Keep modification sequences from now on, where that is possible."""

    def modseq(self, uid: Uid) -> int:
        """The modification sequence of a message that is there."""

    def newer(self, uids: Sequence[Uid], modseq: int) -> list[Uid]:
        """Those of the messages, ascending, that changed after ``modseq``."""

    def vanished_since(
        self,
        modseq: int,
        known: SequenceSet | None,
        match: SequenceMatch | None = None,
    ) -> Ranges:
        """UIDs of those that are gone since; all UIDs if None are named.

        Also such as were gone before, where that is not known any more.
        RFC 7162 §3.2.5, §3.2.6.
        """

    def fetch(
        self, messages: Messages, items: Sequence[FetchItem], *, with_uid: bool
    ) -> AsyncGenerator[bytes, None]:
        r"""Responses to FETCH in batches, ready to send, and ``\Seen`` set.

        Raises:
            MessageGone: after everything else was sent, if a message is gone.
        """

    async def search(self, key: SearchKey) -> Numbered:
        """The messages that match, ascending."""

    async def sort(
        self,
        criteria: tuple[Criterion, ...],
        key: SearchKey,
        *,
        uid: bool,
        pause: Pause,
    ) -> Sequence[int]:
        """The messages that match, sorted: their UIDs, or else their numbers."""

    async def thread(
        self, algorithm: ThreadAlgorithm, key: SearchKey, *, uid: bool, pause: Pause
    ) -> tuple[Threads, Sequence[int]]:
        """The messages that match as threads, and the UIDs or numbers of those."""

    async def store(
        self,
        uids: Sequence[Uid],
        mode: StoreMode,
        flags: Iterable[bytes],
        unchanged_since: int | None = None,
    ) -> list[Uid]:
        """Change flags; the view learns of every change.

        Returns those left alone, which had changed after ``unchanged_since``.
        """

    async def expunge(self, uids: Sequence[Uid] | None = None) -> None:
        r"""Remove the ``\Deleted`` ones of the messages given, or of all."""

    async def copy(
        self, uids: Sequence[Uid], path: MailboxPath, *, move: bool
    ) -> tuple[int, list[tuple[Uid, Uid]]] | None:
        """Copy or move; (UIDVALIDITY, pairs) of COPYUID, None if not known.

        Raises:
            NoDestination: the target is not there.
            MessageGone: a message is gone, and nothing was copied.
        """

    def watch(self, on: bool) -> None:
        """Start or end looking for what other programs do (IDLE)."""

    def abandon(self) -> None:
        """The client has left: what it waits for need not be found any more."""

    async def close(self) -> None:
        """Leave the mailbox; nothing is expunged.  May be called twice."""


class Appending(Protocol):
    """The messages of one APPEND on their way."""

    def begin(self, flags: Iterable[bytes], internal_date_seconds: int | None) -> None:
        """Start the next message."""

    async def write(self, octets: bytes) -> None:
        """Add octets to it."""

    async def end(self) -> None:
        """Finish it; the next may be begun."""

    async def commit(self) -> Appended | None:
        """Finish the last one, and publish all; None if the UIDs are not known."""

    async def abort(self) -> None:
        """Remove what was written; no error after ``commit``."""


class MailAccount(Protocol):
    """One user's mailboxes."""

    namespace: Namespace

    async def folders(self) -> list[Folder]:
        """Every mailbox that is there."""

    async def subscriptions(self) -> list[MailboxPath]:
        """Every subscribed name."""

    async def subscribe(self, path: MailboxPath) -> None:
        """SUBSCRIBE."""

    async def unsubscribe(self, path: MailboxPath) -> None:
        """UNSUBSCRIBE."""

    async def create(self, path: MailboxPath, special_use: bytes | None = None) -> None:
        """CREATE."""

    async def delete(self, path: MailboxPath) -> None:
        """DELETE."""

    async def rename(self, old: MailboxPath, new: MailboxPath) -> None:
        """RENAME."""

    async def status(
        self,
        path: MailboxPath,
        *,
        with_size: bool,
        with_deleted: bool = False,
        with_modseq: bool = False,
    ) -> MailboxStatus:
        """STATUS; SIZE, DELETED, HIGHESTMODSEQ: only where they were asked for."""

    async def select(
        self, path: MailboxPath, *, read_only: bool, listener: Listener
    ) -> SelectedMailbox:
        """SELECT and EXAMINE."""

    async def begin_append(self, path: MailboxPath) -> Appending:
        """Open a place for new messages.

        Raises:
            NoDestination: the mailbox is not there.
        """
