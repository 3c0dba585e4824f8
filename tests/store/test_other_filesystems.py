"""Folders on another file system, and file systems without links or locks."""

import errno
import fcntl
import os
from collections.abc import Callable
from io import StringIO
from typing import Any
from unittest import mock

from twisted.logger import globalLogPublisher, textFileLogObserver

from imapd.errors import InUse, OverQuota, Unavailable
from imapd.ids import Uid
from imapd.store import fsops
from imapd.store.maildir import accountlock
from tests.store.folders import FolderTestCase
from tests.support.leftovers import left_in

LARGE = b"Subject: large\n\n" + b"0123456789abcdef" * 70_000 + b"\nend\n"
BOTH = [repr(b"small\n\n"), "large"]


class LinkTests(FolderTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.deliver("1.x.host:2,S", b"small\n\n", part="cur")
        self.deliver("2.x.host:2,F", LARGE, part="cur")
        os.utime(self.folder() / "cur" / "1.x.host:2,S", (1e9, 1e9))
        self.box, self.other = self.open(), self.open("other")
        for each in (self.box, self.other):
            each.sync(True)
        self.done: list[str] = []

    def refuse_links(self, number: int = errno.EXDEV) -> Any:
        """What is in the source cannot be linked elsewhere; the rest can."""
        link = fsops.link

        def refusing(old: bytes, new: bytes, **descriptors: Any) -> None:
            if not new.endswith(b".lock"):
                if not os.path.dirname(old).endswith(b"/tmp"):
                    raise OSError(number, os.strerror(number), old)
                self.done.append("link")
            link(old, new, **descriptors)

        return mock.patch.object(fsops, "link", refusing)

    def spy(self, name: str, before: Callable[..., None]) -> None:
        function = getattr(fsops, name)

        def spying(*arguments: Any, **named: Any) -> Any:
            before(*arguments)
            return function(*arguments, **named)

        self.enterContext(mock.patch.object(fsops, name, spying))

    def contents(self, *name: str) -> list[str]:
        """What a server that starts now finds in a folder; without a name, in INBOX."""
        fresh = self.open(*name)
        found = [fresh.read(each.uid) for each in fresh.sync(False).added]
        return sorted("large" if each == LARGE else repr(each[:40]) for each in found)

    def drafts(self) -> list[str]:
        return left_in(self.folder("other") / "tmp")

    def test_what_cannot_be_linked_is_copied_and_synced_before_it_is_seen(self) -> None:
        self.spy("fsync", lambda *_: self.done.append("sync"))
        for number in (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP):
            with self.subTest(errno.errorcode[number]), self.refuse_links(number):
                copied = self.other.copy_from(self.box, [Uid(1)], False, False)
                self.assertEqual(len(copied.pairs), 1)
                self.assertEqual(self.done[:2], ["sync", "link"], self.done)
                self.assertEqual(self.drafts(), [])
                self.done.clear()
        self.assertEqual(self.contents("other"), [repr(b"small\n\n")] * 4)
        for path in (self.folder("other") / "cur").iterdir():
            self.assertEqual(path.stat().st_mtime, 1e9)  # its INTERNALDATE

    def test_all_of_a_large_one(self) -> None:
        self.enterContext(self.refuse_links())
        moved = self.other.copy_from(self.box, [Uid(1), Uid(2)], True, False)
        self.assertEqual(moved.source.expunged, [1, 2])
        self.assertEqual(self.contents("other"), BOTH)
        self.assertEqual(self.contents(), [])

    def test_a_disk_that_is_full_changes_nothing(self) -> None:
        self.enterContext(self.refuse_links())

        def full(*_: Any) -> None:
            raise OSError(errno.ENOSPC, "full")

        for name in ("write", "fsync"):
            with mock.patch.object(fsops, name, full), self.assertRaises(OverQuota):
                self.other.copy_from(self.box, [Uid(1), Uid(2)], True, False)
            self.assertEqual(self.drafts(), [], name)
        self.assertEqual(self.contents("other"), [])
        self.assertEqual(self.contents(), BOTH)

    def test_a_file_that_cannot_be_read_is_not_copied_in_part(self) -> None:
        self.enterContext(self.refuse_links())

        def broken(descriptor: int, octets: int, offset: int) -> None:
            if offset >= 1 << 20:
                raise OSError(errno.EIO, "the disk")

        self.spy("read_at", broken)
        with self.assertRaises(Unavailable):
            self.other.copy_from(self.box, [Uid(2), Uid(1)], False, False)
        self.assertEqual(self.drafts(), [])
        self.assertEqual(self.contents("other"), [])
        self.assertEqual(self.contents(), BOTH)


class LockTests(FolderTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.account = os.fsencode(self.folder())
        self.log = StringIO()
        observer = textFileLogObserver(self.log)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def test_an_account_that_others_hold(self) -> None:
        with (
            accountlock.account_lock(self.account, 0.1),
            self.assertRaises(InUse),
            accountlock.account_lock(self.account, 0.05),
        ):
            self.fail("two hold it")
        with accountlock.account_lock(self.account, 0.0):
            pass

    def test_it_is_waited_for(self) -> None:
        locks = [BlockingIOError(), BlockingIOError(), None]
        with (
            mock.patch.object(fcntl, "flock", side_effect=locks),
            accountlock.account_lock(self.account, 5.0),
        ):
            pass

    def test_a_file_system_without_locks_is_told_of_once(self) -> None:
        refused = OSError(errno.ENOLCK, "no locks")
        self.enterContext(
            mock.patch.object(accountlock, "_unlocked_file_systems", set())
        )
        self.enterContext(mock.patch.object(fcntl, "flock", side_effect=refused))
        for _ in range(3):
            with accountlock.account_lock(self.account, 0.1):
                pass
        self.assertEqual(self.log.getvalue().count("cannot lock directories"), 1)
