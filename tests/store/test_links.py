"""Links that an administrator made: on the way to a Maildir, and those to follow."""

import unittest
from pathlib import Path
from unittest import mock

from imapd.errors import Cannot, Unavailable
from imapd.ids import INBOX, MailboxPath, Uid
from imapd.model.flags import DELETED, SEEN, StoreMode
from imapd.store import handles
from imapd.store.maildir.account import MaildirAccount, StoreOptions
from imapd.store.maildir.mailbox import MaildirMailbox
from tests.store.folders import MEMORY, FolderTestCase, append

FOLLOW = StoreOptions(follow_links=True)


class LinkTests(FolderTestCase):
    parent = MEMORY

    def setUp(self) -> None:
        super().setUp()
        self.disk = self.root / "disk1"
        (self.disk / "bob").mkdir(parents=True)
        self.mail = self.root / "mail"
        self.mail.symlink_to("disk1")

    def open_account(
        self, path: Path, options: StoreOptions | None = None
    ) -> MaildirAccount:
        account = MaildirAccount(path, options=options)
        self.addCleanup(account.close)
        return account

    def used(self, account: MaildirAccount, path: MailboxPath) -> MaildirMailbox:
        """Do with a mailbox whatever there is to do; one message is left."""
        box = account.mailbox(path)
        box.sync(claim_recent=True)
        for _ in range(3):
            append(box, b"a: b\n\nbody\n")
        box.store_flags([Uid(1)], StoreMode.ADD, [DELETED])
        self.assertEqual(box.expunge([Uid(1)]).expunged, [1])
        box.store_flags([Uid(2), Uid(3)], StoreMode.ADD, [SEEN, b"$Word"])
        copied = box.copy_from(box, [Uid(2)], True, False)
        self.assertEqual(copied.pairs, [(2, 4)])
        moved = account.mailbox(INBOX)
        moved.sync(claim_recent=True)
        if path != INBOX:
            self.assertEqual(len(moved.copy_from(box, [Uid(3)], True, True).pairs), 1)
        self.assertIn(b"body", box.read(Uid(4)))
        self.assertEqual(list(box.meta([Uid(4)])), [4])
        self.assertTrue(box.is_as_opened())
        return box

    def test_on_the_way_to_a_maildir(self) -> None:
        account = self.open_account(self.mail / "bob" / "Maildir")
        account.create(("A",))
        account.create(("A", "B"))
        account.rename(("A",), ("C",))
        account.subscribe(("C",))
        self.used(account, ("C",))
        self.used(account, ("C", "B"))
        account.delete(("C", "B"))
        self.assertEqual([each.path for each in account.folders()], [INBOX, ("C",)])
        self.assertEqual(list(account.subscriptions()), [("C",)])
        self.assertTrue((self.disk / "bob" / "Maildir" / ".C" / "cur").is_dir())
        self.assertTrue(account.is_as_opened())

    def test_one_that_leads_elsewhere_by_now(self) -> None:
        """Whoever comes then has what is there; nobody is served what was."""
        account = self.open_account(self.mail / "bob" / "Maildir")
        (self.root / "disk2" / "bob").mkdir(parents=True)
        self.mail.unlink()
        self.mail.symlink_to("disk2")
        self.assertFalse(account.is_as_opened())
        other = self.open_account(self.mail / "bob" / "Maildir")
        self.assertTrue(other.is_as_opened())
        self.used(other, INBOX)
        self.assertTrue((self.root / "disk2" / "bob" / "Maildir" / "cur").is_dir())

    def test_one_to_a_disk_that_is_not_there(self) -> None:
        """No Maildir is made for it, wherever that would be."""
        self.mail.unlink()
        self.mail.symlink_to("unmounted")
        with self.assertRaises(Unavailable):
            self.open_account(self.mail / "bob" / "Maildir")
        self.assertFalse((self.root / "unmounted").exists())

    def test_the_maildir_itself(self) -> None:
        place = self.root / "home" / "Maildir"
        place.parent.mkdir()
        place.symlink_to(self.mail / "bob")
        with self.assertRaises(Unavailable):
            self.open_account(place)
        account = self.open_account(place, FOLLOW)
        account.create(("A",))
        self.used(account, ("A",))
        self.assertTrue((self.disk / "bob" / ".A" / "cur").is_dir())
        place.unlink()
        place.symlink_to(self.root / "disk2")
        self.assertFalse(account.is_as_opened())

    def test_a_mailbox(self) -> None:
        account = self.open_account(self.mail / "bob", FOLLOW)
        for number in (1, 2):
            for part in ("cur", "new", "tmp"):
                (self.root / f"shared{number}" / part).mkdir(parents=True)
        link = self.disk / "bob" / ".Shared"
        link.symlink_to(self.root / "shared1")
        self.assertIn(("Shared",), [each.path for each in account.folders()])
        box = self.used(account, ("Shared",))
        self.assertEqual(len(list((self.root / "shared1" / "cur").iterdir())), 1)
        with self.assertRaises(Cannot):
            account.delete(("Shared",))
        account.rename(("Shared",), ("Ours",))
        self.assertEqual(account.mailbox(("Ours",)).sync(False).added[0].uid, 4)
        self.assertFalse(box.is_as_opened())
        renamed = account.mailbox(("Ours",))
        (self.disk / "bob" / ".Ours").unlink()
        (self.disk / "bob" / ".Ours").symlink_to(self.root / "shared2")
        self.assertFalse(renamed.is_as_opened())
        self.assertEqual(account.mailbox(("Ours",)).sync(False).added, [])

    def test_the_directory_of_the_cache(self) -> None:
        options = StoreOptions(cache_directory=self.mail / "cache" / "bob")
        account = self.open_account(self.mail / "bob" / "Maildir", options)
        self.used(account, INBOX)
        self.assertTrue(list((self.disk / "cache" / "bob").iterdir()))


class ComponentTests(LinkTests):
    """The same where the system takes one component at a time."""

    def setUp(self) -> None:
        super().setUp()
        self.enterContext(mock.patch.object(handles, "_OPENAT2", None))


class SystemTests(unittest.TestCase):
    def test_systems_without_the_call(self) -> None:
        with mock.patch("sys.platform", "freebsd14"):
            self.assertIsNone(handles._prepared())

        def refused(*_: object) -> int:  # by a kernel that is older, or by a filter
            return -1

        with mock.patch.object(handles._LIBC, "syscall", refused):
            self.assertIsNone(handles._prepared())
