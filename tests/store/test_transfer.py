"""COPY and MOVE of files that another program renames meanwhile, or that fail."""

import errno
import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any
from unittest import mock

from imapd.errors import ImapError, MessageGone
from imapd.ids import Uid
from imapd.limits import Limits
from imapd.model.flags import ANSWERED, FLAGGED, SEEN
from imapd.store import fsops
from imapd.store.maildir import newcomers, transfer
from imapd.store.maildir import publish as publishing
from imapd.store.maildir.core import MailboxCore
from imapd.store.maildir.mailbox import MaildirMailbox
from tests.store.faults import POSSIBLE, Plan, injected
from tests.store.folders import FolderTestCase


class AgainTests(FolderTestCase):
    # Hardening: D11.

    def setUp(self) -> None:
        super().setUp()
        for number in range(1, 4):
            self.deliver(f"{number}.x.host:2,", b"%d\n\n" % number, part="cur")
        self.box = self.open(limits=Limits(lock_seconds=1))
        self.box.sync(True)
        self.other = self.open("other")
        self.other.sync(True)
        self.cur = self.folder() / "cur"

    def rename(self, uid: int, letters: str) -> None:
        (path,) = self.cur.glob(f"{uid}.*")
        path.rename(path.with_name(f"{uid}.x.host:2,{letters}"))

    def told(self, box: MaildirMailbox) -> dict[bytes, frozenset[bytes]]:
        """What a server that starts now shows."""
        name = box.path[-1]
        fresh = self.open(name)
        return {
            fresh.read(each.uid)[:1]: each.flags for each in fresh.sync(False).added
        }

    def test_it_is_copied_as_it_is_named_now(self) -> None:
        self.rename(2, "FS")
        copied = self.other.copy_from(self.box, [Uid(1), Uid(2), Uid(3)], False, False)
        self.assertEqual([old for old, _ in copied.pairs], [1, 2, 3])
        flags = {each.uid: each.flags for each in copied.target.added}
        self.assertEqual(flags[copied.pairs[1][1]], {FLAGGED, SEEN})
        self.assertEqual(self.told(self.other)[b"2"], {FLAGGED, SEEN})
        self.assertEqual(self.box.sync(False).flags, {2: {FLAGGED, SEEN}})

    def test_within_one_folder_whose_locks_are_held(self) -> None:
        """Nothing is numbered meanwhile, for which they would be needed again."""
        self.rename(2, "F")
        self.deliver("4.x.host", b"4\n\n")
        with mock.patch.object(newcomers, "number") as numbered:
            copied = self.box.copy_from(self.box, [Uid(2)], False, False)
        numbered.assert_not_called()
        self.assertEqual([old for old, _ in copied.pairs], [2])
        changes = self.box.sync(False)
        found = {each.uid for each in (*copied.target.added, *changes.added)}
        self.assertEqual(found, {4, 5})
        bodies = sorted(self.box.read(Uid(uid)) for uid in range(1, 6))
        self.assertEqual(bodies, [b"1\n\n", b"2\n\n", b"2\n\n", b"3\n\n", b"4\n\n"])

    def test_it_is_moved(self) -> None:
        self.rename(1, "R")
        moved = self.other.copy_from(self.box, [Uid(1), Uid(3)], True, False)
        self.assertEqual(moved.source.expunged, [1, 3])
        self.assertEqual(self.told(self.other), {b"1": {ANSWERED}, b"3": frozenset()})
        self.assertEqual(self.told(self.box), {b"2": frozenset()})

    def test_it_is_left_out_where_it_is_gone(self) -> None:
        (self.cur / "2.x.host:2,").unlink()
        copied = self.other.copy_from(self.box, [Uid(1), Uid(2), Uid(3)], False, False)
        self.assertEqual([old for old, _ in copied.pairs], [1, 3])
        self.assertEqual(self.box.sync(False).expunged, [2])

    def each_link(self, action: Callable[[], None]) -> Any:
        """Another program is always faster."""
        real = fsops.link

        def link(source: bytes, target: bytes, **where: Any) -> None:
            action()
            real(source, target, **where)

        return mock.patch.object(fsops, "link", link)

    def test_it_is_renamed_all_the_time(self) -> None:
        turns = iter(range(100))
        with (
            self.each_link(lambda: self.rename(2, "FS"[: next(turns) % 2 + 1])),
            self.assertRaises(MessageGone),
        ):
            self.other.copy_from(self.box, [Uid(2)], False, False)
        self.assertEqual(self.told(self.other), {})

    def test_it_is_renamed_a_few_times(self) -> None:
        names = iter(("F", "FS", "S"))

        def busy() -> None:
            letters = next(names, None)
            if letters is not None:
                self.rename(2, letters)

        with self.each_link(busy):
            copied = self.other.copy_from(self.box, [Uid(2)], False, False)
        self.assertEqual([each.flags for each in copied.target.added], [{SEEN}])

    def test_it_is_renamed_while_it_is_looked_for(self) -> None:
        """What one listing misses is not gone: the client may remove the original."""
        self.rename(2, "F")
        real = fsops.entries
        missed: list[bytes] = []

        def entries(directory: bytes) -> tuple[list[bytes], list[bytes]]:
            found, odd = real(directory)
            if os.path.basename(directory) == b"cur" and not missed:
                missed.extend(name for name in found if name[:1] == b"2")
                self.rename(2, "FS")
                return [name for name in found if name not in missed], odd
            return found, odd

        with mock.patch.object(fsops, "entries", entries):
            copied = self.other.copy_from(self.box, [Uid(2)], False, False)
        self.assertEqual(missed, [b"2.x.host:2,F"])
        self.assertEqual(
            [each.flags for each in copied.target.added], [{FLAGGED, SEEN}]
        )

    def test_no_listing_can_say_whether_it_is_gone(self) -> None:
        (self.cur / "2.x.host:2,").unlink()
        real = fsops.entries

        def entries(directory: bytes) -> tuple[list[bytes], list[bytes]]:
            os.utime(self.cur)
            return real(directory)

        with (
            mock.patch.object(fsops, "entries", entries),
            self.assertRaises(MessageGone),
        ):
            self.other.copy_from(self.box, [Uid(1), Uid(2)], False, False)
        self.assertEqual(self.told(self.other), {})


