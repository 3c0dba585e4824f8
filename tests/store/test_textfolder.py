"""The text index of an account, as its folders ask it."""

import os
import tempfile
import unittest
from pathlib import Path

from imapd.ids import Uid
from imapd.mailbox.searchindex import TextIndexing
from imapd.model.flags import DELETED, StoreMode
from imapd.model.texts import TextFound, message_words
from imapd.store.cache.textindex import FILE_NAME
from imapd.store.maildir.account import MaildirAccount, StoreOptions
from imapd.store.maildir.mailbox import MaildirMailbox

BOX = ("box",)


class FolderIndexTests(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name) / "Maildir"

    def account(self, **options: object) -> MaildirAccount:
        account = MaildirAccount(self.root, options=StoreOptions(**options))  # type: ignore[arg-type]
        self.addCleanup(account.close)
        return account

    def box(self, account: MaildirAccount, count: int = 3) -> MaildirMailbox:
        if BOX not in {folder.path for folder in account.folders()}:
            account.create(BOX)
        directory = self.root / ".box"
        for number in range(count):
            name = f"{1_600_000_000 + number}.M{number}.host"
            (directory / "cur" / f"{name}:2,").write_bytes(
                b"Subject: s%d\n\nthe body %d\n" % (number, number)
            )
        mailbox = account.mailbox(BOX)
        mailbox.sync(claim_recent=True)
        return mailbox

    def index(self, mailbox: MaildirMailbox, *uids: int) -> None:
        indexing = TextIndexing(mailbox, [Uid(uid) for uid in uids])
        while indexing.step():
            pass

    def test_indexed_found_and_forgotten(self) -> None:
        account = self.account()
        mailbox = self.box(account)
        self.assertEqual(mailbox.find_text("body", in_header=False), TextFound())
        self.assertEqual(mailbox.unindexed([Uid(1), Uid(2)]), [1, 2])
        self.index(mailbox, 1, 2)
        self.assertEqual(mailbox.unindexed([Uid(1), Uid(2), Uid(3)]), [3])
        found = mailbox.find_text("body", in_header=False)
        self.assertEqual((found.found, found.indexed), ({1, 2}, {1, 2}))
        self.assertEqual(mailbox.find_text("s1", in_header=True).found, {2})
        self.assertEqual(mailbox.find_text("s1", in_header=False).found, set())
        self.assertEqual((self.root / FILE_NAME.decode()).stat().st_mode & 0o77, 0)
        account.rename(BOX, ("other",))
        renamed = account.mailbox(("other",))
        renamed.sync(claim_recent=True)
        self.assertEqual(renamed.find_text("body", in_header=False).found, {1, 2})
        account.delete(("other",))
        self.assertEqual(renamed.find_text("body", in_header=False), TextFound())

    def test_what_is_expunged_is_not_indexed_and_tidied_away(self) -> None:
        mailbox = self.box(self.account())
        self.index(mailbox, 1, 2, 3)
        mailbox.store_flags([Uid(1), Uid(2)], StoreMode.ADD, [DELETED])
        mailbox.expunge([Uid(1), Uid(2)])
        mailbox.tidy_texts()
        found = mailbox.find_text("body", in_header=False)
        self.assertEqual((found.found, found.indexed), ({3}, {3}))
        mailbox.index_texts({Uid(1): message_words(["body"], [])})
        self.assertEqual(mailbox.find_text("body", in_header=False).found, {3})

    def test_switched_off(self) -> None:
        mailbox = self.box(self.account(text_index=False))
        self.assertEqual(mailbox.unindexed([Uid(1)]), [])
        self.index(mailbox, 1)
        mailbox.tidy_texts()
        self.assertEqual(mailbox.find_text("body", in_header=False), TextFound())
        self.assertFalse((self.root / FILE_NAME.decode()).exists())

    def test_it_is_where_the_cache_is(self) -> None:
        elsewhere = self.root.parent / "cache"
        mailbox = self.box(self.account(cache_directory=elsewhere))
        self.index(mailbox, 1)
        self.assertIn(FILE_NAME.decode(), os.listdir(elsewhere))
        self.assertFalse((self.root / FILE_NAME.decode()).exists())

    def test_of_numbers_that_are_made_up_nothing_is_kept(self) -> None:
        account = self.account()
        mailbox = self.box(account)
        self.index(mailbox, 1)
        mailbox._core.made_up[b"base"] = Uid(1)
        self.assertEqual(mailbox.unindexed([Uid(1), Uid(2)]), [2])
        self.assertEqual(mailbox.find_text("body", in_header=True), TextFound())
        self.index(mailbox, 1, 2)
        self.assertEqual(mailbox.find_text("body", in_header=True).indexed, {2})
