"""Many hands on one Maildir, for some seconds: nothing is lost, nothing made up."""

import unittest
from collections.abc import Iterable

from tests.live.peers import needs
from tests.torture.figures import Figure
from tests.torture.hands import crowd
from tests.torture.renames import renames

SEED = 7
_CROWD_SECONDS = 6
_RENAMES_SECONDS = 5


class RenamesTests(unittest.TestCase):
    def test_no_expunge_that_was_none(self) -> None:
        assert_kept(self, renames(_RENAMES_SECONDS))


@needs("mbsync")
class CrowdTests(unittest.TestCase):
    def test_nothing_is_lost(self) -> None:
        assert_kept(self, crowd(_CROWD_SECONDS, SEED, beside=False))


@needs("dovecot", "mbsync")
class BesideDovecotTests(unittest.TestCase):
    def test_nothing_is_lost(self) -> None:
        assert_kept(self, crowd(_CROWD_SECONDS, SEED, beside=True))


def assert_kept(case: unittest.TestCase, figures: Iterable[Figure]) -> None:
    """Every figure keeps its bound."""
    missed = [one for one in figures if one.met is False]
    case.assertEqual(missed, [])
