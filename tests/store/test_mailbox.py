"""One folder: what sync, STORE, EXPUNGE, APPEND, COPY and MOVE leave on disk."""

import os
import time
from typing import ClassVar
from unittest import mock

from imapd.errors import (
    Cannot,
    ImapError,
    InUse,
    LimitReached,
    MessageGone,
    OverQuota,
    ReadOnly,
    Unavailable,
)
from imapd.ids import Uid
from imapd.limits import Limits
from imapd.model import columns
from imapd.model.flags import ANSWERED, DELETED, FLAGGED, SEEN, StoreMode
from imapd.store import dotlock, fsops, locks
from imapd.store.maildir import accountlock, deliver, linking
from imapd.store.maildir.takeover import TakenOver
from tests.store.folders import LONG_AGO, FolderTestCase, append, settle, uids_of
from tests.support.leftovers import left_in


class SyncTests(FolderTestCase):
    def test_order_of_new_messages(self) -> None:
        for name in (
            "1600000001.P1.h",
            "1600000000.M20P1.h",
            "1600000000.M3P1.h",
            "x.h",
        ):
            self.deliver(name)
        box = self.open()
        box.sync(True)
        table = (self.folder() / "dovecot-uidlist").read_text().splitlines()[1:]
        self.assertEqual(
            [line.split(":")[1] for line in table],
            ["x.h", "1600000000.M3P1.h", "1600000000.M20P1.h", "1600000001.P1.h"],
        )

    def test_recent_moves_on_only_when_claimed(self) -> None:
        path = self.deliver("1600000000.M1P1.h")
        box = self.open()
        self.assertTrue(box.sync(False).added[0].recent)
        self.assertTrue(path.exists())
        self.assertFalse(box.sync(True).added)
        self.assertEqual(os.listdir(self.folder() / "cur"), ["1600000000.M1P1.h:2,"])
        self.assertFalse(self.open().sync(True).added[0].recent)

    def test_foreign_changes(self) -> None:
        cur = self.folder() / "cur"
        for number in range(3):
            self.deliver(f"160000000{number}.M1P1.h:2,", part="cur")
        box = self.open()
        box.sync(True)
        settle()
        box.sync(True)
        self.assertFalse(box.changed())
        os.rename(cur / "1600000000.M1P1.h:2,", cur / "1600000000.M1P1.h:2,FS")
        os.unlink(cur / "1600000001.M1P1.h:2,")
        self.deliver("1600000009.M1P1.h")
        self.assertTrue(box.changed())
        changes = box.sync(True)
        self.assertEqual(changes.flags, {1: {FLAGGED, SEEN}})
        self.assertEqual(changes.expunged, [2])
        self.assertEqual(uids_of(changes), [4])

    def test_an_expunged_message_that_comes_back_is_a_new_one(self) -> None:
        path = self.deliver("1600000000.M1P1.h:2,", part="cur")
        self.deliver("1600000001.M1P1.h:2,", part="cur")
        box = self.open()
        box.sync(True)
        aside = self.root / "aside"
        os.rename(path, aside)
        self.assertEqual(box.sync(True).expunged, [1])
        os.rename(aside, path)
        self.assertEqual(uids_of(box.sync(True)), [3])
        self.assertEqual(uids_of(self.open().sync(True)), [2, 3])

    def test_duplicates_get_names_of_their_own(self) -> None:
        # Hardening: D12.
        cases = {
            "new and cur": ("new", "a.M1P1.h", "cur", "a.M1P1.h:2,S"),
            "twice in cur": ("cur", "a.M1P1.h:2,", "cur", "a.M1P1.h:2,F"),
        }
        for name, (part, first, other_part, second) in cases.items():
            box = self.open(name)
            self.deliver(first, b"one\n\n", box=name, part=part)
            self.deliver(second, b"two\n\n", box=name, part=other_part)
            box.sync(False)
            box.sync(False)
            settle()
            box.sync(False)
            contents = {
                box.read(uid) for uid in map(Uid, uids_of(self.open(name).sync(False)))
            }
            self.assertEqual(contents, {b"one\n\n", b"two\n\n"}, name)

    def test_what_is_no_message_is_no_message(self) -> None:
        # Hardening: F10.
        cur = self.folder() / "cur"
        os.mkfifo(cur / "1600000000.M1P1.h:2,")
        (cur / "1600000001.M1P1.h:2,").mkdir()
        (cur / "1600000002.M1P1.h:2,").symlink_to("/etc/passwd")
        (cur / ".hidden").write_bytes(b"x")
        (cur / "line\nend:2,").write_bytes(b"x")
        (cur / ":2,S").write_bytes(b"x")
        self.deliver("1600000003.M1P1.h")
        box = self.open()
        self.assertEqual(uids_of(box.sync(True)), [1])
        self.assertEqual(list(box.meta([Uid(1), Uid(2)])), [1])

    def test_a_message_that_became_something_else(self) -> None:
        for kind in ("fifo", "directory", "link"):
            name = f"{kind}.M1P1.h:2,"
            path = self.deliver(name, box=kind, part="cur")
            box = self.open(kind)
            box.sync(True)
            path.unlink()
            if kind == "fifo":
                os.mkfifo(path)
            elif kind == "directory":
                path.mkdir()
            else:
                path.symlink_to("/etc/passwd")
            with self.assertRaises(Unavailable, msg=kind):
                box.read(Uid(1))
            self.assertEqual(box.meta([Uid(1)]), {}, kind)

    def test_links_in_place_of_directories(self) -> None:
        # Hardening: F03.
        folder = self.folder()
        other = self.folder("other")
        for part in ("cur", "new"):
            (folder / part).rmdir()
            (folder / part).symlink_to(other / part)
            with self.assertRaises(ImapError):
                self.open().sync(True)
            (folder / part).unlink()
            (folder / part).mkdir()

    def test_read_only(self) -> None:
        # Hardening: D06.
        self.deliver("1600000000.M1P1.h:2,", part="cur")
        self.open().sync(True)
        self.deliver("1600000001.M1P1.h")
        box = self.open(read_only=True)
        self.assertEqual(uids_of(box.sync(True)), [1, 2])
        self.assertEqual(len(os.listdir(self.folder() / "new")), 1)
        for action in (
            lambda: box.expunge([Uid(1)]),
            lambda: box.store_flags([Uid(1)], StoreMode.ADD, [SEEN]),
            box.begin_delivery,
        ):
            with self.assertRaises(ReadOnly):
                action()
        self.deliver("1600000000.M1P1.h", box="bare")
        bare = [self.open("bare", read_only=True) for _ in range(2)]
        for one in bare:
            self.assertEqual(uids_of(one.sync(True)), [1])
        self.assertEqual(bare[0].uid_validity, bare[1].uid_validity)
        self.assertFalse((self.folder("bare") / "dovecot-uidlist").exists())

    def test_an_archive_of_nothing_but_cur(self) -> None:
        """Backups leave empty directories out; what we may not write stays so."""
        for missing in (("new",), ("tmp",), ("new", "tmp")):
            box = "-".join(missing)
            self.deliver("1600000000.M1P1.h:2,S", box=box, part="cur")
            mailbox = self.open(box, read_only=True)
            for part in missing:
                (self.folder(box) / part).rmdir()
            for _ in range(2):
                settle()
                self.assertLessEqual(len(mailbox.sync(True).added), 1, box)
            self.assertFalse(mailbox.changed(), box)
            self.assertEqual(mailbox.read(Uid(1)), b"Subject: x\n\nbody\n", box)
            self.assertEqual(list(mailbox.meta([Uid(1)])), [1], box)
            self.assertTrue(mailbox.read_only)
            with self.assertRaises(MessageGone):
                mailbox.read(Uid(2))
            os.unlink(self.root / box / "cur" / "1600000000.M1P1.h:2,S")
            with self.assertRaises(MessageGone, msg=box):
                mailbox.read(Uid(1))
            self.assertEqual(mailbox.sync(True).expunged, [1], box)

    def test_taking_over(self) -> None:
        for number in range(3):
            self.deliver(f"160000000{number}.M1P1.h:2,S", part="cur")
        self.taken = TakenOver(
            77,
            40,
            [(Uid(12), b"1600000002.M1P1.h"), (Uid(30), b"1600000001.M1P1.h")],
            [b"Red"],
            {b"1600000001.M1P1.h": frozenset({b"Red", b"Blue"})},
        )
        box = self.open()
        changes = box.sync(True)
        self.assertEqual(uids_of(changes), [12, 30, 40])
        self.assertEqual((box.uid_validity, box.uid_next), (77, 41))
        self.assertEqual(changes.added[1].flags, {SEEN, b"Red", b"Blue"})

    def test_old_litter_goes(self) -> None:
        # Hardening: D17.
        tmp = self.folder() / "tmp"
        for name in ("litter", "dated"):
            (tmp / name).write_bytes(b"")
            os.utime(tmp / name, (LONG_AGO, LONG_AGO))
        (tmp / "directory").mkdir()
        # Being written just now, with an INTERNALDATE of long ago: not litter.
        self.open().sync(True)
        self.assertEqual(left_in(tmp), ["dated", "directory", "litter"], "too early")
        now = time.time() + 36 * 3600 + 60
        with mock.patch.object(deliver, "time", mock.Mock(time=lambda: now)):
            os.utime(tmp / "dated", (now, now))
            self.open().sync(True)
        self.assertEqual(left_in(tmp), ["dated", "directory"])


