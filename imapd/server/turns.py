"""Commands that take long: all together hold up the reactor no longer than one."""

import time
from collections import deque
from typing import Final

from twisted.internet.defer import Deferred

from imapd.server.wheel import Wheel

#: Work of one connection before others have their turn, and of all connections in one
#: turn of the reactor, beside what has happened.
TURN_SECONDS: Final = 0.005


class Turns:
    """Those who have given up the reactor, in the order in which they go on."""

    def __init__(self, wheel: Wheel) -> None:
        """``wheel`` knows the clock, once there is one."""
        self._wheel = wheel
        self._waiting: deque[Deferred[None]] = deque()
        self._is_called = False

    def next(self) -> "Deferred[None]":
        """Fires in a later turn of the reactor, when one may go on."""
        waiter: Deferred[None] = Deferred()
        self._waiting.append(waiter)
        self._wait()
        return waiter

    def _wait(self) -> None:
        if not self._is_called:
            self._is_called = True
            self._wheel.clock.callLater(0, self._turn)

    def _turn(self) -> None:
        self._is_called = False
        until = time.monotonic() + TURN_SECONDS
        for _ in range(len(self._waiting)):  # who waits again has had a turn
            self._waiting.popleft().callback(None)
            if time.monotonic() >= until:
                break
        if self._waiting:
            self._wait()
