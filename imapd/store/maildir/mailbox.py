"""One Maildir folder as a ``MailboxStore``."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from imapd.errors import Cannot, ImapError, NoSuchMailbox
from imapd.ids import MailboxPath, Uid
from imapd.limits import DEFAULT_LIMITS, Limits
from imapd.model.flags import StoreMode
from imapd.model.mailbox import Appended, Changes, Copied, MessageMeta
from imapd.model.modseqs import ModSeqs
from imapd.model.texts import MessageWords, TextFound
from imapd.store import fsops
from imapd.store.api import Delivery, MailboxStore, MessageStream, WouldBlock
from imapd.store.maildir import change, contents, opening, snapshot, transfer
from imapd.store.maildir.core import MailboxCore, TakeOver
from imapd.store.maildir.deliver import MaildirDelivery, clean_tmp
from imapd.store.maildir.derived import FilledCache, FolderDerived, prune
from imapd.store.maildir.journal import Journal, ModSeqState
from imapd.store.maildir.keywords import KeywordOverflow
from imapd.store.maildir.sync import sync
from imapd.store.maildir.texts import TextIndex
from imapd.store.translate import translate_errors

#: In memory: two names, and their places in five tables.
MESSAGE_OCTETS = 600
#: No version is greater: of what the state keeps, the head alone is asked for.
_NO_CHUNKS = 1 << 62


class MaildirMailbox:
    """A folder that Dovecot, Courier and delivery agents may use at the same time.

    Args:
        path: as sessions call it.
        directory: the one with ``cur``, ``new`` and ``tmp``; its name is bytes.
        cache: where columns are kept, if anywhere.
        texts: where texts are indexed, if anywhere.
        overflow: where keywords beyond 26 are kept; None refuses them.
        take_over: what another server left here, asked when there are no numbers.
        new_uid_validity: a value above every one the account ever had.
        limits: those on keywords and on waiting for locks are used.
        read_only: None looks whether the folder can be written.
        modseqs: where modification sequences are kept; None: there are none.
        is_meant: whether the directory is still the one that the path stands for.
    """

    def __init__(
        self,
        path: MailboxPath,
        directory: Path,
        *,
        cache: FilledCache | None,
        texts: TextIndex | None = None,
        overflow: KeywordOverflow | None,
        take_over: TakeOver,
        new_uid_validity: Callable[[], int],
        limits: Limits = DEFAULT_LIMITS,
        read_only: bool | None = None,
        modseqs: ModSeqState | None = None,
        is_meant: Callable[[], bool] = lambda: True,
    ) -> None:
        self.path = path
        self._core = MailboxCore(
            directory,
            cache=cache,
            texts=texts,
            overflow=overflow,
            take_over=take_over,
            new_uid_validity=new_uid_validity,
            limits=limits,
            read_only=read_only,
            known_next=partial(_known_next, modseqs),
        )
        self._identity = opening.identity(self._core.directory)
        self._is_meant = is_meant
        self._journal = Journal(self._core, modseqs)
        self._derived = None if cache is None else FolderDerived(self._core, cache)

    @property
    def read_only(self) -> bool:
        """Whether the mailbox cannot be written, or must not be any more."""
        return self._core.read_only

    @property
    def uid_validity(self) -> int:
        """1 to 2**32 - 1; 0 before the first ``sync``."""
        return self._core.uidlist.table.uid_validity

    @property
    def uid_next(self) -> int:
        """Larger than every UID ever given out here."""
        return self._core.uid_next

    @property
    def guid(self) -> str:
        """32 hex digits, shared with Dovecot."""
        return self._core.guid

    @property
    def keywords(self) -> Sequence[bytes]:
        """The keywords known in this mailbox, as first spelled."""
        return self._core.known_keywords()

    @property
    def memory_octets(self) -> int:
        """About what the index and the UID list hold; names are the most of it."""
        count = max(len(self._core.index), self._core.uidlist.table.line_count)
        return MESSAGE_OCTETS * count

    def changed(self) -> bool:
        """Whether a ``sync`` might find something: three ``stat``, or four."""
        core = self._core
        if not core.synced or core.pending or core.has_untold or core.has_other_numbers:
            return True
        try:
            return (
                core.new.changed()
                or core.cur.changed()
                or core.uidlist.changed()
                or core.letters_were_named()
            )
        except OSError:
            return True  # what is wrong is for sync to say

    def watched_directories(self) -> Sequence[bytes]:
        """``new`` and ``cur``.

        Not the folder itself, in which locks and lists come and go at every change.
        """
        return self._core.new.path, self._core.cur.path

    @property
    def is_confirmed(self) -> bool:
        """Whether a listing has confirmed what we did ourselves."""
        return self._core.cur.is_confirmed and self._core.new.is_confirmed

    def sync(self, claim_recent: bool) -> Changes:
        """Bring what we know in line with the disk.

        Raises:
            NoSuchMailbox: it was deleted or renamed by another program.
        """
        first = not self._core.synced
        with (
            translate_errors("reading a mailbox", self._core.directory),
            self._core.telling() as changes,
        ):
            try:
                sync(self._core, changes, claim_recent)
            except FileNotFoundError as error:
                if fsops.exists(self._core.cur.path):
                    raise
                raise NoSuchMailbox("The mailbox is gone") from error
        if first and not self._core.read_only:
            clean_tmp(self._core)
        changes.expunged.sort()
        self._journal.note(changes)
        return changes

    def store_flags(
        self, uids: Iterable[Uid], mode: StoreMode, flags: Iterable[bytes]
    ) -> Changes:
        """Change flags, starting from what is on disk now."""
        with translate_errors("storing flags", self._core.directory):
            changes = change.store_flags(self._core, uids, mode, flags)
        self._journal.note(changes)
        return changes

    def try_store_flags(
        self, uids: Sequence[Uid], mode: StoreMode, flags: Sequence[bytes]
    ) -> Changes:
        """Change the flags of a few messages without waiting for anything."""
        if self._journal.is_slow:
            raise WouldBlock
        with (
            translate_errors("storing flags", self._core.directory),
            self._core.hurrying(),
        ):
            changes = change.store_flags(self._core, uids, mode, flags)
        self._journal.note(changes)
        return changes

    def expunge(self, uids: Iterable[Uid]) -> Changes:
        r"""Remove those of the messages that are ``\Deleted`` on disk now."""
        with translate_errors("expunging", self._core.directory):
            changes = change.expunge(self._core, uids)
        self._journal.note(changes)
        return changes

    def is_as_opened(self) -> bool:
        """Whether the folder is there, and no other in its place: two ``stat``."""
        return (
            self._identity is not None
            and self._is_meant()
            and opening.identity(self._core.directory) == self._identity
        )

    def begin_delivery(self) -> Delivery:
        """Open a place for new messages.

        Raises:
            ReadOnly: the mailbox cannot be written.
        """
        self._core.require_writable()
        return MaildirDelivery(self._core)

    def commit(self, delivery: Delivery, claim_recent: bool) -> Appended:
        """Publish the messages of a delivery under new UIDs, durably."""
        with translate_errors("storing messages", self._core.directory):
            appended = transfer.commit(self._core, self._own(delivery), claim_recent)
        self._journal.note(appended.target)
        return appended

    def commit_all(
        self, deliveries: Sequence[Delivery], claim_recent: bool
    ) -> list[Appended | ImapError]:
        """Publish those of several together; what became of each."""
        own = [self._own(each) for each in deliveries]
        outcomes: list[Appended | ImapError] = []
        for outcome in transfer.commit_all(self._core, own, claim_recent):
            try:
                with translate_errors("storing messages", self._core.directory):
                    if not isinstance(outcome, Appended):
                        raise outcome
            except ImapError as error:
                outcomes.append(error)
            else:
                self._journal.note(outcome.target)
                outcomes.append(outcome)
        return outcomes

    def _own(self, delivery: Delivery) -> MaildirDelivery:
        if not isinstance(delivery, MaildirDelivery) or delivery.core is not self._core:
            raise Cannot("The delivery belongs to another mailbox")
        return delivery

    def copy_from(
        self,
        source: MailboxStore,
        uids: Iterable[Uid],
        move: bool,
        claim_recent: bool,
    ) -> Copied:
        """Copy or move messages here from another folder."""
        if not isinstance(source, MaildirMailbox):
            raise Cannot("Messages cannot be copied between different stores")
        with translate_errors("copying messages", self._core.directory):
            copied = transfer.copy(
                source._core, self._core, uids, move=move, claim_recent=claim_recent
            )
        self._journal.note(copied.target)
        source._journal.note(copied.source)
        return copied

    def track(self) -> Changes:
        """Keep modification sequences from now on; look what others of us wrote."""
        self._journal.read()
        self._core.new.doubt()
        self._core.cur.doubt()
        changes = self.sync(claim_recent=False) if self.changed() else Changes()
        self._journal.settle()
        return changes

    @property
    def modseqs(self) -> ModSeqs | None:
        """A copy of the numbers, if they are kept."""
        kept = self._journal.modseqs
        return None if kept is None else kept.copy()

    def unsaved(self) -> Callable[[], None] | None:
        """Collect what is to be written down; the function returned does it."""
        return self._journal.unsaved()

    def meta(self, uids: Iterable[Uid]) -> dict[Uid, MessageMeta]:
        """Size and date; messages that are gone are left out."""
        with translate_errors("looking at messages", self._core.directory):
            return contents.meta(self._core, uids)

    def read(self, uid: Uid, most_octets: int | None = None) -> bytes:
        """Return the octets of the file, or the first of them, as they are on disk."""
        with translate_errors("reading a message", self._core.directory):
            return contents.read(self._core, uid, most_octets)

    def try_read(self, uid: Uid, largest_octets: int) -> bytes:
        """Return the octets of a file if that is a matter of a moment."""
        with translate_errors("reading a message", self._core.directory):
            return contents.try_read(self._core, uid, largest_octets)

    def stream(self, uid: Uid) -> MessageStream:
        """Open a message that is too large to be held."""
        with translate_errors("reading a message", self._core.directory):
            return contents.stream(self._core, uid)

    def load_column(self, kind: str, uids: Sequence[Uid]) -> list[bytes | None]:
        """Return what the cache has of one kind, in the order of ascending UIDs."""
        return self._core.load_column(kind, uids)

    def save_column(self, kind: str, values: Mapping[Uid, bytes]) -> None:
        """Offer values to the cache."""
        self._core.save_columns({kind: values})

    def save_columns(self, columns: Mapping[str, Mapping[Uid, bytes]]) -> None:
        """Offer values of several kinds at once."""
        self._core.save_columns(columns)

    def find_text(self, needle: str, *, in_header: bool) -> TextFound:
        """Return what the text index knows of a folded search string, not empty."""
        return self._core.texts.search(needle, in_header=in_header)

    def unindexed(self, uids: Iterable[Uid]) -> list[Uid]:
        """Return those of the messages that the text index is to be told of."""
        return self._core.texts.missing(uids)

    def index_texts(self, messages: Mapping[Uid, MessageWords]) -> None:
        """Tell the text index."""
        self._core.texts.add(messages)

    def tidy_texts(self) -> None:
        """Let the text index drop what was expunged."""
        self._core.texts.tidy()

    def read_dated(
        self, uid: Uid, most_octets: int | None = None
    ) -> tuple[bytes, MessageMeta]:
        """Return what ``read`` and ``meta`` do, from one look at the file."""
        with translate_errors("reading a message", self._core.directory):
            return contents.read_dated(self._core, uid, most_octets)

    @property
    def derived(self) -> FolderDerived | None:
        """For who fills the cache ahead of need; None: there is no cache."""
        return self._derived

    @property
    def unpruned(self) -> bool:
        """Whether the cache may have something of messages that we saw go."""
        return self._core.unpruned

    def close(self) -> None:
        """Write down what is to be kept, and what the next opening can read at once."""
        if self._core.unpruned:  # nobody was quicker; at the latest it is done here
            prune(self._core)
        for _ in range(2):  # the state may have been lost under us
            save = self._journal.unsaved()
            if save is not None:
                save()
        self._journal.forget()
        with suppress(OSError):
            snapshot.save(self._core)
        self._core.reset()


def _known_next(modseqs: ModSeqState | None, numbering: str) -> int:
    saved = None if modseqs is None else modseqs.load_modseqs(numbering, _NO_CHUNKS)
    return 0 if saved is None else saved.head.uid_next