class ChangeTests(FolderTestCase):
    def setUp(self) -> None:
        super().setUp()
        for number in range(3):
            self.deliver(f"160000000{number}.M1P1.h,S=9:2,PX,extra", part="cur")
        self.box = self.open()
        self.box.sync(True)

    def names(self) -> list[str]:
        return sorted(os.listdir(self.folder() / "cur"))

    def test_unknown_letters_and_extras_stay(self) -> None:
        cases = [
            (StoreMode.ADD, [SEEN, ANSWERED, b"Red"], "PRSXa"),
            (StoreMode.REMOVE, [b"\\SEEN", b"red"], "PRX"),
            (StoreMode.REPLACE, [DELETED, b"RED", b"\\Recent"], "PTXa"),
            (StoreMode.REPLACE, [], "PX"),
        ]
        for mode, flags, letters in cases:
            self.box.store_flags([Uid(1)], mode, flags)
            self.assertEqual(
                self.names()[0], f"1600000000.M1P1.h,S=9:2,{letters},extra", flags
            )

    def test_flags_start_from_the_disk(self) -> None:
        cur = self.folder() / "cur"
        old, new = (cur / f"1600000000.M1P1.h,S=9:2,{f},extra" for f in ("PX", "FPX"))
        os.rename(old, new)
        changes = self.box.store_flags([Uid(1)], StoreMode.ADD, [SEEN])
        self.assertEqual(changes.flags, {1: {SEEN, FLAGGED}})
        os.unlink(cur / "1600000000.M1P1.h,S=9:2,FPSX,extra")
        changes = self.box.store_flags([Uid(1), Uid(9)], StoreMode.ADD, [DELETED])
        self.assertEqual(changes.expunged, [1, 9])
        with self.assertRaises(MessageGone):
            self.box.read(Uid(1))

    def test_nothing_is_gone_that_was_never_looked_for(self) -> None:
        for name, change in {
            "store": lambda box: box.store_flags([Uid(1)], StoreMode.ADD, [SEEN]),
            "expunge": lambda box: box.expunge([Uid(1)]),
            "copy": lambda box: (
                self.open("x").copy_from(box, [Uid(1)], False, False).source
            ),
        }.items():
            changes = change(self.open())
            self.assertEqual(
                (uids_of(changes), changes.expunged), ([1, 2, 3], []), name
            )

    def test_expunge_looks_at_the_disk(self) -> None:
        self.box.store_flags([Uid(1), Uid(2)], StoreMode.ADD, [DELETED])
        cur = self.folder() / "cur"
        os.rename(
            cur / "1600000000.M1P1.h,S=9:2,PTX,extra",
            cur / "1600000000.M1P1.h,S=9:2,PX,extra",
        )
        changes = self.box.expunge([Uid(1), Uid(2), Uid(3)])
        self.assertEqual(changes.expunged, [2])
        self.assertEqual(len(self.names()), 2)

    def test_more_keywords_than_letters(self) -> None:
        words = [b"word%02d" % number for number in range(40)]
        changes = self.box.store_flags([Uid(2)], StoreMode.ADD, words)
        self.assertEqual(changes.flags[Uid(2)], frozenset(words))
        fresh = self.open()
        state = next(one for one in fresh.sync(True).added if one.uid == 2)
        self.assertEqual(state.flags, frozenset(words))
        other = self.open("other")
        other.sync(True)
        copied = other.copy_from(fresh, [Uid(2)], True, False)
        self.assertEqual(copied.target.added[0].flags, frozenset(words))
        kept = [
            every for name, every in self.overflow.kept.items() if fresh.guid in name
        ]
        self.assertEqual(kept, [{}])
        self.box = self.open("third", limits=Limits(keyword_count=30))
        self.box.sync(True)
        uid = append(self.box, b"x: y\r\n\r\n")
        for bad, error in (
            (words, LimitReached),
            ([b"x" * 65], LimitReached),
            ([b"a b"], Cannot),
        ):
            with self.assertRaises(error):
                self.box.store_flags([uid], StoreMode.ADD, bad)

    def test_a_letter_without_a_name(self) -> None:
        self.deliver("1700000000.M1P1.h:2,c", part="cur")
        changes = self.box.sync(True)
        self.assertEqual(changes.added[0].flags, {b"unknown-2"})
        self.box.store_flags([Uid(1)], StoreMode.ADD, [b"A", b"B", b"C"])
        self.assertTrue(self.names()[0].endswith(":2,PXabd,extra"))
        self.box.store_flags([Uid(4)], StoreMode.REMOVE, [b"unknown-2"])
        self.assertTrue(self.names()[3].endswith(":2,"))


