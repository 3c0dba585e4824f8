"""A coroutine that need not wait is done when the call returns."""

import gc

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from imapd.server import stepping


class SteppingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.turns: list[bool] = []
        self.said: list[str] = []

    def forsaken(self) -> None:
        self.said.append("forsaken")

    def run_steps(self, *waits: "Deferred[str]") -> "Deferred[None] | None":
        async def steps() -> None:
            for each in waits:
                try:
                    self.said.append(await each)
                except (ValueError, CancelledError) as error:
                    self.said.append(type(error).__name__)
            self.said.append("end")

        return stepping.run(steps(), self.turns.append, self.forsaken)

    def test_at_once(self) -> None:
        self.assertIsNone(self.run_steps())
        self.assertEqual((self.said, self.turns), (["end"], [True, False]))

    def test_what_it_raises_at_once_is_raised(self) -> None:
        async def breaks() -> None:
            raise ZeroDivisionError

        with self.assertRaises(ZeroDivisionError):
            stepping.run(breaks(), self.turns.append, self.forsaken)
        self.assertEqual(self.turns, [True, False])

    def test_waiting(self) -> None:
        one: Deferred[str] = Deferred()
        two: Deferred[str] = Deferred()
        rest = self.run_steps(one, two)
        assert rest is not None
        self.assertEqual(self.turns, [True, False])
        one.callback("a")
        self.assertEqual((self.said, self.turns), (["a"], [True, False] * 2))
        two.errback(ValueError())
        self.successResultOf(rest)
        self.assertEqual(self.said, ["a", "ValueError", "end"])
        self.assertEqual(self.turns, [True, False] * 3)

    def test_what_it_raises_later_is_the_result(self) -> None:
        wait: Deferred[None] = Deferred()

        async def breaks() -> None:
            await wait
            raise ZeroDivisionError

        rest = stepping.run(breaks(), self.turns.append, self.forsaken)
        assert rest is not None
        wait.callback(None)
        self.failureResultOf(rest, ZeroDivisionError)

    def test_cancelling_reaches_what_it_waits_for(self) -> None:
        rest = self.run_steps(Deferred())
        assert rest is not None
        rest.cancel()
        self.successResultOf(rest)
        self.assertEqual(self.said, ["CancelledError", "end"])

    def test_what_it_waits_for_is_thrown_away(self) -> None:
        self.assertIsNotNone(self.run_steps(Deferred()))
        gc.collect()
        self.assertEqual((self.said, self.turns), (["forsaken"], [True, False]))
