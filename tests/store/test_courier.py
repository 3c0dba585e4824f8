"""What Courier left is taken over: UIDs, keywords, subscriptions."""

import os
import tempfile
import unittest
from pathlib import Path

from imapd.ids import INBOX
from imapd.limits import Limits
from imapd.model.mailbox import NamespaceStyle
from imapd.store.maildir import courier, settling
from imapd.store.maildir.account import MaildirAccount
from imapd.store.maildir.mailbox import MaildirMailbox

UIDDB = b"1 617281 9\n3 1.M1P1.host,S=40\n5 2.M1P1.host\n7 gone.M1P1.host\n"
LIST = b"$Label1\nWork\n\n1.M1P1.host,S=40:0 1\n2.M1P1.host:1\n"


class CourierCase(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name, "Maildir")
        for part in ("cur", "new", "tmp", "courierimapkeywords"):
            (self.root / part).mkdir(parents=True)

    def courier_account(self) -> None:
        """As Courier 5 leaves it."""
        for folder in ("", ".Entwürfe", ".A.B"):
            where = self.root / folder
            for part in ("cur", "new", "tmp", "courierimapkeywords"):
                (where / part).mkdir(parents=True, exist_ok=True)
            (where / "courierimapuiddb").write_bytes(UIDDB)
            (where / "courierimapkeywords" / ":list").write_bytes(LIST)
            for name in ("1.M1P1.host,S=40:2,S", "2.M1P1.host:2,", "3.M1P1.host:2,FS"):
                (where / "cur" / name).write_bytes(b"Subject: x\n\nbody\n")
        (self.root / "courierimapsubscribed").write_bytes(
            "INBOX\nINBOX.Entwürfe\ninbox.A.B\n#shared.x\nINBOX.\n".encode()
        )

    def open(self) -> MaildirAccount:
        account = MaildirAccount(self.root, limits=Limits(lock_seconds=2))
        self.addCleanup(account.close)
        return account

    def look(
        self, account: MaildirAccount, path: tuple[str, ...]
    ) -> tuple[MaildirMailbox, dict[int, frozenset[bytes]]]:
        mailbox = account.mailbox(path)
        self.addCleanup(mailbox.close)
        found = mailbox.sync(claim_recent=False)
        return mailbox, {one.uid: one.flags for one in found.added}


