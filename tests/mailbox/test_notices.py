"""Which of our own doings other processes are told of."""

from collections.abc import Awaitable, Callable
from typing import Any

from imapd.ids import INBOX, Uid
from imapd.mailbox.account import Account
from imapd.mailbox.live import LiveMailbox
from imapd.mailbox.selected import Selected
from imapd.model.flags import DELETED, StoreMode
from tests.mailbox.live_case import BOX, LiveCase, NoWatch

MAIL = b"Subject: x\r\n\r\nx\r\n"


class Told:
    def __init__(self) -> None:
        self.directories: list[bytes] = []

    def changed(self, directory: bytes) -> None:
        self.directories.append(directory)


class NoticeTests(LiveCase):
    def setUp(self) -> None:
        super().setUp()
        self.told = Told()
        self.account = Account(self.store, self.workers, NoWatch(), notices=self.told)
        for path, box in self.store.boxes.items():
            name = "/".join(path).encode() or b"INBOX"
            box.directories = (b"/mail/%b/new" % name, b"/mail/%b/cur" % name)

    async def append(self, _: Selected) -> None:
        append = await self.account.begin_append(BOX)
        append.begin((), None)
        await append.write(MAIL)
        await append.end()
        await append.commit()

    def test_each_change_of_a_mailbox(self) -> None:
        inbox = self.select(INBOX)
        here, there = b"/mail/INBOX/new", b"/mail/box/new"
        changes: dict[str, tuple[Callable[[Selected], Awaitable[Any]], set[bytes]]] = {
            "flags": (
                lambda one: one.store([Uid(1)], StoreMode.ADD, [DELETED]),
                {here},
            ),
            "expunge": (lambda one: one.expunge(), {here}),
            "copy": (lambda one: one.copy([Uid(2)], BOX, move=False), {there}),
            "move": (lambda one: one.copy([Uid(3)], BOX, move=True), {here, there}),
            "append": (self.append, {there}),
        }
        for name, (change, directories) in changes.items():
            self.told.directories.clear()
            self.run_now(_awaited(change(inbox)))
            self.assertEqual(set(self.told.directories), directories, name)

    def test_nothing_is_said_of_what_others_did(self) -> None:
        inbox = self.select(INBOX)
        self.inbox.deliver()
        self.run_now(inbox.refresh())
        self.assertEqual(len(self.live().uids), 5)
        self.run_now(inbox.store([Uid(99)], StoreMode.ADD, [DELETED]))
        self.assertEqual(self.told.directories, [])

    def test_mailboxes_that_go(self) -> None:
        child = (*BOX, "child")
        self.store.create(child)
        self.store.boxes[child].directories = (b"/mail/box.child/new",)
        self.run_now(self.account.delete(child))
        self.assertEqual(self.told.directories, [b"/mail/box.child/new"])
        self.told.directories.clear()
        self.run_now(self.account.rename(BOX, ("other",)))
        self.assertEqual(self.told.directories, [b"/mail/box/new"])
        self.told.directories.clear()
        self.run_now(self.account.rename(INBOX, ("old",)))
        self.assertEqual(self.told.directories, [b"/mail/INBOX/new"])

    def test_a_process_that_is_alone_tells_nobody(self) -> None:
        live = LiveMailbox(self.store.mailbox(INBOX), self.workers)
        self.run_now(live.store_flags([Uid(1)], StoreMode.ADD, [DELETED]))


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
