"""What another server writes in its lists alone is found, though no file moved."""

import os
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest import mock

from imapd.ids import Uid
from imapd.model.flags import SEEN, StoreMode
from imapd.store.locks import MailboxLock
from imapd.store.maildir import scan, sync, transfer
from imapd.store.maildir.mailbox import MaildirMailbox
from imapd.store.maildir.uidformat import parse
from tests.store.folders import FolderTestCase, append, uids_of


class ListTests(FolderTestCase):
    def setUp(self) -> None:
        super().setUp()
        for number in range(3):
            self.deliver(f"{number}.x.host:2,", part="cur")
        self.box = self.open()
        self.box.sync(True)
        self.confirm(self.box)
        self.list = self.folder() / "dovecot-uidlist"

    def confirm(self, box: MaildirMailbox) -> None:
        """List once more what a listing has to confirm, and be sure of it."""
        time.sleep(scan.CONFIRM_SECONDS + 0.05)
        box.sync(True)
        self.assertFalse(box.changed())

    def renumber(self, name: str) -> None:
        """As Dovecot does with a message that it had taken for expunged."""
        with (self.folder(name) / "dovecot-uidlist").open("ab") as uid_list:
            uid_list.write(b"7 :1.x.host\n")

    def test_a_keyword_named_after_its_letter_was_seen(self) -> None:
        cur = self.folder() / "cur"
        os.rename(cur / "1.x.host:2,", cur / "1.x.host:2,a")
        time.sleep(2 * scan.FINE_SECONDS)
        self.assertEqual(self.box.sync(True).flags, {Uid(2): {b"unknown-0"}})
        self.confirm(self.box)
        (cur.parent / "dovecot-keywords").write_bytes(b"0 later\n")
        self.assertTrue(self.box.changed())
        self.assertEqual(self.box.sync(True).flags, {Uid(2): {b"later"}})
        self.assertFalse(self.box.changed())

    def test_a_keyword_named_before_we_give_a_letter(self) -> None:
        """What is read under the lock tells of messages that were seen before."""
        cur = self.folder() / "cur"
        os.rename(cur / "1.x.host:2,", cur / "1.x.host:2,a")
        time.sleep(2 * scan.FINE_SECONDS)
        self.box.sync(True)
        self.confirm(self.box)
        (cur.parent / "dovecot-keywords").write_bytes(b"0 later\n")
        changes = self.box.store_flags([Uid(1)], StoreMode.ADD, [b"work"])
        self.assertEqual(changes.flags[Uid(1)], {b"work"})
        more = self.box.sync(True) if self.box.changed() else changes
        self.assertEqual(more.flags[Uid(2)], {b"later"})

    def test_a_keyword_named_while_we_may_not_lock(self) -> None:
        """A folder that cannot be written is read all the same, right before."""
        cur = self.folder() / "cur"
        os.rename(cur / "1.x.host:2,", cur / "1.x.host:2,a")
        source = self.open(read_only=True)
        target = self.open("target")
        target.sync(True)

        def sync_first(*given: Any) -> None:
            sync.sync_first(*given)
            (cur.parent / "dovecot-keywords").write_bytes(b"0 later\n")

        with mock.patch.object(transfer, "sync_first", sync_first):
            copied = target.copy_from(source, [Uid(2)], False, False)
        self.assertEqual(copied.target.added[0].flags, {b"later"})

    def test_a_keyword_named_before_we_copy(self) -> None:
        cur = self.folder() / "cur"
        os.rename(cur / "1.x.host:2,", cur / "1.x.host:2,a")
        time.sleep(2 * scan.FINE_SECONDS)
        self.box.sync(True)
        target = self.open("target")
        target.sync(True)
        with self.locking(self.box, cur.parent / "dovecot-keywords", b"0 later\n"):
            copied = target.copy_from(self.box, [Uid(2)], False, False)
        self.assertEqual(copied.target.added[0].flags, {b"later"})
        self.assertEqual(self.box.sync(True).flags, {Uid(2): {b"later"}})

    def test_a_keyword_without_a_name_stays_in_doubt(self) -> None:
        cur = self.folder() / "cur"
        os.rename(cur / "1.x.host:2,", cur / "1.x.host:2,z")
        time.sleep(2 * scan.FINE_SECONDS)
        self.box.sync(True)
        self.box.store_flags([Uid(1)], StoreMode.ADD, [b"work"])
        self.confirm(self.box)
        keywords = self.folder() / "dovecot-keywords"
        keywords.write_bytes(keywords.read_bytes() + b"25 later\n")
        self.assertTrue(self.box.changed())
        self.assertEqual(self.box.sync(True).flags, {Uid(2): {b"later"}})

    def test_a_new_number_is_found_by_what_we_do_meanwhile(self) -> None:
        """Under the lock the list is read, so it has not changed afterwards."""
        target = self.open("target")
        target.sync(True)

        def copy(into: MaildirMailbox) -> None:
            into.copy_from(self.box, [Uid(1)], False, False)

        actions = {
            "append": lambda box: append(box, b"a: b\r\n\r\n"),
            "copy": copy,
        }
        for name, action in actions.items():
            with self.subTest(name), mock.patch.object(scan, "CONFIRM_SECONDS", 60.0):
                for number in range(3):
                    self.deliver(f"{number}.x.host:2,", box=name, part="cur")
                box = self.open(name)
                box.sync(True)
                time.sleep(2 * scan.FINE_SECONDS)
                box.sync(True)
                self.assertFalse(box.changed())
                self.renumber(name)
                action(box)
                while box.changed():
                    box.sync(True)
                self.assertEqual(sorted(box._core.index), [1, 3, 7, 8])

    def test_a_new_number_is_found_when_new_mail_is_numbered(self) -> None:
        """The list is read again in the middle of a sync, after it was compared."""
        for name, box in (("known", self.box), ("first", self.open())):
            with self.subTest(name):
                number = parse(self.list.read_bytes()).last_uid + 1
                self.deliver(f"{number}.y.host")
                before = sorted(box._core.index)
                with self.locking(box, self.list, b"%d :1.x.host\n" % number):
                    expunged, added = self.follow(box)
                self.assertEqual(expunged, before[1:2] if before else [])
                self.assertEqual(added[-2:], [number, number + 1])
                self.assertEqual(len(box._core.index), len(self.names()))

    def names(self) -> list[str]:
        return os.listdir(self.folder() / "cur") + os.listdir(self.folder() / "new")

    def locking(
        self, box: MaildirMailbox, path: Path, line: bytes
    ) -> AbstractContextManager[Any]:
        """Let another server write a line before we first get the lock."""
        real, told = box._core.lock, 0

        def lock(*arguments: float) -> MailboxLock:
            nonlocal told
            told += 1
            if told == 1:
                with path.open("ab") as file:
                    file.write(line)
            return real(*arguments)

        return mock.patch.object(box._core, "lock", lock)

    def follow(self, box: MaildirMailbox) -> tuple[list[Uid], list[int]]:
        """Sync for as long as something may have changed; return what was told."""
        with mock.patch.object(scan, "CONFIRM_SECONDS", 60.0):
            changes = box.sync(True)
            expunged, added = changes.expunged, uids_of(changes)
            while box.changed():
                changes = box.sync(True)
                expunged += changes.expunged
                added += uids_of(changes)
        return expunged, added

    def test_no_snapshot_is_made_of_old_numbers(self) -> None:
        for number in range(100):
            self.deliver(f"{number}.y.host:2,", part="cur")
        self.confirm(self.box)
        self.box.store_flags([Uid(1)], StoreMode.ADD, [SEEN])
        with (self.folder() / "dovecot-uidlist").open("ab") as uid_list:
            uid_list.write(b"107 :1.x.host\n")
        append(self.box, b"a: b\r\n\r\n")
        self.box.close()
        added = uids_of(self.open().sync(True))
        self.assertEqual(added[:2] + added[-2:], [1, 3, 107, 108])
