"""How long refusals take, by some hundred tries."""

import unittest

from tests.torture.gate import keeps
from tests.torture.timing import run


class TimingTests(unittest.TestCase):
    # Hardening: A02.

    def test_every_figure_keeps_its_bound(self) -> None:
        keeps(self, run, 0)
