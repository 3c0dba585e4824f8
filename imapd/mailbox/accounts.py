"""The accounts in use: one ``Account`` for all sessions of a user."""

from collections.abc import Callable, Hashable

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from imapd.mailbox.account import Account
from imapd.mailbox.threads import Workers
from imapd.mailbox.watch import Watch
from imapd.store.api import AccountStore

_log = Logger()


class Accounts:
    """Opens an account for its first session, closes it after its last."""

    def __init__(self, workers: Workers, watch: Watch) -> None:
        self._workers = workers
        self._watch = watch
        self._open: dict[Hashable, Account] = {}
        self._locks: dict[Hashable, DeferredLock] = {}

    async def acquire(
        self, key: Hashable, open_store: Callable[[], AccountStore]
    ) -> Account:
        """The account under ``key``; needs one ``release``.

        ``open_store`` blocks, and runs in a worker if nobody has the account open.
        """
        # One at a time for each account: two first sessions must share it.
        lock = self._locks.setdefault(key, DeferredLock())
        async with lock:
            account = self._open.get(key)
            if account is None:
                try:
                    store = await self._workers.run(open_store)
                except BaseException:
                    self._forget_lock(key)
                    raise
                account = self._open[key] = Account(store, self._workers, self._watch)
            account.users += 1
            return account

    def release(self, key: Hashable) -> "Deferred[None]":
        """Take back one ``acquire``; what is left to close is closed behind it."""
        closed = Deferred.fromCoroutine(self._release(key))
        return closed.addErrback(
            lambda failure: _log.failure("an account did not close", failure)
        )

    async def _release(self, key: Hashable) -> None:
        async with self._locks[key]:
            account = self._open[key]
            account.users -= 1
            if account.users:
                return
            del self._open[key]
            try:
                await account.close()
            finally:
                self._forget_lock(key)

    def _forget_lock(self, key: Hashable) -> None:
        """Called with the lock held; those who wait for it need it still."""
        if not self._locks[key].waiting:
            del self._locks[key]
