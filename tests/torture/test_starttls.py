"""Octets past STARTTLS by chance; the matrix itself is ``tests/live/test_starttls``."""

import unittest

from tests.live.peers import PEER_UNDER_TEST
from tests.torture.budget import Budget
from tests.torture.starttls import run


@unittest.skipIf(PEER_UNDER_TEST, "a test of ours alone")
class StarttlsTests(unittest.TestCase):
    # Hardening: X1, P01.

    def test_every_figure_keeps_its_bound(self) -> None:
        figures = list(run(Budget(0, 7)))
        self.assertEqual([each for each in figures if each.met is False], [])
        self.assertGreater(figures[0].value, 100)
