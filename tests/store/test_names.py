"""File names, keyword letters, listings and the one door to the file system."""

import os
import time
import unittest
from itertools import islice, product

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import capturedLogs, formatEvent

from imapd.errors import ImapError, NoPermission, OverQuota, ReadOnly, Unavailable
from imapd.store import fsops, quiet
from imapd.store.locks import MailboxLock
from imapd.store.maildir import names
from imapd.store.maildir.keywords import KeywordTable
from imapd.store.maildir.scan import COARSE_SECONDS, FINE_SECONDS, settle_seconds
from imapd.store.translate import translate_errors
from tests.store.folders import FolderTestCase

NAMES = {
    # name: base, letters, extra
    b"a": (b"a", b"", b""),
    b"a:2,": (b"a", b"", b""),
    b"a,S=1,W=2:2,FS": (b"a,S=1,W=2", b"FS", b""),
    b"a:2,FSx,more,9": (b"a", b"FSx", b",more,9"),
    b"a:1,exp": (b"a", b"", b""),
    b"a:b:2,T": (b"a", b"T", b""),
}
SIZES = {
    b"a,S=12,W=13:2,S": (12, 13),
    b"a,W=13,S=12": (12, 13),
    b"a,S=12x": (None, None),
    b"a,S=": (None, None),
    b"a": (None, None),
    b"a,S=99999999999999999999": (None, None),
}


NAME_PARTS = st.tuples(
    st.sampled_from([b"1600000000", b"1600000001", b"160000000", b"16000000001", b""]),
    st.sampled_from([b".M12P", b".M012P", b".M9", b".", b"", b"M3", b".M%d" % 10**20]),
    st.binary(max_size=4).map(lambda name: name.translate(None, b"/:\0")),
)


class NameTests(unittest.TestCase):
    def test_taken_apart(self) -> None:
        for name, (base, letters, extra) in NAMES.items():
            parsed = names.parse(name)
            self.assertEqual(names.base_of(name), base, name)
            self.assertEqual((parsed.letters, parsed.extra), (letters, extra), name)
            self.assertEqual(names.letters_of(name), letters, name)

    def test_sizes(self) -> None:
        for name, sizes in SIZES.items():
            self.assertEqual(
                (names.file_size(name), names.rfc822_size(name)), sizes, name
            )

    def test_sizes_to_be_carried_on(self) -> None:
        """Of what else programs put there, nobody knows what it says."""
        for name, sizes in {
            b"a:2,S": b"",
            b"a,S=12,W=13:2,FS": b",S=12,W=13",
            b"a,X=1,S=12:2,": b",S=12",
            b"a,W=13,X=1,S=12": b",S=12,W=13",
            b"a,X=1:2,S": b"",
        }.items():
            self.assertEqual(names.sizes_part(name), sizes, name)

    @given(st.lists(st.builds(b"%b%b%b".__mod__, NAME_PARTS), unique=True))
    def test_sorted_at_once_as_one_by_one(self, bases: list[bytes]) -> None:
        ordered = sorted(bases, key=names.sort_key)
        self.assertEqual(names.in_order(bases), ordered)

    @given(st.lists(st.binary(min_size=1, max_size=4)))
    def test_all_are_usable_if_each_is(self, some: list[bytes]) -> None:
        listed = [name.translate(None, b"/\0") or b"a" for name in some]
        paths = [b"cur/" + name for name in listed]
        each = all(map(names.usable, listed))
        self.assertEqual(names.all_usable(paths), each)

    @given(st.binary(max_size=60), st.binary(max_size=5))
    def test_new_letters_keep_the_rest(self, name: bytes, letters: bytes) -> None:
        letters = letters.replace(b",", b"").replace(b":", b"")
        built = names.parse(name).with_letters(letters)
        again = names.parse(built)
        self.assertEqual(again.letters, bytes(sorted(set(letters))))
        self.assertEqual(again.extra, names.parse(name).extra)
        self.assertEqual(names.base_of(built), names.base_of(name))
        names.sort_key(name)

    def test_unique(self) -> None:
        # Hardening: D07.
        many = {names.unique_base() for _ in range(2000)}
        self.assertEqual(len(many), 2000)
        for name in many:
            self.assertTrue(names.usable(name))
            self.assertNotIn(b":", name)

    def test_those_of_one_moment_keep_their_order(self) -> None:
        many = list(islice(names.unique_bases(), 2000))
        self.assertEqual(len(set(many)), 2000)
        self.assertEqual(sorted(many, key=names.sort_key), many)
        self.assertTrue(all(map(names.usable, many)))


