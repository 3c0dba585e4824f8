"""The first UID list of a folder: made and filled at one go."""

import errno
from unittest import mock

from imapd.errors import ImapError
from imapd.ids import Uid
from imapd.store import fsops
from tests.store.folders import FolderTestCase, uids_of


class FirstListTests(FolderTestCase):
    """The UID list of a folder that has none is made when its messages are numbered."""

    def setUp(self) -> None:
        super().setUp()
        for number in (2, 1):
            self.deliver(f"{number}.x.host:2,", b"\n", part="cur")
        self.box = self.open()
        self.list_file = self.folder() / "dovecot-uidlist"

    def lines(self) -> list[str]:
        _, *records = self.list_file.read_text().splitlines()
        return records

    def test_one_lock_and_one_write(self) -> None:
        core = self.box._core
        with (
            mock.patch.object(core, "lock", wraps=core.lock) as locks,
            mock.patch.object(fsops, "fsync", wraps=fsops.fsync) as synced,
            mock.patch.object(fsops, "fdatasync", wraps=fsops.fdatasync) as appended,
        ):
            changes = self.box.sync(True)
        self.assertEqual(uids_of(changes), [1, 2])
        self.assertEqual(locks.call_count, 1)
        self.assertEqual((synced.call_count, appended.call_count), (1, 0))
        self.assertEqual(self.lines(), ["1 :1.x.host", "2 :2.x.host"])
        again = self.open()
        self.assertEqual(uids_of(again.sync(True)), [1, 2])
        self.assertEqual(again.uid_validity, self.box.uid_validity)

    def test_without_messages_there_is_one_too(self) -> None:
        for path in self.folder().glob("cur/*"):
            path.unlink()
        self.box.sync(True)
        text = self.list_file.read_text()
        self.assertTrue(text.startswith(f"3 V{self.validity} N1 G"), text)

    def test_another_server_that_was_faster_has_its_way(self) -> None:
        """Its numbers hold, of files too that our listing had not seen."""
        real, left = fsops.entries, [True]

        def entries(directory: bytes) -> tuple[list[bytes], list[bytes]]:
            found = real(directory)
            if directory.endswith(b"/cur") and left:
                left.clear()
                self.deliver("0.x.host:2,", b"\n", part="cur")
                self.list_file.write_text(
                    f"3 V7 N12 G{'0' * 32}\n9 :2.x.host\n11 :0.x.host\n"
                )
            return found

        with mock.patch.object(fsops, "entries", entries):
            changes = self.box.sync(True)
        self.assertEqual(self.box.uid_validity, 7)
        self.assertEqual(uids_of(changes), [9, 11, 12])
        self.assertEqual(self.box._core.index.name(Uid(12)), b"1.x.host:2,")
        self.assertFalse(changes.renumbered)

    def test_a_disk_that_is_full_shows_nothing_under_no_numbers(self) -> None:
        failing = mock.patch.object(
            fsops, "replace_file", side_effect=OSError(errno.ENOSPC, "")
        )
        with failing, self.assertRaises(ImapError):
            self.box.sync(True)
        # The names that it could not sync may be on the disk all the same.
        self.assertEqual(uids_of(self.box.sync(True)), [3, 4])
        self.assertEqual(self.lines(), ["3 :1.x.host", "4 :2.x.host"])

    def test_where_no_lock_can_be_made_the_numbers_are_ours(self) -> None:
        failing = mock.patch.object(
            self.box._core, "lock", side_effect=OSError(errno.EACCES, "")
        )
        with failing:
            self.assertEqual(uids_of(self.box.sync(True)), [1, 2])
        self.assertTrue(self.box.read_only)
        self.assertGreater(self.box.uid_validity, 0)
        self.assertFalse(self.list_file.exists())
