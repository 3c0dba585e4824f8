"""Notices that the reactor stood still, and where: all clients wait for that.

A thread looks at the reactor's: where that one does not wait for events, it is asked
to call back, and what it is at when it does not come is looked at.  How long it took
in all is known, and told, when it goes on.  A time for which the machine gave it no
processor is none that it stood still.
"""

import os
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final, Protocol

from imapd.service import events

#: Between two looks: so much later than it began to, it may be seen to stand still.
LOOK_SECONDS: Final = 0.05
#: So late is an answer that is told of.
STILL_SECONDS: Final = 0.1
#: Who stands still for so long may do so for ever: the thread tells it itself.
LONG_SECONDS: Final = 5.0
#: Between two lines in the log; the worst of what was in between is told then.
QUIET_SECONDS: Final = 10.0
#: Of the calls that a place is told with, from the innermost.
_CALLS: Final = 12
#: Where a thread's time went: on a processor, waiting for one, in nanoseconds.
_SCHEDSTAT: Final = "/proc/thread-self/schedstat"
#: In which reactors wait for events.  It spares an idle one our question; one that is
#: not here is asked always.
_WAITING: Final = {
    ("twisted.internet.epollreactor", "doPoll"),
    ("imapd.service.portions", "poll"),
    ("twisted.internet.pollreactor", "doPoll"),
    ("twisted.internet.selectreactor", "doSelect"),
    ("selectors", "select"),  # of asyncio
}


class Tell(Protocol):
    """What ``events.stood_still`` is."""

    def __call__(
        self, *, seconds: float, cpu_seconds: float, times: int, where: str
    ) -> None:
        """Log it."""


@dataclass(slots=True)
class _Question:
    """One that the reactor has not answered yet."""

    asked_at: float
    cpu_seconds: float
    starved_seconds: float
    where: str = ""
    was_told: bool = False


@dataclass(frozen=True, slots=True)
class _Stop:
    """One time that the reactor stood still."""

    seconds: float
    cpu_seconds: float
    where: str


class Watchdog:
    """Watches one reactor, from its first turn after ``start`` on."""

    def __init__(self, reactor: Any, tell: Tell = events.stood_still) -> None:
        """Watch nothing yet."""
        self._reactor = reactor
        self._tell = tell
        self._call: Any = None
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self._question: _Question | None = None
        self._quiet_until = 0.0
        self._untold = 0
        self._worst: _Stop | None = None

    # In the reactor's thread.

    def start(self) -> None:
        """Watch from the reactor's next turn on: what comes before is the start."""
        self._call = self._reactor.callLater(0, self._begin)

    def _begin(self) -> None:
        self._ended.clear()
        self._question = None
        times = _ThreadTimes()
        self._thread = threading.Thread(
            target=self._watch,
            args=(threading.get_ident(), times),
            name="imapd watchdog",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """Watch no more; tells what was not told yet."""
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None
        self._ended.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
        self._tell_worst()

    def _answer(self, question: _Question, times: "_ThreadTimes") -> None:
        if self._question is not question:
            return  # asked before a stop
        now = time.monotonic()
        cpu, starved = times.read()
        seconds = now - question.asked_at
        if seconds - (starved - question.starved_seconds) >= STILL_SECONDS:
            self._untold += 1
            if self._worst is None or seconds > self._worst.seconds:
                where = question.where or "a place that was not seen"
                self._worst = _Stop(seconds, cpu - question.cpu_seconds, where)
        self._question = None
        if self._untold and now >= self._quiet_until:
            self._tell_worst()
            self._quiet_until = now + QUIET_SECONDS

    def _tell_worst(self) -> None:
        worst, times = self._worst, self._untold
        self._worst, self._untold = None, 0
        if worst is not None:
            self._tell(
                seconds=worst.seconds,
                cpu_seconds=worst.cpu_seconds,
                times=times,
                where=worst.where,
            )

    # In a thread of its own.

    def _watch(self, watched: int, times: "_ThreadTimes") -> None:
        wait = LOOK_SECONDS
        try:
            while not self._ended.wait(wait):
                # The one way there is to look at another thread.
                frame = sys._current_frames().get(watched)
                question = self._question
                if question is not None:
                    wait = _look(question, frame)
                elif not _waits(frame) or self._untold:
                    self._ask(times)
                    wait = STILL_SECONDS
                else:
                    wait = LOOK_SECONDS
                del frame  # and all that its variables hold
        finally:
            times.close()

    def _ask(self, times: "_ThreadTimes") -> None:
        question = self._question = _Question(time.monotonic(), *times.read())
        self._reactor.callFromThread(self._answer, question, times)


def _look(question: _Question, frame: FrameType | None) -> float:
    """Remember where a reactor is that does not answer; return when to look again."""
    late = time.monotonic() - question.asked_at
    if late < STILL_SECONDS:
        return STILL_SECONDS - late
    question.where = question.where or place(frame)
    if late >= LONG_SECONDS and not question.was_told:
        question.was_told = True
        # The log of a worker goes through the reactor; what it writes here does not,
        # and gets into the log all the same.
        with suppress(OSError, ValueError):
            sys.stderr.write(
                f"reactor stands still since {late:.0f} s at {place(frame)}\n"
            )
    return LOOK_SECONDS


def _waits(frame: FrameType | None) -> bool:
    if frame is None:
        return False
    return (frame.f_globals.get("__name__"), frame.f_code.co_name) in _WAITING


def place(frame: FrameType | None) -> str:
    """``module:line function < module:line function``, the innermost first."""
    calls: list[str] = []
    while frame is not None and len(calls) < _CALLS:
        module = frame.f_globals.get("__name__", "?")
        calls.append(f"{module}:{frame.f_lineno} {frame.f_code.co_qualname}")
        frame = frame.f_back
    return " < ".join(calls)


class _ThreadTimes:
    """What the system says of the thread that made it, for any thread to read."""

    def __init__(self) -> None:
        self._clock = time.pthread_getcpuclockid(threading.get_ident())
        self._file: int | None = None
        with suppress(OSError):  # a kernel that does not count, or no /proc
            self._file = os.open(_SCHEDSTAT, os.O_RDONLY | os.O_CLOEXEC)

    def read(self) -> tuple[float, float]:
        """Seconds on a processor so far, and waiting for one."""
        starved, file = 0.0, self._file
        if file is not None:
            with suppress(OSError, ValueError, IndexError):
                starved = int(os.pread(file, 64, 0).split()[1]) / 1e9
        return time.clock_gettime(self._clock), starved

    def close(self) -> None:
        """Give the file back."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)
