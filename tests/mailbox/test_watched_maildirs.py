"""Watching Maildirs on disk by the kernel's inotify, with a clock of our own."""

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import skipUnless
from unittest.mock import patch

from twisted.internet.defer import Deferred

from imapd.ids import INBOX, MailboxPath
from imapd.mailbox.inotify import AVAILABLE, Inotify
from imapd.mailbox.live import LiveMailbox
from imapd.mailbox.looks import LEAST_SECONDS
from imapd.mailbox.notified import SAFETY_SECONDS, InotifyWatch
from imapd.mailbox.threads import InlineWorkers
from imapd.mailbox.watch import POLL_SECONDS
from imapd.store.maildir.account import MaildirAccount
from tests.mailbox.test_inotify import Descriptors
from tests.mailbox.test_notified import WatchCase


@skipUnless(AVAILABLE, "no inotify here")
class MaildirTests(WatchCase):
    """Real directories, the kernel's inotify, and a clock of our own."""

    def setUp(self) -> None:
        super().setUp()
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name) / "Maildir"
        self.account = MaildirAccount(self.root)
        self.addCleanup(self.account.close)
        self.reactor = Descriptors()
        self.inotify = Inotify(self.reactor)
        self.addCleanup(self.inotify.close)
        self.watch = InotifyWatch(self.clock, self.inotify, everywhere=True)
        self.count = 0

    def live(self, path: MailboxPath = INBOX) -> LiveMailbox:
        live = LiveMailbox(self.account.mailbox(path), InlineWorkers())
        self.successResultOf(Deferred.fromCoroutine(live.refresh()))
        self.watch.add(live)
        return live

    def deliver(self, folder: Path) -> None:
        self.count += 1
        name = f"{self.count}.P1.host"
        (folder / "tmp" / name).write_bytes(b"Subject: x\n\nx\n")
        (folder / "tmp" / name).rename(folder / "new" / name)

    def turn(self) -> None:
        self.reactor.pump()
        self.clock.advance(LEAST_SECONDS)

    def watches(self) -> int:
        """How many the kernel counts."""
        if self.inotify.fileno() < 0:
            return 0
        path = f"/proc/self/fdinfo/{self.inotify.fileno()}"
        return Path(path).read_text().count("inotify wd:")

    def test_a_delivery(self) -> None:
        live = self.live()
        for number in range(1, 4):
            self.deliver(self.root)
            self.turn()
            self.assertEqual(len(live.uids), number)
        self.watch.remove(live)
        self.assertEqual(self.watches(), 0)

    def test_what_comes_within_the_tick_of_another(self) -> None:
        # Hardening: D08.
        live = self.live()
        self.deliver(self.root)
        self.turn()
        # No event tells of this one, and its mtime may be that of the first.
        self.deliver(self.root)
        stamp = (self.root / "new").stat().st_mtime_ns
        with patch.object(self.inotify, "doRead"):
            for _ in range(4):
                os.utime(self.root / "new", ns=(stamp, stamp))
                self.clock.advance(LEAST_SECONDS)
        self.assertEqual(len(live.uids), 2)
        self.watch.remove(live)

    def test_flags_and_removal(self) -> None:
        self.deliver(self.root)
        live = self.live()
        new = self.root / "new/1.P1.host"
        new.rename(self.root / "cur/1.P1.host:2,S")
        self.turn()
        self.assertEqual(live.flags(live.uids[0]), {rb"\Seen"})
        (self.root / "cur/1.P1.host:2,S").unlink()
        for _ in range(4):  # one listing is not enough to be gone
            self.turn()
            self.successResultOf(Deferred.fromCoroutine(live.refresh()))
        self.assertEqual(list(live.uids), [])
        self.watch.remove(live)

    def test_a_mailbox_deleted(self) -> None:
        self.account.create(("box",))
        live = self.live(("box",))
        shutil.rmtree(next(self.root.glob(".box")))
        self.turn()
        self.assertTrue(live.gone)
        self.watch.remove(live)
        self.assertEqual(self.watch._by_number, {})
        self.assertEqual(self.watches(), 0)

    def test_a_mailbox_renamed_shows_when_something_happens_in_it(self) -> None:
        self.account.create(("box",))
        live = self.live(("box",))
        (self.root / ".box").rename(self.root / ".other")
        self.turn()
        self.assertFalse(live.gone)
        self.deliver(self.root / ".other")
        self.turn()
        self.assertTrue(live.gone)
        self.watch.remove(live)
        self.assertEqual(self.watches(), 0)

    def test_or_after_a_while(self) -> None:
        self.account.create(("box",))
        live = self.live(("box",))
        (self.root / ".box").rename(self.root / ".other")
        self.clock.advance(SAFETY_SECONDS)
        self.assertEqual(self.watches(), 0)  # those were of the other
        self.clock.advance(POLL_SECONDS)
        self.assertTrue(live.gone)
        self.watch.remove(live)

    def test_new_removed_and_made_again(self) -> None:
        live = self.live()
        (self.root / "new").rmdir()
        (self.root / "new").mkdir()
        self.turn()
        self.assertEqual(self.watches(), 2)
        self.deliver(self.root)
        self.turn()
        self.assertEqual(len(live.uids), 1)
        self.watch.remove(live)
        self.assertEqual(self.watches(), 0)

    def test_many_mailboxes(self) -> None:
        paths: list[MailboxPath] = [(f"box{each}",) for each in range(20)]
        for path in paths:
            self.account.create(path)
        for _ in range(3):
            lives = [self.live(path) for path in paths]
            self.assertEqual(self.watches(), 40)
            self.assertEqual(len(self.reactor.readers), 1)
            for live in lives:
                self.watch.remove(live)
            self.assertEqual(self.watches(), 0)
        self.watch.close()
        self.assertEqual(self.reactor.readers, [])
