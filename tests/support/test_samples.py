"""The samples are what their README says, read by a small parser of our own."""

import email
import filecmp
import re
import tempfile
import unittest
from pathlib import Path

from tests.support import make_samples
from tests.support.maildirs import (
    SAMPLES,
    USERS,
    copy_all,
    copy_sample,
    folders,
    message_seconds,
    messages,
)

STALE = "1704100020.M1P1.imap,S=500,W=512"
UIDLIST_HEADER = re.compile(r"3 V([1-9]\d*) N([1-9]\d*) G[0-9a-f]{32}")
UIDLIST_RECORD = re.compile(r"([1-9]\d*)(?: [A-Z]\S+)* :([^/:]+)")
UIDDB_HEADER = re.compile(r"1 ([1-9]\d*) ([1-9]\d*)")
UIDDB_RECORD = re.compile(r"([1-9]\d*) ([^/:]+)")


def base(path: Path) -> str:
    return path.name.split(":", maxsplit=1)[0]


def lines(path: Path) -> list[str]:
    text = path.read_bytes().decode("utf-8")
    assert not text or text.endswith("\n"), path
    return text.split("\n")[:-1]


class SampleTests(unittest.TestCase):
    def setUp(self) -> None:
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.target = Path(place.name)

    def check_uids(
        self, file: Path, header: re.Pattern[str], record: re.Pattern[str]
    ) -> set[str]:
        """UIDs ascend and lie under the next; return the listed names."""
        first, *records = lines(file)
        found = header.fullmatch(first)
        assert found is not None, (file, first)
        last, names = 0, []
        for line in records:
            match = record.fullmatch(line)
            assert match is not None, (file, line)
            self.assertGreater(int(match[1]), last, line)
            last = int(match[1])
            names.append(match[2])
        self.assertLess(last, int(found[2]), file)
        self.assertEqual(len(set(names)), len(names), file)
        return set(names)

    def test_they_are_small_and_complete(self) -> None:
        found = [path for path in SAMPLES.rglob("*") if path.is_file()]
        self.assertLess(sum(path.stat().st_size for path in found), 400_000)
        count = len([m for user in USERS for m in messages(copy(self.target, user))])
        self.assertEqual(count, 65)

    def test_they_are_what_the_script_writes(self) -> None:
        make_samples.main(self.target)
        written = [path for path in self.target.rglob("*") if path.is_file()]
        self.assertGreater(len(written), 80)
        for path in written:
            kept = SAMPLES / path.relative_to(self.target)
            self.assertTrue(filecmp.cmp(path, kept, shallow=False), kept)

    def test_dovecots_uid_lists(self) -> None:
        for folder in folders(copy(self.target, "carol")):
            file = folder / "dovecot-uidlist"
            names = self.check_uids(file, UIDLIST_HEADER, UIDLIST_RECORD)
            there = {base(path) for path in (folder / "cur").iterdir()}
            self.assertEqual(names - {STALE}, there, folder)
            self.assertEqual(STALE in names, folder.name == "Maildir", folder)

    def test_couriers_uid_lists(self) -> None:
        for folder in folders(copy(self.target, "bob")):
            file = folder / "courierimapuiddb"
            names = self.check_uids(file, UIDDB_HEADER, UIDDB_RECORD)
            there = {base(path) for path in (folder / "cur").iterdir()}
            self.assertEqual(names, there, folder)

    def test_couriers_keywords_name_messages(self) -> None:
        maildir = copy(self.target, "bob")
        keywords = maildir / "courierimapkeywords"
        listed = lines(keywords / ":list")
        blank = listed.index("")
        there = {base(path) for path in (maildir / "cur").iterdir()}
        for line in listed[blank + 1 :]:
            name, _, numbers = line.partition(":")
            self.assertIn(name, there)
            self.assertLess(max(map(int, numbers.split())), blank, line)
        [pending] = [path.name for path in keywords.iterdir() if path.name != ":list"]
        self.assertIn(pending, there)

    def test_sizes_in_names_are_right(self) -> None:
        checked = 0
        for user in USERS:
            for path in messages(copy(self.target, user)):
                octets = path.read_bytes()
                crlf = re.sub(rb"\r?\n", b"\r\n", octets)
                for key, size in re.findall(r",([SW])=(\d+)", base(path)):
                    expected = len(octets) if key == "S" else len(crlf)
                    self.assertEqual(int(size), expected, path)
                    checked += 1
        self.assertGreater(checked, 50)

    def test_couriers_quota_is_right(self) -> None:
        maildir = copy(self.target, "bob")
        _, *deltas = lines(maildir / "maildirsize")
        counted = [
            path
            for path in messages(maildir)
            if ".Trash" not in path.parts and "T" not in path.name.partition(":2,")[2]
        ]
        octets = sum(path.stat().st_size for path in counted)
        pairs = [tuple(map(int, delta.split())) for delta in deltas]
        sums = [sum(column) for column in zip(*pairs, strict=True)]
        self.assertEqual(sums, [octets, len(counted)])

    def test_folders_are_marked_and_complete(self) -> None:
        for user in USERS:
            root, *others = folders(copy(self.target, user))
            self.assertFalse((root / "maildirfolder").exists())
            for folder in others:
                self.assertTrue((folder / "maildirfolder").is_file(), folder)
            for folder in (root, *others):
                for part in ("cur", "new", "tmp"):
                    self.assertTrue((folder / part).is_dir(), folder)

    def test_dates_survive_the_copy(self) -> None:
        for user in USERS:
            place = Path("example.org", user, "Maildir")
            copy(self.target, user)
            dates = message_seconds(place)
            for path, seconds in dates.items():
                self.assertEqual((self.target / path).stat().st_mtime, seconds, path)
        table = lines(SAMPLES / "mtimes.tsv")
        self.assertEqual(len(table), 2)
        for line in table:
            self.assertTrue((SAMPLES / line.split("\t")[0]).is_file(), line)

    def test_the_last_uidvalidity_of_dovecot(self) -> None:
        maildir = copy(self.target, "carol")
        number = (maildir / "dovecot-uidvalidity").read_text()
        mark = maildir / f"dovecot-uidvalidity.{number}"
        self.assertEqual((mark.stat().st_size, mark.stat().st_mode & 0o777), (0, 0o444))
        for folder in folders(maildir):
            found = UIDLIST_HEADER.match(lines(folder / "dovecot-uidlist")[0])
            assert found is not None
            self.assertLessEqual(int(found[1]), int(number, 16), folder)

    def test_the_thread_hangs_together(self) -> None:
        folder = SAMPLES / "example.org/bob/Maildir/.Listen.Töpfe/cur"
        parsed = [
            email.message_from_bytes(path.read_bytes()) for path in folder.iterdir()
        ]
        ids = {message["Message-ID"] for message in parsed}
        self.assertEqual(len(ids), 12)
        answers = [m["References"].split() for m in parsed if m["References"]]
        self.assertEqual(len(answers), 11)
        for references in answers:
            self.assertLessEqual(set(references), ids)

    def test_a_whole_copy_has_the_users(self) -> None:
        copy_all(self.target)
        for line in lines(self.target / "users"):
            user = line.split(":", maxsplit=1)[0]
            local, _, domain = user.partition("@")
            self.assertTrue((self.target / domain / local / "Maildir/cur").is_dir())


def copy(target: Path, user: str) -> Path:
    return copy_sample(f"{user}@example.org", target)
