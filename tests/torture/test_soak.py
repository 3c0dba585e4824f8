"""Sessions of all kinds, for some seconds."""

import math
import random
import unittest

from tests.torture.gate import keeps
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
