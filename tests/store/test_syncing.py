"""Many files made durable together."""

import _thread
import errno
import itertools
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import TestCase, mock

from imapd.store import fsops, syncing
from imapd.store.syncing import MOST_THREADS, sync_files
from tests.store.faults import Killed
from tests.store.folders import MEMORY


class SyncFilesTests(TestCase):
    def setUp(self) -> None:
        self.folder = self.enterContext(TemporaryDirectory(dir=MEMORY))
        self.numbers = itertools.count()
        self.synced: list[int] = []
        self.threads: set[int] = set()

    def opened(self, count: int) -> list[int]:
        descriptors = []
        for _ in range(count):
            path = os.fsencode(Path(self.folder) / str(next(self.numbers)))
            descriptors.append(fsops.open_exclusive(path))
            self.addCleanup(os.close, descriptors[-1])
        return descriptors

    def fsync(self, descriptor: int) -> None:
        self.threads.add(threading.get_ident())
        self.synced.append(descriptor)

    def test_each_once(self) -> None:
        for count in (0, 1, 2, 3, 7, 16, 40):
            descriptors = self.opened(count)
            self.synced.clear()
            with mock.patch.object(fsops, "fsync", self.fsync):
                errors = sync_files(descriptors)
            self.assertEqual(sorted(self.synced), sorted(descriptors), count)
            self.assertEqual(errors, [None] * count, count)

    def test_they_wait_at_the_same_time(self) -> None:
        together = threading.Barrier(4)

        def fsync(descriptor: int) -> None:
            together.wait(30)  # breaks, if they come one after the other

        with mock.patch.object(fsops, "fsync", fsync):
            self.assertEqual(sync_files(self.opened(8)), [None] * 8)

    def test_an_error_is_told_of_its_file_alone(self) -> None:
        descriptors = self.opened(20)

        def fsync(descriptor: int) -> None:
            self.fsync(descriptor)
            if descriptor == descriptors[7]:
                raise OSError(errno.EIO, "no")

        with mock.patch.object(fsops, "fsync", fsync):
            errors = sync_files(descriptors)
        self.assertEqual([bool(each) for each in errors], [n == 7 for n in range(20)])
        self.assertEqual(sorted(self.synced), descriptors)  # and never a second time

    def test_without_threads(self) -> None:
        descriptors = self.opened(20)
        start = mock.patch.object(syncing, "start_new_thread", side_effect=RuntimeError)
        with mock.patch.object(fsops, "fsync", self.fsync), start:
            self.assertEqual(sync_files(descriptors), [None] * 20)
        self.assertEqual(self.synced, descriptors)
        self.assertEqual(self.threads, {threading.get_ident()})

    def test_death_in_a_thread_is_death(self) -> None:
        us = threading.get_ident()
        begun = threading.Event()

        def fsync(descriptor: int) -> None:
            if threading.get_ident() != us:
                begun.set()
                raise Killed
            begun.wait(30)

        with mock.patch.object(fsops, "fsync", fsync), self.assertRaises(Killed):
            sync_files(self.opened(20))

    def test_a_thread_that_has_not_begun_is_not_waited_for(self) -> None:
        descriptors, late = self.opened(20), []

        def start(run: Callable[[], None], _: tuple[()]) -> None:
            late.append(run)

        with (
            mock.patch.object(syncing, "start_new_thread", start),
            mock.patch.object(fsops, "fsync", self.fsync),
        ):
            self.assertEqual(sync_files(descriptors), [None] * 20)
            self.assertEqual(len(late), MOST_THREADS - 1)
            for run in late:
                run()
        self.assertEqual(self.synced, descriptors)  # they found nothing to do

    def test_a_thread_that_has_begun_is_waited_for(self) -> None:
        us = threading.get_ident()
        begun, ended = threading.Event(), threading.Event()

        def fsync(descriptor: int) -> None:
            if threading.get_ident() == us:
                begun.wait(30)
                return
            begun.set()
            time.sleep(0.05)
            ended.set()

        with mock.patch.object(fsops, "fsync", fsync):
            sync_files(self.opened(4))
        self.assertTrue(ended.is_set())

    def test_no_thread_is_left(self) -> None:
        before = _thread._count()
        sync_files(self.opened(20))
        until = time.monotonic() + 30
        while _thread._count() > before and time.monotonic() < until:
            time.sleep(0.001)
        self.assertEqual(_thread._count(), before)

    def test_started_writeback_is_no_sync_and_no_error(self) -> None:
        (descriptor,) = self.opened(1)
        syncing.start_writeback(descriptor)
        syncing.start_writeback(1 << 20)  # none
        with mock.patch.object(syncing, "_SYNC_FILE_RANGE", None):
            syncing.start_writeback(descriptor)
