"""Handing an account back to Courier, and what Courier then finds."""

import shutil

from imapd.errors import NoPermission
from imapd.ids import INBOX, Uid
from imapd.model.flags import StoreMode
from imapd.store.maildir import courier
from imapd.store.maildir.handback import hand_back_to_courier
from tests.store.test_courier import UIDDB, CourierCase


class HandBackTests(CourierCase):
    def test_nothing_changed_gives_the_same_numbers(self) -> None:
        self.courier_account()
        report = hand_back_to_courier(self.open())
        self.assertEqual(
            (report.folders, report.messages, report.keywords, report.subscriptions),
            (3, 9, 2, 3),
        )
        self.assertEqual(report.warnings, [])
        uiddb = (self.root / "courierimapuiddb").read_bytes()
        self.assertEqual(
            uiddb,
            b"1 617281 10\n3 1.M1P1.host,S=40\n5 2.M1P1.host\n9 3.M1P1.host\n",
        )
        self.assertEqual(
            courier.read_keywords(bytes(self.root)).messages,
            {b"1.M1P1.host,S=40": {b"$Label1", b"Work"}, b"2.M1P1.host": {b"Work"}},
        )
        lines = (self.root / "courierimapsubscribed").read_bytes().split(b"\n")
        self.assertEqual(
            sorted(filter(None, lines)),
            [
                b"#shared.x",
                b"INBOX",
                b"INBOX.",
                b"INBOX.A.B",
                "INBOX.Entwürfe".encode(),
            ],
        )

    def test_keywords_where_courier_had_none(self) -> None:
        self.courier_account()
        account = self.open()
        self.look(account, INBOX)[0].close()
        shutil.rmtree(self.root / "courierimapkeywords")
        hand_back_to_courier(account)
        self.assertEqual(
            courier.read_keywords(bytes(self.root)).messages,
            {b"1.M1P1.host,S=40": {b"$Label1", b"Work"}, b"2.M1P1.host": {b"Work"}},
        )

    def test_there_and_back_again(self) -> None:
        self.courier_account()
        account = self.open()
        mailbox, before = self.look(account, INBOX)
        many = [b"keyword%d" % number for number in range(40)]
        mailbox.store_flags([Uid(5)], StoreMode.ADD, many)
        mailbox.store_flags([Uid(3)], StoreMode.REMOVE, [b"work"])
        mailbox.store_flags([Uid(9)], StoreMode.ADD, [rb"\Deleted"])
        mailbox.expunge([Uid(9)])
        mailbox.close()
        (self.root / "courierimapkeywords" / "2.M1P1.host").write_bytes(b"stale\n")
        hand_back_to_courier(account)
        found = courier.take_over(self.root)
        assert found is not None
        self.assertEqual((found.uid_validity, found.uid_next), (617281, 10))
        self.assertEqual([uid for uid, _ in found.entries], [3, 5])
        self.assertEqual(found.message_keywords[b"1.M1P1.host,S=40"], {b"$Label1"})
        self.assertLessEqual(set(many), found.message_keywords[b"2.M1P1.host"])
        names = [path.name for path in (self.root / "courierimapkeywords").iterdir()]
        self.assertEqual(names, [":list"])
        account.close()
        mailbox, after = self.look(self.open(), INBOX)
        self.assertEqual(sorted(after), [3, 5])
        self.assertLessEqual(set(many), after[5])
        self.assertEqual(mailbox.uid_validity, 617281)
        self.assertEqual(before[3] - {b"Work"}, after[3])

    def courier_says(self, words: dict[bytes, frozenset[bytes]]) -> None:
        """Courier rewrites its keywords."""
        path = self.root / "courierimapkeywords" / ":list"
        path.unlink()  # another inode, as renaming makes it
        path.write_bytes(courier.keyword_list(words))

    def test_what_courier_dropped_is_dropped(self) -> None:
        """After a hand-back its keywords are all there are, beyond letters too."""
        self.courier_account()
        account = self.open()
        mailbox, _ = self.look(account, INBOX)
        guid = mailbox.guid
        many = [b"keyword%02d" % number for number in range(30)]
        mailbox.store_flags([Uid(3), Uid(9)], StoreMode.ADD, many)
        mailbox.close()
        for kept in (many[28:], [many[1]], [], many):
            hand_back_to_courier(account)
            self.courier_says({b"3.M1P1.host": frozenset(kept)})
            mailbox, flags = self.look(self.open(), INBOX)
            self.assertEqual(flags[9], {rb"\Seen", rb"\Flagged", *kept}, kept)
            self.assertEqual((flags[3], flags[5]), ({rb"\Seen"}, frozenset()), kept)
            self.assertEqual(mailbox.guid, guid)

    def test_what_courier_was_not_told_of_is_kept(self) -> None:
        """We worked on after the hand-back, and then it ran again."""
        self.courier_account()
        account = self.open()
        for turn in range(3):
            hand_back_to_courier(account)
            mailbox, _ = self.look(account, INBOX)
            word = b"ours%d" % turn
            mailbox.store_flags([Uid(9)], StoreMode.ADD, [word])
            mailbox.close()
            self.courier_says({b"3.M1P1.host": frozenset([b"theirs%d" % turn])})
            _, flags = self.look(self.open(), INBOX)
            self.assertLessEqual({word, b"theirs%d" % turn}, flags[9], turn)

    def test_what_cannot_be_read_takes_nothing_away(self) -> None:
        self.courier_account()
        account = self.open()
        self.look(account, INBOX)
        hand_back_to_courier(account)
        path = self.root / "courierimapkeywords" / ":list"
        path.unlink()
        path.mkdir()
        _, flags = self.look(self.open(), INBOX)
        self.assertEqual(flags[5], {b"Work"})

    def test_names_are_converted(self) -> None:
        (self.root / "courierimapkeywords").rmdir()  # no trace of Courier
        account = self.open()
        for path in (("Entwürfe",), ("R&D",), ("R&-D",)):
            account.create(path)
        self.assertTrue((self.root / ".Entw&APw-rfe").exists())
        report = hand_back_to_courier(account)
        for name in (".Entwürfe", ".R&D", ".R&--D"):
            self.assertTrue((self.root / name / "courierimapuiddb").exists(), name)
        self.assertEqual(len(report.warnings), 3, report.warnings)
        paths = [folder.path for folder in account.folders()]
        self.assertEqual(paths, [INBOX, ("Entwürfe",), ("R&-D",), ("R&D",)])

    def test_twice_is_the_same(self) -> None:
        self.courier_account()
        account = self.open()
        hand_back_to_courier(account)
        files = ("courierimapuiddb", "courierimapsubscribed", "dovecot-uidlist")
        first = [(self.root / name).read_bytes() for name in files]
        hand_back_to_courier(self.open())
        self.assertEqual([(self.root / name).read_bytes() for name in files], first)
        self.assertNotEqual(first[0], UIDDB)

    def test_an_account_that_cannot_be_written(self) -> None:
        account = self.open()
        account.read_only = True
        with self.assertRaises(NoPermission):
            hand_back_to_courier(account)

    def test_one_bad_folder_does_not_stop_the_others(self) -> None:
        self.courier_account()
        account = self.open()
        (self.root / ".A.B" / "new").rmdir()
        (self.root / ".A.B" / "new").write_bytes(b"")
        report = hand_back_to_courier(account)
        self.assertEqual(report.folders, 2)
        self.assertTrue(any("'A/B'" in warning for warning in report.warnings))