class KeywordTests(FolderTestCase):
    def test_letters(self) -> None:
        directory = os.fsencode(self.folder())
        path = self.folder() / "dovecot-keywords"
        path.write_bytes(b"0 Red\n2 Blue\n99 no\njunk\n3 a b\n")
        table = KeywordTable(directory)
        table.refresh()
        self.assertEqual(table.letter_of(b"bLUE"), ord("c"))
        self.assertEqual(table.name_of(ord("b")), b"unknown-1")
        self.assertEqual(table.name_of(ord("d")), b"unknown-3")
        before = path.stat().st_mtime_ns // 10**9
        for number in range(3):
            with MailboxLock(directory, 1) as lock:
                table.assign(lock, [b"New%d" % number, b"red"], {ord("b")})
            after = path.stat().st_mtime_ns // 10**9
            self.assertGreater(after, before)
            before = after
        self.assertEqual(
            path.read_bytes(),
            b"0 Red\n2 Blue\n3 a b\n4 New0\n5 New1\n6 New2\n",
        )
        self.assertFalse(table.changed())


class DoorTests(FolderTestCase):
    def test_errors_become_ours(self) -> None:
        cases = {
            28: OverQuota,
            122: OverQuota,
            13: NoPermission,
            1: NoPermission,
            30: ReadOnly,
            5: Unavailable,
            24: Unavailable,
        }
        for number, expected in cases.items():
            door = translate_errors("testing", b"/box")
            with self.assertRaises(expected) as caught, door:
                raise OSError(number, "x")
            self.assertIsInstance(caught.exception.__cause__, OSError)

    def test_the_log_says_where_and_once_for_each_place(self) -> None:
        """One whose quota is full must not hide the others, nor who it is."""
        quiet.forget()
        self.addCleanup(quiet.forget)
        failures = (
            OSError(122, "Disk quota exceeded"),
            PermissionError(13, "Permission denied", b"/box/tmp/one"),
            PermissionError(13, "Permission denied", b"/box/tmp/another"),
        )
        with capturedLogs() as events:
            for place, failure in product((b"/box", b"/other"), failures):
                door = translate_errors("storing", place)
                with self.assertRaises(ImapError), door:
                    raise failure
        quota = "OSError(122, 'Disk quota exceeded')"
        denied = "PermissionError(13, 'Permission denied') b'/box/tmp/one'"
        self.assertEqual(
            [formatEvent(each) for each in events],
            [
                f"store: storing in {place!r} failed: {words}"
                for place in (b"/box", b"/other")
                for words in (quota, denied)
            ],
        )

    def test_only_regular_files_are_opened(self) -> None:
        # Hardening: F03.
        folder = self.folder()
        os.mkfifo(folder / "fifo")
        (folder / "link").symlink_to("/etc/passwd")
        for name in ("fifo", "link", "cur"):
            for function in (fsops.open_read, fsops.open_append):
                with self.assertRaises(OSError, msg=name):
                    function(os.fsencode(folder / name))

    def test_rename_never_replaces(self) -> None:
        folder = self.folder()
        (folder / "a").write_bytes(b"a")
        (folder / "b").write_bytes(b"b")
        one, two = os.fsencode(folder / "a"), os.fsencode(folder / "b")
        with self.assertRaises(FileExistsError):
            fsops.move_new(one, two)
        with self.assertRaises(FileNotFoundError):
            fsops.move_new(one + b"x", one + b"y")
        fsops.move_new(one, one + b"2")
        self.assertEqual((folder / "a2").read_bytes(), b"a")

    def test_replace(self) -> None:
        # Hardening: X8.
        path = os.fsencode(self.folder() / "x")
        for octets in (b"one", b"two"):
            fsops.replace_file(path, octets)
            self.assertEqual(fsops.read_file(path), octets)
        with self.assertRaises(OSError):
            fsops.read_file(path, 2)

    def test_times_without_fractions_need_longer(self) -> None:
        self.assertEqual(settle_seconds(10**18), COARSE_SECONDS)
        self.assertEqual(settle_seconds(time.time_ns() | 1), FINE_SECONDS)
