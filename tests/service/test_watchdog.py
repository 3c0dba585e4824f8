"""A reactor that stands still is told of, with the place, once in a while."""

import importlib
import io
import os
import sys
import threading
import time
import unittest
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from twisted.internet.task import Clock

from imapd.service import watchdog
from imapd.service.watchdog import LOOK_SECONDS, STILL_SECONDS, Watchdog, place


class Told(NamedTuple):
    seconds: float
    cpu_seconds: float
    times: int
    where: str


def hold_everybody_up(seconds: float) -> None:
    time.sleep(seconds)


def compute(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


class Reactor(Clock):
    """Turns when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Callable[[], None]] = []

    def callFromThread(self, call: Callable[..., None], *arguments: object) -> None:
        self.asked.append(lambda: call(*arguments))

    def turn(self) -> None:
        self.advance(0)
        asked, self.asked = self.asked, []
        for call in asked:
            call()


class WatchdogTests(unittest.TestCase):
    """Turns by hand; real time, and a real thread that looks."""

    # Hardening: V04.

    def setUp(self) -> None:
        self.reactor = Reactor()
        self.told: list[Told] = []
        self.watchdog = Watchdog(self.reactor, self.tell)
        self.watchdog.start()
        self.addCleanup(self.watchdog.stop)
        self.reactor.turn()

    def tell(
        self, *, seconds: float, cpu_seconds: float, times: int, where: str
    ) -> None:
        self.told.append(Told(seconds, cpu_seconds, times, where))

    def test_it_says_where(self) -> None:
        hold_everybody_up(0.5)
        self.reactor.turn()
        (told,) = self.told
        self.assertGreaterEqual(told.seconds, 0.4)
        self.assertLess(told.cpu_seconds, 0.3)
        self.assertEqual(told.times, 1)
        self.assertRegex(
            told.where,
            rf"^{__name__}:\d+ hold_everybody_up < {__name__}:\d+ "
            r"WatchdogTests\.test_it_says_where < ",
        )

    def test_it_says_whether_it_computed(self) -> None:
        compute(0.4)
        self.reactor.turn()
        (told,) = self.told
        self.assertGreaterEqual(told.cpu_seconds, 0.3)
        self.assertIn(f"{__name__}:", told.where)
        self.assertIn(" compute < ", told.where)

    def test_a_reactor_that_turns_is_left_alone(self) -> None:
        # The machine may hold this test up; that is for the next one.
        answered = 0
        with mock.patch.object(watchdog, "STILL_SECONDS", 0.5):
            end = time.monotonic() + 1.5
            while time.monotonic() < end:
                time.sleep(0.01)
                answered += len(self.reactor.asked)
                self.reactor.turn()
        self.assertGreater(answered, 0)
        self.assertEqual(self.told, [])

    def test_a_reactor_that_waits_is_not_asked(self) -> None:
        waiting = {(__name__, "hold_everybody_up")}
        with mock.patch.object(watchdog, "_WAITING", waiting):
            for _ in range(10):
                self.reactor.turn()
                # Rarely it is looked at just before it waits.
                hold_everybody_up(0.3)
                if not self.reactor.asked:
                    return
        self.fail("asked each time")

    def test_time_without_a_processor_is_no_standing_still(self) -> None:
        self.watchdog.stop()
        starved = iter([0.0, 10.0, 10.0, 10.0])
        with mock.patch.object(
            watchdog._ThreadTimes, "read", lambda _: (0.0, next(starved))
        ):
            self.watchdog.start()
            self.reactor.turn()
            hold_everybody_up(0.4)
            self.reactor.turn()
            self.assertEqual(self.told, [])
            hold_everybody_up(0.4)
            self.reactor.turn()
            self.assertEqual(len(self.told), 1)

    def test_the_log_is_not_flooded(self) -> None:
        for seconds in (0.3, 0.3, 0.6, 0.3):
            hold_everybody_up(seconds)
            self.reactor.turn()
        self.assertEqual([told.times for told in self.told], [1])
        with mock.patch.object(self.watchdog, "_quiet_until", 0.0):
            end = time.monotonic() + 20
            while len(self.told) < 2 and time.monotonic() < end:
                time.sleep(0.01)
                self.reactor.turn()
        self.assertEqual([told.times for told in self.told], [1, 3])
        self.assertGreaterEqual(self.told[1].seconds, 0.5)

    def test_what_was_kept_back_is_told_at_the_end(self) -> None:
        for _ in range(2):
            hold_everybody_up(0.3)
            self.reactor.turn()
        self.watchdog.stop()
        self.assertEqual([told.times for told in self.told], [1, 1])

    def test_who_never_goes_on_is_told_meanwhile(self) -> None:
        errors = io.StringIO()
        with (
            mock.patch.object(watchdog, "LONG_SECONDS", 0.2),
            redirect_stderr(errors),
        ):
            hold_everybody_up(0.8)
        text = errors.getvalue()
        self.assertRegex(text, r"^reactor stands still since \d+ s at ")
        self.assertIn("hold_everybody_up", text)
        self.assertEqual(text.count("\n"), 1)
        self.assertEqual(self.told, [])

    def test_nothing_is_left_when_it_stops(self) -> None:
        def files() -> int:
            return len(os.listdir("/proc/self/fd"))

        before = files()
        self.watchdog.stop()
        self.watchdog.stop()
        self.assertEqual(files(), before - 1)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        names = [thread.name for thread in threading.enumerate()]
        self.assertNotIn("imapd watchdog", names)
        self.watchdog.start()
        self.reactor.turn()
        hold_everybody_up(0.4)
        self.reactor.turn()
        self.assertEqual(len(self.told), 1)

    def test_what_comes_before_the_first_turn_does_not_count(self) -> None:
        self.watchdog.stop()
        self.watchdog.start()
        hold_everybody_up(0.3)
        self.reactor.turn()
        self.reactor.turn()
        self.assertEqual(self.told, [])

    def test_without_a_kernel_that_counts(self) -> None:
        self.watchdog.stop()
        with mock.patch.object(watchdog, "_SCHEDSTAT", "/nowhere/at/all"):
            self.watchdog.start()
            self.reactor.turn()
            hold_everybody_up(0.4)
            self.reactor.turn()
        self.assertEqual(len(self.told), 1)


class PlaceTests(unittest.TestCase):
    def test_no_more_than_a_dozen_calls(self) -> None:
        def down(depth: int) -> str:
            return down(depth - 1) if depth else place(sys._getframe())

        self.assertEqual(down(50).count(" < "), 11)
        self.assertEqual(place(None), "")

    def test_the_bounds_are_those_that_are_documented(self) -> None:
        self.assertEqual((LOOK_SECONDS, STILL_SECONDS), (0.05, 0.1))


class RealReactorTests(unittest.TestCase):
    def test_the_places_where_reactors_wait(self) -> None:
        """A name that Twisted changed would cost an idle server its sleep."""
        for module, name in watchdog._WAITING:
            source = Path(importlib.import_module(module).__file__ or "").read_text()
            self.assertIn(f"def {name}(", source, module)
