"""Folder names on disk, and the operations on the folders themselves."""

import errno
import json
import os
import random
import tempfile
import unittest
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from imapd.errors import AlreadyExists, Cannot, Unavailable
from imapd.ids import MailboxPath
from imapd.limits import DEFAULT_LIMITS
from imapd.store import fsops
from imapd.store.maildir import folders, layout, renaming, special_use, uidvalidity
from imapd.store.maildir.folders import FolderTree
from imapd.store.maildir.layout import NameEncoding

PAIRS: dict[str, tuple[bytes, MailboxPath]] = {
    "one": (b".A", ("A",)),
    "nested": (b".A.B", ("A", "B")),
    "modified UTF-7": (b".Entw&APw-rfe.2024", ("Entwürfe", "2024")),
    "UTF-8": (".Entwürfe.2024".encode(), ("Entwürfe", "2024")),
    "ampersand in UTF-7": (b".R&-D", ("R&D",)),
    "ampersand in UTF-8": (b".R&D", ("R&D",)),
    "only one component is UTF-7": (b".R&D.Entw&APw-rfe", ("R&D", "Entw&APw-rfe")),
    "tilde": (b".~x", ("~x",)),
    "a slash that is no canonical UTF-7": (b".&AC8-", ("&AC8-",)),
    "a dot that is none": (b".&AC4-", ("&AC4-",)),
}
NOT_FOLDERS = {
    "dot": b".",
    "dots": b"..",
    "three dots": b"...",
    "ends in a dot": b".A.",
    "two dots inside": b".A..B",
    "no dot": b"cur",
    "Latin-1": b".Entw\xfcrfe",
    "control character": b".A\x07",
    "line end hidden in UTF-7": b".a&AAo-b",
}
REFUSED: dict[str, MailboxPath] = {
    "INBOX": ("inbox",),
    "nothing": ("",),
    "empty component": ("a", "", "b"),
    "dot": (".",),
    "dot dot": ("..",),
    "a dot inside": ("a.b",),
    "slash": ("a/b",),
    "NUL": ("a\0b",),
    "line end": ("a\nb",),
    "C1 control": ("a\x85b",),
    "line separator": ("a\u2028b",),
    "lone surrogate": ("\ud800",),
    "tilde": ("~root",),
    "too deep": ("a",) * 33,
    "long component": ("a" * 251,),
    "long in UTF-7": ("ü" * 100,),
    "long name": ("a" * 100, "b" * 100, "c" * 100),
}


class LayoutTests(unittest.TestCase):
    # Hardening: F08.

    def test_directory_names(self) -> None:
        for name, (octets, path) in PAIRS.items():
            if name == "only one component is UTF-7":
                # "R&D" is no modified UTF-7, so the whole name is literal.
                self.assertIs(layout.name_encoding(octets), NameEncoding.UTF8, name)
            self.assertEqual(layout.decode_directory(octets), path, name)
            self.assertIn(octets, layout.candidate_directories(path), name)

    def test_what_is_no_folder(self) -> None:
        for name, octets in NOT_FOLDERS.items():
            with self.assertRaises(ValueError, msg=name):
                layout.decode_directory(octets)

    def test_new_names_refused(self) -> None:
        # Hardening: F01.
        for name, path in REFUSED.items():
            with self.assertRaises(Cannot, msg=name):
                layout.check_new_name(path, DEFAULT_LIMITS, NameEncoding.UTF7)

    def test_the_longest_names_are_taken(self) -> None:
        for path in (("a" * 250,), ("a",) * 32, ("a" * 126, "b" * 127)):
            name = layout.check_new_name(path, DEFAULT_LIMITS, NameEncoding.UTF8)
            self.assertLessEqual(len(name), 255)

    def test_harmless_names_are_taken(self) -> None:
        for part in ("cur", "new", "tmp", "%2e", "\\", "a:2,S", "R&D", "&AC8-", " "):
            for encoding in NameEncoding:
                name = layout.check_new_name((part,), DEFAULT_LIMITS, encoding)
                self.assertEqual(layout.decode_directory(name), (part,), part)

    @given(st.lists(st.text(max_size=8), min_size=1, max_size=4))
    def test_every_stored_name_reads_back(self, parts: list[str]) -> None:
        path = tuple(parts)
        for encoding in NameEncoding:
            try:
                name = layout.check_new_name(path, DEFAULT_LIMITS, encoding)
            except Cannot:
                continue
            self.assertEqual(layout.decode_directory(name), path)
            self.assertNotIn(b"/", name)
            self.assertIn(name, layout.candidate_directories(path))

    @given(st.binary(max_size=20))
    def test_every_directory_name_is_read_or_refused(self, octets: bytes) -> None:
        try:
            path = layout.decode_directory(b"." + octets)
        except ValueError:
            return
        self.assertIn(b"." + octets, layout.candidate_directories(path))

    def test_majority(self) -> None:
        names = [b".A", b".&APw-", ".ü".encode(), ".ö".encode()]
        self.assertIs(
            layout.majority_encoding(names, NameEncoding.UTF7), NameEncoding.UTF8
        )
        self.assertIs(
            layout.majority_encoding(names[:3], NameEncoding.UTF7), NameEncoding.UTF7
        )
        self.assertIs(folders.new_encoding([], []), NameEncoding.UTF7)
        self.assertIs(
            folders.new_encoding([], [b"courierimapuiddb"]), NameEncoding.UTF8
        )


