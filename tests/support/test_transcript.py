"""The player of transcripts sees every difference."""

import unittest

from tests.support.server import Server
from tests.support.transcript import Differs, play_all

WRONG = {
    "another condition": "C: a NOOP\nS: a NO …",
    "another tag": "C: a NOOP\nS: b OK …",
    "a line too few": "C: a LOGOUT\nS: a OK …",
    "a line too many": "C: a NOOP\nS: * BYE …\nS: a OK …",
    "the wrong order": "C: a LOGOUT\nS: a OK …\nS: * BYE …",
    "nothing wanted": "C: a NOOP",
    "nothing got": "C| a NOOP\nS: a OK …",
    "any lines, but not these": "C: a LOGOUT\nS: …\nS: a OK …\nS: * BYE …",
    "wrong at the first of two steps": "C: a NOOP\nS: a NO …\nC: b NOOP\nS: b OK …",
}
RIGHT = {
    "any lines": "C: a LOGOUT\nS: …\nS: a OK …",
    "any lines, none": "C: a NOOP\nS: …\nS: a OK …\nS: …",
    "two clients": "C: a NOOP\nS: a OK …\nC2: a NOOP\nS2: a OK …",
    "in pieces": r"C| a NO" + "\n" + r"C| OP\r\n" + "\nN: not yet\nS: a OK …",
}


class PlayerTests(unittest.TestCase):
    def test_wrong(self) -> None:
        for name, transcript in WRONG.items():
            with self.assertRaises(AssertionError, msg=name):
                play_all({name: transcript}, lambda: Server(self), user=None)

    def test_right(self) -> None:
        play_all(RIGHT, lambda: Server(self), user=None)

    def test_no_transcript(self) -> None:
        with self.assertRaises(ValueError):
            play_all({"": "X: a"}, lambda: Server(self), user=None)
        self.assertTrue(issubclass(Differs, AssertionError))
