"""Directories are opened as what they are themselves: ``imapd.store.handles``."""

import errno
import os
import shutil
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from imapd.store import fsops, handles
from tests.store.folders import MEMORY


class HandleTests(unittest.TestCase):
    """Hardening: F07.  With ``openat2``."""

    def setUp(self) -> None:
        self.root = Path(tempfile.mkdtemp(dir=MEMORY))
        self.addCleanup(shutil.rmtree, self.root)
        (self.root / "a" / "cur").mkdir(parents=True)
        (self.root / "a" / "cur" / "file").write_bytes(b"here")
        (self.root / "link").symlink_to("a")
        (self.root / "a" / "inner").symlink_to("cur")
        (self.root / "a" / "cur" / "last").symlink_to("file")

    def path(self, below: str) -> bytes:
        return bytes(self.root / below)

    def refused(self, below: str, number: int) -> None:
        """Whatever is done, it is refused with this error, which has the path."""
        path, other = self.path(below), self.path("a/cur/other")
        actions = {
            "open_read": lambda: fsops.open_read(path),
            "open_exclusive": lambda: fsops.open_exclusive(path),
            "open_append": lambda: fsops.open_append(path),
            "status_strictly": lambda: fsops.status_strictly(path),
            "link": lambda: fsops.link(path, other),
            "link to": lambda: fsops.link(self.path("a/cur/file"), path),
            "rename": lambda: fsops.rename(path, other),
            "move_new": lambda: fsops.move_new(path, other),
            "move_new to": lambda: fsops.move_new(self.path("a/cur/file"), path),
            "replace_file": lambda: fsops.replace_file(path, b"new"),
            "unlink": lambda: fsops.unlink(path),
            "mkdir": lambda: fsops.mkdir(path),
            "rmdir": lambda: fsops.rmdir(path),
            "set_times": lambda: fsops.set_times(path, 1),
            "fsync_directory": lambda: fsops.fsync_directory(path),
            "open_directory": lambda: fsops.open_directory(path),
            "names": lambda: fsops.names(path),
            "entries": lambda: fsops.entries(path),
        }
        for name, action in actions.items():
            with self.subTest(name, path=below):
                with self.assertRaises(OSError) as raised:
                    action()
                self.assertEqual(raised.exception.errno, number)
                self.assertTrue(os.path.isabs(raised.exception.filename))
        self.assertEqual(os.listdir(self.root / "a" / "cur").count("other"), 0)

    def test_no_link_is_on_the_way(self) -> None:
        for below in ("link/cur/file", "link/cur/new", "a/inner/file", "a/inner/new"):
            self.refused(below, errno.ELOOP)

    def test_what_is_missing_is_missing(self) -> None:
        for below in ("no/cur/file", "a/no/file"):
            self.refused(below, errno.ENOENT)
        self.refused("a/cur/file/x", errno.ENOTDIR)

    def test_names_are_octets(self) -> None:
        path = self.path("octets")
        fsops.mkdir(path)
        self.assertEqual(fsops.entries(path), ([], []))
        names = [b"plain", b"\xc3\xa4", b"\xe4 \n\xff", b" "]
        for name in names:
            fsops.close(fsops.open_exclusive(path + b"/" + name))
        fsops.mkdir(path + b"/\xfe")
        found, odd = fsops.entries(path)
        self.assertEqual(sorted(found), sorted([*names, b"\xfe"]))
        self.assertEqual(odd, [b"\xfe"])

    def test_a_link_itself(self) -> None:
        for action in (fsops.open_read, fsops.open_append, fsops.read_file):
            with self.assertRaises(OSError) as raised:
                action(self.path("a/cur/last"))
            self.assertEqual(raised.exception.errno, errno.ELOOP)
        listing = (fsops.names, fsops.entries)
        for opening in (fsops.open_directory, fsops.fsync_directory, *listing):
            with self.assertRaises(OSError) as raised:
                opening(self.path("link"))
            self.assertEqual(raised.exception.errno, errno.ELOOP)
        with self.assertRaises(FileExistsError):
            fsops.open_exclusive(self.path("a/cur/last"))

    def test_ways_that_are_open(self) -> None:
        before = os.listdir("/proc/self/fd")
        self.assertEqual(fsops.read_file(self.path("a/cur/file")), b"here")
        fsops.fsync_directory(self.path("a/cur/"))
        fsops.mkdir(self.path("d"), 0o700)
        fsops.move_new(self.path("a/cur/file"), self.path("d/file"))
        fsops.replace_file(self.path("d/file"), b"there", mtime_ns=10**18)
        self.assertEqual((self.root / "d" / "file").read_bytes(), b"there")
        self.assertEqual((self.root / "d" / "file").stat().st_mtime_ns, 10**18)
        with self.assertRaises(ValueError):
            fsops.open_read(self.path("d/file") + b"\0.txt")
        self.assertEqual(len(os.listdir("/proc/self/fd")), len(before))


class ComponentTests(HandleTests):
    """The same where the system knows no ``openat2``."""

    def setUp(self) -> None:
        super().setUp()
        self.enterContext(mock.patch.object(handles, "_OPENAT2", None))
