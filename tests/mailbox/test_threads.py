"""The door to threads, with a reactor that does at once what it is told."""

import os
import resource
import sys
import threading
import time
import unittest
from collections.abc import Callable
from typing import Any, cast
from unittest import mock

from twisted.python.failure import Failure

from imapd.mailbox import threads
from imapd.mailbox.threads import ThreadWorkers


class _Reactor:
    def __init__(self) -> None:
        self.called = threading.Event()

    def callFromThread(self, call: Any, *args: Any, **kwargs: Any) -> None:
        call(*args, **kwargs)
        self.called.set()


class ThreadTests(unittest.TestCase):
    # Hardening: V04.

    def setUp(self) -> None:
        self.reactor = _Reactor()
        self.workers = ThreadWorkers(cast(Any, self.reactor), threads=1)
        self.workers.start()
        self.addCleanup(self.workers.stop)

    def test_a_disk_that_hangs_does_not_keep_the_process_alive(self) -> None:
        threads: list[threading.Thread] = []
        running = self.workers.run(threading.current_thread)
        running.addCallback(threads.append)
        self.assertTrue(self.reactor.called.wait(20))
        self.assertIsNot(threads[0], threading.current_thread())
        self.assertTrue(threads[0].daemon)

    def test_what_is_brief_runs_here(self) -> None:
        self.assertIs(
            self.workers.brief(threading.current_thread), threading.current_thread()
        )

    def test_what_is_short_runs_here_and_a_slow_disk_is_noticed(self) -> None:
        here = threading.current_thread()
        self.assertIs(self.workers.short(threading.current_thread), here)
        self.assertTrue(self.workers.quick)
        self.workers.short(time.sleep, 2 * threads.SLOW_SECONDS)
        self.assertFalse(self.workers.quick)
        with mock.patch.object(threads, "SLOW_FOR_SECONDS", -1.0):
            self.workers._slow_until = 0.0
            self.assertTrue(self.workers.quick)

    @unittest.skipUnless(hasattr(resource, "RUSAGE_THREAD"), "Linux tells of threads")
    def test_one_who_had_to_wait_for_the_processor_found_no_slow_disk(self) -> None:
        def compute() -> None:
            end = time.monotonic() + 2 * threads.SLOW_SECONDS
            while time.monotonic() < end:
                pass

        # Another thread of ours may make it wait for the interpreter: hardly always.
        self.assertTrue(any(self._is_quick_after(compute) for _ in range(5)))

    def _is_quick_after(self, call: Callable[[], None]) -> bool:
        self.workers._slow_until = 0.0
        self.workers.short(call)
        return self.workers.quick

    def test_all_threads_are_there_from_the_start(self) -> None:
        """Starting one in the midst of a crowd held the reactor for half a second."""
        workers = ThreadWorkers(cast(Any, self.reactor), threads=3, name="test-pool")
        workers.start()
        self.addCleanup(workers.stop)
        with mock.patch.object(threading.Thread, "start", side_effect=AssertionError):
            running = [workers.run(threading.current_thread) for _ in range(9)]
            named = [one for one in threading.enumerate() if "test-pool" in one.name]
            while not all(each.called for each in running):
                time.sleep(0.01)
        self.assertEqual(len(named), 3)
        ran = {cast(threading.Thread, each.result) for each in running}
        self.assertLessEqual(ran, set(named))

    @unittest.skipUnless(sys.platform == "linux", "threads have a priority on Linux")
    def test_those_that_step_back_do_so_alone(self) -> None:
        workers = ThreadWorkers(cast(Any, self.reactor), threads=1, nice=5)
        workers.start()
        self.addCleanup(workers.stop)
        here = os.getpriority(os.PRIO_PROCESS, 0)
        running = workers.run(os.getpriority, os.PRIO_PROCESS, 0)
        self.assertTrue(self.reactor.called.wait(20))
        self.assertEqual(running.result, min(here + 5, 19))
        self.assertEqual(os.getpriority(os.PRIO_PROCESS, 0), here)

    def test_the_end_does_not_hold_up_the_reactor(self) -> None:
        # As a look at a mailbox does that nobody waits for, on a disk that hangs.
        disk = threading.Event()
        self.addCleanup(disk.set)
        self.workers.run(disk.wait, 20)
        with mock.patch.object(threads, "END_SECONDS", 0.01):
            ended = self.workers.stop()
        self.assertFalse(ended.called)
        self.assertFalse(self.reactor.called.is_set())
        disk.set()
        while not ended.called:
            time.sleep(0.01)

    def test_it_may_be_started_and_stopped_twice(self) -> None:
        self.workers.start()
        self.assertTrue(self.workers.stop().called)
        self.workers.stop()

    def test_what_comes_after_the_end_fails_and_is_not_forgotten(self) -> None:
        self.workers.stop()
        failed: list[Failure] = []
        for run in (self.workers.run, self.workers.heavy):
            run(threading.current_thread).addErrback(failed.append)
        self.assertEqual([each.type for each in failed], [RuntimeError] * 2)