class ReadingTests(CourierCase):
    def write(self, name: str, octets: bytes) -> None:
        (self.root / "courierimapkeywords" / name).write_bytes(octets)

    def keywords(self) -> dict[bytes, frozenset[bytes]]:
        return courier.read_keywords(bytes(self.root)).messages

    def test_nothing(self) -> None:
        self.assertIsNone(courier.take_over(self.root))
        self.assertIsNone(courier.take_over(self.root / "missing"))

    def test_numbers(self) -> None:
        (self.root / "courierimapuiddb").write_bytes(UIDDB)
        taken = courier.take_over(self.root)
        assert taken is not None
        self.assertEqual((taken.uid_validity, taken.uid_next), (617281, 9))
        self.assertEqual(
            list(taken.entries),
            [(3, b"1.M1P1.host,S=40"), (5, b"2.M1P1.host"), (7, b"gone.M1P1.host")],
        )

    def test_every_truncation_and_flip_of_the_numbers(self) -> None:
        """What survives keeps its number; nothing below the next UID is free."""
        # Hardening: D15.
        good = {3: b"1.M1P1.host,S=40", 5: b"2.M1P1.host", 7: b"gone.M1P1.host"}
        cut = [UIDDB[:end] for end in range(len(UIDDB))]
        flipped = [
            UIDDB[:at] + bytes([octet]) + UIDDB[at + 1 :]
            for at in range(len(UIDDB))
            for octet in (0, 255, UIDDB[at] ^ 1, UIDDB[at] ^ 128)
        ]
        kept = 0
        for octets in cut + flipped:
            (self.root / "courierimapuiddb").write_bytes(octets)
            taken = courier.take_over(self.root)
            if taken is None or not taken.entries:
                continue
            uids = [uid for uid, _ in taken.entries]
            self.assertEqual(uids, sorted(set(uids)), octets)
            self.assertGreater(taken.uid_next, uids[-1], octets)
            kept += len(set(taken.entries) & set(good.items())) >= 2
        self.assertGreater(kept, 150)

    def test_pending_keywords(self) -> None:
        self.write(":list", LIST)
        self.write(".4.1.M1P1.host,S=40", b"old\n")
        self.write(".12.1.M1P1.host,S=40", b"newer\nWORK\n")
        self.write("2.M1P1.host", b"")
        self.write(".9.2.M1P1.host", b"overridden\n")
        self.write("3.M1P1.host", b"work\nnot an atom\n")
        self.write(".tmp.123.host", b"temporary\n")
        self.assertEqual(
            self.keywords(),
            {b"1.M1P1.host,S=40": {b"newer", b"Work"}, b"3.M1P1.host": {b"Work"}},
        )

    def test_list_and_back(self) -> None:
        messages = {b"a": frozenset((b"x", b"y")), b"b:c": frozenset((b"y",))}
        self.write(":list", courier.keyword_list(messages))
        self.assertEqual(self.keywords(), messages)
        self.write(":list", courier.keyword_list({}))
        self.assertEqual(self.keywords(), {})

    def test_every_truncation_and_flip_of_the_keywords(self) -> None:
        for at in range(len(LIST)):
            for octet in (0, 255, LIST[at] ^ 1, 10, 58):
                self.write(":list", LIST[:at] + bytes([octet]) + LIST[at + 1 :])
                self.keywords()
            self.write(":list", LIST[:at])
            for words in self.keywords().values():
                self.assertTrue(all(word.isascii() for word in words))

    def test_other_things_of_that_name(self) -> None:
        (self.root / "courierimapuiddb").symlink_to("/etc/passwd")
        self.assertIsNone(courier.take_over(self.root))
        (self.root / "courierimapkeywords" / ":list").mkdir()
        (self.root / "courierimapkeywords" / "1.M1P1.host").mkdir()
        self.assertIsNone(courier.take_over(self.root))

    def test_subscribed_names(self) -> None:
        cases = {
            b"INBOX": INBOX,
            b"inbox.A.B": ("A", "B"),
            "INBOX.Entwürfe".encode(): ("Entwürfe",),
            b"INBOX.Entw&APw-rfe": ("Entwürfe",),
            b"#shared.x": None,
            b"INBOX.": None,
            b"INBOX.a/b": None,
            b"INBOX.\xff": None,
            b"Trash": None,
        }
        for line, path in cases.items():
            self.assertEqual(courier.subscribed_path(line), path, line)


