"""One session's place at a live mailbox."""

from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, contextmanager, suppress

from twisted.internet.defer import DeferredSemaphore

from imapd.errors import (
    ClientGone,
    MessageGone,
    NoDestination,
    NoSuchMailbox,
    ReadOnly,
    Unavailable,
)
from imapd.ids import MailboxPath, Seq, Uid
from imapd.mailbox import fetch, resync, sortcache, sortcolumns, sorting
from imapd.mailbox.api import Listener, Messages, Pause
from imapd.mailbox.blocks import BlockSource
from imapd.mailbox.live import LiveMailbox
from imapd.mailbox.message import LazyMessage
from imapd.mailbox.partials import PARTIALS
from imapd.mailbox.planning import Plan
from imapd.mailbox.quick import QuickSource
from imapd.mailbox.rendering import Rendered, render
from imapd.mailbox.searchmask import Snapshot
from imapd.mailbox.searchrun import Search
from imapd.mailbox.watch import Watch
from imapd.model.flags import NO_FLAGS, SEEN, Flags, StoreMode
from imapd.model.mailbox import MessageMeta
from imapd.model.numbered import Numbered
from imapd.model.requests import FetchItem, SequenceMatch
from imapd.model.search import SearchKey
from imapd.model.sets import Ranges, SequenceSet, intersect
from imapd.model.sort import Criterion, ThreadAlgorithm
from imapd.model.threads import Threads
from imapd.model.view import SessionView
from imapd.store.api import WouldBlock

Use = Callable[[MailboxPath], AbstractAsyncContextManager[LiveMailbox]]


