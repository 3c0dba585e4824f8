"""Slow and quick clients: the load of every check-in."""

import unittest

from tests.torture import load
from tests.torture.sizes import GATE


class HoardingTests(unittest.TestCase):
    # Hardening: X6, V01, V07.

    def test_every_figure_keeps_its_bound(self) -> None:
        figures = list(load.hoards(GATE))
        self.assertEqual([each for each in figures if each.met is False], [])
        self.assertEqual({each.goal for each in figures}, {"G13", "V01", "V04", "V07"})
