"""inotify where it tells everything, looking often elsewhere, and what the log says."""

import errno
import os
from typing import Any, cast
from unittest.mock import patch

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides

from imapd.mailbox import notified
from imapd.mailbox.inotify import Listener
from imapd.mailbox.live import LiveMailbox
from imapd.mailbox.looks import GATHER_SECONDS, LEAST_SECONDS
from imapd.mailbox.notified import (
    SAFETY_SECONDS,
    InotifyWatch,
    WatchMode,
    make_watch,
)
from imapd.mailbox.threads import InlineWorkers
from imapd.mailbox.watch import POLL_SECONDS, PollingWatch
from imapd.store import quiet
from imapd.store.filesystems import Mount
from tests.support.memory import MemoryMailbox, OpenMailbox
from tests.support.untimed import untimed


class FakeNotifier:
    """Numbers for directories, as many as it has, and none where it says so."""

    def __init__(self) -> None:
        self.listener: Listener | None = None
        self.numbers: dict[bytes, int] = {}  # what is watched now
        self.inodes: dict[bytes, int] = {}
        self.most = 1000
        self.refusals: dict[bytes, int] = {}
        self.calls = 0
        self.closed = False

    def watch(self, directory: bytes) -> int:
        self.calls += 1
        number = self.refusals.get(directory)
        if number is None and directory not in self.numbers:
            number = errno.ENOSPC if len(self.numbers) >= self.most else None
        if number is not None:
            raise OSError(number, os.strerror(number))
        inode = self.inodes.setdefault(directory, len(self.inodes) + 1)
        self.numbers[directory] = inode
        return inode

    def unwatch(self, number: int) -> None:
        for directory, inode in list(self.numbers.items()):
            if inode == number:
                del self.numbers[directory]

    def close(self) -> None:
        self.closed = True
        self.numbers.clear()


class FakeMounts:
    def __init__(self) -> None:
        self.kinds: dict[bytes, str] = {}
        self.missing = False

    def find(self, directory: bytes) -> Mount:
        if self.missing:
            raise FileNotFoundError(errno.ENOENT, "gone")
        return Mount(self.kinds.get(directory, "ext4"), b"/srv")


