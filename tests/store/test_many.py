"""Many messages changed at once, while another program is at work in the folder."""

import os
from collections.abc import Callable

from imapd.ids import Uid
from imapd.model.flags import DELETED, SEEN, StoreMode
from imapd.model.mailbox import Changes
from imapd.store import fsops
from tests.store.folders import FolderTestCase
from tests.support.leftovers import left_in

COUNT = 30
RENAMED, REMOVED, IN_NEW = 7, 11, 30


class ManyTests(FolderTestCase):
    def setUp(self) -> None:
        super().setUp()
        for number in range(1, COUNT):
            self.deliver(f"{number:02}.x.host:2,", part="cur")
        self.deliver("99.x.host")
        self.box = self.open()
        self.box.sync(False)
        self.uids = [Uid(number) for number in range(1, COUNT + 1)]

    def disturb(self) -> None:
        """Rename one file and remove another."""
        cur = self.folder() / "cur"
        for path in cur.iterdir():
            if path.name.startswith(f"{RENAMED:02}."):
                os.rename(path, cur / f"{RENAMED:02}.x.host:2,FT")
            elif path.name.startswith(f"{REMOVED:02}."):
                path.unlink()

    def changed(self, change: Callable[[], Changes]) -> Changes:
        self.disturb()
        return change()

    def test_flags(self) -> None:
        changes = self.changed(
            lambda: self.box.store_flags(self.uids, StoreMode.ADD, [SEEN])
        )
        self.assertEqual(changes.expunged, [REMOVED])
        wanted = set(self.uids) - {REMOVED}
        self.assertEqual(set(changes.flags), wanted)
        self.assertTrue(all(SEEN in flags for flags in changes.flags.values()))
        self.assertIn(b"\\Flagged", changes.flags[Uid(RENAMED)])
        names = os.listdir(self.folder() / "cur")
        self.assertEqual(len(names), COUNT - 1)
        self.assertTrue(all("S" in name.rpartition(":2,")[2] for name in names))
        self.assertEqual(os.listdir(self.folder() / "new"), [])
        self.assertEqual(self.open().sync(False).added[-1].uid, IN_NEW)

    def test_a_name_that_is_taken_is_never_replaced(self) -> None:
        cur = self.folder() / "cur"
        (cur / "03.x.host:2,S").write_bytes(b"Subject: another\n\n")
        before = (cur / "03.x.host:2,").read_bytes()
        self.box.store_flags(self.uids, StoreMode.ADD, [SEEN])
        kept = [path.read_bytes() for path in cur.iterdir()]
        self.assertIn(b"Subject: another\n\n", kept)
        self.assertIn(before, kept)
        self.assertEqual(len(kept), COUNT + 1)

    def test_expunge(self) -> None:
        self.box.store_flags(self.uids[1:], StoreMode.ADD, [DELETED])
        changes = self.changed(lambda: self.box.expunge(self.uids))
        self.assertEqual(changes.expunged, self.uids[1:])
        self.assertEqual(os.listdir(self.folder() / "cur"), ["01.x.host:2,"])
        self.assertEqual([one.uid for one in self.open().sync(False).added], [1])

    def test_move(self) -> None:
        self.box.store_flags([Uid(2)], StoreMode.ADD, [b"$Word"])
        other = self.open("other")
        other.sync(False)
        self.disturb()
        copied = other.copy_from(self.box, self.uids, True, False)
        moved = [uid for uid in self.uids if uid != REMOVED]
        self.assertEqual([source for source, _ in copied.pairs], moved)
        self.assertEqual([target for _, target in copied.pairs], self.uids[:-1])
        # What vanished is found by the next look.
        self.assertEqual(set(moved) - set(copied.source.expunged), set())
        flags = {each.uid: each.flags for each in copied.target.added}
        self.assertEqual(flags[Uid(2)], {b"$Word"})
        self.assertEqual(flags[Uid(RENAMED)], {b"\\Flagged", DELETED})
        for part in ("cur", "new"):
            self.assertEqual(os.listdir(self.folder() / part), [])
        fresh = self.open("other").sync(False).added
        self.assertEqual({each.uid: each.flags for each in fresh}, flags)
        self.assertEqual(left_in(self.folder("other") / "tmp"), [])


class CallTests(FolderTestCase):
    def test_within_an_open_directory(self) -> None:
        folder = self.folder()
        (folder / "a").write_bytes(b"a")
        (folder / "b").write_bytes(b"b")
        path = os.fsencode(folder)
        with fsops.opened_directory(path) as directory:
            with self.assertRaises(FileExistsError):
                fsops.rename_new(b"a", b"b", directory)
            with self.assertRaises(FileNotFoundError):
                fsops.rename_new(b"x", b"y", directory)
            fsops.rename_new(b"a", b"c", directory)
            self.assertEqual(fsops.look(b"c", directory), fsops.look(path + b"/c"))
            with self.assertRaises(FileNotFoundError):
                fsops.look(b"a", directory)
        self.assertEqual((folder / "c").read_bytes(), b"a")
        with self.assertRaises(OSError):
            os.fstat(directory)

    def test_a_look_says_what_stat_does(self) -> None:
        path = os.fsencode(self.folder() / "x")
        (self.folder() / "x").write_bytes(b"x")
        fsops.set_times(path, 1_600_000_000_500_000_000)
        look, status = fsops.look(path), fsops.status(path)
        self.assertEqual(look.mode, status.st_mode)
        self.assertEqual(look.written_seconds, status.st_mtime)
        self.assertAlmostEqual(look.changed_seconds, status.st_ctime, 5)
        if look.born_seconds is not None:
            self.assertAlmostEqual(look.born_seconds, status.st_ctime, 0)
