"""Exceptions that no caller is there for, as events of the log.

What ends a thread, and what is raised where Python has nobody to raise it to (a
``__del__``, a callback of a weak reference, a coroutine thrown away), it writes to
standard error, line by line.  In the log each of these lines is an event of its own;
here they are one, which says where it was and what it was.

The hooks may be called in any thread, and by whoever collects garbage in the middle
of anything, also of writing to the log: so they only make a text.  It is logged in the
reactor's thread, on its next turn.  Nothing else of the exception is kept, as its
frames would keep what their variables hold.
"""

import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from imapd.service import events

#: What waits for the reactor; of more the first go, and are not told of.
_MOST_WAITING: Final = 100

_Call = Callable[[], object]


class Tell(Protocol):
    """What ``events.uncaught`` is."""

    def __call__(self, *, where: str, traceback: str) -> None:
        """Log it."""


class Uncaught:
    """Stands in the place of Python's own hooks for a while.

    A hook that is somebody else's stays where it is: a debugger's, a test runner's.
    """

    def __init__(
        self, call_soon: Callable[[_Call], object], tell: Tell = events.uncaught
    ) -> None:
        """Take nothing yet.

        Args:
            call_soon: the reactor's ``callFromThread``.
            tell: logs one.
        """
        self._call_soon = call_soon
        self._tell = tell
        self._waiting: deque[tuple[str, str]] = deque(maxlen=_MOST_WAITING)
        # One object each: a method is another one each time that it is asked for.
        self._in_thread: Any = self._of_thread
        self._in_nowhere: Any = self._of_nobody

    def take(self) -> None:
        """Log them from now on."""
        if threading.excepthook is threading.__excepthook__:
            threading.excepthook = self._in_thread
        if sys.unraisablehook is sys.__unraisablehook__:
            sys.unraisablehook = self._in_nowhere

    def give_back(self) -> None:
        """Leave them to Python again; logs what waits, in the reactor's thread."""
        if threading.excepthook is self._in_thread:
            threading.excepthook = threading.__excepthook__
        if sys.unraisablehook is self._in_nowhere:
            sys.unraisablehook = sys.__unraisablehook__
        self._tell_all()

    def _of_thread(self, told: threading.ExceptHookArgs) -> None:
        if told.exc_type is SystemExit:
            return  # how a thread may end, as for Python
        name = "unknown" if told.thread is None else told.thread.name
        self._note(f"thread {name}", told)

    def _of_nobody(self, told: "sys.UnraisableHookArgs") -> None:
        # Not its repr(): that is code, which may break, and may show a secret.
        found = told.object
        name = getattr(found, "__qualname__", None) or type(found).__qualname__
        self._note(f"{name} ({told.err_msg})" if told.err_msg else str(name), told)

    def _note(self, where: str, told: Any) -> None:
        lines = traceback.format_exception(
            told.exc_type, told.exc_value, told.exc_traceback
        )
        self._waiting.append((where, "".join(lines).rstrip()))
        self._call_soon(self._tell_all)

    def _tell_all(self) -> None:
        while self._waiting:
            where, text = self._waiting.popleft()
            self._tell(where=where, traceback=text)
