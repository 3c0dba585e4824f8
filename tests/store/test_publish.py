"""What storing messages does to the disk: in which order, and under which names."""

import errno
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

from imapd.errors import ImapError
from imapd.ids import Uid
from imapd.model.flags import FLAGGED, SEEN, StoreMode
from imapd.store import fsops
from imapd.store.locks import MailboxLock
from imapd.store.maildir import deliver
from imapd.store.maildir.mailbox import MaildirMailbox
from tests.store.folders import MEMORY, FolderTestCase, append, settle
from tests.support.leftovers import left_in

MESSAGE = b"Subject: x\r\n\r\nbody\r\n"  # 17 octets on disk, 20 as sent


class PublishCase(FolderTestCase):
    parent = MEMORY

    def setUp(self) -> None:
        super().setUp()
        self.box = self.open()
        self.box.sync(True)

    def commit(self, *flags: list[bytes]) -> list[Uid]:
        delivery = self.box.begin_delivery()
        for each in flags:
            delivery.begin(each, 1_500_000_000)
            delivery.write(MESSAGE)
            delivery.end()
        return list(self.box.commit(delivery, False).uids)

    def names(self, part: str, box: str = "box") -> list[str]:
        if part == "tmp":
            return left_in(self.folder(box) / part)
        return sorted(path.name for path in (self.folder(box) / part).iterdir())


class NoNewsTests(PublishCase):
    def test_what_a_new_message_was_told_with_is_no_news_later(self) -> None:
        self.commit([SEEN], [b"work"])
        for path in (self.folder() / "cur").iterdir():
            path.rename(path.with_name(path.name + "9"))  # no letter of anything
        settle()
        changes = self.box.sync(True)
        self.assertEqual((changes.flags, changes.added), ({}, []))
        self.assertIn(b"work", self.box.keywords)