class TakeOverTests(CourierCase):
    def test_a_whole_account(self) -> None:
        self.courier_account()
        account = self.open()
        self.assertIs(account.namespace_style, NamespaceStyle.COURIER)
        there = [("A", "B"), ("Entwürfe",)]
        self.assertEqual(account.subscriptions(), [INBOX, *there])
        for path in (INBOX, *there):
            mailbox, flags = self.look(account, path)
            self.assertEqual(mailbox.uid_validity, 617281, path)
            self.assertEqual(
                flags,
                {
                    3: {rb"\Seen", b"$Label1", b"Work"},
                    5: {b"Work"},
                    9: {rb"\Seen", rb"\Flagged"},
                },
                path,
            )
        # Again, when our own files are there: all stays.
        mailbox, flags = self.look(self.open(), INBOX)
        self.assertEqual((mailbox.uid_validity, sorted(flags)), (617281, [3, 5, 9]))

    def test_a_letter_that_is_in_use_gets_no_name(self) -> None:
        """A message that came with a letter must not get one of Courier's words."""
        self.courier_account()
        (self.root / "cur" / "4.M1P1.host:2,a").write_bytes(b"\n\n")
        _, flags = self.look(self.open(), INBOX)
        self.assertEqual(flags[9], {rb"\Seen", rb"\Flagged"})
        self.assertEqual(flags[10], {b"unknown-0"})
        self.assertEqual(flags[5], {b"Work"})

    def test_courier_went_on(self) -> None:
        """Courier worked after the hand-back: its additions keep their UIDs."""
        self.courier_account()
        self.look(self.open(), INBOX)
        uiddb = self.root / "courierimapuiddb"
        lines = UIDDB.replace(b" 9\n", b" 13\n") + b"9 3.M1P1.host\n12 4.M1P1.host\n"
        uiddb.write_bytes(lines)
        (self.root / "cur" / "4.M1P1.host:2,").write_bytes(b"\n\n")
        mailbox, flags = self.look(self.open(), INBOX)
        self.assertEqual(mailbox.uid_validity, 617281)
        self.assertEqual(sorted(flags), [3, 5, 9, 12])
        self.assertEqual(mailbox.uid_next, 13)

    def test_courier_beside_us_does_not_reuse_our_numbers(self) -> None:
        """Both gave UID 9, to different messages: the one on record here stands."""
        self.courier_account()
        self.look(self.open(), INBOX)
        conflicts = {
            "our UID is another's": b"9 4.M1P1.host\n11 3.M1P1.host\n",
            "ours is missing": b"12 4.M1P1.host\n",
        }
        (self.root / "cur" / "4.M1P1.host:2,").write_bytes(b"\n\n")
        for name, lines in conflicts.items():
            (self.root / "courierimapuiddb").write_bytes(
                UIDDB.replace(b" 9\n", b" 13\n") + lines
            )
            _, flags = self.look(self.open(), INBOX)
            self.assertEqual(sorted(flags), [3, 5, 9, 10], name)

    def test_two_histories(self) -> None:
        """The one that has more of the files; among equals the newer; once."""
        ours = b"3 V5 N9 G%032x\n1 :1.M1P1.host,S=40\n2 :2.M1P1.host\n" % 7
        theirs = b"1 6 20\n11 1.M1P1.host,S=40\n12 2.M1P1.host\n"
        more = b"13 3.M1P1.host\n"
        cases = {
            "ours has more": (ours + b"3 :3.M1P1.host\n", theirs, 9, 5),
            "theirs has more": (ours, theirs + more, 1, 6),
            "equal, theirs newer": (ours, theirs, 9, 6),
            "equal, ours newer": (ours, theirs, 1, 5),
        }
        for name, (uidlist, uiddb, their_time, expected) in cases.items():
            self.setUp()
            self.courier_account()
            for file, octets, seconds in (
                ("dovecot-uidlist", uidlist, 5),
                ("courierimapuiddb", uiddb, their_time),
            ):
                (self.root / file).write_bytes(octets)
                os.utime(self.root / file, (seconds, seconds))
            mailbox, _ = self.look(self.open(), INBOX)
            self.assertEqual(mailbox.uid_validity, expected, name)
            # Later changes of Courier's do not turn it round.
            (self.root / "courierimapuiddb").write_bytes(theirs + more + b"14 x\n")
            mailbox, _ = self.look(self.open(), INBOX)
            self.assertEqual(mailbox.uid_validity, expected, name)

    def test_subscriptions_newer_in_courier(self) -> None:
        self.courier_account()
        account = self.open()
        account.subscribe(("New",))
        self.assertIn(("New",), self.open().subscriptions())
        (self.root / "courierimapsubscribed").write_bytes(b"INBOX.Only\n")
        self.assertEqual(self.open().subscriptions(), [("Only",)])
        account.unsubscribe(("Only",))
        self.assertEqual(self.open().subscriptions(), [])

    def test_signature_of_nothing(self) -> None:
        self.assertEqual(settling.signature(bytes(self.root)), "")
