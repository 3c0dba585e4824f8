"""Sessions of all kinds, for some seconds."""

import math
import random
import unittest
from collections import Counter

from tests.torture import plateau
from tests.torture.figures import Figure
from tests.torture.gate import keeps
from tests.torture.plateau import Rest
from tests.torture.soak import run, slope

MEBI = 1 << 20


class SoakTests(unittest.TestCase):
    # Hardening: V06, V11.

    def test_every_figure_keeps_its_bound(self) -> None:
        keeps(self, run, 3)

    def test_slope(self) -> None:
        samples = [(600.0 * number, (5 + number) << 20, 0) for number in range(7)]
        rise, wrong = slope(samples)
        self.assertAlmostEqual(rise, 6.0)
        self.assertAlmostEqual(wrong, 0.0)

    def test_a_slope_that_chance_may_make(self) -> None:
        # Two MiB up and down, and one in the hour between.
        chance = random.Random(7)
        samples = [
            (20.0 * number, int((50 + number / 180 + chance.uniform(-2, 2)) * MEBI), 0)
            for number in range(180)
        ]
        rise, wrong = slope(samples)
        self.assertLess(abs(rise - 1), wrong)
        self.assertLess(wrong, 2)
        self.assertEqual(slope(samples[:2]), (0.0, math.inf))


def rest(seconds: float, own: float = 60.0, used: float = 30.0) -> Rest:
    """A sample at rest, in MiB; ten sessions in each second."""
    sizes = int(own * MEBI), int(used * MEBI)
    return Rest(Counter(), sizes[0], 1000, sizes[1], seconds, int(10 * seconds))


class PlateauTests(unittest.TestCase):
    def judged(self, rests: list[Rest]) -> dict[str, Figure]:
        return {each.what: each for each in plateau.figures(rests)}

    def test_a_slope_that_some_points_do_not_make(self) -> None:
        points = [(float(at), 2.0 * at) for at in range(20)]
        for at in (3, 7, 12, 19):
            points[at] = (float(at), 500.0)
        rise, wrong = plateau.slope(points)
        self.assertAlmostEqual(rise, 2.0)
        self.assertLess(wrong, 100)

    def test_a_slope_that_chance_may_make(self) -> None:
        # Of a hundred times, 95 the truth is no further away than what is told.
        chance = random.Random(3)
        right = 0
        for _ in range(100):
            points = [(at / 10, at / 10 + chance.gauss(0, 1)) for at in range(20)]
            rise, wrong = plateau.slope(points)
            right += abs(rise - 1) <= wrong
        self.assertGreaterEqual(right, 90)

    def test_no_slope(self) -> None:
        for points in ([], [(0.0, 1.0)] * 3, [(0.0, 1.0)] * 9):
            self.assertEqual(plateau.slope(points), (0.0, math.inf))

    def test_the_last_half_is_of_the_work(self) -> None:
        rests = [rest(seconds) for seconds in (60, 70, 80, 500, 620, 660)]
        self.assertEqual(plateau.last_half(rests), rests[3:])

    def test_a_plateau(self) -> None:
        # It grows for half of the time; then there are peaks only.
        chance = random.Random(5)
        rests = [
            rest(40.0 * at, min(60.0, 59 + at / 20) + chance.uniform(0, 3), 30)
            for at in range(41)
        ]
        found = self.judged(rests)
        self.assertEqual(found["soak: last half, sessions"].value, 8000)
        for name in (
            "in use, slope",
            "in use, slope at least",
            "memory, floor",
        ):
            self.assertIs(found[f"soak: at rest, {name}"].met, True, name)
        self.assertIsNone(found["soak: at rest, memory, slope"].met)

    def test_what_each_session_leaves(self) -> None:
        # Some 70 octets of each: with ten a second, 2.4 MiB an hour.
        rests = [rest(30.0 * at, 60 + at / 50, 30 + at / 50) for at in range(25)]
        found = self.judged(rests)
        for what in ("in use, slope", "in use, slope at least", "memory, slope"):
            figure = found[f"soak: at rest, {what}"]
            self.assertAlmostEqual(figure.value, 2.4, delta=0.01)
            self.assertIs(figure.met, False, what)
        each = found["soak: in use, of a session"]
        self.assertAlmostEqual(each.value, 70, delta=1)

    def test_a_floor_that_rises(self) -> None:
        # A little after each peak, and never back.
        rests = [rest(30.0 * at, 60 + at // 4 * 0.5 + at % 4) for at in range(25)]
        self.assertEqual(plateau.floor_rise(rests), int(2.5 * MEBI))
        self.assertIs(self.judged(rests)["soak: at rest, memory, floor"].met, False)
        self.assertEqual(plateau.floor_rise(rests[:16]), int(1.5 * MEBI))
        self.assertNotIn("soak: at rest, memory, floor", self.judged(rests[:15]))

    def test_what_may_be_chance_or_not(self) -> None:
        # Two MiB an hour, of which half a MiB up and down makes anything.
        chance = random.Random(11)
        rests = [
            rest(30.0 * at, 60, 30 + at / 60 + chance.uniform(-0.5, 0.5))
            for at in range(25)
        ]
        found = self.judged(rests)
        self.assertGreater(
            found["soak: at rest, in use, slope may be wrong by"].value, 1
        )
        self.assertIsNone(found["soak: at rest, in use, slope"].met)
        self.assertIs(found["soak: at rest, in use, slope at least"].met, True)

    def test_of_few_it_is_told_only(self) -> None:
        chance = random.Random(2)
        rests = [rest(30.0 * at, 60 + chance.random(), 30 + at % 2) for at in range(9)]
        for what, figure in self.judged(rests).items():
            self.assertIsNone(figure.met, what)
        for what, figure in self.judged(rests[:2]).items():
            self.assertIsNone(figure.met, what)
