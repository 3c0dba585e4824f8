"""The real server is killed at some hundred system calls: nothing is lost."""

import unittest

from tests.torture import killed
from tests.torture.budget import Budget
from tests.torture.straced import unusable

SEED = 7
_POINTS = 215
_SECONDS = 90
_LEAST_KILLS = 150


@unittest.skipIf(unusable(), str(unusable()))
class KilledTests(unittest.TestCase):
    def test_nothing_is_lost(self) -> None:
        budget = Budget(_SECONDS, SEED, least=_LEAST_KILLS)
        figures = list(killed.run(budget, _POINTS))
        self.assertEqual([one for one in figures if one.met is False], [])
        kills = next(one.value for one in figures if one.bound == "at least 1")
        self.assertGreaterEqual(kills, _LEAST_KILLS, "too few were tried")

    def test_it_would_find_something(self) -> None:
        calls = {"rename a tree": "renameat2", "unsubscribe": "write"}
        tree, names = killed.find("careless", calls)
        self.assertIn("of a renamed tree are there", tree)
        self.assertIn("is not subscribed", names)
