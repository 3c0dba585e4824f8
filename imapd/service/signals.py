"""Signals that are ours for a while, and whose they are after that."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any


class SignalHandler:
    """Takes one signal; gives it back to whoever had it.

    Args:
        number: of the signal.
        call: called in the reactor's thread, through ``call_soon``.
        call_soon: the reactor's ``callFromThread``, found when it is needed.
        shared: whoever had the signal before is called too.
    """

    def __init__(
        self,
        number: signal.Signals,
        call: Callable[[], None],
        call_soon: Callable[[Callable[[], None]], Any],
        *,
        shared: bool,
    ) -> None:
        """Take nothing yet."""
        self._number = number
        self._call = call
        self._call_soon = call_soon
        self._shared = shared
        self._previous: Any = None
        self._active = False

    def take(self) -> None:
        """Be called from now on; does nothing outside of the main thread."""
        self._active = True
        if self._previous is not None:
            return  # another one still asks us
        try:
            self._previous = signal.signal(self._number, self._handle)
        except ValueError:  # not in the main thread: somebody embeds us
            self._previous = None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._active:
            self._call_soon(self._call)
        if (self._shared or not self._active) and callable(self._previous):
            self._previous(number, frame)

    def give_back(self) -> None:
        """Be called no more."""
        self._active = False
        ours = signal.getsignal(self._number) == self._handle
        if ours and self._previous is not None:
            # Not ours any more: another one took it later, which asks us in turn.
            signal.signal(self._number, self._previous)
            self._previous = None
