"""The accounts in use: one ``Account`` for all sessions of a user."""

from collections import OrderedDict
from collections.abc import Callable, Hashable

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from imapd.auth.promptly import deferred
from imapd.mailbox.account import Account
from imapd.mailbox.ahead import NOTHING_AHEAD, Ahead
from imapd.mailbox.keeper import KEPT_OCTETS, Keeper
from imapd.mailbox.notices import NO_NOTICES, Notices
from imapd.mailbox.roles import Flushing
from imapd.mailbox.threads import Workers
from imapd.mailbox.watch import Watch
from imapd.store.api import AccountStore

_log = Logger()

#: An account that nobody uses stays open for so long: the next click of a webmail,
#: the next connection of a mail program.
KEEP_SECONDS = 60
#: So many of them; those left longest ago go first.
KEEP_ACCOUNTS = 128
#: Opening looks after what crashes and other servers left: not seldomer than this.
OPEN_SECONDS = 600


class Accounts:
    """Opens an account for its first session, closes it some time after its last."""

    def __init__(
        self,
        workers: Workers,
        watch: Watch,
        notices: Notices = NO_NOTICES,
        *,
        ahead: Ahead = NOTHING_AHEAD,
        clock: IReactorTime | None = None,
        keep: int = 0,
        flushing: Flushing | None = None,
        kept_octets: int = KEPT_OCTETS,
        at_rest: Callable[[], None] | None = None,
    ) -> None:
        """Begin with none.

        Args:
            workers: where accounts are opened and closed.
            watch: of the mailboxes that somebody idles on.
            ahead: who is told what may be made ahead of need.
            notices: to the other processes that serve the same accounts.
            clock: for the timers of all that are kept, and of answers.
            keep: how many that nobody uses stay open; needs a clock.
            flushing: who has mailboxes write down what may wait.
            kept_octets: what mailboxes that nobody has open may take in memory.
            at_rest: called in a worker when the last that was open was closed.
        """
        self._workers = workers
        self._flushing = flushing
        self._ahead = ahead
        self._watch = watch
        self._notices = notices
        self._clock = clock
        self._keeper = Keeper(kept_octets, clock)
        self._at_rest = at_rest
        self._keep = keep if clock is not None else 0
        self._open: dict[Hashable, Account] = {}
        #: Of each its store, and when it was opened.
        self._stores: dict[Hashable, tuple[AccountStore, float]] = {}
        self._locks: dict[Hashable, DeferredLock] = {}
        #: Those that nobody uses, and when they were left; longest ago first.
        self._left: OrderedDict[Hashable, float] = OrderedDict()
        self._sweeping: IDelayedCall | None = None

    async def acquire(
        self, key: Hashable, open_store: Callable[[], AccountStore]
    ) -> Account:
        """The account under ``key``; needs one ``release``.

        ``open_store`` blocks, and runs in a worker if nobody has the account open.
        """
        if key not in self._locks and self._usable(key):
            return self._used(key)
        # One at a time for each account: two first sessions must share it.
        lock = self._locks.setdefault(key, DeferredLock())
        async with lock:
            try:
                if not self._usable(key):
                    if key in self._open:
                        await self._close_quietly(key)
                    store = await self._workers.run(open_store)
                    self._stores[key] = store, self._now()
                    self._open[key] = Account(
                        store,
                        self._workers,
                        self._watch,
                        self._keeper,
                        flushing=self._flushing,
                        notices=self._notices,
                        ahead=self._ahead,
                    )
                return self._used(key)
            finally:
                self._forget_lock(key)

    def _now(self) -> float:
        return 0.0 if self._clock is None else self._clock.seconds()

    def _usable(self, key: Hashable) -> bool:
        """Whether it is open, and in use or still what was opened."""
        if key not in self._left:
            return key in self._open
        store, opened = self._stores[key]
        fresh = self._now() - opened < OPEN_SECONDS
        return fresh and self._workers.brief(store.is_as_opened)

    def _used(self, key: Hashable) -> Account:
        # The timer stays: the account may be left again before it does anything.
        self._left.pop(key, None)
        account = self._open[key]
        account.users += 1
        account.session_began()
        return account

    def release(self, key: Hashable) -> "Deferred[None]":
        """Take back one ``acquire``; what is left to close is closed behind it."""
        closed = deferred(self._release(key))
        return closed.addErrback(
            lambda failure: _log.failure("an account did not close", failure)
        )

    async def _release(self, key: Hashable) -> None:
        account = self._open[key]
        account.users -= 1
        if account.users:
            return
        if self._keep and self._clock is not None:
            self._left[key] = self._clock.seconds()
            if self._sweeping is None:
                self._sweeping = self._clock.callLater(KEEP_SECONDS, self._sweep)
            if len(self._left) <= self._keep:
                return
            key = next(iter(self._left))
        await self._close_unused(key)

    async def _close_unused(self, key: Hashable) -> None:
        lock = self._locks.setdefault(key, DeferredLock())
        async with lock:
            try:
                account = self._open.get(key)
                if account is not None and not account.users:
                    await self._close(key)
            finally:
                self._forget_lock(key)

    async def _close(self, key: Hashable) -> None:
        """Called with the lock held, for one that nobody uses."""
        self._left.pop(key, None)
        if not self._left:
            self._stop_sweeping()
        del self._stores[key]
        await self._open.pop(key).close()
        if not self._open and self._at_rest is not None:
            await self._workers.run(self._at_rest)

    async def _close_quietly(self, key: Hashable) -> None:
        try:
            await self._close(key)
        except Exception:  # whoever logs in now has nothing to do with it
            _log.failure("an account did not close")

    def _sweep(self) -> None:
        """Close those that were left long enough ago."""
        self._sweeping = None
        assert self._clock is not None
        now = self._clock.seconds()
        due = [key for key, left in self._left.items() if now - left >= KEEP_SECONDS]
        for key in due:
            self._begin_closing(key)
        if self._left and self._sweeping is None:
            oldest = next(iter(self._left.values()))
            self._sweeping = self._clock.callLater(
                max(oldest + KEEP_SECONDS - now, 1), self._sweep
            )

    def _begin_closing(self, key: Hashable) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._close_unused(key)).addErrback(
            lambda failure: _log.failure("an account did not close", failure)
        )

    def _stop_sweeping(self) -> None:
        sweeping, self._sweeping = self._sweeping, None
        if sweeping is not None:
            sweeping.cancel()

    async def close(self) -> None:
        """Close all that nobody uses, and keep none from now on.

        Those that are being closed already are waited for: the threads end next.
        """
        self._keep = 0
        for key in [*self._left, *self._locks]:
            await self._begin_closing(key)
        self._stop_sweeping()
        self._keeper.blocks.close()

    def _forget_lock(self, key: Hashable) -> None:
        """Called with the lock held; those who wait for it need it still."""
        if not self._locks[key].waiting:
            del self._locks[key]
