"""How much load there is when."""

import unittest

from tests.torture.sizes import GATE, MINUTES, NIGHT, sizes


class SizesTests(unittest.TestCase):
    def test_more_time_is_more_load(self) -> None:
        chosen = [sizes(seconds) for seconds in (0, 59, 60, 899, 900)]
        self.assertEqual(chosen, [GATE, GATE, MINUTES, MINUTES, NIGHT])
