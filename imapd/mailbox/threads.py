"""The only door from the reactor to code that blocks."""

import os
import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Thread, get_native_id
from typing import Any, ParamSpec, Protocol, TypeVar

from twisted.internet.defer import (
    Deferred,
    DeferredSemaphore,
    fail,
    maybeDeferred,
    succeed,
)
from twisted.internet.interfaces import IReactorThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

#: Calls that compute for long run so many at once: more would only wait for each
#: other, and hold up the reactor, which needs the same interpreter.
HEAVY_CALLS = 2
#: A short call that took longer, and waited, found a slow disk; how long that is
#: remembered.
SLOW_SECONDS = 0.02
SLOW_FOR_SECONDS = 10.0
#: Threads that have nothing more to do end in so long; nobody is served by then.
END_SECONDS = 1.0

P = ParamSpec("P")
T = TypeVar("T")


class Workers(Protocol):
    """Runs blocking calls; results and failures come back on the reactor."""

    def run(
        self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> "Deferred[T]":
        """Run a call that may read or write files, away from the reactor."""

    def heavy(
        self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> "Deferred[T]":
        """Run a part of a long computation; others in turn with it."""

    def brief(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call of a few microseconds (two ``stat``) where we are.

        Handing it to a thread costs fifty times as much as doing it.
        """

    @property
    def quick(self) -> bool:
        """Whether ``short`` may be used now: the disk has answered at once."""

    def short(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call of at most a few milliseconds where we are.

        It may touch files, but must not wait for a lock.
        """


def _waits() -> int | None:
    """How often this thread gave up the processor by itself, to wait for something.

    None: the system does not say.
    """
    who = getattr(resource, "RUSAGE_THREAD", None)
    return None if who is None else resource.getrusage(who).ru_nvcsw


class InlineWorkers:
    """Runs everything where it is called: for tests, and for adapters that block."""

    def run(
        self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> "Deferred[T]":
        """Run the call now."""
        return maybeDeferred(call, *args, **kwargs)

    def heavy(
        self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> "Deferred[T]":
        """Run the call now."""
        return maybeDeferred(call, *args, **kwargs)

    def brief(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the call now."""
        return call(*args, **kwargs)

    @property
    def quick(self) -> bool:
        """Always."""
        return True

    def short(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the call now."""
        return call(*args, **kwargs)


class _Thread(Thread):
    """One that steps back behind the others of its process."""

    def __init__(self, nice: int, **options: Any) -> None:
        # Python waits at its end for any other kind of thread, for ever if a disk
        # hangs.  What such an end cuts off the store survives like a crash.
        super().__init__(daemon=True, **options)
        self._nice = nice

    def run(self) -> None:
        """Work, until the pool is stopped."""
        if self._nice and sys.platform == "linux":  # elsewhere it would be the process
            with suppress(OSError):
                thread = get_native_id()
                nice = os.getpriority(os.PRIO_PROCESS, thread) + self._nice
                os.setpriority(os.PRIO_PROCESS, thread, nice)
        super().run()


class ThreadWorkers:
    """Runs calls in a pool of threads of its own."""

    def __init__(
        self,
        reactor: IReactorThreads,
        threads: int = 8,
        *,
        name: str = "imapd-files",
        nice: int = 0,
    ) -> None:
        """Start nothing yet.

        Args:
            reactor: where results and failures come back.
            threads: so many, all from ``start`` on.  Who starts a thread waits until
                it runs: where the machine is busy, for half a second.
            name: of the pool.
            nice: how far they step back where others want the processor.
        """
        self._reactor = reactor
        self._heavy = DeferredSemaphore(HEAVY_CALLS)
        self._slow_until = 0.0  # by the steady clock
        self._pool = ThreadPool(threads, threads, name)
        self._pool.threadFactory = partial(_Thread, nice)  # type: ignore[assignment]

    def start(self) -> None:
        """Start the threads."""
        if not self._pool.started:
            self._pool.start()

    def stop(self) -> "Deferred[None]":
        """Finish what runs, then end the threads; fires when they have ended.

        That is at once, as a rule.  But what runs may be waited for by nobody else:
        where a disk hangs that may be for ever, and the reactor is to go on.
        """
        if self._pool.joined or not self._pool.started:
            return succeed(None)
        self._pool.joined = True  # it takes nothing more
        ended: Deferred[None] = Deferred()
        joining = Thread(target=self._join, args=(ended,), daemon=True)
        joining.start()
        joining.join(END_SECONDS)
        return ended if joining.is_alive() else succeed(None)

    def _join(self, ended: "Deferred[None]") -> None:
        self._pool.stop()
        self._reactor.callFromThread(ended.callback, None)

    def run(
        self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> "Deferred[T]":
        """Run the call in a thread; fails once the threads have ended."""
        if self._pool.joined:  # it would forget the call, and nobody would be told
            return fail(RuntimeError("the threads have ended"))
        return deferToThreadPool(self._reactor, self._pool, call, *args, **kwargs)

    def heavy(
        self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> "Deferred[T]":
        """Run the call in a thread, when it is its turn."""
        return self._heavy.run(lambda: self.run(call, *args, **kwargs))

    def brief(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the call now, on the reactor."""
        return call(*args, **kwargs)

    @property
    def quick(self) -> bool:
        """Whether the disk was quick of late."""
        return time.monotonic() >= self._slow_until

    def short(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the call on the reactor; what took long is remembered for a while.

        A thread costs as much as reading a message that the kernel has in memory.
        Where others want the processor too, what had to give it up is no slow disk.
        """
        waits, began = _waits(), time.monotonic()
        try:
            return call(*args, **kwargs)
        finally:
            ended = time.monotonic()
            if ended - began > SLOW_SECONDS and (waits is None or _waits() != waits):
                self._slow_until = ended + SLOW_FOR_SECONDS
