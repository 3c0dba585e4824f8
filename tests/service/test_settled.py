"""What stays is looked at once."""

import os
import subprocess
import sys
import unittest
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
#: Serves nobody, in a process of its own: this one would never let go of our tests.
SCRIPT = """
import gc
from unittest import mock

from twisted.internet import reactor

from imapd.service import serving

server = mock.Mock(spec=serving.Serving)
server._threads = server._watchdog = mock.Mock()
server._reactor = reactor
with mock.patch.object(serving.hashing, "start"):
    serving.Serving.start(server)


def tell():
    print(gc.get_freeze_count())
    reactor.stop()


before = gc.get_freeze_count()
reactor.callLater(0, tell)
reactor.run()
assert before == 0
"""


class SettledTests(unittest.TestCase):
    def test_modules_are_left_alone(self) -> None:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreater(int(done.stdout), 10_000)
