"""A Deferred of a coroutine that waits, or does not."""

import gc

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from imapd.auth.promptly import deferred


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
