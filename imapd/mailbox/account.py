"""One user's mailboxes, shared by all of the user's sessions in this process."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial

from twisted.internet.defer import Deferred, DeferredLock, DeferredSemaphore
from twisted.logger import Logger

from imapd.errors import (
    ImapError,
    NoDestination,
    NoPermission,
    NoSuchMailbox,
    Unavailable,
)
from imapd.ids import INBOX, MailboxPath
from imapd.mailbox.ahead import NOTHING_AHEAD, Ahead
from imapd.mailbox.api import Listener
from imapd.mailbox.append import Append
from imapd.mailbox.blocks import MailboxBlocks
from imapd.mailbox.keeper import Keeper
from imapd.mailbox.live import LiveMailbox
from imapd.mailbox.names import NAMESPACES, Namespace
from imapd.mailbox.notices import NO_NOTICES, Notices
from imapd.mailbox.roles import Flushing
from imapd.mailbox.selected import Selected
from imapd.mailbox.threads import Workers
from imapd.mailbox.watch import Watch
from imapd.model.mailbox import Folder, MailboxStatus
from imapd.store.api import AccountStore

_log = Logger()

#: Of one user at once; the others wait in turn.
HEAVY_COMMANDS = 2


class Account:
    """The operations of RFC 3501 §6.3 on one user's mailboxes."""

    def __init__(
        self,
        store: AccountStore,
        workers: Workers,
        watch: Watch,
        keeper: Keeper | None = None,
        *,
        flushing: Flushing | None = None,
        notices: Notices = NO_NOTICES,
        ahead: Ahead = NOTHING_AHEAD,
    ) -> None:
        self.users = 0
        self._ahead = ahead
        self.namespace: Namespace = NAMESPACES[store.namespace_style]
        self._watch = watch
        self._keeper = Keeper() if keeper is None else keeper
        self._flushing = flushing
        self._notices = notices
        self._store = store
        self._workers = workers
        self._live: dict[MailboxPath, LiveMailbox] = {}
        self._turns = DeferredSemaphore(HEAVY_COMMANDS)
        self._lock = DeferredLock()  # of the tree: create, delete, rename, subscribe

    def session_began(self) -> None:
        """A session uses it from now on."""
        self._ahead.opened(self._store)

    async def folders(self) -> list[Folder]:
        """Every mailbox that is there."""
        return await self._workers.run(self._store.folders)

    async def subscriptions(self) -> list[MailboxPath]:
        """Every subscribed name."""
        return await self._workers.run(self._store.subscriptions)

    async def subscribe(self, path: MailboxPath) -> None:
        """SUBSCRIBE.  RFC 3501 §6.3.6."""
        async with self._lock:
            await self._workers.run(self._store.subscribe, path)

    async def unsubscribe(self, path: MailboxPath) -> None:
        """UNSUBSCRIBE.  RFC 3501 §6.3.7."""
        async with self._lock:
            await self._workers.run(self._store.unsubscribe, path)

    async def create(self, path: MailboxPath, special_use: bytes | None = None) -> None:
        """CREATE.  RFC 3501 §6.3.3, RFC 6154 §3."""
        async with self._lock:
            await self._workers.run(self._store.create, path, special_use)

    async def delete(self, path: MailboxPath) -> None:
        """DELETE; sessions that have it selected lose it.  RFC 3501 §6.3.4."""
        async with self._lock:
            where = await self._workers.run(self._store.directories, path)
            await self._workers.run(self._store.delete, path)
            self._vanish(path, below=False)
            self._tell(where[:1])

    async def rename(self, old: MailboxPath, new: MailboxPath) -> None:
        """RENAME; sessions below the old name lose it.  RFC 3501 §6.3.5."""
        async with self._lock:
            where = await self._workers.run(self._store.directories, old)
            await self._workers.run(self._store.rename, old, new)
            self._tell(where)
            if old != INBOX:
                self._vanish(old, below=True)
        if old == INBOX and INBOX in self._live:
            try:
                await self._live[INBOX].refresh()
            except ImapError as error:  # it is done; the sessions see it later
                _log.warn("cannot look at INBOX: {error}", error=str(error))

    def _tell(self, directories: Iterable[bytes]) -> None:
        for directory in directories:
            self._notices.changed(directory)

    def _vanish(self, path: MailboxPath, *, below: bool) -> None:
        for each in list(self._live):
            if each == path or (below and each[: len(path)] == path):
                live = self._live.pop(each)
                live.vanish("The mailbox was deleted or renamed")
                if self._keeper.take(live):
                    Deferred.fromCoroutine(live.close())

    # Mailboxes in use.

    @asynccontextmanager
    async def using(self, path: MailboxPath) -> AsyncIterator[LiveMailbox]:
        """Hold a mailbox for as long as the block runs; it may not be loaded."""
        live = await self._acquire(path)
        try:
            yield live
        finally:
            await self._release(live)

    async def _acquire(self, path: MailboxPath) -> LiveMailbox:
        live = self._find(path)
        if live is None:
            store = await self._workers.run(self._store.mailbox, path)
            # Another session may have opened it while we waited.
            live = self._find(path)
            if live is None:
                live = self._live[path] = LiveMailbox(
                    store,
                    self._workers,
                    flushing=self._flushing,
                    notices=self._notices,
                    blocks=MailboxBlocks(self._keeper.blocks),
                )
                live.on_contents = partial(self._ahead.changed, self._store)
            else:
                live.users += 1  # at once: it must not be closed while we wait
                await LiveMailbox(store, self._workers).close()
                return live
        live.users += 1
        return live

    def _find(self, path: MailboxPath) -> LiveMailbox | None:
        """A mailbox that is in memory already; it is not kept for others then."""
        live = self._live.get(path)
        if live is None:
            return None
        kept = self._keeper.take(live)
        if kept and not self._workers.brief(live.store.is_as_opened):
            live.vanish("The mailbox was deleted, renamed or replaced")
        if not live.gone:
            return live
        if kept:
            self._drop(live)
        return None

    async def _release(self, live: LiveMailbox) -> None:
        live.users -= 1
        if live.users:
            return
        if self._live.get(live.path) is live and live.is_worth_keeping:
            self._keeper.keep(live, lambda: self._drop(live))
        else:
            await self._close(live)

    def _drop(self, live: LiveMailbox) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._close(live))

    async def _close(self, live: LiveMailbox) -> None:
        if self._live.get(live.path) is live:
            del self._live[live.path]
        await live.close()

    async def select(
        self, path: MailboxPath, *, read_only: bool, listener: Listener
    ) -> Selected:
        """SELECT or EXAMINE: a session's own view.  RFC 3501 §6.3.1."""
        live = await self._acquire(path)
        try:
            return await self._join(live, read_only, listener)
        except Unavailable:
            if not live.gone:
                raise
        # It was numbered anew since others opened it.
        return await self._join(await self._acquire(path), read_only, listener)

    async def _join(
        self, live: LiveMailbox, read_only: bool, listener: Listener
    ) -> Selected:
        selected = Selected(
            live,
            read_only=read_only or live.store.read_only,
            listener=listener,
            watch=self._watch,
            use=self.using,
            turns=self._turns,
            release=self._release,
        )
        try:
            await live.join(selected)
        except BaseException:
            await self._release(live)
            raise
        return selected

    async def status(
        self,
        path: MailboxPath,
        *,
        with_size: bool,
        with_deleted: bool = False,
        with_modseq: bool = False,
    ) -> MailboxStatus:
        """STATUS; no message loses its recent state.  RFC 3501 §6.3.10."""
        async with self.using(path) as live:
            try:
                await live.refresh()
                if with_modseq:
                    await live.track()
            except Unavailable:
                if not live.gone:
                    raise
            if not live.gone:
                return live.status(await _size_octets(live) if with_size else None)
        # It was numbered anew since others opened it.
        async with self.using(path) as live:
            await live.refresh()
            if with_modseq:
                await live.track()
            return live.status(await _size_octets(live) if with_size else None)

    async def begin_append(self, path: MailboxPath) -> Append:
        """Open a place for new messages.

        Raises:
            NoDestination: the mailbox is not there; the client may create it.
        """
        try:
            live = await self._acquire(path)
        except NoSuchMailbox as error:
            raise NoDestination("No such mailbox") from error
        try:
            if live.store.read_only:
                raise NoPermission("The mailbox cannot be written")
            delivery = self._workers.brief(live.store.begin_delivery)
        except BaseException:
            await self._release(live)
            raise
        return Append(live, delivery, self._release)

    async def close(self) -> None:
        """Give back what the store holds, and the mailboxes kept for nobody."""
        for live in list(self._live.values()):
            if self._keeper.take(live):
                await self._close(live)
        await self._workers.run(self._store.close)


async def _size_octets(live: LiveMailbox) -> int:
    """The sum of RFC822.SIZE.  RFC 8438."""
    total = 0
    uids = list(live.uids)
    for start in range(0, len(uids), 1000):
        metas = await live.workers.run(live.store.meta, uids[start : start + 1000])
        total += sum(meta.rfc822_size for meta in metas.values())
    return total
