"""Time limits stand on one wheel: within a second after their time, never before."""

from typing import Any
from unittest import mock

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imapd.server import wheel
from imapd.server.wheel import NOWHERE, Wheel


class Item:
    """Wants to be looked at anew so often as it says."""

    def __init__(self, *again: float) -> None:
        self.tick = NOWHERE
        self.again = list(again)
        self.looks: list[float] = []

    def look(self, now: float) -> float | None:
        self.looks.append(now)
        return self.again.pop(0) if self.again else None


class Bad(Item):
    def look(self, now: float) -> float | None:
        raise ZeroDivisionError


class WheelTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.wheel = Wheel(self.clock)

    def test_within_a_second_and_never_before(self) -> None:
        # Hardening: V08.
        for start in (0.0, 0.3, 0.999):
            for wait in (0.0, 0.2, 1.0, 59.5, 60.0):
                clock = Clock()
                clock.advance(start)
                turning, item = Wheel(clock), Item()
                turning.place(item, start + wait)
                while not item.looks:
                    clock.advance(0.1)
                    self.assertLess(clock.seconds(), start + wait + 1.2)
                name = f"{wait} s from {start}"
                self.assertGreaterEqual(item.looks[0] + 1e-9, start + wait, name)

    def test_exactly_where_seconds_are_whole(self) -> None:
        item = Item()
        self.wheel.place(item, 60)
        self.clock.advance(59.9)
        self.assertEqual(item.looks, [])
        self.clock.advance(0.1)
        self.assertEqual(item.looks, [60.0])

    def test_one_timer_whatever_the_number_and_none_for_nobody(self) -> None:
        # Hardening: V02.
        items = [Item() for _ in range(100)]
        for number, item in enumerate(items):
            self.wheel.place(item, 10 + number)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        for item in items:
            self.wheel.remove(item)
            self.wheel.remove(item)  # not an error
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.wheel._places, {})
        self.clock.advance(1000)
        self.assertEqual([item for item in items if item.looks], [])

    def test_only_an_earlier_time_moves_it(self) -> None:
        item = Item()
        self.wheel.place(item, 10)
        self.wheel.place(item, 20)  # it will say so when it is looked at
        self.wheel.place(item, 5)
        self.clock.pump([1] * 30)
        self.assertEqual(item.looks, [5.0])

    def test_it_may_want_to_be_looked_at_again(self) -> None:
        item = Item(7, 9.5)
        self.wheel.place(item, 2)
        self.clock.pump([1] * 30)
        self.assertEqual(item.looks, [2.0, 7.0, 10.0])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_time_that_leaps_leaves_nothing_behind(self) -> None:
        # Hardening: D07.
        items = [Item() for _ in range(5)]
        for number, item in enumerate(items):
            self.wheel.place(item, 10 * number + 1)
        self.clock.advance(100_000)
        self.assertEqual([item.looks for item in items], [[100_000.0]] * 5)

    def test_one_that_breaks_does_not_stop_the_others(self) -> None:
        # Hardening: V12.
        bad, good = Bad(), Item()
        self.wheel.place(bad, 1)
        self.wheel.place(good, 1)
        self.clock.advance(1)
        self.assertEqual(good.looks, [1.0])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_many_at_once_leave_others_their_turn(self) -> None:
        # Hardening: V03.
        items = [Item() for _ in range(10)]
        for item in items:
            self.wheel.place(item, 1)
        turns: list[int] = []
        later = self.clock.callLater

        def call_later(seconds: float, call: Any, *arguments: Any) -> Any:
            turns.append(sum(len(item.looks) for item in items))
            return later(seconds, call, *arguments)

        with (
            mock.patch.object(wheel, "TURN_SECONDS", -1.0),
            mock.patch.object(self.clock, "callLater", call_later),
        ):
            self.clock.advance(1)
        self.assertEqual(turns, list(range(1, 10)))
        self.assertEqual([len(item.looks) for item in items], [1] * 10)

    def test_one_that_goes_while_it_is_due_is_not_looked_at(self) -> None:
        class Jealous(Item):
            def look(self, now: float) -> float | None:
                for each in items:
                    if each is not self:
                        wheel_.remove(each)
                wheel_.place(items[0], 50)
                return super().look(now)

        wheel_, items = self.wheel, [Jealous() for _ in range(10)]
        for item in items:
            wheel_.place(item, 1)
        self.clock.advance(1)
        self.assertEqual(sum(len(item.looks) for item in items), 1)
        self.clock.advance(49)
        self.assertEqual(items[0].looks[-1], 50.0)