class OrderTests(PublishCase):
    """Contents, then names and UIDs: nothing is named before it is durable."""

    # Hardening: D02.

    def record(self, work: Callable[[], object]) -> list[str]:
        """The operations that matter, with the directories and files they are on."""
        told: list[str] = []
        where: dict[int, str] = {}

        def short(path: bytes, directory: int | None = None) -> str:
            name = Path(os.fsdecode(path))
            if directory is not None:
                return Path(os.readlink(f"/proc/self/fd/{directory}")).name
            return name.name if name.name.startswith("dove") else name.parent.name

        def wrap(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
            def operation(*args: Any, **named: Any) -> Any:
                result = real(*args, **named)
                if name.startswith("open_"):
                    where[result] = short(args[0], **named)
                elif name in ("write", "fsync", "fdatasync"):
                    told.append(f"{name} {where.get(args[0], '?')}")
                elif name == "fsync_directory":
                    told.append(f"sync {Path(os.fsdecode(args[0])).name}")
                else:  # a link, into a directory that is open
                    directory = Path(f"/proc/self/fd/{named['dst_dir_fd']}").resolve()
                    lock = "lock " * args[1].endswith(b".lock")
                    told.append(f"{name} {lock}{directory.name}")
                return result

            return operation

        with ExitStack() as stack:
            for name in (
                *("open_exclusive", "open_append", "write", "fsync", "fdatasync"),
                *("fsync_directory", "link"),
            ):
                wrapped = wrap(name, getattr(fsops, name))
                stack.enter_context(mock.patch.object(fsops, name, wrapped))
            work()
        return [each for each in told if "lock" not in each and "?" not in each]

    def test_of_append(self) -> None:
        self.commit([])
        done = self.record(lambda: self.commit([], [SEEN]))
        # Between these, the locks are taken, with a file of their own in tmp.
        self.assertEqual(done[:4], ["write tmp"] * 2 + ["fsync tmp"] * 2)
        self.assertEqual(
            done[done.index("link new") :],
            [
                *("link new", "link cur", "write dovecot-uidlist"),
                # Both or one of them may be missing until both are there.
                *("sync cur", "sync new", "fdatasync dovecot-uidlist"),
            ],
        )

    def test_of_move(self) -> None:
        other = self.open("other")
        other.sync(True)
        append(other, MESSAGE, [SEEN])
        uids = self.commit([SEEN])
        removed: list[int] = []
        real = fsops.fdatasync

        def recorded(descriptor: int) -> None:
            real(descriptor)
            removed.append(len(self.names("cur")))

        synced: list[bytes] = []
        sync = mock.patch.object(
            fsops, "fsync_directory", lambda path, *_: synced.append(path)
        )
        with mock.patch.object(fsops, "fdatasync", recorded), sync:
            other.copy_from(self.box, uids, True, False)
        # Then it is removed, and that is synced too.
        folders = [Path(os.fsdecode(path)).parts[-2:] for path in synced]
        self.assertEqual(folders, [("other", "cur"), ("box", "cur")])
        self.assertEqual(removed[-1], 1)  # it was there until the UID was durable
        self.assertEqual(self.names("cur"), [])
        self.assertEqual(len(self.names("cur", "other")), 2)

    def test_nothing_is_left_of_what_failed(self) -> None:
        # Hardening: D03.
        for name in ("fsync_directory", "fdatasync"):
            failing = mock.patch.object(
                fsops, name, side_effect=OSError(errno.EIO, "no")
            )
            before = self.names("cur"), self.names("new"), self.box.uid_next
            with failing, self.assertRaises(ImapError):
                self.commit([SEEN], [])
            self.assertEqual((self.names("cur"), self.names("new")), before[:2])
            self.assertEqual(self.names("tmp"), [])
            # A disk that failed is not asked again before the mailbox is opened anew.
            self.assertTrue(self.box.read_only)
            with self.assertRaises(ImapError):
                self.commit([SEEN])
            self.box.close()
            self.box = self.open()
            self.box.sync(True)
            self.assertGreaterEqual(self.commit([SEEN])[0], before[2])

    def test_an_upload_that_ends_after_the_disk_failed(self) -> None:
        late = self.box.begin_delivery()
        late.begin([SEEN], None)
        late.write(MESSAGE)
        late.end()
        failing = mock.patch.object(fsops, "fdatasync", side_effect=OSError(5, "no"))
        with failing, self.assertRaises(ImapError):
            self.commit([SEEN])
        with (
            mock.patch.object(fsops, "link", side_effect=AssertionError),
            self.assertRaises(ImapError),
        ):
            self.box.commit(late, False)
        late.abort()
        self.assertEqual(self.names("cur") + self.names("tmp"), [])

    def test_an_upload_that_vanished(self) -> None:
        delivery = self.box.begin_delivery()
        delivery.begin([SEEN], None)
        delivery.write(MESSAGE)
        delivery.end()
        for path in (self.folder() / "tmp").iterdir():
            path.unlink()
        with self.assertRaises(ImapError):
            self.box.commit(delivery, False)
        self.assertEqual(self.commit([SEEN])[0], self.box.uid_next - 1)

    def test_a_long_one_shows_that_it_lives(self) -> None:
        # Hardening: D18.
        with mock.patch.object(MailboxLock, "touch") as touch:
            self.commit([], [SEEN], [])
        self.assertEqual(touch.call_count, 3)


class NameTests(PublishCase):
    def test_names_and_places(self) -> None:
        self.commit([], [SEEN, FLAGGED], [b"Word"])
        self.assertRegex("\n".join(self.names("new")), r"\A[^:]*,S=17,W=20\Z")
        self.assertRegex(
            "\n".join(sorted(name.partition(",")[2] for name in self.names("cur"))),
            r"\AS=17,W=20:2,FS\nS=17,W=20:2,a\Z",
        )
        self.assertEqual(self.names("tmp"), [])
        for path in (self.folder() / "cur").iterdir():
            self.assertEqual(path.stat().st_mtime, 1_500_000_000)

    def test_all_that_follows_the_letters_goes_along(self) -> None:
        self.deliver("1600000000.M1P1.h:2,SXz,extra", part="cur")
        self.box.sync(True)
        other = self.open("other")
        other.sync(True)
        other.copy_from(self.box, [Uid(1)], False, False)
        (name,) = self.names("cur", "other")
        self.assertTrue(name.endswith(":2,SXz,extra"), name)

    def test_a_letter_without_a_name_is_not_given_away_before_it_was_seen(
        self,
    ) -> None:
        # Of another server, or its list of keywords is lost.
        (self.folder() / "cur" / "1.x:2,Sa").write_bytes(b"Subject: x\n\nx\n")
        self.box = self.open()
        self.commit([b"work"])
        told = {each.flags for each in self.box.sync(True).added}
        self.assertEqual(told, {frozenset([SEEN, b"unknown-0"]), frozenset([b"work"])})

    def test_keywords_without_letters_stay_with_their_message(self) -> None:
        """What one name was found to say is no answer for a name that is like it."""
        letters = [b"w%02d" % number for number in range(26)]
        plain, rich, richer = [SEEN], [SEEN, b"more"], [SEEN, b"even", b"more"]
        order = (plain, rich, plain, richer, rich)
        for each in (order, tuple(reversed(order))):
            self.setUp()
            self.commit(letters)
            uids = self.commit(*each)
            other = self.open("other")
            other.sync(True)
            append(other, MESSAGE, letters)
            copied = other.copy_from(self.box, uids, False, False)
            told = [state.flags for state in copied.target.added]
            self.assertEqual(told, [frozenset(flags) for flags in each])

    def test_from_a_folder_that_cannot_be_written(self) -> None:
        uids = self.commit([SEEN])
        source, other = self.open(read_only=True), self.open("other")
        source.sync(False)
        other.sync(True)
        with self.assertRaises(ImapError):
            other.copy_from(source, uids, True, False)
        self.assertEqual(other.copy_from(source, uids, False, False).pairs, [(1, 1)])
        self.assertEqual(len(self.names("cur")), 1)

    def test_a_name_that_is_taken(self) -> None:
        """Another name is found, with the sizes and what follows them."""
        real = fsops.link
        taken: list[bytes] = []

        def link(old: bytes, new: bytes, **directories: int) -> None:
            if b":2," in new and len(taken) < 2:
                taken.append(new)
                raise FileExistsError(errno.EEXIST, "taken", new)
            real(old, new, **directories)

        with mock.patch.object(fsops, "link", link):
            self.commit([SEEN])
        (name,) = self.names("cur")
        self.assertEqual(len(taken), 2)
        self.assertNotIn(name.encode(), b"".join(taken))
        self.assertRegex(name, r"\A[^,:]+,S=17,W=20:2,S\Z")
        base = taken[0].rpartition(b"/")[2].partition(b",")[0]
        self.assertNotIn(base[1:].decode(), name)

    def test_many_that_are_copied(self) -> None:
        """Those without flags are new there too, unless somebody claims them."""
        self.commit(*([[], [SEEN]] * 20))
        self.box.sync(True)
        uids = [Uid(number) for number in range(1, 41)]
        for claim, there in ((False, (20, 20)), (True, (0, 40))):
            other = self.open(f"other{claim}")
            other.sync(True)
            other.copy_from(self.box, uids, False, claim)
            names = [self.names(part, f"other{claim}") for part in ("new", "cur")]
            self.assertEqual(tuple(map(len, names)), there)
            for name in names[0]:
                self.assertNotIn(":", name)
            seen = sum(name.endswith(",S=17,W=20:2,S") for name in names[1])
            self.assertEqual(seen, 20)
            self.assertEqual(len(self.open(f"other{claim}").sync(False).added), 40)


class ToldTests(PublishCase):
    """What was stored is known, without a listing and without being told twice."""

    # Hardening: D13.

    def check(self, box: MaildirMailbox, uids: list[Uid]) -> None:
        changes = box.sync(False)
        self.assertEqual((changes.added, changes.flags), ([], {}))
        self.assertEqual(changes.expunged, [])
        fresh = self.open()
        added = {state.uid: state.flags for state in fresh.sync(False).added}
        self.assertEqual(sorted(added), sorted(uids))

    def test_once(self) -> None:
        uids = self.commit([], [SEEN])
        self.check(self.box, uids)
        uids += self.commit([SEEN, b"Word"])
        self.check(self.box, uids)
        # Recent until somebody claims it, and then moved on.
        self.assertEqual(len(self.names("new")), 1)
        self.box.sync(True)
        self.assertEqual(self.names("new"), [])
        self.assertEqual(len(self.names("cur")), 3)
        self.box.store_flags(uids, StoreMode.ADD, [FLAGGED])
        for name in self.names("cur"):
            self.assertIn("F", name.rpartition(":")[2])

    def test_once_beside_a_listing(self) -> None:
        uids = self.commit([SEEN], [SEEN, FLAGGED], [])
        self.deliver("1600000000.M1P1.h:2,S", part="cur")
        changes = self.box.sync(False)
        self.assertEqual([state.uid for state in changes.added], [uids[-1] + 1])
        self.assertEqual(changes.flags, {})

    def test_what_others_do_to_it_is_told(self) -> None:
        first, second = self.commit([SEEN, b"Word"], [FLAGGED])
        self.assertIn(b"Word", self.box.keywords)
        for path in (self.folder() / "cur").iterdir():
            if path.name.endswith("F"):
                path.rename(path.with_name(path.name + "S"))
            else:
                path.unlink()
        settle()
        flags, expunged = {}, []
        for _ in range(3):
            changes = self.box.sync(False)
            flags.update(changes.flags)
            expunged += changes.expunged
        self.assertEqual(flags, {second: {SEEN, FLAGGED}})
        self.assertEqual(expunged, [first])

    def test_a_uid_list_that_did_not_change_is_not_read(self) -> None:
        first = self.commit([])
        with mock.patch.object(fsops, "open_read", side_effect=AssertionError):
            second = self.commit([])
        (self.folder() / "dovecot-uidlist").unlink()  # another does
        third = self.commit([])
        self.assertEqual([*first, *second, *third], [1, 2, 3])

    def test_what_another_process_numbered_is_told_first(self) -> None:
        self.deliver("1600000000.M1P1.h")
        other = self.open()
        self.assertEqual([state.uid for state in other.sync(False).added], [1])
        delivery = self.box.begin_delivery()
        delivery.begin([SEEN], None)
        delivery.write(MESSAGE)
        delivery.end()
        told = self.box.commit(delivery, False)
        self.assertEqual(told.uids, [2])
        self.assertEqual([state.uid for state in told.target.added], [1, 2])
        self.assertEqual(self.names("new"), ["1600000000.M1P1.h"])  # nobody claimed it

    def test_before_the_first_look(self) -> None:
        box = self.open("later")
        delivery = box.begin_delivery()
        delivery.begin([SEEN], None)
        delivery.write(MESSAGE)
        delivery.end()
        told = box.commit(delivery, False)
        self.assertEqual(told.uids, [1])
        self.assertEqual([state.uid for state in box.sync(True).added], [1])

    def test_no_descriptor_is_left(self) -> None:
        before = os.listdir("/proc/self/fd")
        delivery = self.box.begin_delivery()
        delivery.begin([], None)
        delivery.write(b"a: b\r\n\r\n")
        delivery.write(b"c\nd\re")  # now it has all kinds of line ends
        delivery.begin([], None)  # the one before was not ended
        delivery.write(MESSAGE)
        delivery.end()
        self.assertEqual(len(os.listdir("/proc/self/fd")), len(before) + 2)  # and tmp
        delivery.settle()
        self.assertEqual(len(os.listdir("/proc/self/fd")), len(before) + 1)
        delivery.abort()
        self.assertEqual(len(os.listdir("/proc/self/fd")), len(before))
        self.assertEqual(self.names("tmp"), [])

    def test_aborted(self) -> None:
        before = len(os.listdir("/proc/self/fd"))
        delivery = self.box.begin_delivery()
        delivery.begin([], None)
        delivery.write(MESSAGE)
        self.assertEqual(len(self.names("tmp")), 1)
        delivery.abort()
        delivery.abort()
        self.assertEqual(self.names("tmp"), [])
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
        with self.assertRaises(ImapError):
            delivery.end()
        delivery = self.box.begin_delivery()
        delivery.begin([], None)
        delivery.write(MESSAGE)
        delivery.end()
        delivery.abort()
        self.assertEqual(self.box.commit(delivery, False).uids, [])
        self.assertEqual(self.names("new"), [])

    def test_old_litter_goes_and_nothing_else(self) -> None:
        # Hardening: D17.
        tmp = self.folder() / "tmp"
        for name in ("0", "directory", "z"):
            if name == "directory":
                (tmp / name).mkdir()
            else:
                (tmp / name).write_bytes(b"x")
        core = self.box._core
        names = mock.patch.object(fsops, "names", return_value=[b"directory", b"gone"])
        for hours, left in ((35.9, 3), (36.1, 1)):
            later = mock.patch("time.time", return_value=time.time() + 3600 * hours)
            with later:
                with names:
                    deliver.clean_tmp(core)
                self.assertEqual(len(self.names("tmp")), 3)
                deliver.clean_tmp(core)
            self.assertEqual(len(self.names("tmp")), left)
