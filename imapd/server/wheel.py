"""The time limits of all connections, kept by one timer that ticks in whole seconds.

A timer of its own for each of 10,000 idle clients is memory, and moving it at every
command is work.  Here a connection stands at the second at which it must be looked
at; that its limit has moved to a later one, it says only then.
"""

import time
from collections import deque
from math import ceil, floor
from typing import Protocol, cast

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

_log = Logger()

#: Work of one turn, before the reactor goes on with others: many limits may pass
#: at once, where many clients came at once.
TURN_SECONDS = 0.005

#: The tick of what stands nowhere.
NOWHERE = -1


class Timed(Protocol):
    """What may be looked at."""

    #: Where it stands; the wheel's own.
    tick: int

    def look(self, now: float) -> float | None:
        """Do what is due; return when to look again, None: nothing is waited for."""


class Wheel:
    """Looks at each connection within a second after its time, never before."""

    def __init__(self, clock: IReactorTime | None = None) -> None:
        """Nothing is begun yet; without a clock it is the reactor's, found late.

        What has passed is measured without the wall clock, which may be set.
        """
        self._clock = clock
        self.seconds = time.monotonic if clock is None else clock.seconds
        self._places: dict[int, set[Timed]] = {}
        self._due: deque[Timed] = deque()
        self._turned = 0  # the last tick that was dealt with
        self._call: IDelayedCall | None = None

    @property
    def clock(self) -> IReactorTime:
        """Where timers come from."""
        if self._clock is None:
            from twisted.internet import reactor  # noqa: PLC0415  not chosen before

            self._clock = cast(IReactorTime, reactor)
        return self._clock

    def place(self, item: Timed, when: float) -> None:
        """Look at it once ``when`` has come, or earlier if it stands there already."""
        if not self._places and not self._due:
            self._turned = floor(self.seconds())
        tick = max(ceil(when), self._turned + 1)
        if item.tick != NOWHERE:
            if item.tick <= tick:
                return
            self._take_away(item)
        item.tick = tick
        self._places.setdefault(tick, set()).add(item)
        if self._call is None:
            self._wait()

    def remove(self, item: Timed) -> None:
        """Do not look at it any more; the last one takes the timer along."""
        self._take_away(item)
        if not self._places and not self._due and self._call is not None:
            self._call.cancel()
            self._call = None

    def _take_away(self, item: Timed) -> None:
        tick, item.tick = item.tick, NOWHERE
        place = self._places.get(tick)
        if place is not None:
            place.discard(item)
            if not place:
                del self._places[tick]

    def _wait(self) -> None:
        seconds = 0.0 if self._due else self._turned + 1 - self.seconds()
        self._call = self.clock.callLater(max(seconds, 0), self._turn)

    def _turn(self) -> None:
        self._call = None
        tick = floor(self.seconds())
        for each in range(self._turned + 1, tick + 1):
            self._due.extend(self._places.pop(each, ()))
        self._turned = max(self._turned, tick)
        began = time.monotonic()
        while self._due:
            self._look(self._due.popleft())
            if time.monotonic() - began > TURN_SECONDS:
                break
        if self._call is None and (self._due or self._places):
            self._wait()

    def _look(self, item: Timed) -> None:
        if not NOWHERE < item.tick <= self._turned:
            return  # it was taken away, or moved, while it waited for its turn
        item.tick = NOWHERE
        try:
            again = item.look(self.seconds())
        except Exception:
            _log.failure("a time limit")
            return
        if again is not None:
            self.place(item, again)
