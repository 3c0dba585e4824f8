"""What the floors above see of a store: Protocols over plain data.

Everything here blocks, and only ``mailbox/threads.py`` may call it.  One
``MailboxStore`` serves all sessions of a process on one mailbox; its caller
serialises ``sync`` and every method that changes something.  ``read``, ``meta``
and the columns may run beside them, from other threads.

Errors are those of ``imapd.errors``; an ``OSError`` that is not the answer to a
question (disk full, no permission, I/O error) becomes ``OverQuota``,
``NoPermission`` or ``Unavailable`` at this boundary, with the cause chained.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from imapd.errors import ImapError
from imapd.ids import MailboxPath, Uid
from imapd.model.flags import StoreMode
from imapd.model.mailbox import (
    Appended,
    Changes,
    Copied,
    Folder,
    MessageMeta,
    NamespaceStyle,
)
from imapd.model.modseqs import ModSeqs
from imapd.model.texts import MessageWords, TextFound


class WouldBlock(Exception):
    """What was tried at once has to wait, for a lock or for a look at the folder.

    Nothing was done that doing it again would not do.
    """


class Delivery(Protocol):
    """Messages on their way into one mailbox: all of them or none.

    Their octets may be written from any thread, before and beside other work on
    the mailbox; ``MailboxStore.commit`` publishes them.
    """

    def begin(self, flags: Iterable[bytes], internal_date_seconds: int | None) -> None:
        """Start the next message; None: the time of delivery."""

    def write(self, octets: bytes) -> None:
        """Add octets, as the client sent them, to the message begun last."""

    def end(self) -> None:
        """Finish the message begun last: it is whole, but not yet safe."""

    def settle(self) -> None:
        """Sync what was finished to the disk; what is not is synced by ``commit``."""

    def abort(self) -> None:
        """Remove what was written.  Never raises; may be called twice."""


class MessageStream(Protocol):
    """A large message in pieces, in the CRLF form.  Blocks; one thread at a time."""

    size_octets: int  # of all pieces together, if the file stays as it is

    def read(self) -> bytes:
        """Return the next piece, ``b""`` at the end.

        Raises:
            OSError: it cannot be read, or is not as long as it was.
        """

    def close(self) -> None:
        """Give back what is held; may be called twice."""


class MailboxStore(Protocol):
    """One mailbox.  The numbers are right after the first ``sync``."""

    path: MailboxPath

    @property
    def read_only(self) -> bool:
        """Whether the mailbox cannot be written: an archive, a foreign mount."""

    @property
    def uid_validity(self) -> int:
        """1 to 2**32 - 1; never changes while one UID mapping survives."""

    @property
    def uid_next(self) -> int:
        """Larger than every UID ever given out here."""

    @property
    def guid(self) -> str:
        """32 hex digits that stay with the mailbox when it is renamed."""

    @property
    def keywords(self) -> Sequence[bytes]:
        """The keywords known in this mailbox, as first spelled."""

    @property
    def memory_octets(self) -> int:
        """About what is held in memory."""

    def changed(self) -> bool:
        """Whether a ``sync`` might find something.  Cheap: a few ``stat``."""

    def watched_directories(self) -> Sequence[bytes]:
        """Where entries come, go or change their names when messages do.

        Asks no disk.  Empty where there are no such directories: ``changed`` is
        asked from time to time then.
        """

    @property
    def is_confirmed(self) -> bool:
        """Whether no change of others can hide behind changes of our own.

        If not, ``changed`` says so in a while.
        """

    def sync(self, claim_recent: bool) -> Changes:
        r"""Bring what we know in line with the disk; give new messages their UIDs.

        Args:
            claim_recent: a session that was SELECTed wants to see them: messages
                move from ``new/`` to ``cur/`` and come back as ``recent``.
                Without it they stay where they are, and come back with
                ``recent`` too, as nobody has seen them yet.

        A message that one listing of the directory did not show is not gone:
        a directory that is being changed is listed with holes.
        """

    def store_flags(
        self, uids: Iterable[Uid], mode: StoreMode, flags: Iterable[bytes]
    ) -> Changes:
        """Change flags, starting from what is on disk now; unknown letters stay.

        Returns every flag change found, also those other programs made.  UIDs
        that are gone come back in ``expunged``, not as an error.

        Raises:
            LimitReached: a keyword too many, or too long.
            ReadOnly: the mailbox cannot be written.
        """

    def try_store_flags(
        self, uids: Sequence[Uid], mode: StoreMode, flags: Sequence[bytes]
    ) -> Changes:
        """Change the flags of a few messages without waiting for anything.

        Raises:
            WouldBlock: ``store_flags`` has to do it.
        """

    def expunge(self, uids: Iterable[Uid]) -> Changes:
        r"""Remove those of the messages that are ``\Deleted`` on disk now."""

    def is_as_opened(self) -> bool:
        """Whether it is there, and not another one in its place.  Cheap."""

    def begin_delivery(self) -> Delivery:
        """Open a place for new messages; nothing is visible before ``commit``.

        Asks no disk.
        """

    def commit(self, delivery: Delivery, claim_recent: bool) -> Appended:
        """Publish the messages of a delivery under new UIDs, durably.

        They come back as ``recent``; with ``claim_recent`` nobody else is told so.

        When this returns they survive power loss (``docs/durability.rst``).
        """

    def commit_all(
        self, deliveries: Sequence[Delivery], claim_recent: bool
    ) -> list[Appended | ImapError]:
        """Do so for several that wait, at little more than the cost of one.

        What became of each, in their order; of each all or nothing.  The changes of
        the mailbox are told with the first that is ``Appended``.
        """

    def copy_from(
        self,
        source: "MailboxStore",
        uids: Iterable[Uid],
        move: bool,
        claim_recent: bool,
    ) -> Copied:
        """Copy or move messages here, with flags, keywords and INTERNALDATE.

        All or nothing for COPY.  MOVE removes a message from the source only
        after its copy is durable.  UIDs that are gone are left out of ``pairs``.
        The caller holds the serialisation of both mailboxes.
        """

    def track(self) -> Changes:
        """Keep modification sequences from now on, of a mailbox that was synced.

        ``modseqs`` is right afterwards, and every ``Changes`` has its number.
        Done again, it takes over what other processes of ours have written.
        """

    @property
    def modseqs(self) -> ModSeqs | None:
        """A copy of the numbers; None: they are not kept, or cannot be."""

    def unsaved(self) -> Callable[[], None] | None:
        """Collect what of them is to be written down; None: nothing.

        The function returned writes it; it blocks, never raises, and may run
        beside other operations.  ``close`` does both.
        """

    def meta(self, uids: Iterable[Uid]) -> dict[Uid, MessageMeta]:
        """Size and date; messages that are gone are left out."""

    def read(self, uid: Uid, most_octets: int | None = None) -> bytes:
        """Return the octets of the file, line ends as they are on disk.

        With ``most_octets``: no more than the first so many of them.

        Raises:
            MessageGone: another session or program expunged it.
            Unavailable: it cannot be read.
        """

    def read_dated(
        self, uid: Uid, most_octets: int | None = None
    ) -> tuple[bytes, MessageMeta]:
        """Return what ``read`` and ``meta`` do, from one look at the file.

        The octets may be all that there are also where ``most_octets`` asks for less.

        Raises:
            MessageGone: another session or program expunged it.
            Unavailable: it cannot be read.
        """

    def try_read(self, uid: Uid, largest_octets: int) -> bytes:
        """Return the octets of a file if that is a matter of a moment.

        Raises:
            WouldBlock: it is larger, or not where it was: ``read`` has to do it.
        """

    def stream(self, uid: Uid) -> MessageStream:
        """Open a message that is too large to be held.

        Raises:
            MessageGone, Unavailable: as ``read`` does.
        """

    def load_column(self, kind: str, uids: Sequence[Uid]) -> list[bytes | None]:
        """Return what the cache has of one kind (``model.columns``) for messages.

        UIDs ascend; the values come in their order, None: not there.  Never raises
        for a lost or broken cache.
        """

    def save_column(self, kind: str, values: Mapping[Uid, bytes]) -> None:
        """Offer values to the cache; never raises for a lost or broken cache."""

    def save_columns(self, columns: Mapping[str, Mapping[Uid, bytes]]) -> None:
        """Offer values of several kinds at once."""

    def find_text(self, needle: str, *, in_header: bool) -> TextFound:
        """Return what the text index knows of a folded search string, not empty.

        Never raises: of what it does not know the caller reads the messages.
        """

    def unindexed(self, uids: Iterable[Uid]) -> list[Uid]:
        """Return those of the messages that the text index is to be told of."""

    def index_texts(self, messages: Mapping[Uid, MessageWords]) -> None:
        """Tell the text index; the more at once, the cheaper.  Never raises."""

    def tidy_texts(self) -> None:
        """Let the text index drop what was expunged.  Never raises."""

    def close(self) -> None:
        """Give back what is held; the mailbox may be opened again."""


class AccountStore(Protocol):
    """One user's mailboxes."""

    @property
    def namespace_style(self) -> NamespaceStyle:
        """How this account's names look on the wire; written down at first open."""

    def is_as_opened(self) -> bool:
        """Whether the mail is still where it was opened, and whose it was.

        A few microseconds: it is asked on the reactor.
        """

    def folders(self) -> list[Folder]:
        """Every mailbox that is there, INBOX first, then sorted by path.

        Names on disk that cannot be decoded are left out and logged once.
        """

    def mailbox(self, path: MailboxPath) -> MailboxStore:
        """A mailbox, not yet synced.

        Raises:
            NoSuchMailbox: it is not there.
            Unavailable: it is there and may not be opened; the log says why.
        """

    def directories(self, path: MailboxPath) -> list[bytes]:
        """One of ``watched_directories`` of a mailbox, then of each below it.

        Of INBOX its own only; what is not there is left out.
        """

    def create(self, path: MailboxPath, special_use: bytes | None = None) -> None:
        """Make a mailbox durably, as RFC 3501 §6.3.3 wants it.

        Raises:
            AlreadyExists, Cannot (the name cannot be stored), LimitReached.
        """

    def delete(self, path: MailboxPath) -> None:
        """Remove a mailbox and its messages; mailboxes below it stay.

        Raises:
            NoSuchMailbox, Cannot (INBOX), HasChildren (only a parent).
        """

    def rename(self, old: MailboxPath, new: MailboxPath) -> None:
        """Rename a mailbox and all below it; INBOX: move its messages instead.

        RFC 3501 §6.3.5.

        Raises:
            NoSuchMailbox, AlreadyExists, Cannot.
        """

    def subscriptions(self) -> list[MailboxPath]:
        """The subscribed names, whether or not they are there, sorted."""

    def subscribe(self, path: MailboxPath) -> None:
        """Add a name durably; one that is in it already is no error."""

    def unsubscribe(self, path: MailboxPath) -> None:
        """Remove a name durably; one that is not in it is no error."""

    def close(self) -> None:
        """Give back what is held."""
