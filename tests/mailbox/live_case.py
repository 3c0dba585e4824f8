"""Sessions of one account over a store in memory, with workers that wait."""

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from imapd.errors import (
    ImapError,
)
from imapd.ids import INBOX, MailboxPath
from imapd.mailbox.account import Account
from imapd.mailbox.keeper import Keeper
from imapd.mailbox.live import LiveMailbox
from imapd.mailbox.selected import Selected
from tests.support.memory import MemoryAccount
from tests.support.workers import LaterWorkers

T = TypeVar("T")
BOX: MailboxPath = ("box",)


class Listener:
    """What a session is to its mailbox."""

    def __init__(self) -> None:
        self.news = 0
        self.lost: list[str] = []

    def mailbox_changed(self) -> None:
        self.news += 1

    def mailbox_lost(self, why: str) -> None:
        self.lost.append(why)


class NoWatch:
    def add(self, live: LiveMailbox) -> None:
        pass

    def remove(self, live: LiveMailbox) -> None:
        pass

    def notice(self, directory: bytes) -> None:
        pass


class LiveCase(SynchronousTestCase):
    #: Of mailboxes that nobody has open: they are closed at once.
    kept_octets = 0

    def setUp(self) -> None:
        self.store = MemoryAccount()
        self.inbox = self.store.boxes[INBOX]
        for _ in range(4):
            self.inbox.deliver()
        self.store.create(BOX)
        self.box = self.store.boxes[BOX]
        self.workers = LaterWorkers()
        self.account = Account(
            self.store, self.workers, NoWatch(), Keeper(self.kept_octets)
        )

    def start(self, coroutine: Coroutine[Any, Any, T]) -> "Deferred[T]":
        return Deferred.fromCoroutine(coroutine)

    def run_now(self, coroutine: Coroutine[Any, Any, T]) -> T:
        done = self.start(coroutine)
        self.workers.finish()
        return self.successResultOf(done)

    def fails(
        self, coroutine: Coroutine[Any, Any, Any], error: type[ImapError]
    ) -> None:
        done = self.start(coroutine)
        self.workers.finish()
        self.failureResultOf(done, error)

    def select(
        self,
        path: MailboxPath = INBOX,
        *,
        read_only: bool = False,
        listener: Listener | None = None,
    ) -> Selected:
        return self.run_now(
            self.account.select(
                path, read_only=read_only, listener=listener or Listener()
            )
        )

    def live(self, path: MailboxPath = INBOX) -> LiveMailbox:
        return self.account._live[path]

    def assert_all_given_back(self) -> None:
        self.assertEqual(self.account._live, {})
        for path, box in self.store.boxes.items():
            self.assertGreaterEqual(box.closed, 1, path)
