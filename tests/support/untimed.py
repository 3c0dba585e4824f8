"""Rounds of looks that come when the test's clock says so, however busy the machine."""

import unittest
from unittest.mock import patch

from imapd.mailbox import rounds


def untimed(test: unittest.TestCase) -> None:
    """Let no round of looks, until the test ends, wait for what the last one took.

    That is measured in real time: a test that turns its own clock by as much as lies
    between two rounds would miss one after the machine held it up for a moment.
    """
    patcher = patch.object(rounds, "PAUSE_FACTOR", 0)
    patcher.start()
    test.addCleanup(patcher.stop)
