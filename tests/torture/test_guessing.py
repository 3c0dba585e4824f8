"""Hours of guessing, in some seconds."""

import unittest

from tests.torture.gate import keeps
from tests.torture.guessing import Guessed, octets_of, run


class GuessingTests(unittest.TestCase):
    # Hardening: A01.

    def test_every_figure_keeps_its_bound(self) -> None:
        keeps(self, run, 0)

    def test_the_worst_hour(self) -> None:
        self.assertEqual(Guessed().worst_hour, 0)
        self.assertEqual(Guessed([0, 1, 3000, 3600, 3601, 9000]).worst_hour, 3)

    def test_memory_is_seen_wherever_it_is(self) -> None:
        few, many = {1: ["a" * 10]}, {1: ["b" * 1000]}
        self.assertAlmostEqual(octets_of(many) - octets_of(few), 990, delta=16)