class WatchCase(SynchronousTestCase):
    def setUp(self) -> None:
        quiet.forget()
        untimed(self)
        self.clock = Clock()
        self.log: list[Any] = []
        observer = cast(ILogObserver, self.log.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def said(self, level: LogLevel = LogLevel.info) -> list[str]:
        words = [
            each["log_format"].format(**each)
            for each in self.log
            if each.get("log_level") is level and "watch:" in each["log_format"]
        ]
        self.log.clear()
        return words


class FakeCase(WatchCase):
    def setUp(self) -> None:
        super().setUp()
        self.notifier = FakeNotifier()
        self.mounts = FakeMounts()
        self.watch = InotifyWatch(
            self.clock,
            self.notifier,
            mounts=self.mounts,  # type: ignore[arg-type]
        )
        self.boxes: dict[LiveMailbox, MemoryMailbox] = {}

    def mailbox(self, name: bytes) -> LiveMailbox:
        box = MemoryMailbox()
        box.directories = (name + b"/new", name + b"/cur")
        live = LiveMailbox(OpenMailbox(box), InlineWorkers())
        self.successResultOf(Deferred.fromCoroutine(live.refresh()))
        self.boxes[live] = box
        return live

    def is_told(self, live: LiveMailbox, seconds: float) -> bool:
        """Whether a delivery of which nobody tells shows after so long."""
        before = len(live.uids)
        self.boxes[live].deliver()
        self.clock.advance(seconds)
        return len(live.uids) == before + 1

    def assert_nothing_left(self) -> None:
        self.assertEqual(self.notifier.numbers, {})
        self.assertEqual(self.watch._by_number, {})
        self.assertEqual(self.watch._by_directory, {})
        self.assertEqual(self.watch._watched, {})
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ReferenceTests(FakeCase):
    def test_two_watches_however_many_sessions(self) -> None:
        # Hardening: V02.
        live = self.mailbox(b"a")
        for _ in range(1000):
            self.watch.add(live)
        self.assertEqual(self.notifier.calls, 2)
        self.assertEqual(sorted(self.notifier.numbers), [b"a/cur", b"a/new"])
        for _ in range(999):
            self.watch.remove(live)
        self.assertEqual(len(self.notifier.numbers), 2)
        self.watch.remove(live)
        self.assert_nothing_left()

    def test_many_mailboxes_come_and_go(self) -> None:
        lives = [self.mailbox(b"%d" % each) for each in range(50)]
        for _ in range(3):
            for live in lives:
                self.watch.add(live)
            self.assertEqual(len(self.notifier.numbers), 100)
            for live in reversed(lives):
                self.watch.remove(live)
            self.assert_nothing_left()

    def test_two_names_of_one_directory(self) -> None:
        one, other = self.mailbox(b"a"), self.mailbox(b"b")
        self.notifier.inodes = {b"a/new": 1, b"a/cur": 2, b"b/new": 1, b"b/cur": 2}
        for live in (one, other):
            self.watch.add(live)
            self.boxes[live].deliver()
        self.watch.stirred(1)
        self.clock.advance(GATHER_SECONDS)
        self.assertEqual((list(one.uids), list(other.uids)), ([1], [1]))
        self.watch.remove(one)
        self.assertEqual(set(self.notifier.numbers.values()), {1, 2})
        self.watch.remove(other)
        self.assert_nothing_left()

    def test_who_leaves_while_events_wait(self) -> None:
        live = self.mailbox(b"a")
        self.watch.add(live)
        numbers = list(self.notifier.numbers.values())
        self.watch.stirred(numbers[0])
        self.watch.remove(live)
        self.watch.stirred(numbers[0])
        self.watch.ended(numbers[0])
        self.assert_nothing_left()


class EventTests(FakeCase):
    def setUp(self) -> None:
        super().setUp()
        self.live = self.mailbox(b"a")
        self.watch.add(self.live)

    def test_an_event_is_told_at_once(self) -> None:
        for number in list(self.notifier.numbers.values()):
            self.boxes[self.live].deliver()
            self.watch.stirred(number)
            self.clock.advance(LEAST_SECONDS)
        self.assertEqual(list(self.live.uids), [1, 2])

    def test_an_event_lost_shows_at_the_safety_look(self) -> None:
        self.assertFalse(self.is_told(self.live, SAFETY_SECONDS - 1))
        self.clock.advance(1)
        self.assertEqual(list(self.live.uids), [1])

    def test_an_overflow_has_everything_looked_at(self) -> None:
        other = self.mailbox(b"b")
        self.watch.add(other)
        for live in (self.live, other):
            self.boxes[live].deliver()
        for _ in range(3):
            self.watch.overflowed()
        self.clock.advance(POLL_SECONDS)
        self.assertEqual((list(self.live.uids), list(other.uids)), ([1], [1]))
        self.assertEqual(len(self.said(LogLevel.warn)), 1)

    def test_a_directory_in_the_place_of_another(self) -> None:
        """A folder was renamed and made anew: no event tells of that."""
        old = dict(self.notifier.numbers)
        self.notifier.inodes = {b"a/new": 11, b"a/cur": 12}
        with patch.object(self.notifier, "unwatch") as unwatch:
            self.clock.advance(SAFETY_SECONDS)
        self.assertEqual(
            sorted(call.args[0] for call in unwatch.call_args_list),
            sorted(old.values()),
        )
        self.boxes[self.live].deliver()
        self.watch.stirred(11)
        self.clock.advance(LEAST_SECONDS)
        self.assertEqual(list(self.live.uids), [1])

    def test_a_directory_removed_and_made_anew(self) -> None:
        number = self.notifier.numbers.pop(b"a/new")
        self.notifier.inodes[b"a/new"] = 11
        self.watch.ended(number)
        self.assertEqual(self.notifier.numbers[b"a/new"], 11)
        self.clock.advance(LEAST_SECONDS)
        self.boxes[self.live].deliver()
        self.watch.stirred(11)
        self.clock.advance(LEAST_SECONDS)
        self.assertEqual(list(self.live.uids), [1])
        self.watch.remove(self.live)
        self.assert_nothing_left()

    def test_a_directory_removed_and_made_later(self) -> None:
        number = self.notifier.numbers.pop(b"a/new")
        self.notifier.refusals[b"a/new"] = errno.ENOENT
        self.watch.ended(number)
        self.assertEqual(self.notifier.numbers, {})
        self.assertTrue(self.is_told(self.live, POLL_SECONDS))
        self.notifier.refusals.clear()
        self.clock.advance(SAFETY_SECONDS)
        self.assertEqual(len(self.notifier.numbers), 2)
        self.assertEqual(self.said(LogLevel.warn), [])

    def test_a_mailbox_that_is_gone(self) -> None:
        self.boxes[self.live].lost = True
        self.mounts.missing = True
        numbers = list(self.notifier.numbers.values())
        self.notifier.numbers.clear()
        for number in numbers:
            self.watch.ended(number)
        self.clock.advance(GATHER_SECONDS)
        self.assertTrue(self.live.gone)
        self.clock.advance(SAFETY_SECONDS)
        self.watch.remove(self.live)
        self.assert_nothing_left()
        self.assertEqual(self.said(LogLevel.warn), [])

    def test_inotify_breaks_and_comes_back(self) -> None:
        self.notifier.numbers.clear()
        self.watch.broke("no reason")
        self.assertEqual(len(self.said(LogLevel.error)), 1)
        self.assertTrue(self.is_told(self.live, POLL_SECONDS))
        self.clock.advance(SAFETY_SECONDS)
        self.assertEqual(len(self.notifier.numbers), 2)
        self.assertFalse(self.is_told(self.live, POLL_SECONDS))

    def test_closed_with_sessions_left(self) -> None:
        self.watch.close()
        self.assertTrue(self.notifier.closed)
        self.watch.remove(self.live)
        self.assert_nothing_left()


class ChoiceTests(FakeCase):
    def test_where_others_may_write_mailboxes_are_polled(self) -> None:
        # Hardening: D19.
        for kind in ("nfs4", "fuse.glusterfs", "unknown"):
            self.mounts.kinds[kind.encode() + b"/new"] = kind
            for _ in range(2):
                live = self.mailbox(kind.encode())
                self.watch.add(live)
                self.assertTrue(self.is_told(live, POLL_SECONDS), kind)
            (words,) = self.said()  # once
            self.assertIn(f"on {kind} (/srv) mailboxes are looked at twice", words)
        self.assertEqual(self.notifier.calls, 0)

    def test_local_ones_are_not(self) -> None:
        for each in (b"a", b"b"):
            live = self.mailbox(each)
            self.watch.add(live)
            self.assertFalse(self.is_told(live, 2 * POLL_SECONDS))
        self.assertEqual(
            self.said(), ["watch: on ext4 (/srv) inotify tells what changes"]
        )

    def test_everywhere_if_the_administrator_says_so(self) -> None:
        self.watch = InotifyWatch(
            self.clock,
            self.notifier,
            everywhere=True,
            mounts=self.mounts,  # type: ignore[arg-type]
        )
        self.mounts.kinds[b"a/new"] = "nfs4"
        self.watch.add(self.mailbox(b"a"))
        self.watch.add(self.mailbox(b"b"))
        self.assertEqual(len(self.notifier.numbers), 4)
        self.assertEqual(len(self.said()), 1)

    def test_a_store_without_directories_is_polled(self) -> None:
        live = self.mailbox(b"a")
        self.boxes[live].directories = ()
        self.watch.add(live)
        self.assertEqual(self.notifier.calls, 0)
        self.assertTrue(self.is_told(live, POLL_SECONDS))
        self.watch.remove(live)
        self.assert_nothing_left()

    def test_no_watches_left(self) -> None:
        self.notifier.most = 3
        lives = [self.mailbox(b"%d" % each) for each in range(3)]
        with patch.object(notified, "inotify_limit", return_value=3) as limit:
            for live in lives:
                self.watch.add(live)
        limit.assert_called_once_with("max_user_watches")
        (words,) = self.said(LogLevel.warn)
        self.assertIn("raise fs.inotify.max_user_watches (now 3)", words)
        # Half a mailbox keeps no watch that another one could use.
        self.assertEqual(sorted(self.notifier.numbers), [b"0/cur", b"0/new"])
        self.assertFalse(self.is_told(lives[0], POLL_SECONDS))
        for live in lives[1:]:
            self.assertTrue(self.is_told(live, POLL_SECONDS))
        self.watch.remove(lives[0])
        self.clock.advance(SAFETY_SECONDS)
        self.assertEqual(sorted(self.notifier.numbers), [b"1/cur", b"1/new"])
        self.notifier.most = 4
        self.clock.advance(SAFETY_SECONDS)
        self.assertEqual(len(self.notifier.numbers), 4)
        for live in lives[1:]:
            self.clock.advance(POLL_SECONDS)
            self.assertFalse(self.is_told(live, POLL_SECONDS))
            self.watch.remove(live)
        self.assert_nothing_left()
        self.assertEqual(self.said(LogLevel.warn), [])

    def test_every_refusal_is_polled_and_said_once(self) -> None:
        for number, words in (
            (errno.EMFILE, "fs.inotify.max_user_instances"),
            (errno.ENFILE, os.strerror(errno.ENFILE)),
            (errno.EACCES, os.strerror(errno.EACCES)),
            (errno.ENOSYS, os.strerror(errno.ENOSYS)),
        ):
            for each in range(3):
                name = b"%d.%d" % (number, each)
                self.notifier.refusals[name + b"/cur"] = number
                live = self.mailbox(name)
                self.watch.add(live)
                self.assertTrue(self.is_told(live, POLL_SECONDS), words)
            (said,) = self.said(LogLevel.warn)
            self.assertIn(words, said)
            self.assertEqual(self.notifier.numbers, {})

    def test_every_mode(self) -> None:
        reactor = Clock()
        kinds = {
            WatchMode.AUTO: InotifyWatch,
            WatchMode.INOTIFY: InotifyWatch,
            WatchMode.POLL: PollingWatch,
        }
        self.assertEqual(set(kinds), set(WatchMode))
        for mode in WatchMode:  # a reactor without descriptors
            self.assertIs(type(make_watch(reactor, mode)), PollingWatch, mode)
            level = LogLevel.info if mode is WatchMode.POLL else LogLevel.warn
            (words,) = self.said(level)
            self.assertIn("twice a second", words)
        alsoProvides(reactor, IReactorFDSet)
        with patch.object(notified, "AVAILABLE", True):
            for mode, kind in kinds.items():
                watch = make_watch(reactor, mode)
                self.assertIs(type(watch), kind, mode)
                if isinstance(watch, InotifyWatch):
                    self.assertEqual(watch._everywhere, mode is WatchMode.INOTIFY)
                watch.close()
        with patch.object(notified, "AVAILABLE", False):
            self.assertIs(type(make_watch(reactor, WatchMode.AUTO)), PollingWatch)
