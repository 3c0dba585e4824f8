"""The kernel's inotify on directories that are there, and what it may answer."""

import errno
import os
import struct
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import skipUnless
from unittest.mock import patch

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import (
    IReactorFDSet,
    IReadDescriptor,
    IWriteDescriptor,
)
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from imapd.mailbox import inotify
from imapd.mailbox.inotify import Inotify


@implementer(IReactorFDSet)
class Descriptors:
    """The part of the reactor that asks descriptors; ``pump`` lets it ask ours."""

    def __init__(self) -> None:
        self.readers: list[IReadDescriptor] = []

    def addReader(self, reader: IReadDescriptor) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: IReadDescriptor) -> None:
        self.readers.remove(reader)

    def addWriter(self, writer: IWriteDescriptor) -> None:
        raise NotImplementedError

    def removeWriter(self, writer: IWriteDescriptor) -> None:
        raise NotImplementedError

    def removeAll(self) -> list[IReadDescriptor | IWriteDescriptor]:
        raise NotImplementedError

    def getReaders(self) -> list[IReadDescriptor]:
        return self.readers

    def getWriters(self) -> list[IWriteDescriptor]:
        return []

    def pump(self) -> None:
        for reader in self.readers:
            reader.doRead()


class Told:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.events: list[object] = []

    def stirred(self, number: int) -> None:
        self.events.append(number)

    def ended(self, number: int) -> None:
        self.events.append(("ended", number))

    def overflowed(self) -> None:
        self.events.append("overflow")

    def broke(self, why: str) -> None:
        self.events.append(("broke", why))


def event(number: int, mask: int, name: bytes = b"") -> bytes:
    return struct.pack("=iIII", number, mask, 0, len(name)) + name


class InotifyCase(SynchronousTestCase):
    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.reactor = Descriptors()
        self.inotify = Inotify(self.reactor)
        self.addCleanup(self.inotify.close)
        self.inotify.listener = self.told = Told()

    def make(self, name: str) -> bytes:
        (self.root / name).mkdir()
        return os.fsencode(self.root / name)

    def events(self) -> list[object]:
        self.reactor.pump()
        events, self.told.events = self.told.events, []
        return events


