"""The sweeps, and the fuzzer of names, for some seconds each."""

import unittest

from tests.torture import injection, limitsweep, namefuzz
from tests.torture.gate import keeps


class SweepTests(unittest.TestCase):
    def test_names(self) -> None:
        # Hardening: F01, F08.
        keeps(self, namefuzz.run, 6)

    def test_limits(self) -> None:
        # Hardening: X3, P08, P09, P10, P21.
        keeps(self, limitsweep.run, 0)

    def test_injection(self) -> None:
        # Hardening: P18.
        keeps(self, injection.run, 3)
