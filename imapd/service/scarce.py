"""Connections that cannot be accepted for want of descriptors: few lines of log.

They are closed with a descriptor that is kept for that.  A few lines of log for each
would let whoever connects again and again fill the disk.
"""

from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IListeningPort,
    IProtocolFactory,
    IReactorTime,
    IStreamServerEndpoint,
)
from twisted.logger import LogEvent, Logger
from zope.interface import implementer

from imapd.service import events

#: The first is told at once, the others so often.
INTERVAL_SECONDS: Final = 60.0
#: The field of an event that tells of one it did not even take to close it.
_NOT_ACCEPTED: Final = "acceptError"
#: How the event of one closed begins, and those before and after it.
_CLOSED: Final = "EMFILE recovery"
_AROUND: Final = ("EMFILE encountered", "Re-reserving EMFILE")


class Refusals:
    """In the place of what a port logs to: counts what it could not accept."""

    def __init__(self, clock: IReactorTime, usual: Any) -> None:
        """``usual`` gets every other event."""
        self._clock = clock
        self._usual = usual
        self._count = 0
        self._reason = ""
        self._waiting: IDelayedCall | None = None

    def __call__(self, event: LogEvent) -> None:
        """Take an event."""
        text = str(event.get("log_format", ""))
        if _NOT_ACCEPTED in event:
            self._refused(str(event[_NOT_ACCEPTED]))
        elif text.startswith(_CLOSED):
            self._refused("EMFILE")
        elif not text.startswith(_AROUND):
            self._usual(event)

    def _refused(self, reason: str) -> None:
        self._count += 1
        self._reason = reason
        if self._waiting is None:
            self._tell()

    def _tell(self) -> None:
        """Say how many there were; nothing where there were none meanwhile."""
        self._waiting = None
        count, self._count = self._count, 0
        if count:
            events.not_accepted(count=count, reason=self._reason)
            self._waiting = self._clock.callLater(INTERVAL_SECONDS, self._tell)


def calm(port: Any, clock: IReactorTime) -> Any:
    """Let a port of Twisted's log no more of that than it must; returns the port."""
    # Private; where a later Twisted has another name for it, only the calm is lost.
    logger = getattr(port, "_logger", None)
    if isinstance(logger, Logger):
        observer: Any = Refusals(clock, logger.observer)
        port._logger = Logger(logger.namespace, logger.source, observer)
    return port


@implementer(IStreamServerEndpoint)
class CalmEndpoint:
    """Listens at another endpoint, whose port is made calm."""

    def __init__(self, endpoint: IStreamServerEndpoint, clock: IReactorTime) -> None:
        """Nothing listens yet."""
        self._endpoint = endpoint
        self._clock = clock

    def listen(self, protocolFactory: IProtocolFactory) -> "Deferred[IListeningPort]":  # noqa: N803
        """Open the port."""
        return self._endpoint.listen(protocolFactory).addCallback(calm, self._clock)
