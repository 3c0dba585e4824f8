"""One ``Account`` for all sessions of a user, opened and closed once."""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imapd.errors import AlreadyExists, Unavailable
from imapd.ids import INBOX
from imapd.mailbox.account import Account
from imapd.mailbox.accounts import KEEP_SECONDS, OPEN_SECONDS, Accounts
from imapd.mailbox.threads import InlineWorkers
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
        # Hardening: F04.
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


class KeepTests(SynchronousTestCase):
    """Accounts that stay open for whoever comes back."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.accounts = Accounts(
            InlineWorkers(), PollingWatch(self.clock), clock=self.clock, keep=2
        )
        self.stores: dict[str, list[MemoryAccount]] = {}

    def use(self, key: str) -> None:
        def open_store() -> MemoryAccount:
            self.stores.setdefault(key, []).append(MemoryAccount())
            return self.stores[key][-1]

        self.successResultOf(
            Deferred.fromCoroutine(self.accounts.acquire(key, open_store))
        )

    def visit(self, key: str) -> None:
        self.use(key)
        self.successResultOf(self.accounts.release(key))

    def closed(self, key: str) -> list[int]:
        return [each.closed for each in self.stores[key]]

    def test_what_is_done_at_rest(self) -> None:
        rested: list[int] = []
        self.accounts = Accounts(
            InlineWorkers(),
            PollingWatch(self.clock),
            clock=self.clock,
            keep=2,
            at_rest=lambda: rested.append(len(self.accounts._open)),
        )
        self.visit("a")
        self.use("b")
        self.clock.advance(KEEP_SECONDS)
        self.assertEqual((self.closed("a"), rested), ([1], []))  # b is at work
        self.successResultOf(self.accounts.release("b"))
        self.assertEqual(rested, [])
        self.clock.advance(KEEP_SECONDS)
        self.assertEqual((self.closed("b"), rested), ([1], [0]))
        self.clock.advance(KEEP_SECONDS * 3)
        self.assertEqual(rested, [0])

    def test_who_comes_back_finds_it_open(self) -> None:
        for _ in range(3):
            self.visit("a")
            self.clock.advance(KEEP_SECONDS - 1)
        self.assertEqual(self.closed("a"), [0])
        self.clock.advance(1)
        self.assertEqual(self.closed("a"), [1])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.visit("a")
        self.assertEqual(self.closed("a"), [1, 0])

    def test_one_in_use_is_not_closed(self) -> None:
        self.visit("a")
        self.use("a")
        self.clock.advance(KEEP_SECONDS * 3)
        self.assertEqual(self.closed("a"), [0])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_timer_is_left_by_who_closes_them(self) -> None:
        self.visit("a")
        self.use("a")
        self.successResultOf(Deferred.fromCoroutine(self.accounts.close()))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_only_so_many_and_the_last_left(self) -> None:
        for key in ("a", "b", "a", "c"):
            self.visit(key)
        self.assertEqual([*map(self.closed, "abc")], [[0], [1], [0]])
        self.assertEqual(set(self.accounts._open), {"a", "c"})

    def test_one_timer_closes_each_in_its_time(self) -> None:
        self.visit("a")
        self.clock.advance(20)
        self.visit("b")
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(KEEP_SECONDS - 20)
        self.assertEqual((self.closed("a"), self.closed("b")), ([1], [0]))
        self.clock.advance(20)
        self.assertEqual(self.closed("b"), [1])

    def test_mail_that_was_replaced_is_opened_anew(self) -> None:
        self.visit("a")
        self.stores["a"][0].as_opened = False
        self.visit("a")
        self.assertEqual(self.closed("a"), [1, 0])

    def test_not_for_ever_without_a_look_at_the_whole(self) -> None:
        for _ in range(OPEN_SECONDS // 30):
            self.visit("a")
            self.clock.advance(30)
        self.assertEqual(self.closed("a"), [0])
        self.visit("a")
        self.assertEqual(self.closed("a"), [1, 0])

    def test_stopping_closes_them_all(self) -> None:
        self.visit("a")
        self.visit("b")
        self.successResultOf(Deferred.fromCoroutine(self.accounts.close()))
        self.assertEqual((self.closed("a"), self.closed("b")), ([1], [1]))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.visit("a")
        self.assertEqual(self.closed("a"), [1, 1])
        state = self.accounts._open, self.accounts._locks, self.accounts._stores
        self.assertEqual(state, ({}, {}, {}))

    def test_stopping_waits_for_those_that_are_being_closed(self) -> None:
        workers = LaterWorkers(inline=True)
        self.accounts = Accounts(
            workers, PollingWatch(self.clock), clock=self.clock, keep=2
        )
        self.visit("a")
        workers.inline = False
        self.clock.advance(KEEP_SECONDS)
        stopped = Deferred.fromCoroutine(self.accounts.close())
        self.assertNoResult(stopped)
        self.assertEqual(self.closed("a"), [0])
        workers.finish()
        self.successResultOf(stopped)
        self.assertEqual(self.closed("a"), [1])
        state = self.accounts._open, self.accounts._locks, self.accounts._stores
        self.assertEqual(state, ({}, {}, {}))

    def test_one_that_does_not_close_keeps_nobody_out(self) -> None:
        def fail() -> None:
            raise Unavailable("no")

        self.visit("a")
        self.stores["a"][0].as_opened = False
        setattr(self.stores["a"][0], "close", fail)  # noqa: B010
        self.visit("a")
        self.assertEqual(len(self.flushLoggedErrors(Unavailable)), 1)
        self.assertEqual(len(self.stores["a"]), 2)


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
