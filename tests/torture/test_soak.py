"""Sessions of all kinds, for some seconds."""

import unittest

from tests.torture.gate import keeps
from tests.torture.soak import run, slope


class SoakTests(unittest.TestCase):
    # Hardening: V06, V11.

    def test_every_figure_keeps_its_bound(self) -> None:
        keeps(self, run, 3)

    def test_slope(self) -> None:
        samples = [(600.0 * number, (5 + number) << 20, 0) for number in range(7)]
        self.assertAlmostEqual(slope(samples), 6.0)