class Selected:
    """What ``mailbox.api.SelectedMailbox`` asks for, over a live mailbox."""

    def __init__(
        self,
        live: LiveMailbox,
        *,
        read_only: bool,
        listener: Listener,
        watch: Watch,
        use: Use,
        turns: DeferredSemaphore,
        release: Callable[[LiveMailbox], Awaitable[None]],
    ) -> None:
        self.view = SessionView()
        self.joined_validity = 0
        self.read_only = read_only
        self.condstore = False
        self._live = live
        self._listener = listener
        self._watch = watch
        self._use = use
        self._turns = turns  # of the user's commands that take long
        self._release = release
        self._watching = False
        self._closed = False
        self._abandoned = False

    # What the live mailbox tells.

    def changed(self) -> None:
        """The view has news."""
        self._listener.mailbox_changed()

    def lost(self, why: str) -> None:
        """The mailbox is gone or renumbered."""
        self._listener.mailbox_lost(why)

    # What the session asks.

    @property
    def path(self) -> MailboxPath:
        """The path it was opened under."""
        return self._live.path

    @property
    def uid_validity(self) -> int:
        """1 to 2**32 - 1."""
        return self._live.store.uid_validity

    @property
    def uid_next(self) -> int:
        """Larger than every UID ever given out here."""
        return self._live.store.uid_next

    @property
    def keywords(self) -> Sequence[bytes]:
        """The keywords known in this mailbox."""
        return self._live.store.keywords

    @property
    def may_create_keywords(self) -> bool:
        """Whether STORE may name a new keyword."""
        return not self.read_only

    def flags(self, uid: Uid) -> Flags:
        r"""The flags of a message, without ``\Recent``."""
        return self._live.flags(uid)

    def flags_of(self, uids: Sequence[Uid]) -> Sequence[Flags]:
        """The flags of messages in their order; none for one that is gone."""
        known = self._live.flags_of_many(uids)
        return [NO_FLAGS if flags is None else flags for flags in known]

    def first_unseen(self) -> Seq | None:
        r"""The first message without ``\Seen``."""
        if self.view.uids is self._live.uids:
            first = self._live.table.first_without(SEEN)
            return None if first is None else Seq(first + 1)
        flags = self._live.flags_of_many(self.view.uids)
        for seq, known in enumerate(flags, 1):
            if known is not None and SEEN not in known:
                return Seq(seq)
        return None

    @property
    def is_current(self) -> bool:
        """Whether nothing may have changed on the disk, and nobody looks just now."""
        return self._live.is_current

    async def refresh(self) -> None:
        """Take in what other programs did."""
        await self._live.refresh()

    async def _render(self, plan: Plan, uids: Sequence[Uid]) -> Rendered:
        live = self._live
        live.reads += 1
        if len(uids) == 1:
            if plan.in_pieces:
                return await self._render_piece(plan, uids[0])
            if plan.whole_at is not None and live.workers.quick:
                with suppress(WouldBlock):
                    quick = QuickSource(live.store)
                    return self._checked(live.workers.short(render, quick, plan, uids))
        return self._checked(await live.workers.run(render, live.store, plan, uids))

    def _checked(self, rendered: Rendered) -> Rendered:
        try:
            self._same_numbers()
        except BaseException:
            rendered.close()
            raise
        return rendered

    async def _render_piece(self, plan: Plan, uid: Uid) -> Rendered:
        live = self._live
        message = PARTIALS.find(self, uid)
        if message is None:
            message = LazyMessage(live.store, uid, whole=True)
        rendered = self._checked(
            await live.workers.run(render, live.store, plan, [uid], message)
        )
        if not self._closed:
            PARTIALS.keep(self, message)
        return rendered

    def _same_numbers(self) -> None:
        """Let nothing out that was found under other numbers than the session's."""
        live = self._live
        if live.gone or live.store.uid_validity != self.joined_validity:
            raise Unavailable("The mailbox is gone, or its messages numbered anew")

    # Modification sequences.

    @property
    def highest_modseq(self) -> int:
        """The highest modification sequence; 0: none are kept here, or not yet."""
        modseqs = self._live.modseqs
        return 0 if modseqs is None else modseqs.highest

    async def track(self) -> None:
        """Keep modification sequences from now on, where that is possible."""
        await self._live.track()

    def modseq(self, uid: Uid) -> int:
        """The modification sequence of a message that is there."""
        modseqs = self._live.modseqs
        return 0 if modseqs is None else modseqs.of(uid)

    def newer(self, uids: Sequence[Uid], modseq: int) -> list[Uid]:
        """Those of the messages, ascending, that changed after ``modseq``."""
        modseqs = self._live.modseqs
        return [] if modseqs is None else modseqs.newer(uids, modseq)

    def vanished_since(
        self,
        modseq: int,
        known: SequenceSet | None,
        match: SequenceMatch | None = None,
    ) -> Ranges:
        """UIDs of those that are gone since, as far as it is known."""
        modseqs, largest = self._live.modseqs, self.uid_next - 1
        if modseqs is None or not largest:
            return []
        named = SequenceSet(((1, largest),)) if known is None else known
        there: Sequence[Uid] = self._live.uids
        if there is not self.view.uids:
            there = sorted({*there, *self.view.uids})
        return resync.vanished(
            modseqs,
            modseq,
            intersect(named.resolve(largest), [(1, largest)]),
            there,
            resync.matched_uid(match, self.view.uids),
        )

    def fetch(
        self, messages: Messages, items: Sequence[FetchItem], *, with_uid: bool
    ) -> AsyncGenerator[bytes, None]:
        """Responses to FETCH in batches, ready to send."""
        live = self._live
        mailbox = fetch.Mailbox(
            view=self.view,
            read_only=self.read_only,
            flags=live.flags_of_many,
            render=self._render,
            mark_seen=lambda uids: live.store_flags(uids, StoreMode.ADD, (SEEN,)),
            read_piece=lambda stream: live.workers.run(stream.read),
            modseq=self.modseq,
            condstore=self.condstore and bool(self.highest_modseq),
            blocks=BlockSource(live.blocks, live.table, self._has_recent),
        )
        return fetch.responses(mailbox, messages, items, with_uid=with_uid)

    def _has_recent(self, uids: Sequence[Uid]) -> bool:
        """Whether one of the messages is recent here; asked before old octets go out.

        Raises:
            Unavailable: their UIDs may mean other messages now.
        """
        self._same_numbers()
        return not self.view.recent.isdisjoint(uids)

    def read(self, uid: Uid) -> bytes:
        """A message as it is on disk; blocks, for callers that cannot wait.

        Raises:
            MessageGone: it was expunged.
        """
        return self._live.workers.brief(self._live.store.read, uid)

    def meta(self, uid: Uid) -> MessageMeta:
        """Its size and date; blocks.

        Raises:
            MessageGone: it was expunged.
        """
        meta = self._live.workers.brief(self._live.store.meta, (uid,)).get(uid)
        if meta is None:
            raise MessageGone("The message was expunged")
        return meta

    async def search(self, key: SearchKey) -> Numbered:
        """The messages that match, ascending; those gone match nothing."""
        live, uids = self._live, self.view.uids
        key = resync.without_modseqs(key, lambda modseq: self.newer(uids, modseq))
        table, recent = live.table, frozenset(self.view.recent)
        snapshot = Snapshot(uids, table.codes_of(uids), tuple(table.sets), recent)
        search = Search(key, snapshot, live.store)
        if search.is_small:
            return search.finish()
        async with self._turns:
            # Others have their turn between the steps.
            while not self._closed:
                self._still_asked()
                if not await live.workers.heavy(search.step):
                    break
                self._same_numbers()
        self._same_numbers()
        return search.result()

    def abandon(self) -> None:
        """The client has left: what it waits for need not be found any more."""
        self._abandoned = True

    def _still_asked(self) -> None:
        if self._abandoned:
            raise ClientGone("the client left")

    async def sort(
        self,
        criteria: tuple[Criterion, ...],
        key: SearchKey,
        *,
        uid: bool,
        pause: Pause,
    ) -> Sequence[int]:
        """The messages that match, sorted; those gone match nothing."""
        with self._lent() as mailbox:
            return await sorting.sort(mailbox, criteria, key, uid=uid, pause=pause)

    async def thread(
        self, algorithm: ThreadAlgorithm, key: SearchKey, *, uid: bool, pause: Pause
    ) -> tuple[Threads, Sequence[int]]:
        """The messages that match as threads; those gone match nothing."""
        with self._lent() as mailbox:
            return await sorting.thread(mailbox, algorithm, key, uid=uid, pause=pause)

    @contextmanager
    def _lent(self) -> Iterator[sorting.Mailbox]:
        keys = sortcache.KEYS.of(self._live)
        keys.prune(self._live.uids)
        yield sorting.Mailbox(self.view, keys, self.search, self._load_keys)
        sortcache.KEYS.trim(keys)

    async def _load_keys(
        self, kinds: Iterable[str], uids: Sequence[Uid]
    ) -> sortcolumns.Loaded:
        live = self._live
        loaded = await live.workers.run(sortcolumns.load, live.store, kinds, uids)
        self._same_numbers()
        return loaded

    async def store(
        self,
        uids: Sequence[Uid],
        mode: StoreMode,
        flags: Iterable[bytes],
        unchanged_since: int | None = None,
    ) -> list[Uid]:
        """Change flags; every view learns of every change."""
        self._writable()
        return await self._live.store_flags(uids, mode, flags, unchanged_since)

    async def expunge(self, uids: Sequence[Uid] | None = None) -> None:
        r"""Remove the ``\Deleted`` ones of the messages given, or of all.

        Never one that this session was not told of (RFC 4315 §2.1): it may have
        been delivered, and marked by another session, a moment ago.
        """
        self._writable()
        wanted = self.view.uids if uids is None else uids
        deleted = set(self._live.deleted_uids())
        doomed = [uid for uid in wanted if uid in deleted]
        if doomed:
            await self._live.expunge(doomed)

    async def copy(
        self, uids: Sequence[Uid], path: MailboxPath, *, move: bool
    ) -> tuple[int, list[tuple[Uid, Uid]]]:
        """Copy or move messages to another mailbox, or to this one."""
        if move:
            self._writable()
        if not move and None in self._live.flags_of_many(uids):
            raise MessageGone("Some of the messages were expunged")
        try:
            async with self._use(path) as target:
                copied = await target.copy_from(self._live, uids, move=move)
        except NoSuchMailbox as error:
            raise NoDestination("No such mailbox") from error
        return copied.uid_validity, copied.pairs

    def _writable(self) -> None:
        if self.read_only:
            raise ReadOnly("The mailbox is open read-only")

    def watch(self, on: bool) -> None:
        """Start or end looking for what other programs do."""
        PARTIALS.forget(self)  # whoever idles has read what it wanted
        if on and not self._watching:
            self._watch.add(self._live)
        elif not on and self._watching:
            self._watch.remove(self._live)
        self._watching = on

    async def close(self) -> None:
        """Leave the mailbox."""
        if not self._closed:
            self._closed = True
            PARTIALS.forget(self)
            self.watch(False)
            self._live.leave(self)
            await self._release(self._live)
