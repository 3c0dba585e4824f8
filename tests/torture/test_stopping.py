"""Stopping, reloading and restarting below clients: the short way."""

import unittest

from tests.torture.budget import Budget
from tests.torture.stopping import run


class StoppingTests(unittest.TestCase):
    # Hardening: A11, V09, V10.

    def test_every_figure_keeps_its_bound(self) -> None:
        figures = list(run(Budget(0, 7)))
        self.assertGreater(len(figures), 10)
        self.assertEqual([each for each in figures if each.met is False], [])
