"""Tells a handler when its client has read enough to be sent more."""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from imapd.errors import ClientGone


def _nobody() -> None:
    """Nobody wants to know."""


@implementer(IPushProducer)
class OutputGate:
    """The transport's producer: closed while too much waits for the client.

    The transport closes it when its own buffer is full (64 KiB), so that a client
    that does not read costs that much and one batch.
    """

    __slots__ = ("_changed", "_moved_at", "_unsent", "_waiter", "lost", "paused")

    def __init__(self, changed: Callable[[], None]) -> None:
        self.paused = False
        self.lost = False
        self._changed = changed
        self._unsent: int | None = None
        self._moved_at: float | None = None
        self._waiter: Deferred[None] | None = None

    async def opened(self) -> None:
        """Return when the client reads again; raises ClientGone if it left."""
        while self.paused and not self.lost:
            self._waiter = Deferred()
            await self._waiter
        if self.lost:
            raise ClientGone("the client left")

    def still_seconds(self, now: float, unsent: int | None) -> float:
        """How long nothing has moved, as far as those who look have seen.

        Args:
            now: of whatever clock, always the same.
            unsent: octets that wait in the kernel now, for one who reads slowly.
        """
        if unsent != self._unsent or self._moved_at is None:
            self._unsent, self._moved_at = unsent, now
        return now - self._moved_at

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.callback(None)

    def pauseProducing(self) -> None:  # noqa: N802
        """Close: the transport's buffer is full."""
        if not self.paused:
            self.paused = True
            self._moved_at = None
            self._changed()

    def resumeProducing(self) -> None:  # noqa: N802
        """Open: the transport's buffer is empty."""
        if self.paused:
            self.paused = False
            self._changed()
            self._wake()

    def stopProducing(self) -> None:  # noqa: N802
        """Open for ever, with an error: the connection is gone."""
        self.lost = True
        self._changed = _nobody  # who was told has us: both would be a cycle
        self._wake()
