"""One mailbox in memory, shared by all sessions of this process on it.

Lock rules: everything that changes the mailbox or asks the disk what changed
runs under ``lock``, its blocking part in a worker, its result applied on the
reactor before the lock is given back.  Who needs two mailboxes takes the locks
in the order of ``lock_order``.  Nothing is written to a connection here.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import partial
from itertools import count

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger
from twisted.python.failure import Failure

from imapd.errors import NoPermission, NoSuchMailbox, ReadOnly, Unavailable
from imapd.ids import MailboxPath, Uid
from imapd.mailbox.blocks import MailboxBlocks
from imapd.mailbox.notices import NO_NOTICES, Notices
from imapd.mailbox.roles import Flushing, Member
from imapd.mailbox.threads import Workers
from imapd.mailbox.together import Together
from imapd.mailbox.upload import GROUP_MESSAGES, Outcomes, Upload, publish
from imapd.model.flags import DELETED, NO_FLAGS, SEEN, Flags, StoreMode
from imapd.model.mailbox import Appended, Changes, Copied, MailboxStatus, MessageState
from imapd.model.modseqs import ModSeqs
from imapd.model.table import MessageTable, total_octets
from imapd.model.view import SessionView
from imapd.store.api import MailboxStore, WouldBlock

#: So many messages may be changed where we are, without a thread.
SHORT_COUNT = 4

_log = Logger()
_order = count()


class LiveMailbox:
    """The messages of one mailbox, and the sessions that look at them."""

    def __init__(
        self,
        store: MailboxStore,
        workers: Workers,
        *,
        flushing: Flushing | None = None,
        notices: Notices = NO_NOTICES,
        blocks: MailboxBlocks | None = None,
    ) -> None:
        self.store = store
        self.blocks = blocks or MailboxBlocks()
        #: As told to the sessions: the store's own may be a step ahead.
        self.modseqs: ModSeqs | None = None
        self._flushing = flushing
        self.workers = workers
        self._notices = notices
        self.lock_order = next(_order)
        self.table = MessageTable()
        self.gone = self._renumbered = False
        self.users = 0  # what keeps it in its account's table
        self.reads = 0  # batches of FETCH so far that took more than memory
        #: Told when messages came or went, and when it was loaded.
        self.on_contents: Callable[[LiveMailbox], None] = lambda live: None
        self._unclaimed: set[Uid] = set()  # recent, no session has claimed it
        self._members: list[Member] = []
        self._lock = DeferredLock()
        self._uploads = Together(self._lock, self._commit_all, GROUP_MESSAGES)
        self._loaded = False
        self._filled = False  # messages were stored
        #: Those who wait for a look at the disk that has not begun yet.
        self._looking: list[Deferred[None]] | None = None

    @property
    def path(self) -> MailboxPath:
        """The path it was opened under."""
        return self.store.path

    @property
    def uids(self) -> Sequence[Uid]:
        """All messages, ascending; never changed, but replaced."""
        return self.table.uids

    def flags(self, uid: Uid) -> Flags:
        """The flags of a message; none for one that is gone."""
        return self.table.flags(uid) or NO_FLAGS

    def flags_of_many(self, uids: Sequence[Uid]) -> Sequence[Flags | None]:
        """The flags of messages in their order, None for one that is gone."""
        sets, codes = self.table.sets, self.table.codes_of(uids)
        return [None if code is None else sets[code] for code in codes]

    def has(self, uid: Uid) -> bool:
        """Whether the message is there."""
        return uid in self.table

    def deleted_uids(self) -> list[Uid]:
        r"""The messages that are ``\Deleted``, ascending."""
        return self.table.with_flag(DELETED)

    def status(self, size_octets: int | None = None) -> MailboxStatus:
        """Counts of what is in memory."""
        return MailboxStatus(
            messages=len(self.table),
            recent=len(self._unclaimed),
            uid_next=self.store.uid_next,
            uid_validity=self.store.uid_validity,
            unseen=len(self.table) - self.table.count(SEEN),
            deleted=self.table.count(DELETED),
            size_octets=size_octets,
            highest_modseq=0 if self.modseqs is None else self.modseqs.highest,
        )

    @property
    def is_worth_keeping(self) -> bool:
        """Whether the next session finds it loaded, or who stores here the numbers."""
        filled = self._filled and not self.store.read_only
        return (self._loaded or filled) and not self.gone

    @property
    def memory_octets(self) -> int:
        """About what it costs in memory."""
        kept = 0 if self.modseqs is None else self.modseqs.memory_octets
        return total_octets(self.table) + self.store.memory_octets + 2 * kept

    # Sessions.

    async def join(self, member: Member) -> None:
        """Add a session; its view starts with what is there now."""
        async with self._lock:
            claims = not member.read_only
            if not self.is_current or (claims and self._unclaimed):
                await self._sync(claim=claims)
            self._require_there()  # nobody would tell it of what changes
            recent = set(self._unclaimed)
            if claims:
                self._unclaimed.clear()
            member.view = SessionView(self.uids, recent)
            member.joined_validity = self.store.uid_validity
            self._members.append(member)

    def leave(self, member: Member) -> None:
        """Take a session away; one that is not there is no error."""
        if member in self._members:
            self._members.remove(member)

    # The disk.

    async def refresh(self) -> None:
        """See what other programs did, if anything may have changed.

        A look that has not begun yet sees all that ours would: it serves everybody
        who asks meanwhile.
        """
        if self.gone or self.is_current:
            return
        if self._looking is not None:
            waiter: Deferred[None] = Deferred()
            self._looking.append(waiter)
            await waiter
            return
        waiting = self._looking = []
        try:
            async with self._lock:
                self._looking = None
                await self._sync(claim=self._claimer() is not None)
        except BaseException:
            failure = Failure()
            for each in waiting:
                each.errback(failure)
            raise
        for each in waiting:
            each.callback(None)

    @property
    def is_current(self) -> bool:
        """Whether it is loaded, and nothing may have changed on the disk."""
        return self._loaded and not self.workers.brief(self.store.changed)

    async def _sync(self, *, claim: bool) -> None:
        await self._look(partial(self.store.sync, claim))

    async def track(self) -> None:
        """Keep modification sequences from now on, if the store can.

        Done again, it takes over what other processes of ours have written down.
        """
        async with self._lock:
            if not self._loaded:
                await self._sync(claim=self._claimer() is not None)
            await self._track()

    async def _track(self) -> None:
        await self._look(self.store.track)
        self.modseqs = self.store.modseqs

    async def flush(self) -> None:
        """Write down what may wait."""
        async with self._lock:
            if self.gone:
                return
            save = await self.workers.run(self.store.unsaved)
        if save is not None:
            await self.workers.run(save)

    async def _look(self, look: Callable[[], Changes]) -> None:
        self._require_there()
        try:
            changes = await self.workers.run(look)
        except NoSuchMailbox:
            self.vanish("The mailbox was deleted or renamed")
            raise
        self._loaded = True
        self._apply(changes)
        if changes.renumbered:
            self._require_there()

    async def store_flags(
        self,
        uids: Sequence[Uid],
        mode: StoreMode,
        flags: Iterable[bytes],
        unchanged_since: int | None = None,
    ) -> list[Uid]:
        """STORE, for all sessions; return those left alone.  RFC 3501 §6.4.6.

        Those are what changed after ``unchanged_since``.  RFC 7162 §3.1.3.
        """
        short = len(uids) <= SHORT_COUNT and unchanged_since is None
        if short and self.workers.quick and not self._lock.locked:
            # Nobody else comes to run before it is done: it needs no lock.
            self._writable()
            with suppress(WouldBlock):
                self._apply_own(
                    self.workers.short(
                        self.store.try_store_flags, uids, mode, list(flags)
                    )
                )
                return []
        async with self._lock:
            self._writable()
            modified: list[Uid] = []
            if unchanged_since is not None and self.modseqs is not None:
                await self._track()  # what is on the disk now, not a moment ago
                here = [uid for uid in uids if self.has(uid)]
                modified = self.modseqs.newer(here, unchanged_since)
                left = set(modified)
                uids = [uid for uid in uids if uid not in left]
            if uids:
                self._apply_own(
                    await self.workers.run(
                        self.store.store_flags, uids, mode, list(flags)
                    )
                )
            return modified

    async def expunge(self, uids: Sequence[Uid]) -> None:
        r"""Remove those of the messages that are ``\Deleted``."""
        async with self._lock:
            self._writable()
            self._apply_own(await self.workers.run(self.store.expunge, list(uids)))

    async def commit(self, upload: Upload) -> Appended:
        """Publish delivered messages, with those of all who wait for the same."""
        return await self._uploads.add(upload, upload.weight)

    async def _commit_all(self, take: Callable[[], Sequence[Upload]]) -> Outcomes:
        self._writable_target()
        claim = self._claimer() is not None
        outcomes = await self.workers.run(publish, self.store, take, claim)
        for each in outcomes:
            if isinstance(each, Appended):
                self._apply_own(each.target, stored=bool(each.uids))
        return outcomes

    async def copy_from(
        self, source: "LiveMailbox", uids: Sequence[Uid], *, move: bool
    ) -> Copied:
        """Copy or move messages here from another mailbox, or from this one."""
        async with _holding({self, source}):
            self._writable_target()
            if source.gone:  # its UIDs may mean other messages now
                raise Unavailable("The mailbox is gone, or its messages numbered anew")
            if move:
                source._writable()
            copied = await self.workers.run(
                self.store.copy_from,
                source.store,
                list(uids),
                move,
                self._claimer() is not None,
            )
            source._apply_own(copied.source)
            self._apply_own(copied.target, stored=bool(copied.pairs))
            return copied

    def _writable_target(self) -> None:
        # READ-ONLY would say that of the mailbox the client has selected.
        if not self.gone and self.store.read_only:
            raise NoPermission("The mailbox cannot be written")
        self._writable()

    def _writable(self) -> None:
        self._require_there()
        if self.store.read_only:
            raise ReadOnly("The mailbox cannot be written")

    def _require_there(self) -> None:
        if self._renumbered:  # who opens it again finds it
            raise Unavailable("The messages were numbered anew; open it again")
        if self.gone:
            raise NoSuchMailbox("The mailbox is gone")

    # What changed, told to every session.

    def _apply_own(self, changes: Changes, *, stored: bool = False) -> None:
        """Apply what we did ourselves, of which other processes do not know.

        ``stored``: there are new messages, which a mailbox not loaded does not tell.
        """
        self._filled = self._filled or stored
        self._apply(changes)
        if changes or stored:
            for directory in self.store.watched_directories()[:1]:
                self._notices.changed(directory)

    def _apply(self, changes: Changes) -> None:
        if changes.renumbered:
            self._renumbered = True
            self.vanish("The messages of the mailbox were numbered anew")
        if self.gone or not changes:
            return
        if self.modseqs is not None and changes.modseq:
            self.modseqs.record(changes)
            if self._flushing is not None:
                self._flushing.changed(self)
        if changes.expunged:
            self._remove(changes.expunged)
        if changes.added:
            self._add(changes.added)
        changed = self.table.set_flags(changes.flags) if changes.flags else []
        for member in self._members:
            member.view.flags_changed(changed)
        for member in list(self._members):
            member.changed()
        if changes.added or changes.expunged:
            self.on_contents(self)

    def _remove(self, expunged: Iterable[Uid]) -> None:
        gone = self.table.remove(expunged)
        self._unclaimed -= gone
        for member in self._members:
            member.view.expunged(gone, self.uids)

    def _add(self, added: Iterable[MessageState]) -> None:
        fresh = self.table.add(added)
        uids = [each.uid for each in fresh]
        recent = {each.uid for each in fresh if each.recent}
        claimer = self._claimer()
        if claimer is None:
            self._unclaimed |= recent
        for member in self._members:
            sees = claimer is None or member is claimer
            member.view.arrived(uids, recent if sees else (), self.uids)

    def _claimer(self) -> Member | None:
        """The session that new messages are recent to."""
        return next((each for each in self._members if not each.read_only), None)

    def vanish(self, why: str) -> None:
        """The mailbox is no more, or its numbers mean other messages now."""
        self.gone = True
        members, self._members = self._members, []
        for member in members:
            member.lost(why)

    async def close(self) -> None:
        """Give back what the store holds; nobody may use the mailbox afterwards.

        Never raises: what was done before is done, and must not look as if it had
        failed (an APPEND would be sent again).
        """
        async with self._lock:
            self.gone = True
            self.blocks.close()
            if self._flushing is not None:
                self._flushing.forget(self)
            try:
                await self.workers.run(self.store.close)
            except Exception:
                _log.failure("closing {path}", path=self.path)


@asynccontextmanager
async def _holding(mailboxes: Iterable[LiveMailbox]) -> AsyncIterator[None]:
    """Hold the locks of several mailboxes, always taken in the same order."""
    with ExitStack() as held:
        for each in sorted(mailboxes, key=lambda live: live.lock_order):
            await each._lock.acquire()
            held.callback(each._lock.release)
        yield
