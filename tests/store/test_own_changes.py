"""Changes of our own need no listing; those of others beside them are found."""

import os
import time
from pathlib import Path
from typing import Any
from unittest import mock

from imapd.errors import Unavailable
from imapd.ids import Uid
from imapd.model.flags import DELETED, FLAGGED, SEEN, StoreMode
from imapd.store import fsops, handles
from imapd.store.maildir import scan
from imapd.store.maildir.mailbox import MaildirMailbox
from tests.store.folders import FolderTestCase, append, settle, uids_of


class OwnChangeTests(FolderTestCase):
    def setUp(self) -> None:
        super().setUp()
        for number in range(3):
            self.deliver(f"{number}.x.host")
        self.box = self.open()
        self.box.sync(True)
        self.confirm(self.box)
        self.listed: list[bytes] = []

    def confirm(self, box: MaildirMailbox) -> None:
        """List once more what a listing has to confirm, and be sure of it."""
        time.sleep(scan.CONFIRM_SECONDS + 0.05)
        box.sync(True)

    def count(self) -> Any:
        """Note every listing of a directory."""
        real = fsops.entries

        def entries(directory: bytes) -> tuple[list[bytes], list[bytes]]:
            self.listed.append(os.path.basename(directory))
            return real(directory)

        return mock.patch.object(fsops, "entries", entries)

    def patient(self) -> Any:
        """Let no listing confirm anything meanwhile."""
        return mock.patch.object(scan, "CONFIRM_SECONDS", 60.0)

    def test_nothing_is_listed_after_what_we_did(self) -> None:
        other = self.open("other")
        other.sync(True)
        self.confirm(other)

        def expunge(box: MaildirMailbox) -> None:
            box.store_flags([Uid(2)], StoreMode.ADD, [DELETED])
            box.expunge([Uid(2)])

        actions = {
            "store": lambda: self.box.store_flags([Uid(1)], StoreMode.ADD, [SEEN]),
            "again": lambda: self.box.store_flags([Uid(1)], StoreMode.REMOVE, [SEEN]),
            "append": lambda: append(self.box, b"a: b\r\n\r\n"),
            "flagged": lambda: append(self.box, b"a: b\r\n\r\n", [FLAGGED]),
            "expunge": lambda: expunge(self.box),
            "copy": lambda: other.copy_from(self.box, [Uid(1)], False, False),
            "move": lambda: other.copy_from(self.box, [Uid(1)], True, True),
            "within": lambda: self.box.copy_from(self.box, [Uid(3)], True, False),
        }
        with self.patient(), self.count():
            for name, action in actions.items():
                action()
                self.assertFalse(self.box.changed(), name)
                self.assertFalse(other.changed(), name)
                self.assertFalse(self.box.sync(False), name)
                self.assertEqual(self.listed, [], name)

    def test_many_at_once_after_one_of_another_are_listed_once(self) -> None:
        """However fast they come: none waits until the one before is old."""
        cur = Path(os.fsdecode(self.box._core.cur.path))
        (name,) = (each.name for each in cur.iterdir() if each.name[0] == "1")
        os.rename(cur / name, cur / f"{name}F")
        with self.patient(), self.count():
            for number in range(20):
                mode = (StoreMode.ADD, StoreMode.REMOVE)[number % 2]
                self.box.store_flags([Uid(1)], mode, [SEEN])
                if self.box.changed():
                    self.box.sync(False)
        self.assertEqual(self.listed.count(b"cur"), 1)

    def test_new_mail_is_claimed_without_a_second_listing(self) -> None:
        self.deliver("9.x.host")
        settle()
        with self.patient(), self.count():
            self.assertEqual(uids_of(self.box.sync(True)), [4])
            self.assertEqual(self.listed, [b"new"])
            self.assertFalse(self.box.changed())
        names = os.listdir(self.folder() / "cur")
        self.assertIn("9.x.host:2,", names)

    def test_much_new_mail_is_claimed_in_directories_opened_once(self) -> None:
        opened: list[int] = []
        real = handles.open_strictly

        def opening(path: bytes, flags: int, mode: int = 0) -> int:
            opened[-1] += 1
            return real(path, flags, mode)

        for count in (1, 50):
            for number in range(count):
                self.deliver(f"9{count}{number}.x.host")
            settle()
            opened.append(0)
            with (
                mock.patch.object(fsops, "open_strictly", opening),
                mock.patch.object(handles, "open_strictly", opening),
            ):
                self.assertEqual(len(self.box.sync(True).added), count)
        # One listing more may be due, to confirm what was done before.
        self.assertLess(opened[1], opened[0] + 5)
        self.assertEqual(os.listdir(self.folder() / "new"), [])

    def test_mail_whose_directory_goes_is_not_claimed(self) -> None:
        """The mailbox is being removed, and the next look tells that."""
        self.deliver("9.x.host")
        settle()
        real, new = fsops.open_directory, self.box._core.new.path

        def gone(path: bytes, parent: int | None = None) -> int:
            if path == new:
                raise FileNotFoundError(2, "", path)
            return real(path, parent)

        with mock.patch.object(fsops, "open_directory", gone):
            self.assertEqual(uids_of(self.box.sync(True)), [4])
        self.assertTrue(self.box.changed())
        self.box.sync(True)
        self.assertEqual(os.listdir(self.folder() / "new"), [])

    def test_changes_of_others_are_seen_beside_ours(self) -> None:
        # Hardening: D08.
        for number in range(20):
            self.box.store_flags([Uid(1)], StoreMode.ADD, [SEEN])
            self.deliver(f"2{number}.x.host", part="cur")
            self.box.store_flags([Uid(1)], StoreMode.REMOVE, [SEEN])
        deadline = time.monotonic() + 20
        added: list[int] = []
        while len(added) < 20 and time.monotonic() < deadline:
            if self.box.changed():
                added += uids_of(self.box.sync(False))
        self.assertEqual(added, list(range(4, 24)))

    def test_what_hid_in_the_same_tick_is_found_by_confirmation(self) -> None:
        # Hardening: D08.
        cur = self.folder() / "cur"
        self.box.store_flags([Uid(1)], StoreMode.ADD, [SEEN])
        mtime = os.stat(cur).st_mtime_ns
        self.deliver("9.x.host", part="cur")
        os.utime(cur, ns=(mtime, mtime))  # as if the clock had not ticked
        self.assertFalse(self.box.changed())
        time.sleep(scan.CONFIRM_SECONDS + 0.05)
        self.assertTrue(self.box.changed())
        self.assertEqual(uids_of(self.box.sync(False)), [4])
        settle()
        self.box.sync(False)
        self.assertFalse(self.box.changed())

    def test_work_without_a_pause_is_listed_only_to_confirm(self) -> None:
        with (
            mock.patch.object(scan, "CONFIRM_SECONDS", 0.2),
            mock.patch.object(scan, "CONFIRM_TIMES", 0),
            self.count(),
        ):
            began = time.monotonic()
            count = 0
            # A slow disk takes longer for as many changes.
            while time.monotonic() - began < 0.7 or count < 24:
                mode = StoreMode.REMOVE if count % 2 else StoreMode.ADD
                self.box.store_flags([Uid(1)], mode, [FLAGGED])
                if count % 3 == 0 and self.box.changed():
                    self.box.sync(False)
                count += 1
            took = time.monotonic() - began
        self.assertLess(len(self.listed), 12 * max(1, took / 0.7))

    def test_what_failed_half_way_is_listed(self) -> None:
        def fail(old: bytes, new: bytes, cur: int) -> None:
            os.rename(old, new, src_dir_fd=cur, dst_dir_fd=cur)
            raise OSError(5, "Input/output error")

        with mock.patch.object(fsops, "rename_new", fail):
            self.assertRaises(
                Unavailable, self.box.store_flags, [Uid(1)], StoreMode.ADD, [SEEN]
            )
        self.assertTrue(self.box.changed())
        self.box = self.open()
        self.assertEqual(len(self.box.sync(False).added), 3)

    def test_a_file_moved_by_another_program_under_our_hands(self) -> None:
        cur = Path(self.folder() / "cur")
        path = next(path for path in cur.iterdir() if path.name.startswith("0."))
        path.rename(path.with_name("0.x.host:2,F"))
        changes = self.box.store_flags([Uid(1)], StoreMode.ADD, [SEEN])
        self.assertEqual(changes.flags, {1: {SEEN, FLAGGED}})
        settle()
        self.box.sync(False)
        self.assertFalse(self.box.changed())

    def test_a_source_that_cannot_be_read_is_no_fault_of_the_target(self) -> None:
        other = self.open("other")
        other.sync(True)
        bad = self.box._core.index.name(Uid(1)) or b""
        real = fsops.open_read

        def open_read(path: bytes) -> int:
            if os.path.basename(path).startswith(bad.split(b":")[0]):
                raise PermissionError(13, "denied", path)
            return real(path)

        with (
            mock.patch.object(fsops, "open_read", open_read),
            self.assertRaises(Unavailable),
        ):
            other.copy_from(self.box, [Uid(1)], False, False)
        self.assertFalse(other.read_only)
        other.copy_from(self.box, [Uid(2)], False, False)
        self.assertEqual(len(uids_of(self.open("other").sync(False))), 1)
