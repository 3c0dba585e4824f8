"""Which file system a directory is on: mount tables as the kernel writes them."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from imapd.store import filesystems
from imapd.store.filesystems import LOCAL_KINDS, UNKNOWN, Mount, MountTable


class MountTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(os.path.realpath(folder.name))
        self.table = self.root / "mountinfo"
        self.mail = self.root / "mail box"
        self.mail.mkdir()
        device = self.mail.stat().st_dev
        self.number = f"{os.major(device)}:{os.minor(device)}"

    def find(self, *lines: str) -> Mount:
        self.table.write_text("".join(line + "\n" for line in lines))
        return MountTable(str(self.table)).find(os.fsencode(self.mail))

    def test_by_the_number_of_the_device(self) -> None:
        found = self.find(
            "21 1 7:77 / / rw - ext4 /dev/sda1 rw",
            f"22 21 {self.number} / /srv rw,noatime shared:1 master:2 - nfs4 h:/x rw",
            "23 22 7:78 / / rw - xfs /dev/sda2 rw",
        )
        self.assertEqual(found, Mount("nfs4", b"/srv"))
        self.assertFalse(found.is_local)

    def test_by_the_path_where_the_number_is_not_in_the_table(self) -> None:
        place = str(self.mail).replace(" ", "\\040")
        found = self.find(
            "21 1 7:77 / / rw - ext4 /dev/sda1 rw",
            f"22 21 7:78 / {place} rw - nfs h:/x rw",
            f"23 22 7:79 /@mail {place} rw - btrfs /dev/sdb rw",
            f"24 21 7:80 / {place}2 rw - xfs /dev/sdc rw",
            f"25 21 7:81 / {place}/cur/deeper rw - xfs /dev/sdc rw",
        )
        self.assertEqual(found, Mount("btrfs", os.fsencode(self.mail)))
        self.assertTrue(found.is_local)

    def test_the_root_holds_what_nothing_else_does(self) -> None:
        found = self.find("21 1 7:77 / / rw - overlay overlay rw")
        self.assertEqual(found, Mount("overlay", b"/"))

    def test_lines_that_are_none(self) -> None:
        self.assertEqual(self.find("", "-", " - ", "1 2 3", "\\777 - x"), UNKNOWN)

    def test_no_table_is_no_error(self) -> None:
        table = MountTable(str(self.root / "missing"))
        self.assertEqual(table.find(os.fsencode(self.mail)), UNKNOWN)

    def test_a_directory_that_is_gone_is_one(self) -> None:
        table = MountTable()
        with self.assertRaises(FileNotFoundError):
            table.find(os.fsencode(self.root / "missing"))

    def test_remembered_for_a_while(self) -> None:
        line = f"22 21 {self.number} / /srv rw - nfs4 h:/x rw\n"
        self.table.write_text(line)
        table = MountTable(str(self.table))
        with patch("time.monotonic") as now:
            now.return_value = 100.0
            self.assertEqual(table.find(os.fsencode(self.mail)).kind, "nfs4")
            self.table.write_text(line.replace("nfs4", "ext4"))
            self.assertEqual(table.find(os.fsencode(self.mail)).kind, "nfs4")
            now.return_value = 161.0
            self.assertEqual(table.find(os.fsencode(self.mail)).kind, "ext4")

    def test_network_and_fuse_are_not_local(self) -> None:
        # Hardening: D19.
        for kind in ("nfs", "nfs4", "cifs", "fuse", "fuse.glusterfs", "9p", "ceph"):
            self.assertFalse(Mount(kind, b"/").is_local, kind)
        self.assertFalse(UNKNOWN.is_local)
        for kind in LOCAL_KINDS:
            self.assertTrue(Mount(kind, b"/").is_local, kind)


class LimitTests(SynchronousTestCase):
    def test_what_the_kernel_says(self) -> None:
        with TemporaryDirectory() as folder:
            for name, text in (("known", "8192\n"), ("odd", "many\n")):
                (Path(folder) / name).write_text(text)
            with patch.object(filesystems, "_INOTIFY_LIMITS", folder + "/"):
                self.assertEqual(filesystems.inotify_limit("known"), 8192)
                self.assertIsNone(filesystems.inotify_limit("odd"))
                self.assertIsNone(filesystems.inotify_limit("missing"))
