"""Descriptors are used up: one line at once, and one a minute of all that follow."""

import errno
import os
from typing import Any

from twisted.internet import tcp
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from imapd.service.scarce import INTERVAL_SECONDS, calm


class _Accepted:
    """A socket of a client that is closed at once."""

    closed = 0

    def close(self) -> None:
        type(self).closed += 1


class _Crowded:
    """A listening socket: what ``accept`` gives or raises, in turn."""

    def __init__(self, *outcomes: object) -> None:
        self.outcomes = list(outcomes)

    def accept(self) -> Any:
        outcome = self.outcomes.pop(0) if self.outcomes else errno.EAGAIN
        if isinstance(outcome, int):
            raise OSError(outcome, os.strerror(outcome))
        return outcome, ("192.0.2.1", 55555)


class ScarceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.events: list[LogEvent] = []
        observer: Any = self.events.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.clock = Clock()
        _Accepted.closed = 0
        factory = Factory.forProtocol(Protocol)
        self.port: Any = calm(tcp.Port(0, factory, reactor=self.clock), self.clock)
        tcp._reservedFD.reserve()  # as a port that is opened does

    def accept(self, *outcomes: object) -> None:
        self.port.socket = _Crowded(*outcomes)
        self.port.numberAccepts = 10  # it adapts that to what comes
        self.port.doRead()

    def counts(self) -> list[tuple[int, str]]:
        """What was logged, and nothing else."""
        found = [(each["count"], each["reason"]) for each in self.events]
        self.events.clear()
        return found

    def test_a_flood(self) -> None:
        for _ in range(100):
            self.accept(errno.EMFILE, _Accepted(), _Accepted())
        self.assertEqual(_Accepted.closed, 200)
        self.assertEqual(self.counts(), [(1, "EMFILE")])
        self.clock.advance(INTERVAL_SECONDS)
        self.assertEqual(self.counts(), [(199, "EMFILE")])

    def test_nothing_more_is_said_when_it_is_over(self) -> None:
        self.accept(errno.ENFILE)
        self.assertEqual(self.counts(), [(1, "ENFILE")])
        self.clock.advance(INTERVAL_SECONDS)
        self.assertEqual(self.counts(), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        # And the next is the first again.
        self.accept(errno.ENOMEM)
        self.assertEqual(self.counts(), [(1, "ENOMEM")])

    def test_other_events_pass(self) -> None:
        self.port._logger.info("something else")
        (event,) = self.events
        self.assertEqual(event["log_namespace"], "twisted.internet.tcp.Port")
