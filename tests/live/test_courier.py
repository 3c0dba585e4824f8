"""What only Courier's Maildirs have: its keywords, its names, its second opinion."""

import shutil
import unittest
from pathlib import Path

from tests.live import mail
from tests.live.client import Client, utf7_encoded
from tests.live.peers import (
    PEER_UNDER_TEST,
    CourierServer,
    ImapdServer,
    needs,
    temporary_folder,
)
from tests.live.snapshot import Folder, Snapshot, difference, snapshot

USER = "user1"
WORDS = [f"Word{number:02}" for number in range(40)]


def few(client: Client, folder: str, numbers: range) -> None:
    """Append some messages without flags."""
    for number in numbers:
        client.append(folder, mail.message(number), [], mail.date(number))


def store(client: Client, uid: int, sign: str, words: list[str]) -> None:
    client.select("INBOX")
    client.store(b"%d" % uid, f"{sign}FLAGS ({' '.join(words)})")


@needs("courier")
@unittest.skipIf(PEER_UNDER_TEST, "only we take Courier's files over")
class CourierFilesTests(unittest.TestCase):
    def assert_same(self, a: Snapshot, b: Snapshot, what: str) -> None:
        self.assertEqual(difference(a, b)[:20], [], what)

    def keywords(self, taken: Snapshot, uid: int) -> set[str]:
        return set(taken.folders["INBOX"].messages[uid].keywords)

    def test_keywords_go_there_and_back(self) -> None:
        """More than there are letters; taken away on either side they stay away."""
        with temporary_folder() as root:
            with CourierServer(root) as courier:
                with courier.connect(USER) as client:
                    few(client, "INBOX", range(3))
                    store(client, 1, "+", WORDS[:30])
                    store(client, 2, "+", WORDS[28:32])
                before = snapshot(courier, USER)
            self.assertEqual(len(self.keywords(before, 1)), 30)
            for turn in range(2):
                with ImapdServer(root) as ours:
                    self.assert_same(before, snapshot(ours, USER), f"{turn}: taken")
                    with ours.connect(USER) as client:
                        store(client, 1, "-", WORDS[5 * turn : 5 * turn + 5])
                        store(client, 1, "-", WORDS[29:30])
                        store(client, 3, "+", [*WORDS[28:36], f"ours{turn}"])
                    changed = snapshot(ours, USER)
                ours.hand_back(USER)
                with CourierServer(root) as courier:
                    self.assert_same(changed, snapshot(courier, USER), f"{turn}: back")
                    with courier.connect(USER) as client:
                        store(client, 1, "-", WORDS[20 + turn : 25 + turn])
                        store(client, 2, "-", WORDS[28:30])
                        store(client, 3, "-", WORDS[33:35])
                        store(client, 3, "+", [f"theirs{turn}"])
                    before = snapshot(courier, USER)
            with ImapdServer(root) as ours:
                self.assert_same(before, snapshot(ours, USER), "at the end")

    def test_pending_keywords_are_read_as_courier_reads_them(self) -> None:
        with temporary_folder() as root, temporary_folder() as copy:
            with CourierServer(root) as courier:
                with courier.connect(USER) as client:
                    few(client, "INBOX", range(4))
                    for uid in range(1, 5):
                        store(client, uid, "+", ["listed"])
                maildir = courier.maildir(USER)
            directory = maildir / "courierimapkeywords"
            names = sorted(path.name for path in (maildir / "cur").iterdir())
            bases = [name.partition(":")[0] for name in names]
            for name, text in {
                bases[0]: "now\nLISTED\n",  # counts more than a numbered one
                f".99999999.{bases[0]}": "before\n",
                bases[1]: "",  # none any more
                f".99999998.{bases[2]}": "older\n",
                f".99999999.{bases[2]}": "newer\n",
            }.items():
                (directory / name).write_text(text)
            shutil.copytree(root / "mail", copy / "mail", dirs_exist_ok=True)
            with CourierServer(copy) as courier:
                theirs = snapshot(courier, USER)
            with ImapdServer(root) as ours:
                self.assert_same(theirs, snapshot(ours, USER), "pending")
            found = {
                word for uid in (1, 2, 3, 4) for word in self.keywords(theirs, uid)
            }
            self.assertEqual(found, {"now", "listed", "newer"})

    def test_names_of_both_ages(self) -> None:
        """Folders of Courier before 5.0 are converted when they are handed back."""
        old, new = "Entwürfe", "Größe"
        with temporary_folder() as root:
            with CourierServer(root) as courier:
                with courier.connect(USER) as client:
                    for name in (old, new):
                        client.command(b"CREATE " + client.wire_name(name))
                        few(client, name, range(3))
                        client.select(name)
                        client.expunge(b"2")
                    client.select("INBOX")  # EXAMINE does not write its numbers down
                before = snapshot(courier, USER)
                maildir = courier.maildir(USER)
            (maildir / f".{old}").rename(maildir / f".{utf7_encoded(old)}")
            with ImapdServer(root) as ours:
                self.assert_same(before, snapshot(ours, USER), "old and new names")
            ours.hand_back(USER)
            with CourierServer(root) as courier:
                self.assert_same(before, snapshot(courier, USER), "converted")

    def test_courier_ran_again_without_a_hand_back(self) -> None:
        """Each numbered what the other does not know: our numbers stand."""
        with temporary_folder() as root:
            with CourierServer(root) as courier, courier.connect(USER) as client:
                few(client, "INBOX", range(4))
                client.select("INBOX")
            with ImapdServer(root) as ours:
                with ours.connect(USER) as client:
                    few(client, "INBOX", range(10, 12))
                    store(client, 1, "+", ["ours"])
                first = snapshot(ours, USER).folders["INBOX"]
            with CourierServer(root) as courier:
                with courier.connect(USER) as client:
                    few(client, "INBOX", range(20, 23))
                    client.select("INBOX")
                    client.expunge(b"2")
                everything = snapshot(courier, USER).contents()
            with ImapdServer(root) as ours:
                second = snapshot(ours, USER)
            self.assertEqual(sorted(second.contents()), sorted(everything))
            self.assert_kept(first, second.folders["INBOX"])
            self.assertEqual(self.keywords(second, 1), {"ours"})

    def test_the_list_that_has_more_of_the_mail(self) -> None:
        """A Maildir that saw Dovecot long ago, and Courier ever since."""
        for ours_is_newer in (False, True):
            with self.subTest(ours_is_newer=ours_is_newer), temporary_folder() as root:
                with CourierServer(root) as courier:
                    with courier.connect(USER) as client:
                        few(client, "INBOX", range(4))
                        client.select("INBOX")
                        client.expunge(b"1")
                    before = snapshot(courier, USER)
                    maildir = courier.maildir(USER)
                names = sorted(path.name for path in (maildir / "cur").iterdir())
                base = names[0].partition(":")[0]
                self.plant(maildir, base, ours_is_newer)
                with ImapdServer(root) as ours:
                    self.assert_same(before, snapshot(ours, USER), "Courier's numbers")

    def plant(self, maildir: Path, base: str, newer: bool) -> None:
        """An old list of Dovecot's that knows one of the messages."""
        path = maildir / "dovecot-uidlist"
        path.write_text(f"3 V77 N9 G{'0' * 31}1\n8 :{base}\n")
        if newer:
            theirs = maildir / "courierimapuiddb"
            shutil.copy(theirs, maildir / "x")
            (maildir / "x").rename(theirs)

    def assert_kept(self, before: Folder, after: Folder) -> None:
        """No UID of before means another message, and none was given out again."""
        self.assertEqual(before.uidvalidity, after.uidvalidity)
        for uid, message in after.messages.items():
            if uid in before.messages:
                was = before.messages[uid]
                self.assertEqual(was.body_sha256, message.body_sha256, uid)
            else:
                self.assertGreaterEqual(uid, before.uidnext)
