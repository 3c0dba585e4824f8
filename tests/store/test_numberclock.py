"""A time that is never set back, whatever the clock of the machine says."""

import unittest

from imapd.store.maildir.numberclock import NumberClock

_SECOND_NS = 1_000_000_000


class NumberClockTests(unittest.TestCase):
    def setUp(self) -> None:
        self.wall_ns, self.steady_ns = 1_700_000_000 * _SECOND_NS, 5 * _SECOND_NS
        self.clock = NumberClock(lambda: self.wall_ns, lambda: self.steady_ns)

    def passes(self, seconds: int, wall_seconds: int | None = None) -> int:
        """So much time, of which the clock of the machine says something else."""
        self.steady_ns += seconds * _SECOND_NS
        told = seconds if wall_seconds is None else wall_seconds
        self.wall_ns += told * _SECOND_NS
        return self.clock.microseconds() - 1_700_000_000 * 1_000_000

    def test_it_is_the_time(self) -> None:
        self.assertEqual(self.passes(0), 0)
        self.assertEqual(self.passes(7), 7_000_000)

    def test_set_back_it_goes_on(self) -> None:
        self.passes(10)
        self.assertEqual(self.passes(1, -7200), 11_000_000)
        self.assertEqual(self.passes(5), 16_000_000)

    def test_set_forward_it_follows(self) -> None:
        """Also where the machine slept, and the steady clock with it."""
        self.assertEqual(self.passes(0, 3600), 3_600_000_000)
        self.assertEqual(self.passes(1, -3599), 3_601_000_000)


if __name__ == "__main__":
    unittest.main()