class SpecialUseTests(unittest.TestCase):
    def test_names(self) -> None:
        there = [("Sent Items",), ("Sent",), ("2019", "Trash"), ("entwürfe",)]
        self.assertEqual(
            special_use.assign(there, {}),
            {("Sent",): rb"\Sent", ("entwürfe",): rb"\Drafts"},
        )

    def test_what_was_said_wins(self) -> None:
        there = [("Sent",), ("Outbox",)]
        said = {rb"\Sent": ("Outbox",), rb"\Junk": ("gone",)}
        self.assertEqual(special_use.assign(there, said), {("Outbox",): rb"\Sent"})

    def test_no_name_has_two_uses(self) -> None:
        names = [
            name.casefold() for names in special_use._NAMES.values() for name in names
        ]
        self.assertEqual(len(names), len(set(names)))


class TreeTests(unittest.TestCase):
    def setUp(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.root = Path(self.directory.name, "m")
        for part in ("cur", "new", "tmp"):
            (self.root / part).mkdir(parents=True)
        self.tree = FolderTree(bytes(self.root))

    def make(self, name: str) -> Path:
        (self.root / name / "cur").mkdir(parents=True)
        return self.root / name

    def test_create(self) -> None:
        # Hardening: F05.
        self.tree.create(b".A.B", 77)
        made = self.root / ".A.B"
        self.assertEqual(
            sorted(os.listdir(made)),
            ["cur", "dovecot-uidlist", "maildirfolder", "new", "tmp"],
        )
        self.assertRegex(
            (made / "dovecot-uidlist").read_text(), r"\A3 V77 N1 G[0-9a-f]{32}\n\Z"
        )
        for path in [made, *made.iterdir()]:
            self.assertEqual(path.stat().st_mode & 0o077, 0, path)
        self.assertEqual(os.listdir(self.root / "tmp"), [])
        with self.assertRaises(AlreadyExists):
            self.tree.create(b".A.B", 78)
        self.assertEqual(os.listdir(self.root / "tmp"), [])

    def test_create_over_other_things(self) -> None:
        (self.root / ".file").write_bytes(b"")
        (self.root / ".full").mkdir()
        (self.root / ".full" / "x").write_bytes(b"")
        (self.root / ".empty").mkdir()
        for name in (b".file", b".full"):
            with self.assertRaises(Cannot, msg=name):
                self.tree.create(name, 1)
        self.tree.create(b".empty", 1)
        self.assertEqual(self.tree.listing(), {("empty",): b".empty"})

    def test_listing_passes_over_what_is_no_folder(self) -> None:
        # Hardening: F08.
        self.make(".Sent")
        self.make(".R&-D")
        self.make(".R&D")
        self.make(".INBOX")
        self.make(".bad..name")
        self.make("cur.d")
        (self.root / ".nocur").mkdir()
        (self.root / ".marked").mkdir()
        (self.root / ".marked" / "maildirfolder").write_bytes(b"")
        (self.root / ".file").write_bytes(b"")
        os.mkdir(bytes(self.root) + b"/.Entw\xfcrfe")
        os.mkdir(bytes(self.root) + b"/.Entw\xfcrfe/cur")
        os.symlink(self.root / ".Sent", self.root / ".link")
        (self.root / ".half").mkdir()
        os.symlink(self.root / "cur", self.root / ".half" / "cur")
        self.assertEqual(
            self.tree.listing(),
            {("Sent",): b".Sent", ("R&D",): b".R&-D", ("marked",): b".marked"},
        )
        self.assertIsNone(self.tree.directory_name(("link",)))
        follow = FolderTree(bytes(self.root), follow_links=True)
        self.assertEqual(follow.directory_name(("link",)), b".link")
        self.assertIsNone(follow.directory_name(("half",)))

    def test_remove_leaves_nothing(self) -> None:
        # Hardening: F11.
        self.tree.create(b".A", 1)
        for name in ("cur/1:2,S", "new/2", "tmp/3", "dovecot.index.log", "maildirsize"):
            (self.root / ".A" / name).write_bytes(b"x")
        (self.root / ".A" / "courierimapkeywords").mkdir()
        (self.root / ".A" / "courierimapkeywords" / ":list").write_bytes(b"x")
        self.tree.remove(b".A")
        self.assertFalse((self.root / ".A").exists())
        self.assertEqual(os.listdir(self.root / "tmp"), [])

    def test_what_goes_meanwhile_is_in_nobodys_way(self) -> None:
        # Other sessions take the lock of the folder, and give it back.
        self.tree.create(b".A", 1)
        names = fsops.names_in

        def names_a_moment_ago(directory: int) -> list[bytes]:
            found = names(directory)
            return [b"dovecot-uidlist.lock", *found] if b"cur" in found else found

        with mock.patch.object(fsops, "names_in", names_a_moment_ago):
            self.tree.remove(b".A")
        self.assertFalse((self.root / ".A").exists())
        self.assertEqual(os.listdir(self.root / "tmp"), [])

    def test_what_is_not_mail_is_not_removed(self) -> None:
        # Hardening: F11.
        outside = Path(self.directory.name, "outside")
        outside.mkdir()
        (outside / "precious").write_bytes(b"x")
        cases = {
            "file": lambda folder: (folder / "thesis.doc").write_bytes(b"x"),
            "directory": lambda folder: (folder / "archive").mkdir(),
            "directory in cur": lambda folder: (folder / "cur" / "d").mkdir(),
            "file for a directory": lambda folder: (
                folder / "courierimapkeywords"
            ).write_bytes(b""),
            "linked directory": lambda folder: (
                folder / "courierimapkeywords"
            ).symlink_to(outside),
            "directory for a file": lambda folder: (folder / "dovecot-acl").mkdir(),
        }
        for name, plant in cases.items():
            self.tree.create(b".A", 1)
            plant(self.root / ".A")
            (self.root / ".A" / "cur" / "1").write_bytes(b"x")
            with self.assertRaises(Cannot, msg=name):
                self.tree.remove(b".A")
            self.assertTrue((self.root / ".A" / "cur" / "1").exists(), name)
            self.assertTrue((outside / "precious").exists(), name)
            os.rename(self.root / ".A", Path(self.directory.name, name))

    def test_a_link_among_the_messages_is_removed_and_not_followed(self) -> None:
        # Hardening: F11.
        outside = Path(self.directory.name, "precious")
        outside.write_bytes(b"x")
        self.tree.create(b".A", 1)
        (self.root / ".A" / "cur" / "1").symlink_to(outside)
        self.tree.remove(b".A")
        self.assertTrue(outside.exists())

    def test_sweep(self) -> None:
        # Hardening: D17.
        self.tree.create(b".A", 1)
        os.rename(self.root / ".A", self.root / "tmp" / "imapd-gone.1")
        (self.root / "tmp" / "imapd-new.2").mkdir()
        (self.root / "tmp" / "message").write_bytes(b"")
        self.assertTrue(self.tree.needs_sweep())
        self.tree.sweep()
        self.assertEqual(os.listdir(self.root / "tmp"), ["message"])

    def test_random_names_stay_inside(self) -> None:
        """Thousands of names: whatever is touched is one name in the root."""
        # Hardening: F01.
        touched: list[bytes] = []
        real = fsops.status

        def watched(path: bytes) -> os.stat_result:
            touched.append(path)
            return real(path)

        (self.root.parent / "ma").mkdir()  # a neighbour whose name begins like ours
        generator = random.Random(20)
        alphabet = [".", "/", "\\", "~", "&", "\0", "%", ":", "..", "tmp", "new"]
        alphabet += ["cur", "ü", "é", "a", "&AC8-", "&AC4-", "-", "A", "\ud800"]
        made = 0
        with mock.patch.object(fsops, "status", watched):
            for _ in range(5000):
                path = tuple(
                    "".join(generator.choices(alphabet, k=generator.randint(0, 5)))
                    for _ in range(generator.randint(1, 4))
                )
                self.tree.directory_name(path)
                for encoding in NameEncoding:
                    try:
                        name = layout.check_new_name(path, DEFAULT_LIMITS, encoding)
                    except Cannot:
                        continue
                    made += 1
                    touched.append(self.tree.directory(name))
        self.assertGreater(made, 100)
        prefix = bytes(self.root) + b"/"
        for path_octets in touched:
            self.assertTrue(path_octets.startswith(prefix), path_octets)
            inside = path_octets.removeprefix(prefix)
            name = inside.removesuffix(b"/cur").removesuffix(b"/maildirfolder")
            self.assertNotIn(b"/", name, path_octets)
            self.assertTrue(name.startswith(b".") and name.strip(b"."), path_octets)


class RenamingTests(TreeTests):
    def test_conflict_leaves_all_as_it_was(self) -> None:
        for name in (".A", ".A.B", ".N.B"):
            self.make(name)
        with self.assertRaises(AlreadyExists):
            renaming.rename_all(bytes(self.root), [(b".A", b".N"), (b".A.B", b".N.B")])
        self.assertTrue((self.root / ".A").exists())
        self.assertFalse((self.root / ".N").exists())
        self.assertFalse(renaming.is_unfinished(bytes(self.root)))

    def test_stopped_at_every_operation(self) -> None:
        """A crash at any step: the tree has one name after the next open."""
        # Hardening: D01, D16.
        root = bytes(self.root)
        moves = [(b".A.%d" % n, b".N.%d" % n) for n in range(8)]
        stopped = 0
        for step in range(200):
            for name in os.listdir(root):
                if name.startswith((b".A", b".N")):
                    os.rmdir(root + b"/" + name + b"/cur")
                    os.rmdir(root + b"/" + name)
            for old, _ in moves:
                os.makedirs(root + b"/" + old + b"/cur")
            if not stop_at(step, lambda: renaming.rename_all(root, moves)):
                break
            stopped += 1
            if renaming.is_unfinished(root):
                renaming.finish(root)
            left = {name[:2] for name in os.listdir(root) if name[:1] == b"."}
            self.assertEqual(len(left), 1, f"stopped at {step}: {left}")
            self.assertFalse(renaming.is_unfinished(root))
        self.assertGreater(stopped, 10)

    def test_every_damage_of_the_journal(self) -> None:
        # Hardening: D15.
        root = bytes(self.root)
        good = renaming._written([(b".A", b".B"), (b".\xff", b".C")])
        self.assertEqual(renaming._read(good), [(b".A", b".B"), (b".\xff", b".C")])
        journal = self.root / "imapd-rename.json"
        cut = [good[:end] for end in range(len(good) - 1)]
        flipped = [
            good[:at] + bytes([good[at] ^ bit]) + good[at + 1 :]
            for at in range(len(good) - 1)
            for bit in (1, 0x80)
        ]
        self.make(".A")
        for octets in cut + flipped:
            journal.write_bytes(octets)
            renaming.finish(root)
            self.assertFalse(journal.exists())
            self.assertTrue((self.root / ".A").exists(), octets)

    def test_a_forged_journal_moves_nothing_outside(self) -> None:
        # Hardening: F07.
        Path(self.directory.name, "x").mkdir()
        for pair in ([".A", "../y"], ["../x", ".B"], ["cur", ".B"], [".", ".."], [1]):
            text = json.dumps([pair]).encode()
            octets = b"%08x\n%b\n" % (zlib.crc32(text), text)
            (self.root / "imapd-rename.json").write_bytes(octets)
            renaming.finish(bytes(self.root))
            self.assertTrue(Path(self.directory.name, "x").exists())
            self.assertTrue((self.root / "cur").exists())

    def test_a_directory_for_the_journal_is_put_aside(self) -> None:
        (self.root / "imapd-rename.json").mkdir()
        renaming.finish(bytes(self.root))
        self.assertFalse(renaming.is_unfinished(bytes(self.root)))

    def test_a_journal_that_cannot_be_read_today_stays(self) -> None:
        """A disk that fails is no damage: put aside, the renaming would be lost."""
        journal = self.root / "imapd-rename.json"
        journal.write_text("[]")
        failure = OSError(errno.EIO, "the disk")
        with (
            mock.patch.object(fsops, "read_file", side_effect=failure),
            self.assertRaises(OSError),
        ):
            renaming.finish(bytes(self.root))
        self.assertTrue(renaming.is_unfinished(bytes(self.root)))
        self.assertEqual(journal.read_text(), "[]")


class UidValidityTests(TreeTests):
    # Hardening: D07.

    def reserve(self, least: int = 0, survey: int = 0) -> int:
        return uidvalidity.reserve(bytes(self.root), least, lambda: survey)

    def test_each_is_greater(self) -> None:
        values = [self.reserve() for _ in range(20)]
        self.assertEqual(values, sorted(set(values)))
        counters = [n for n in os.listdir(self.root) if "uidvalidity." in n]
        self.assertEqual(counters, [f"dovecot-uidvalidity.{values[-1]:08x}"])
        text = (self.root / "dovecot-uidvalidity").read_text()
        self.assertEqual(text, f"{values[-1]:08x}")

    def test_lost_files(self) -> None:
        future = 4_000_000_000
        cases = {
            "high-water mark": (future, 0),
            "survey": (0, future),
        }
        for name, (least, survey) in cases.items():
            for path in self.root.glob("dovecot-uidvalidity*"):
                path.unlink()
            self.assertGreaterEqual(self.reserve(least, survey), future, name)

    def test_damaged_files(self) -> None:
        for text in (b"", b"zzzzzzzz", b"ffffffff", b"6b", b"\0" * 8, b"6b0106a70"):
            (self.root / "dovecot-uidvalidity").write_bytes(text)
            for name in ("ffffffff", "00000000"):
                (self.root / f"dovecot-uidvalidity.{name}").write_bytes(b"")
            value = self.reserve(least=1_900_000_000)
            self.assertLess(value, 2**32 - (1 << 20), text)
            self.assertGreaterEqual(value, 1_900_000_000, text)

    def test_raise_to(self) -> None:
        uidvalidity.raise_to(bytes(self.root), 4_100_000_000)
        self.assertEqual(self.reserve(), 4_100_000_001)
        uidvalidity.raise_to(bytes(self.root), 5)
        self.assertEqual(self.reserve(), 4_100_000_002)

    def test_raise_to_what_cannot_be(self) -> None:
        """A damaged list must not use up the numbers of the whole account."""
        before = self.reserve()
        for value in (-1, 0, 2**32 - 1, 2**40):
            files = sorted(os.listdir(self.root))
            uidvalidity.raise_to(bytes(self.root), value)
            self.assertEqual(sorted(os.listdir(self.root)), files, value)
            self.assertLess(self.reserve() - before, 1000, value)

    def test_the_text_alone_is_counted_on_from(self) -> None:
        """Some backups leave out empty files, and the counter is one."""
        (self.root / "dovecot-uidvalidity").write_bytes(b"%08x" % 4_000_000_000)
        self.assertEqual(self.reserve(), 4_000_000_001)

    def test_of_several_counters_the_greatest_is_left(self) -> None:
        for value in (4_000_000_000, 4_000_000_007, 4_000_000_003):
            (self.root / f"dovecot-uidvalidity.{value:08x}").touch()
        self.assertEqual(self.reserve(), 4_000_000_008)
        counters = [n for n in os.listdir(self.root) if "uidvalidity." in n]
        self.assertEqual(counters, [f"dovecot-uidvalidity.{4_000_000_008:08x}"])

    def test_others_that_are_faster(self) -> None:
        """Once it is tried again; who is always slower gives out nothing."""
        first = self.reserve()
        real, turns = fsops.move_new, [1]

        def overtaken(old: bytes, new: bytes) -> None:
            if turns.pop() if turns else False:
                real(old, new)  # by another process, to the same value
            real(old, new)

        with mock.patch.object(fsops, "move_new", overtaken):
            self.assertEqual(self.reserve(), first + 2)
        failure = FileNotFoundError(2, "taken")
        with (
            mock.patch.object(fsops, "move_new", side_effect=failure),
            self.assertRaises(Unavailable),
        ):
            self.reserve()
        self.assertEqual(self.reserve(), first + 3)

    def test_guid_of_directory(self) -> None:
        folder = self.make(".A")
        guid = b"0123456789ABCDEF" * 2
        for octets, found in {
            b"3 V12 N1 G%b\n" % guid: guid.decode().lower(),
            b"3 G%b V12 N1\n" % guid: guid.decode().lower(),
            b"3 V12 N1 G%b0\n" % guid: "",
            b"3 V12 N1\n1 G%b :x\n" % guid: "",
            b"1 14 3\n": "",
            b"": "",
        }.items():
            (folder / "dovecot-uidlist").write_bytes(octets)
            self.assertEqual(
                uidvalidity.guid_of_directory(bytes(folder)), found, octets
            )

    def test_of_directory(self) -> None:
        folder = self.make(".A")
        cases = {
            b"3 V12 N1 G00000000000000000000000000000000\n": 12,
            b"3 N5 V13\n": 13,
            b"1 14 3\n": 14,
            b"3 N5\n": 0,
            b"": 0,
            b"3 V99999999999 N1\n": 0,
        }
        for octets, value in cases.items():
            (folder / "dovecot-uidlist").write_bytes(octets)
            self.assertEqual(uidvalidity.of_directory(bytes(folder)), value, octets)

    def test_two_processes_never_get_the_same(self) -> None:
        reader, writer = os.pipe()
        for _ in range(2):
            if os.fork() == 0:
                try:
                    values = [self.reserve() for _ in range(100)]
                    os.write(writer, (" ".join(map(str, values)) + " ").encode())
                finally:
                    os._exit(0)
        os.wait()
        os.wait()
        os.close(writer)
        with os.fdopen(reader) as file:
            found = file.read().split()
        self.assertEqual(len(found), 200)
        self.assertEqual(len(set(found)), 200)


class Stopped(BaseException):
    """The process would have died here."""


def stop_at(step: int, work: Callable[[], object]) -> bool:
    """Run until the step-th operation of ``fsops`` would begin; True: it stopped."""
    count = 0

    def counting(real: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            if count >= step:
                raise Stopped
            count += 1
            return real(*args, **kwargs)

        return operation

    names = ("rename", "move_new", "unlink", "fsync", "write", "open_exclusive")
    patches = [
        mock.patch.object(fsops, name, counting(getattr(fsops, name)))
        for name in (*names, "fsync_directory")
    ]
    for patch in patches:
        patch.start()
    try:
        work()
    except Stopped:
        return True
    finally:
        for patch in patches:
            patch.stop()
    return False