class DeliveryTests(FolderTestCase):
    CASES: ClassVar = {
        "plain": (b"a: b\r\n\r\nhi\r\n", b"a: b\n\nhi\n", 12),
        "no last line end": (b"a: b\r\n\r\nhi", b"a: b\n\nhi", 10),
        "bare LF late": (b"a: b\r\n\r\nhi\nyou\r\n", b"a: b\r\n\r\nhi\nyou\r\n", 17),
        "bare CR": (b"a: b\r\n\r\nh\ri\r\n", b"a: b\r\n\r\nh\ri\r\n", 13),
        "last CR": (b"a: b\r\n\r\nhi\r", b"a: b\r\n\r\nhi\r", 11),
        "CR CR LF": (b"a\r\r\nb\r\n", b"a\r\r\nb\r\n", 7),
        "all LF": (b"a: b\n\nhi\n", b"a: b\n\nhi\n", 12),
        "NUL": (b"a\0b\r\n", b"a\0b\n", 5),
        "empty": (b"", b"", 0),
    }

    def test_line_ends_and_sizes_at_any_cut(self) -> None:
        box = self.open()
        box.sync(True)
        for name, (sent, stored, size) in self.CASES.items():
            for cut in range(len(sent) + 1):
                delivery = box.begin_delivery()
                delivery.begin([], LONG_AGO)
                delivery.write(sent[:cut])
                delivery.write(sent[cut:])
                delivery.end()
                uid = box.commit(delivery, False).uids[0]
                case = f"{name}, cut at {cut}"
                self.assertEqual(box.read(uid), stored, case)
                meta = box.meta([uid])[uid]
                self.assertEqual(meta.rfc822_size, size, case)
                self.assertEqual(meta.internal_date_seconds, LONG_AGO, case)
                if cut == 0:
                    names = os.listdir(self.folder() / "new")
                    sizes = f",S={len(stored)},W={size}"
                    self.assertTrue([one for one in names if one.endswith(sizes)], case)

    def test_abort_and_modes(self) -> None:
        # Hardening: F05.
        box = self.open()
        box.sync(True)
        delivery = box.begin_delivery()
        delivery.begin([], None)
        delivery.write(b"x")
        delivery.abort()
        delivery.abort()
        self.assertEqual(left_in(self.folder() / "tmp"), [])
        append(box, b"x: y\r\n", [SEEN])
        for path in self.folder().rglob("*"):
            if path.is_file():
                self.assertEqual(path.stat().st_mode & 0o077, 0, path)

    def test_copy_keeps_what_belongs_to_a_message(self) -> None:
        box, other = self.open(), self.open("other")
        box.sync(True)
        other.sync(True)
        append(other, b"first\r\n", [b"Zebra"])
        uid = append(box, b"a: b\r\n\r\n", [SEEN, b"Red"], 1_234_567_890)
        copied = other.copy_from(box, [uid, Uid(99)], False, False)
        self.assertEqual(copied.pairs, [(uid, 2)])
        self.assertEqual(copied.target.added[0].flags, {SEEN, b"Red"})
        meta = other.meta([Uid(2)])[Uid(2)]
        self.assertEqual(
            (meta.internal_date_seconds, meta.rfc822_size), (1_234_567_890, 8)
        )
        moved = box.copy_from(box, [uid], True, False)
        self.assertEqual(moved.pairs, [(uid, uid + 1)])
        self.assertEqual(moved.source.expunged, [uid])
        self.assertEqual(box.read(Uid(uid + 1)), b"a: b\n\n")

    def test_what_we_publish_is_recent_though_it_has_flags(self) -> None:
        box, other = self.open(), self.open("other")
        box.sync(True)
        other.sync(True)
        delivery = box.begin_delivery()
        delivery.begin([SEEN], LONG_AGO)
        delivery.end()
        added = box.commit(delivery, False).target.added
        self.assertEqual([one.recent for one in added], [True])
        self.assertEqual(len(os.listdir(self.folder() / "cur")), 1)
        copied = other.copy_from(box, [added[0].uid], False, False)
        self.assertEqual([one.recent for one in copied.target.added], [True])
        # Also where another program was faster and the folder is listed again.
        self.deliver("1600000000.M1P1.h:2,S", part="cur", box="other")
        self.open("other").sync(False)
        copied = other.copy_from(box, [added[0].uid], False, False)
        self.assertEqual([one.recent for one in copied.target.added], [False, True])
        # Told once, it is recent no more.
        self.assertFalse(any(one.recent for one in self.open().sync(True).added))

    def test_a_message_is_there_though_its_keywords_cannot_be_kept(self) -> None:
        """A NO would make the client send it again."""
        box = self.open()
        box.sync(True)
        words = [b"word%d" % number for number in range(30)]
        for error in (OverQuota("full"), OSError(28, "full")):
            with mock.patch.object(self.overflow, "set", side_effect=error):
                uid = append(box, b"x: y\r\n", [SEEN, *words])
            settle()
            flags = {one.uid: one.flags for one in self.open().sync(False).added}[uid]
            self.assertEqual(len(flags), 27)

    def test_what_others_wrote_just_now_is_synced_before_it_is_copied(self) -> None:
        """They may have left it to the kernel; we say that it is safe."""
        self.deliver("1600000000.M1P1.h")
        box, other = self.open(), self.open("other")
        box.sync(True)
        other.sync(True)
        for later_seconds, count in ((0, 2), (3600, 1), (-3600, 2)):
            # One is the UID list.
            now = time.time() + later_seconds
            with (
                mock.patch.object(linking, "time", mock.Mock(time=lambda: now)),  # noqa: B023
                mock.patch.object(fsops, "fdatasync", wraps=fsops.fdatasync) as synced,
            ):
                other.copy_from(box, [Uid(1)], False, False)
            self.assertEqual(synced.call_count, count, later_seconds)

    def test_the_cache_spares_the_files(self) -> None:
        box = self.open()
        box.sync(True)
        uid = append(box, b"x: y\r\n")
        meta = columns.encode_meta(5, 99)
        box.save_column(columns.META, {uid: meta, Uid(77): meta})
        self.assertEqual(box.load_column(columns.META, [uid, Uid(77)]), [meta, None])
        self.assertEqual(box.meta([uid])[uid].rfc822_size, 99)
        box.store_flags([uid], StoreMode.ADD, [DELETED])
        box.expunge([uid])
        self.assertEqual(box.load_column(columns.META, [uid]), [meta])  # for now
        box.close()
        self.assertEqual(self.cache.kept, {columns.META: {}})


