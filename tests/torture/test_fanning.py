"""Some sessions in one mailbox, and mail that comes to it."""

import unittest

from tests.torture.fanning import fans
from tests.torture.sizes import GATE


class FanningTests(unittest.TestCase):
    # Hardening: V13.

    def test_every_figure_keeps_its_bound(self) -> None:
        figures = list(fans(GATE))
        self.assertGreater(len(figures), 5)
        self.assertEqual([each for each in figures if each.met is False], [])
