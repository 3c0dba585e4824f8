"""Visits many things again and again, one timer for all, and holds up nobody."""

import time
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

_log = Logger()
T = TypeVar("T", bound=Hashable)

#: Visits at a stretch, before the reactor goes on with others.
STRETCH_SECONDS: Final = 0.005
#: The pause after a round is at least so many times what the round took.
PAUSE_FACTOR: Final = 20


class Rounds(Generic[T]):
    """Visits its members every ``seconds``, less often only if that costs too much.

    There is no other back-off: a mailbox on which nothing happened for an hour is
    the one whose next message somebody waits for.  But a round over very many, or
    over a file server that answers slowly, may take no more than a twentieth of
    our time.
    """

    def __init__(
        self, clock: IReactorTime, seconds: float, visit: Callable[[T], None]
    ) -> None:
        self._clock = clock
        self._seconds = seconds
        self._visit = visit
        self._members: dict[T, None] = {}
        self._call: IDelayedCall | None = None
        self._in_round = False
        self._hurry = False
        self._cost_seconds = 0.0  # of the last round

    def __contains__(self, member: object) -> bool:
        """Whether it is visited."""
        return member in self._members

    def add(self, member: T) -> None:
        """Visit it from the next round on; one that is visited is no error."""
        self._members[member] = None
        if self._call is None and not self._in_round:
            self._begin_in(self._seconds)

    def discard(self, member: T) -> None:
        """Do not visit it any more; one that is not visited is no error."""
        self._members.pop(member, None)
        if not self._members and self._call is not None:
            self._call.cancel()
            self._call = None

    def hurry(self) -> None:
        """Let the next round come as soon as the last one allows."""
        if self._hurry:
            return  # whoever asks without end must not put it off without end
        self._hurry = True
        if self._call is not None:
            self._call.cancel()
            self._begin_in(self._seconds)

    def _begin_in(self, seconds: float) -> None:
        least = PAUSE_FACTOR * self._cost_seconds
        self._call = self._clock.callLater(
            least if self._hurry else max(seconds, least), self._begin
        )

    def _begin(self) -> None:
        self._call = None
        self._in_round = True
        self._hurry = False
        self._cost_seconds = 0.0
        Deferred.fromCoroutine(self._round()).addBoth(self._ended)

    def _ended(self, result: object) -> None:
        self._in_round = False  # whatever happened: the next round comes
        if isinstance(result, Failure):
            _log.failure("a look at the mailboxes broke", result)
        if self._members:
            self._begin_in(self._seconds)

    async def _round(self) -> None:
        began = time.monotonic()
        for member in list(self._members):
            if time.monotonic() - began > STRETCH_SECONDS:
                self._cost_seconds += time.monotonic() - began
                await deferLater(self._clock, 0, lambda: None)
                began = time.monotonic()
            if member in self._members:
                self._visit(member)
        self._cost_seconds += time.monotonic() - began