class LockTests(FolderTestCase):
    # Hardening: D18.

    def lock(self) -> locks.MailboxLock:
        return locks.MailboxLock(os.fsencode(self.folder()), 0.1)

    def plant(self, name: str, content: str, age_seconds: float = 0) -> None:
        path = self.folder() / name
        path.write_text(content)
        then = time.time() - age_seconds
        os.utime(path, (then, then))

    def test_held_and_released(self) -> None:
        with self.lock() as lock:
            lock.check()
            for name in ("dovecot-uidlist.lock", "tmp/courier.lock"):
                host = os.uname().nodename
                self.assertEqual(
                    (self.folder() / name).read_text(), f"{os.getpid()}:{host}"
                )
            with self.assertRaises(InUse), self.lock():
                pass
        self.assertEqual(os.listdir(self.folder() / "tmp"), [])

    def test_long_work_keeps_the_lock_young(self) -> None:
        """Others break one that nobody touches; not more often than it must be."""
        folder = self.folder()
        names = [folder / "dovecot-uidlist.lock", folder / "tmp" / "courier.lock"]

        def ages() -> list[bool]:
            return [time.time() - path.stat().st_mtime > 100 for path in names]

        with self.lock() as lock:
            for path in names:
                os.utime(path, (LONG_AGO, LONG_AGO))
            lock.touch()
            self.assertEqual(ages(), [True, True], "touched again at once")
            now = time.monotonic() + locks.TOUCH_SECONDS
            with mock.patch.object(time, "monotonic", lambda: now):
                with mock.patch.object(fsops, "set_times", side_effect=OSError(1)):
                    lock.touch()
                lock.check()
            now += locks.TOUCH_SECONDS
            with mock.patch.object(time, "monotonic", lambda: now):
                lock.touch()
            self.assertEqual(ages(), [False, False])
            names[0].unlink()
            names[0].write_text("1:elsewhere")
            now += locks.TOUCH_SECONDS
            with (
                mock.patch.object(time, "monotonic", lambda: now),
                self.assertRaises(Unavailable),
            ):
                lock.touch()
        self.assertEqual(names[0].read_text(), "1:elsewhere")

    def test_a_kept_draft_makes_locks_like_new(self) -> None:
        folder, tmp = os.fsencode(self.folder()), self.folder() / "tmp"
        kept = dotlock.KeptDraft(folder + b"/tmp")
        lock = self.folder() / "dovecot-uidlist.lock"
        content = f"{os.getpid()}:{os.uname().nodename}"
        seen = set()
        for _ in range(3):
            for name in os.listdir(tmp):
                os.utime(tmp / name, (LONG_AGO, LONG_AGO))
            with locks.MailboxLock(folder, 0.1, kept) as held:
                held.check()
                self.assertEqual(lock.read_text(), content)
                self.assertLess(abs(lock.stat().st_mtime - time.time()), 5)
                seen.add(lock.stat().st_ino)
                with self.assertRaises(InUse), self.lock():
                    pass
            self.assertFalse(lock.exists())
            self.assertEqual(len(os.listdir(tmp)), 1)
        self.assertEqual(len(seen), 1)
        kept.remove()
        self.assertEqual(os.listdir(tmp), [])

    def test_a_draft_that_cannot_be_kept_is_made_anew(self) -> None:
        folder, tmp = os.fsencode(self.folder()), self.folder() / "tmp"
        lock = self.folder() / "dovecot-uidlist.lock"

        def taken(kept: dotlock.KeptDraft) -> str:
            with locks.MailboxLock(folder, 0.1, kept) as held:
                held.check()
                return lock.read_text()

        kept = dotlock.KeptDraft(folder + b"/tmp")
        ours = taken(kept)
        for name in os.listdir(tmp):  # as litter
            (tmp / name).unlink()
        self.assertEqual(taken(kept), ours)
        with mock.patch.object(os, "getpid", return_value=1):  # a forked child
            self.assertEqual(taken(kept), f"1:{os.uname().nodename}")
        kept = dotlock.KeptDraft(folder + b"/tmp")
        full = mock.patch.object(fsops, "write", side_effect=OSError(28, "full"))
        with full:
            self.assertEqual(taken(kept), "")
        self.assertEqual(taken(kept), ours)  # one that says nothing is not kept
        self.assertNotIn("", [each.read_text() for each in tmp.iterdir()])

    def test_a_lock_that_came_back_is_not_broken(self) -> None:
        """Who found it stale may be slow: by then it was given back and taken again."""
        path = self.folder() / "dovecot-uidlist.lock"
        self.plant(path.name, "1:elsewhere", 1000)
        real = fsops.rename

        def late(old: bytes, new: bytes) -> None:
            os.utime(path)
            real(old, new)

        with (
            mock.patch.object(fsops, "rename", late),
            self.assertRaises(InUse),
            self.lock(),
        ):
            pass
        self.assertEqual(path.read_text(), "1:elsewhere")

    def test_a_closed_mailbox_keeps_no_draft(self) -> None:
        box = self.open()
        box.sync(True)
        append(box, b"x: y\r\n")
        self.assertEqual(len(os.listdir(self.folder() / "tmp")), 1)
        box.close()
        self.assertEqual(os.listdir(self.folder() / "tmp"), [])

    def test_who_may_be_broken(self) -> None:
        host = os.uname().nodename
        cases = {
            "dead": (f"999999999:{host}", True),
            "alive": (f"1:{host}", False),
            "our number, from before": (f"{os.getpid()}:{host}", True),
            "elsewhere, young": ("1:elsewhere", False),
            "empty, young": ("", False),
        }
        for name, (content, broken) in cases.items():
            for file in ("dovecot-uidlist.lock", "tmp/courier.lock"):
                self.plant(file, content)
                if broken:
                    with self.lock():
                        pass
                else:
                    with self.assertRaises(InUse, msg=name), self.lock():
                        pass
                    self.assertEqual((self.folder() / file).read_text(), content)
                    (self.folder() / file).unlink()

    def test_a_lock_from_before_the_start_of_the_machine(self) -> None:
        """Its number may be anybody's by now: it must not lock a user out."""
        content = f"1:{os.uname().nodename}"
        paths = [self.folder() / "dovecot-uidlist.lock", self.root / "box" / "x.lock"]
        started = time.time() + 1000
        for path in paths:
            self.plant(path.name, content)
        with mock.patch.object(dotlock, "_start_of_host", lambda: started):
            with self.lock():
                pass
            with accountlock.dot_lock(os.fsencode(paths[1]), 0.1):
                self.assertNotEqual(paths[1].read_text(), content)
        self.assertFalse(any(path.exists() for path in paths))
        self.assertLess(dotlock._start_of_host(), time.time())

    def test_a_lock_taken_from_us_is_not_removed(self) -> None:
        path = self.folder() / "dovecot-uidlist.lock"
        with self.assertRaises(Unavailable), self.lock() as lock:
            path.unlink()
            path.write_text("1:elsewhere")
            lock.check()
        self.assertEqual(path.read_text(), "1:elsewhere")

    def test_links_are_refused(self) -> None:
        # Hardening: F03.
        (self.folder() / "dovecot-uidlist.lock").symlink_to("/etc/passwd")
        with self.assertRaises(Unavailable), self.lock():
            pass

    def test_a_held_lock_does_not_keep_mail_from_being_read(self) -> None:
        self.deliver("1600000000.M1P1.h:2,", part="cur")
        limits = Limits(lock_seconds=1)
        box = self.open(limits=limits)
        box.sync(True)
        self.plant("dovecot-uidlist.lock", f"1:{os.uname().nodename}")
        self.deliver("1600000001.M1P1.h")
        self.assertEqual(box.sync(True).added, [])
        with self.assertRaises(InUse):
            append(box, b"x: y\r\n")
        (self.folder() / "dovecot-uidlist.lock").unlink()
        self.assertEqual(uids_of(box.sync(True)), [2])
