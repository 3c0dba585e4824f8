"""Lock files that are nobody's, and those that only looked so."""

import os
import subprocess
import tempfile
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from imapd.errors import Unavailable
from imapd.store import dotlock, fsops
from imapd.store.dotlock import Draft, is_held, release


class StaleTests(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "tmp").mkdir()
        self.lock = self.folder / "lock"
        self.path = os.fsencode(self.lock)
        self.draft = Draft(os.fsencode(self.folder / "tmp"))
        # What a file was changed at, only the system says.
        self.enterContext(
            mock.patch.object(time, "time", lambda: time.monotonic() + 1e10)
        )

    def litter(self) -> list[str]:
        return [name for name in os.listdir(self.folder / "tmp") if "stale" in name]

    def between(self, name: str, act: Callable[[], object]) -> Any:
        """Do something once, just before an operation."""
        function, waiting = getattr(fsops, name), [act]

        def acting(*arguments: Any) -> Any:
            if waiting:
                waiting.pop()()
            return function(*arguments)

        return mock.patch.object(fsops, name, acting)

    def give_back(self) -> None:
        with fsops.opened_directory(os.fsencode(self.folder)) as directory:
            release(directory, b"lock", self.draft.identity)

    def test_one_of_another_host_that_nobody_touches(self) -> None:
        self.lock.write_text("1:elsewhere")
        self.assertTrue(self.draft.take(self.path))
        self.assertTrue(is_held(self.path, self.draft.identity))
        self.assertEqual(self.litter(), [])
        self.give_back()
        self.assertFalse(self.lock.exists())

    def test_somebody_new_is_there_by_then(self) -> None:
        """Two have seen that it is stale; the other one was quicker."""
        self.lock.write_text("1:elsewhere")
        new = self.folder / "new"
        new.write_text("2:elsewhere")
        with (
            self.between("rename", lambda: os.rename(new, self.lock)),
            mock.patch.object(dotlock, "_is_stale", side_effect=[True, False]),
        ):
            self.assertFalse(self.draft.take(self.path))
        self.assertEqual(self.lock.read_text(), "2:elsewhere")
        self.assertEqual(self.litter(), [])
        self.assertFalse(is_held(self.path, self.draft.identity))
        self.give_back()  # not ours
        self.assertTrue(self.lock.exists())

    def test_it_is_given_back_while_it_is_looked_at(self) -> None:
        for operation in ("status_or_none", "read_file", "rename"):
            with self.subTest(operation):
                self.lock.write_text("1:elsewhere")
                with self.between(operation, self.lock.unlink):
                    self.assertTrue(self.draft.take(self.path))
                self.assertTrue(is_held(self.path, self.draft.identity))
                self.give_back()

    def test_one_that_cannot_be_read_is_judged_by_its_age(self) -> None:
        self.lock.write_text("1:elsewhere")
        broken = mock.patch.object(fsops, "read_file", side_effect=PermissionError(13))
        with broken:
            self.assertTrue(self.draft.take(self.path))

    def test_what_is_no_lock_is_not_removed(self) -> None:
        self.lock.mkdir()
        with self.assertRaises(Unavailable):
            self.draft.take(self.path)
        self.assertTrue(self.lock.is_dir())


class HolderTests(unittest.TestCase):
    def test_who_lives(self) -> None:
        for error, lives in ((None, True), (PermissionError(), True)):
            with mock.patch.object(os, "kill", side_effect=error):
                self.assertEqual(dotlock._is_alive(1), lives)
        for gone in (ProcessLookupError(), OverflowError()):
            with mock.patch.object(os, "kill", side_effect=gone):
                self.assertFalse(dotlock._is_alive(1))
        self.assertFalse(dotlock._is_alive(os.getpid()))  # an older one's number

    def test_who_has_the_number_of_one_that_is_gone(self) -> None:
        """As after a crash in a container, where processes have the same numbers."""
        with (
            tempfile.TemporaryDirectory() as folder,
            subprocess.Popen(["sleep", "60"]) as process,
        ):
            self.addCleanup(process.kill)
            lock = Path(folder, "lock")
            lock.write_text(f"{process.pid}:{os.uname().nodename}")
            path, said = os.fsencode(lock), lock.read_bytes()

            def is_stale(age_seconds: float) -> bool:
                then = int(time.time() - age_seconds)
                status = os.stat_result((0o100600, *[0] * 6, then, then, then))
                return dotlock._is_stale(path, status)

            # Perhaps the clock was set: no lock that is in use is so old.
            self.assertFalse(is_stale(100))
            self.assertTrue(is_stale(200))
            # It lives, and has been there since before.
            with mock.patch.object(dotlock, "STALE_SECONDS", -60):
                self.assertFalse(is_stale(-30))
            with mock.patch.object(fsops, "read_file", side_effect=[said, OSError]):
                self.assertFalse(is_stale(200))
            process.kill()
