"""Commands that take long share one portion of each turn of the reactor."""

from collections.abc import Callable
from typing import Any, cast
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from imapd.server import turns
from imapd.server.turns import Turns
from imapd.server.wheel import Wheel


class Reactor:
    """Its turns are counted: what is asked for in one, comes in the next."""

    def __init__(self) -> None:
        self.asked: list[Callable[[], None]] = []

    def seconds(self) -> float:
        return 0.0

    def callLater(self, delay: float, call: Callable[[], None]) -> None:
        self.asked.append(call)

    def turn(self) -> None:
        asked, self.asked = self.asked, []
        for call in asked:
            call()


class TurnsTests(SynchronousTestCase):
    # Hardening: V03.

    def setUp(self) -> None:
        self.reactor = Reactor()
        self.turns = Turns(Wheel(cast(Any, self.reactor)))
        self.worked: list[str] = []
        self.now = 0.0
        self.patch(turns, "time", mock.Mock(monotonic=lambda: self.now))

    def begin(self, name: str, steps: int, seconds: float) -> None:
        """Work so many steps, each of which takes so long."""

        def work(_: object, left: int = steps) -> None:
            self.now += seconds
            self.worked.append(name)
            if left > 1:
                self.turns.next().addCallback(work, left - 1)

        self.turns.next().addCallback(work)

    def turn(self) -> str:
        """One turn of the reactor; return who worked in it."""
        self.worked.clear()
        self.reactor.turn()
        return "".join(self.worked)

    def test_many_hold_the_reactor_no_longer_than_one(self) -> None:
        for name in "abcdefgh":
            self.begin(name, 2, 0.005)
        self.assertEqual([self.turn() for _ in range(17)], [*"abcdefghabcdefgh", ""])
        self.assertEqual(self.reactor.asked, [])

    def test_short_work_is_done_together(self) -> None:
        for name in "abcd":
            self.begin(name, 2, 0.002)
        self.assertEqual([self.turn() for _ in range(4)], ["abc", "dab", "cd", ""])

    def test_nobody_works_twice_in_a_turn(self) -> None:
        self.begin("a", 3, 0)
        self.begin("b", 1, 0)
        self.assertEqual([self.turn() for _ in range(4)], ["ab", "a", "a", ""])

    def test_who_gave_up_is_passed_over(self) -> None:
        waiter = self.turns.next()
        self.begin("a", 1, 0)
        waiter.addErrback(lambda _: None)
        waiter.cancel()
        self.assertEqual(self.turn(), "a")
