"""A folder that is renamed, or removed, while a message is on its way into it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from imapd.errors import ImapError
from imapd.ids import Uid
from imapd.store.api import Delivery
from imapd.store.maildir.account import MaildirAccount
from imapd.store.maildir.mailbox import MaildirMailbox
from tests.store.folders import FolderTestCase, append
from tests.support.leftovers import left_in


def whole(delivery: Delivery) -> None:
    delivery.begin([], 1_500_000_000)
    delivery.write(b"a: b\r\n\r\nc\r\n")
    delivery.end()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


class MovedTests(FolderTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.box = self.open()
        self.box.sync(True)
        self.moved = self.root / "moved"

    def begun(self) -> Delivery:
        """One message is whole, another is half there."""
        delivery = self.box.begin_delivery()
        whole(delivery)
        delivery.begin([], 1_500_000_000)
        delivery.write(b"a: b\r\n\r\nc\r\n")
        return delivery

    def move(self) -> None:
        os.rename(self.folder(), self.moved)

    def left(self, folder: Path) -> list[str]:
        return [
            name for part in ("cur", "new", "tmp") for name in left_in(folder / part)
        ]

    def test_given_up(self) -> None:
        before = descriptors()
        delivery = self.begun()
        self.move()
        self.assertEqual(len(self.left(self.moved)), 2)
        delivery.abort()
        delivery.abort()
        self.assertEqual(self.left(self.moved), [])
        self.assertEqual(descriptors(), before)

    def test_given_up_or_refused_in_the_midst_of_anything(self) -> None:
        def go_on(delivery: Delivery) -> None:
            delivery.write(b"d\r\n")
            delivery.end()

        def with_bare_line_ends(delivery: Delivery) -> None:
            delivery.write(b"d\n")
            delivery.end()

        def with_another(delivery: Delivery) -> None:
            delivery.end()
            whole(delivery)

        ways: tuple[Callable[[Delivery], None], ...]
        ways = (go_on, with_bare_line_ends, with_another)
        for way in ways:
            with self.subTest(way.__name__):
                delivery = self.begun()
                self.move()
                try:
                    way(delivery)
                    with self.assertRaises(ImapError):
                        self.box.commit(delivery, False)
                finally:
                    delivery.abort()
                self.assertEqual(self.left(self.moved), [])
                os.rename(self.moved, self.root / "box")

    def test_another_has_its_name(self) -> None:
        """What was meant for the one is not put into the other."""
        delivery = self.begun()
        self.move()
        self.folder()
        delivery.end()
        whole(delivery)
        with self.assertRaises(ImapError):
            self.box.commit(delivery, False)
        self.assertEqual(self.left(self.moved), [])
        self.assertEqual(self.left(self.folder()), [])

    def test_it_comes_back(self) -> None:
        """Nothing was lost meanwhile, and nothing need be refused."""
        delivery = self.begun()
        self.move()
        delivery.write(b"d\n")
        os.rename(self.moved, self.root / "box")
        delivery.end()
        self.assertEqual(self.box.commit(delivery, False).uids, [Uid(1), Uid(2)])
        self.assertEqual(self.box.read(Uid(2)), b"a: b\r\n\r\nc\r\nd\n")
        self.assertEqual(left_in(self.folder() / "tmp"), [])

    def test_removed(self) -> None:
        delivery = self.begun()
        shutil.rmtree(self.folder())
        delivery.write(b"d\r\n")
        with self.assertRaises(ImapError):
            whole(delivery)
        delivery.abort()
        self.assertFalse((self.root / "box").exists())

    def test_it_takes_one_descriptor_more_than_the_messages(self) -> None:
        before = descriptors()
        delivery = self.box.begin_delivery()
        self.assertEqual(descriptors(), before)
        for count in range(1, 4):
            whole(delivery)
            self.assertEqual(descriptors(), before + 1 + count)
        delivery.settle()
        self.assertEqual(descriptors(), before + 1)
        self.box.commit(delivery, False)
        self.assertEqual(descriptors(), before)


class RenamedTests(FolderTestCase):
    """By RENAME and DELETE, with a draft of a lock that an open mailbox keeps."""

    def setUp(self) -> None:
        super().setUp()
        self.account = MaildirAccount(self.root / "Maildir")
        self.addCleanup(self.account.close)
        for path in (("x",), ("x", "y")):
            self.account.create(path)

    def opened(self, *path: str) -> MaildirMailbox:
        """A mailbox that has been written to, so that it keeps a draft."""
        box = self.account.mailbox(path)
        box.sync(claim_recent=False)
        append(box, b"a: b\r\n\r\nc\r\n")
        self.assertEqual(len(self.in_tmp(".".join(("", *path)))), 1)
        return box

    def in_tmp(self, name: str) -> list[str]:
        return os.listdir(self.root / "Maildir" / name / "tmp")

    def test_no_draft_stays(self) -> None:
        boxes = [self.opened("x"), self.opened("x", "y")]
        tmp = self.root / "Maildir/.x/tmp"
        others = ["1700000000.M1P1.elsewhere", "1700000000.M1P1Q1.elsewhere.lock"]
        others += ["courier.lock"]
        for name in others:
            (tmp / name).write_bytes(b"1:elsewhere")
        delivery = boxes[0].begin_delivery()
        whole(delivery)
        self.account.rename(("x",), ("z",))
        delivery.abort()
        for box in boxes:
            box.close()
        self.assertEqual(sorted(self.in_tmp(".z")), sorted(others))
        self.assertEqual(self.in_tmp(".z.y"), [])

    def test_who_opens_it_at_once_keeps_the_draft(self) -> None:
        old = self.opened("x")
        self.account.rename(("x",), ("z",))
        new = self.opened("z")
        old.close()
        self.assertEqual(len(self.in_tmp(".z")), 1)
        append(new, b"a: b\r\n\r\nc\r\n")
        new.close()
        self.assertEqual(self.in_tmp(".z"), [])

    def test_deleted(self) -> None:
        box = self.opened("x")
        delivery = box.begin_delivery()
        whole(delivery)
        self.account.delete(("x",))
        delivery.abort()
        box.close()
        self.assertEqual(self.in_tmp(""), [])