class StayingTests(FolderTestCase):
    """MOVE is done when the copies are there."""

    def setUp(self) -> None:
        super().setUp()
        for number in range(10):
            self.deliver(f"{number}.x.host:2,", b"%d\n\n" % number, part="cur")
        self.box, self.other = self.open(), self.open("other")
        for each in (self.box, self.other):
            each.sync(True)

    def test_what_cannot_be_removed_is_not_copied_again(self) -> None:
        """Their directory cannot even be looked at by then."""
        publish = publishing.publish
        with ExitStack() as broken:

            def publish_and_break(*arguments: Any) -> Any:
                published = publish(*arguments)
                error = OSError(errno.EIO, "no")
                broken.enter_context(
                    mock.patch.object(MailboxCore, "own_changes", side_effect=error)
                )
                return published

            with mock.patch.object(transfer, "publish", publish_and_break):
                uids = [Uid(uid) for uid in range(1, 11)]
                copied = self.other.copy_from(self.box, uids, True, False)
        self.assertEqual([old for old, _ in copied.pairs], uids)
        self.assertEqual(len(copied.target.added), 10)
        self.assertEqual(copied.source.expunged, [])
        self.assertEqual(self.box.sync(False).expunged, [])
        copied = self.other.copy_from(self.box, uids, True, False)
        self.assertEqual(copied.source.expunged, uids)


class NoneLeftTests(FolderTestCase):
    """Hardening: D05.  A process that has no descriptor left moves messages."""

    def test_what_was_copied_is_not_refused(self) -> None:
        for count in (1, 20):  # one, and many
            for at in range(1, 100):
                names = f"from{count}-{at}", f"to{count}-{at}"
                for number in range(count):
                    name = f"{number}.x.host:2,"
                    self.deliver(name, b"a\n\n", names[0], "cur")
                source, target = map(self.open, names)
                uids = [each.uid for each in source.sync(False).added]
                target.sync(False)
                plan = Plan(at, errno.EMFILE, counts=POSSIBLE[errno.EMFILE])
                told = 0
                with injected(plan) as faults, suppress(ImapError):
                    told = len(target.copy_from(source, uids, True, False).pairs)
                there = len(self.open(names[1]).sync(False).added)
                self.assertEqual(there, told, f"{count}, {faults.hit} at {at}")
                if not faults.hit:
                    break
            self.assertGreater(at, 5)
