"""Files beside the mail that are no files, or not all of them: the mail is there."""

import os
import unittest
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from imapd.errors import StoreDamaged
from imapd.ids import INBOX, Uid
from imapd.model.flags import DELETED, FLAGGED, StoreMode
from imapd.store.maildir import snapshot
from imapd.store.maildir.account import MaildirAccount
from imapd.store.maildir.mailbox import MaildirMailbox
from imapd.store.maildir.uidformat import BrokenUidList, parse, salvage
from tests.store.folders import MEMORY, FolderTestCase, append, settle, uids_of


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


NO_FILES: dict[str, Callable[[Path], object]] = {
    "directory": Path.mkdir,
    "link": lambda path: path.symlink_to("/etc/passwd"),
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path),
    "pipe": os.mkfifo,
    "enormous": sparse,
}


class NoFileTests(FolderTestCase):
    parent = MEMORY

    def prepare(self, box: str) -> None:
        mailbox = self.open(box)
        mailbox.sync(True)
        append(mailbox, b"a: b\n\nc\n", [b"word", FLAGGED])
        mailbox.close()

    def test_keywords(self) -> None:
        for name, make in NO_FILES.items():
            self.prepare(name)
            path = self.folder(name) / "dovecot-keywords"
            path.unlink()
            make(path)
            mailbox = self.open(name)
            (message,) = mailbox.sync(True).added
            self.assertEqual(message.flags, {FLAGGED, b"unknown-0"}, name)
            changes = mailbox.store_flags([Uid(1)], StoreMode.ADD, [b"other"])
            flags = {FLAGGED, b"unknown-0", b"other"}
            self.assertEqual(changes.flags, {1: flags}, name)
            # What was there is there, for whoever can mend it.
            (aside,) = path.parent.glob("dovecot-keywords.broken-*")
            self.assertTrue(os.path.lexists(aside), name)
            self.assertEqual(path.read_bytes(), b"1 other\n", name)
            self.assertFalse(mailbox.sync(True), name)
            mailbox.close()

    def test_uid_list(self) -> None:
        for name, make in NO_FILES.items():
            if "link" in name:  # whose target may have the numbers: not touched
                continue
            self.prepare(name)
            path = self.folder(name) / "dovecot-uidlist"
            path.unlink()
            make(path)
            mailbox = self.open(name)
            self.assertEqual(uids_of(mailbox.sync(True)), [10_001], name)
            self.assertEqual(mailbox.uid_validity, self.validity, name)
            (aside,) = path.parent.glob("dovecot-uidlist.broken-*")
            self.assertTrue(os.path.lexists(aside), name)
            self.assertTrue(path.is_file() and not path.is_symlink(), name)
            mailbox.close()


class SubscriptionTests(FolderTestCase):
    def test_what_is_no_file_is_said_to_be_damaged_and_not_touched(self) -> None:
        account = MaildirAccount(self.root / "Maildir")
        self.addCleanup(account.close)
        path = self.root / "Maildir/subscriptions"
        for name, make in NO_FILES.items():
            make(path)
            before = os.lstat(path)
            for work in (
                account.subscriptions,
                lambda: account.subscribe(("A",)),
                lambda: account.unsubscribe(("A",)),
            ):
                with self.assertRaises(StoreDamaged, msg=name):
                    work()
            self.assertEqual(os.lstat(path), before, name)
            self.assertEqual(len(account.folders()), 1, name)
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()
        account.subscribe(("A",))
        self.assertEqual(account.subscriptions(), [("A",)])


class HeaderTests(unittest.TestCase):
    def test_nothing_but_blanks_parts_the_words_of_a_header(self) -> None:
        # Else one octet would make a lower UIDVALIDITY of a number.
        guid = b"G" + b"0" * 32
        for octet in b"\t\v\f\r":
            header = b"3 V17%c95686257 N1 %b\n1 :a\n" % (octet, guid)
            with self.assertRaises(BrokenUidList):
                parse(header)
            self.assertEqual(salvage(header).uid_validity, 0)
        self.assertEqual(parse(b"3  V17   N1 %b \n" % guid).uid_validity, 17)


def contents(mailbox: MaildirMailbox) -> dict[int, bytes]:
    return {uid: mailbox.read(Uid(uid)) for uid in uids_of(mailbox.sync(True))}


class CutListTests(FolderTestCase):
    """A UID list that was cut is a good one, and has forgotten UIDs."""

    parent = MEMORY

    def fill(self, mailbox: MaildirMailbox, folder: Path) -> dict[int, bytes]:
        """Messages whose UIDs are in the other order than their names are."""
        mailbox.sync(True)
        mailbox.track()
        for number in range(5, 0, -1):
            name = folder / "cur" / f"{number}.M{number}P1.host:2,"
            name.write_bytes(b"Subject: %d\n\n" % number)
            mailbox.sync(True)
        append(mailbox, b"Subject: gone\n\n", [DELETED])
        mailbox.expunge([Uid(6)])
        messages = {uid: mailbox.read(Uid(uid)) for uid in range(1, 6)}
        settle()
        mailbox.sync(True)
        mailbox.close()
        return messages

    def cut(self, path: Path, lines: int) -> None:
        octets = path.read_bytes()
        path.write_bytes(b"".join(octets.splitlines(keepends=True)[: lines + 1]))

    def test_a_snapshot_has_the_numbers(self) -> None:
        with mock.patch.object(snapshot, "LEAST_MESSAGES", 1):
            for left in range(6):
                box = f"box{left}"
                told = self.fill(self.open(box), self.folder(box))
                self.cut(self.folder(box) / "dovecot-uidlist", left)
                mailbox = self.open(box)
                self.assertEqual(contents(mailbox), told, left)
                # What was given out after the snapshot was made is not known.
                new = append(mailbox, b"new: x\n\n")
                self.assertGreater(new, 10_000, left)
                mailbox.close()
                again = self.open(box)
                self.assertEqual(contents(again), told | {new: b"new: x\n\n"}, left)
                again.close()

    def test_the_state_knows_how_far_they_went(self) -> None:
        account = MaildirAccount(self.root / "Maildir")
        told = self.fill(account.mailbox(INBOX), self.root / "Maildir")
        account.close()
        self.cut(self.root / "Maildir/dovecot-uidlist", 2)
        account = MaildirAccount(self.root / "Maildir")
        self.addCleanup(account.close)
        now = contents(account.mailbox(INBOX))
        self.assertEqual(sorted(now.values()), sorted(told.values()))
        self.assertEqual({uid: now[uid] for uid in (1, 2)}, {1: told[1], 2: told[2]})
        self.assertGreater(min(now.keys() - {1, 2}), 10_000)

    def test_expunged_messages_leave_no_uids_to_be_given_again(self) -> None:
        account = MaildirAccount(self.root / "Maildir")
        self.fill(account.mailbox(INBOX), self.root / "Maildir")
        account.close()
        self.cut(self.root / "Maildir/dovecot-uidlist", 5)
        account = MaildirAccount(self.root / "Maildir")
        self.addCleanup(account.close)
        mailbox = account.mailbox(INBOX)
        mailbox.sync(True)
        self.assertGreater(append(mailbox, b"new: x\n\n"), 10_000)
