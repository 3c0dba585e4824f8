"""Many hands on one Maildir, for some seconds: nothing is lost, nothing made up."""

import json
import tempfile
import threading
import unittest
from collections.abc import Iterable
from pathlib import Path
from unittest import mock

from tests.live.peers import needs
from tests.torture.figures import Figure
from tests.torture.hands import crowd
from tests.torture.ledger import Ledger
from tests.torture.numbering import Numbered, change
from tests.torture.renames import renames
from tests.torture.sessions import Session

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


class AcknowledgedTests(unittest.TestCase):
    def test_what_was_told_to_be_gone_was_not_flagged(self) -> None:
        ledger, view = Ledger(), mock.Mock(uids=[1, 2])
        view.command.side_effect = lambda _: view.uids.remove(1)
        session = Session("two", mock.Mock(), ledger, SEED, threading.Event())
        with mock.patch.object(session, "_pick", return_value={1: 100, 2: 200}):
            session._flag(view)
        self.assertIsNone(ledger.flags[100, "Beta"])
        self.assertIsNotNone(ledger.flags[200, "Beta"])


class NumberedTests(unittest.TestCase):
    """Whose doing a second UID was."""

    BEFORE = b"3 V1 N4 Gx\n1 :a\n2 S9 :b\n3 :c\n"
    THERE = (b"a:2,S", b"b", b"d:2,")

    def blamed(
        self, after: bytes, first: int, second: int, before: bytes = BEFORE
    ) -> bool:
        """Whether ours are, for the UIDs of one message, if they wrote ``after``."""
        with tempfile.TemporaryDirectory() as name:
            kept = Path(name) / "kept"
            done = change(before, after, self.THERE) | {"folder": "INBOX"}
            kept.write_text(json.dumps(done) + "\n")
            numbered = Numbered([kept])
        return bool(numbered.blamed_for({("INBOX", 7): {first, second}}))

    def test_ours_gave_it(self) -> None:
        self.assertTrue(self.blamed(self.BEFORE + b"4 :a\n", 1, 4))
        self.assertTrue(self.blamed(b"3 V2 N5 Gx\n2 :b\n4 :a\n", 1, 4))
        # Whoever gave the second one: ours took the first from it.
        self.assertTrue(self.blamed(b"3 V1 N5 Gx\n1 :a\n", 2, 4))

    def test_others_gave_it(self) -> None:
        self.assertFalse(self.blamed(self.BEFORE, 1, 4))
        self.assertFalse(self.blamed(self.BEFORE + b"5 :e\n", 1, 4))
        # To what has none any more; a line less for what has two; what is gone.
        self.assertFalse(self.blamed(self.BEFORE + b"4 :d\n", 1, 4))
        self.assertFalse(self.blamed(b"3 V1 N5 Gx\n1 :a\n2 :b\n", 3, 4))
        again = self.BEFORE + b"4 :a\n"
        self.assertFalse(self.blamed(again.replace(b"1 :a\n", b""), 1, 4, again))


def assert_kept(case: unittest.TestCase, figures: Iterable[Figure]) -> None:
    """Every figure keeps its bound."""
    missed = [one for one in figures if one.met is False]
    case.assertEqual(missed, [])
