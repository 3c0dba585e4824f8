"""One ``Account`` for all sessions of a user, opened and closed once."""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imapd.errors import AlreadyExists, Unavailable
from imapd.ids import INBOX
from imapd.mailbox.account import Account
from imapd.mailbox.accounts import Accounts
from imapd.mailbox.watch import PollingWatch
from tests.support.memory import MemoryAccount
from tests.support.workers import LaterWorkers


class AccountsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.workers = LaterWorkers()
        self.accounts = Accounts(self.workers, PollingWatch(Clock()))
        self.opened: list[MemoryAccount] = []

    def open(self) -> MemoryAccount:
        self.opened.append(MemoryAccount())
        return self.opened[-1]

    def acquire(
        self, key: str = "a", opener: Callable[[], MemoryAccount] | None = None
    ) -> "Deferred[Account]":
        return Deferred.fromCoroutine(self.accounts.acquire(key, opener or self.open))

    def assert_empty(self) -> None:
        self.assertEqual((self.accounts._open, self.accounts._locks), ({}, {}))

    def test_sessions_that_come_at_once_share_it(self) -> None:
        asked = [self.acquire() for _ in range(3)]
        self.workers.finish()
        first, *others = map(self.successResultOf, asked)
        self.assertEqual(others, [first, first])
        self.assertEqual(len(self.opened), 1)
        for _ in range(3):
            self.assertEqual(self.opened[0].closed, 0)
            self.accounts.release("a")
            self.workers.finish()
        self.assertEqual(self.opened[0].closed, 1)
        self.assert_empty()

    def test_users_are_apart(self) -> None:
        one, two = self.acquire("a"), self.acquire("b")
        self.workers.finish()
        self.assertIsNot(self.successResultOf(one), self.successResultOf(two))

    def test_a_session_that_comes_while_it_is_closed_opens_it_again(self) -> None:
        self.acquire()
        self.workers.finish()
        closing = self.accounts.release("a")
        asked = self.acquire()
        self.assertNoResult(closing)
        self.assertNoResult(asked)
        self.workers.finish()
        self.successResultOf(closing)
        self.assertEqual(self.successResultOf(asked).users, 1)
        self.assertEqual([each.closed for each in self.opened], [1, 0])
        self.accounts.release("a")
        self.workers.finish()
        self.assert_empty()

    def test_the_next_may_succeed_where_one_failed(self) -> None:
        def fail() -> MemoryAccount:
            raise Unavailable("no")

        bad, good = self.acquire(opener=fail), self.acquire()
        self.workers.finish()
        self.failureResultOf(bad, Unavailable)
        self.successResultOf(good)
        self.accounts.release("a")
        self.workers.finish()
        self.assert_empty()

    def test_one_that_does_not_close_is_gone_all_the_same(self) -> None:
        def fail() -> None:
            raise Unavailable("no")

        asked = self.acquire()
        self.workers.finish()
        self.successResultOf(asked)
        setattr(self.opened[0], "close", fail)  # noqa: B010
        closed = self.accounts.release("a")
        self.workers.finish()
        self.successResultOf(closed)
        self.assertEqual(len(self.flushLoggedErrors(Unavailable)), 1)
        self.assert_empty()


class TreeTests(SynchronousTestCase):
    def test_changes_of_the_tree_go_one_by_one(self) -> None:
        workers, store = LaterWorkers(), MemoryAccount()
        account = Account(store, workers, PollingWatch(Clock()))
        paths = [("a",), ("b",), ("c",)]
        done = [Deferred.fromCoroutine(account.create(path)) for path in paths]
        self.assertEqual(len(workers.waiting), 1)
        workers.finish()
        for each in done:
            self.successResultOf(each)
        self.assertEqual(set(store.boxes), {INBOX, *paths})

    def test_one_that_fails_holds_up_nobody(self) -> None:
        workers, store = LaterWorkers(), MemoryAccount()
        account = Account(store, workers, PollingWatch(Clock()))

        def fail(*_: object) -> None:
            raise AlreadyExists("there")

        setattr(store, "create", fail)  # noqa: B010
        created = Deferred.fromCoroutine(account.create(("a",)))
        subscribed = Deferred.fromCoroutine(account.subscribe(("a",)))
        removed = Deferred.fromCoroutine(account.unsubscribe(("b",)))
        workers.finish()
        self.failureResultOf(created, AlreadyExists)
        self.successResultOf(subscribed)
        self.successResultOf(removed)
        self.assertEqual(store.subscribed, {("a",)})
