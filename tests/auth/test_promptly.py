"""A Deferred of a coroutine that waits, or does not."""

import gc
import sys
from typing import Any
from unittest import mock

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from imapd.auth.promptly import deferred, rest


class PromptlyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.said: list[str] = []

    async def steps(self, *waits: "Deferred[str]") -> int:
        try:
            for each in waits:
                try:
                    self.said.append(await each)
                except (ValueError, CancelledError) as error:
                    self.said.append(type(error).__name__)
        finally:
            self.said.append("end")
        return len(waits)

    def test_at_once(self) -> None:
        self.assertEqual(self.successResultOf(deferred(self.steps())), 0)
        self.assertEqual(self.said, ["end"])

    def test_what_it_raises_at_once(self) -> None:
        async def breaks() -> None:
            raise ZeroDivisionError

        self.failureResultOf(deferred(breaks()), ZeroDivisionError)

    def test_waiting(self) -> None:
        one: Deferred[str] = Deferred()
        two: Deferred[str] = Deferred()
        result = deferred(self.steps(one, two))
        self.assertNoResult(result)
        one.callback("one")
        self.assertNoResult(result)
        two.errback(ValueError())
        self.assertEqual(self.successResultOf(result), 2)
        self.assertEqual(self.said, ["one", "ValueError", "end"])

    def test_what_it_raises_later(self) -> None:
        waited: Deferred[str] = Deferred()
        result = deferred(self.steps(waited))
        waited.errback(ZeroDivisionError())
        self.failureResultOf(result, ZeroDivisionError)
        self.assertEqual(self.said, ["end"])

    def test_cancelled(self) -> None:
        result = deferred(self.steps(Deferred()))
        result.cancel()
        self.assertEqual(self.successResultOf(result), 1)
        self.assertEqual(self.said, ["CancelledError", "end"])

    def test_nobody_waits_any_more(self) -> None:
        result = deferred(self.steps(Deferred()))
        del result
        gc.collect()
        self.assertEqual(self.said, ["end"])


class ThrownAwayTests(SynchronousTestCase):
    """What is waited for is dropped, and whoever collects garbage closes us."""

    def setUp(self) -> None:
        self.said: list[str] = []
        self.ignored: list[Any] = []
        patched = mock.patch.object(sys, "unraisablehook", self.ignored.append)
        patched.start()
        self.addCleanup(patched.stop)

    async def steps(self, waited: "Deferred[None]") -> None:
        try:
            await waited
        except BaseException as error:
            self.said.append(type(error).__name__)
            raise

    def turn(self, begins: bool) -> None:
        self.said.append("turn")

    def forsaken(self) -> None:
        self.said.append("forsaken")

    def test_the_coroutine_first(self) -> None:
        waited: Deferred[None] = Deferred()
        steps = self.steps(waited)
        waits = rest(steps, steps.send(None), self.turn, self.forsaken)
        next(waits)
        steps.close()
        waits.close()
        self.assertEqual(self.said, ["GeneratorExit", "forsaken"])

    def test_the_coroutine_last(self) -> None:
        waited: Deferred[None] = Deferred()
        steps = self.steps(waited)
        waits = rest(steps, steps.send(None), self.turn, self.forsaken)
        next(waits)
        waits.close()
        steps.close()
        self.assertEqual(self.said, ["GeneratorExit", "forsaken"])

    def test_one_that_would_wait_again(self) -> None:
        async def waits_again() -> None:
            try:
                await Deferred()
            finally:
                await Deferred()

        steps = waits_again()
        waits = rest(steps, steps.send(None), self.turn, self.forsaken)
        next(waits)
        with self.assertRaisesRegex(RuntimeError, "ignored GeneratorExit"):
            waits.close()
        self.assertEqual(self.said, ["forsaken"])
        steps.close()

    def test_one_after_the_other_waits_for_the_same(self) -> None:
        waited: Deferred[None] = Deferred()

        async def outer(waited: "Deferred[None]") -> None:
            await deferred(self.steps(waited))

        result = deferred(outer(waited))
        del waited, result
        gc.collect()
        self.assertEqual((self.said, self.ignored), (["GeneratorExit"], []))
