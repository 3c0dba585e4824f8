"""Many clients: the load of every check-in."""

import unittest

from tests.torture import load
from tests.torture.sizes import GATE


class CrowdingTests(unittest.TestCase):
    # Hardening: P21, A05, V02, V05.

    def test_every_figure_keeps_its_bound(self) -> None:
        figures = list(load.crowds(GATE))
        self.assertEqual([each for each in figures if each.met is False], [])
        self.assertEqual({each.goal for each in figures}, {"G14", "G15", "G17", "V04"})
