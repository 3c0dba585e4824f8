"""What the system seldom does: writes and reads that come short, names in the way."""

import ctypes
import errno
import os
import tempfile
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

from imapd.store import fsops, renames

OCTETS = bytes(range(256)) * 20


class ShortTests(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.fsencode(Path(folder.name, "file"))

    def test_a_write_that_comes_short_goes_on_where_it_stopped(self) -> None:
        write = os.write
        sizes: list[int] = []

        def short(descriptor: int, octets: Any) -> int:
            sizes.append(len(octets))
            return write(descriptor, bytes(octets[:999]))

        descriptor = fsops.open_exclusive(self.path)
        try:
            with mock.patch.object(os, "write", short):
                fsops.write(descriptor, OCTETS)
        finally:
            fsops.close(descriptor)
        self.assertEqual(Path(os.fsdecode(self.path)).read_bytes(), OCTETS)
        self.assertEqual(sizes, list(range(len(OCTETS), 0, -999)))

    def test_a_file_that_grew_since_it_was_opened_is_read_to_its_end(self) -> None:
        Path(os.fsdecode(self.path)).write_bytes(OCTETS)
        descriptor = fsops.open_read(self.path)
        self.addCleanup(os.close, descriptor)
        self.assertEqual(fsops.read_open(descriptor, 100), OCTETS)
        self.assertEqual(fsops.read_open(descriptor, len(OCTETS)), OCTETS)
        self.assertEqual(fsops.read_open(descriptor, 2 * len(OCTETS)), OCTETS)


class RenameTests(unittest.TestCase):
    """Mail is never renamed over mail, whatever the file system can do."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "taken").write_text("taken")

    def ways(self) -> dict[str, Any]:
        def refusing(number: int) -> Any:
            def rename(*_: Any) -> int:
                ctypes.set_errno(number)
                return -1

            return rename

        return {
            "in one step": renames._RENAMEAT2,
            "a system that has no such call": None,
            "NFS": refusing(errno.EINVAL),
            "an old kernel": refusing(errno.ENOSYS),
        }

    def test_a_name_that_is_taken(self) -> None:
        old, taken = (os.fsencode(self.folder / name) for name in ("old", "taken"))
        for name, call in self.ways().items():
            (self.folder / "old").write_text("old")
            with mock.patch.object(renames, "_RENAMEAT2", call):
                with self.assertRaises(FileExistsError, msg=name):
                    fsops.move_new(old, taken)
                self.assertEqual((self.folder / "taken").read_text(), "taken", name)
                self.assertEqual((self.folder / "old").read_text(), "old", name)

    def test_a_link_to_nowhere_is_a_name_that_is_taken(self) -> None:
        (self.folder / "old").write_text("old")
        (self.folder / "link").symlink_to("nowhere")
        old, link = (os.fsencode(self.folder / name) for name in ("old", "link"))
        for name, call in self.ways().items():
            with (
                mock.patch.object(renames, "_RENAMEAT2", call),
                self.assertRaises(FileExistsError, msg=name),
            ):
                fsops.move_new(old, link)

    def test_a_name_that_is_free(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY)
        self.addCleanup(os.close, descriptor)
        for number, (name, call) in enumerate(self.ways().items()):
            (self.folder / "old").write_text(name)
            with mock.patch.object(renames, "_RENAMEAT2", call):
                fsops.rename_new(b"old", b"new%d" % number, descriptor)
            self.assertEqual((self.folder / f"new{number}").read_text(), name)
            self.assertFalse((self.folder / "old").exists(), name)

    def test_what_is_not_there(self) -> None:
        old, new = (os.fsencode(self.folder / name) for name in ("none", "new"))
        for name, call in self.ways().items():
            with (
                mock.patch.object(renames, "_RENAMEAT2", call),
                self.assertRaises(FileNotFoundError, msg=name),
            ):
                fsops.move_new(old, new)