@skipUnless(inotify.AVAILABLE, "no inotify here")
class KernelTests(InotifyCase):
    def test_every_way_to_change_a_listing(self) -> None:
        number = self.inotify.watch(self.make("new"))
        new, message = self.root / "new", self.root / "message"
        message.write_bytes(b"")
        steps = {
            "moved in": lambda: message.rename(new / "1"),
            "flags": lambda: (new / "1").rename(new / "1:2,S"),
            "linked": lambda: os.link(new / "1:2,S", new / "2"),
            "written": lambda: (new / "3").write_bytes(b"x"),
            "moved away": lambda: (new / "2").rename(self.root / "2"),
            "removed": (new / "3").unlink,
        }
        for name, step in steps.items():
            step()
            self.assertEqual(self.events(), [number], name)

    def test_reading_is_no_change(self) -> None:
        directory = self.make("new")
        (self.root / "new/1").write_bytes(b"x")
        self.inotify.watch(directory)
        (self.root / "new/1").read_bytes()
        os.listdir(directory)
        self.assertEqual(self.events(), [])

    def test_many_events_are_told_once_for_each_directory(self) -> None:
        numbers = [self.inotify.watch(self.make(name)) for name in ("new", "cur")]
        for name in ("new", "cur"):
            for each in range(50):
                (self.root / name / str(each)).touch()
        self.assertEqual(sorted(map(int, map(str, self.events()))), sorted(numbers))

    def test_one_descriptor_and_none_for_nothing(self) -> None:
        self.assertEqual(self.reactor.readers, [])
        before = len(os.listdir("/proc/self/fd"))
        for each in range(20):
            self.inotify.watch(self.make(str(each)))
        self.assertEqual(self.reactor.readers, [self.inotify])
        self.assertEqual(len(os.listdir("/proc/self/fd")), before + 1)
        self.assertFalse(os.get_inheritable(self.inotify.fileno()))
        self.assertFalse(os.get_blocking(self.inotify.fileno()))
        self.inotify.close()
        self.inotify.close()
        self.assertEqual(self.reactor.readers, [])
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_the_same_directory_has_the_same_number(self) -> None:
        directory = self.make("new")
        number = self.inotify.watch(directory)
        self.assertEqual(self.inotify.watch(directory + b"/../new"), number)
        self.assertNotEqual(self.inotify.watch(self.make("cur")), number)

    def test_not_any_more(self) -> None:
        number = self.inotify.watch(self.make("new"))
        self.inotify.unwatch(number)
        self.inotify.unwatch(number)
        (self.root / "new/1").touch()
        self.assertEqual(self.events(), [("ended", number)])

    def test_a_directory_removed_ends_its_watch_and_no_other(self) -> None:
        number = self.inotify.watch(self.make("new"))
        other = self.inotify.watch(self.make("cur"))
        (self.root / "new").rmdir()
        self.assertIn(("ended", number), self.events())
        (self.root / "cur/1").touch()
        self.assertEqual(self.events(), [other])

    def test_what_is_no_directory_is_refused(self) -> None:
        (self.root / "file").touch()
        (self.root / "link").symlink_to(self.root)
        for name, number in (
            ("file", errno.ENOTDIR),
            ("link", errno.ENOTDIR),
            ("missing", errno.ENOENT),
        ):
            with self.assertRaises(OSError) as caught:
                self.inotify.watch(os.fsencode(self.root / name))
            self.assertEqual(caught.exception.errno, number, name)

    def test_an_empty_queue_is_no_error(self) -> None:
        self.inotify.watch(self.make("new"))
        self.assertEqual(self.events(), [])


class AnswerTests(InotifyCase):
    """What a kernel may say that ours does not when it should."""

    def read(self, octets: bytes | OSError) -> list[object]:
        self.inotify.watch(self.make("new"))
        with patch("os.read", side_effect=[octets]):
            return self.events()

    def test_an_overflow(self) -> None:
        self.assertEqual(self.read(event(-1, 0x4000)), ["overflow"])

    def test_names_of_any_length(self) -> None:
        octets = event(7, 0x80, b"1".ljust(16, b"\0")) + event(9, 0x100, b"x" * 256)
        self.assertEqual(sorted(map(int, map(str, self.read(octets)))), [7, 9])

    def test_ended_after_events(self) -> None:
        octets = event(7, 0x400) + event(7, 0x8000)
        self.assertEqual(self.read(octets), [("ended", 7), 7])

    def test_a_read_that_fails_is_the_end(self) -> None:
        events = self.read(OSError(errno.EIO, "broken"))
        self.assertEqual(events, [("broke", "[Errno 5] broken")])
        self.assertEqual(self.reactor.readers, [])
        self.assertEqual(self.inotify.fileno(), -1)

    def test_the_reactor_gives_up(self) -> None:
        self.inotify.watch(self.make("new"))
        self.inotify.connectionLost(Failure(ConnectionLost()))
        self.inotify.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(len(self.told.events), 1)
        self.assertEqual(self.reactor.readers, [])

    def test_no_instance_is_left(self) -> None:
        # Hardening: V11.
        with (
            patch("ctypes.get_errno", return_value=errno.EMFILE),
            patch.object(inotify, "_LIBRARY") as library,
        ):
            library.inotify_init1.return_value = -1
            with self.assertRaises(OSError) as caught:
                self.inotify.watch(b"/")
        self.assertEqual(caught.exception.errno, errno.EMFILE)
        self.assertEqual(self.reactor.readers, [])
        self.inotify.unwatch(1)
        self.inotify.close()
        number = self.inotify.watch(self.make("later"))
        self.assertGreater(number, 0)
