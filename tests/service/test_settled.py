"""What stays is looked at once."""

import unittest

from tests.support.scripts import printed

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
        self.assertGreater(int(printed(SCRIPT)), 10_000)
