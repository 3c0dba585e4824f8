"""Busy clients: the load of every check-in."""

import unittest

from tests.torture import load
from tests.torture.sizes import GATE


class GrindingTests(unittest.TestCase):
    # Hardening: P13, V03, V04.

    def test_every_figure_keeps_its_bound(self) -> None:
        figures = list(load.grinds(GATE))
        self.assertEqual([each for each in figures if each.met is False], [])
        self.assertEqual({each.goal for each in figures}, {"G16", "G18", "V04"})
