"""Those who wait for a lock do together what costs the same for one and for many."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from threading import RLock
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from twisted.python.failure import Failure

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True)
class _Group(Generic[T, R]):
    """Who goes together: the first waits for the lock, the others for the first."""

    items: list[T] = field(default_factory=list)
    others: "list[Deferred[R]]" = field(default_factory=list)
    weight: int = 0


class Together(Generic[T, R]):
    """A queue before a lock, in which those who come meanwhile make a group.

    ``work`` is called under the lock with a function that returns the items of one
    group, which may be called once, in any thread: until then others may join.  So
    who waits for a thread, too, does not wait alone.  It returns what became of each
    in their order; an exception is raised for who brought the item.
    """

    def __init__(
        self,
        lock: DeferredLock,
        work: Callable[[Callable[[], Sequence[T]]], Awaitable[Sequence[R | Exception]]],
        most_weight: int,
    ) -> None:
        self._lock = lock
        self._work = work
        self._most_weight = most_weight
        self._group: _Group[T, R] | None = None  # which may still be joined
        # Whoever collects garbage may close another of our coroutines meanwhile.
        self._joining = RLock()

    async def add(self, item: T, weight: int = 1) -> R:
        """Have it done; no group weighs more than the most, but for a single item.

        Raises:
            Exception: what became of it, or of the whole group.
        """
        with self._joining:
            group = self._group
            joined = group is not None and group.weight + weight <= self._most_weight
            if group is None or not joined:
                group = self._group = _Group([item], weight=weight)
            else:
                waiter: Deferred[R] = Deferred()
                group.items.append(item)
                group.others.append(waiter)
                group.weight += weight
        return await (waiter if joined else self._lead(group))

    def _close(self, group: _Group[T, R]) -> Sequence[T]:
        """Let nobody join any more; return who did."""
        with self._joining:
            if self._group is group:
                self._group = None
        return group.items

    async def _lead(self, group: _Group[T, R]) -> R:
        try:
            async with self._lock:
                first, *rest = await self._work(lambda: self._close(group))
        except BaseException:
            self._close(group)  # it did not come to the lock, or not to its work
            failure = Failure()
            for waiter in group.others:
                waiter.errback(failure)
            raise
        for waiter, outcome in zip(group.others, rest, strict=True):
            if isinstance(outcome, Exception):
                waiter.errback(outcome)
            else:
                waiter.callback(outcome)
        if isinstance(first, Exception):
            raise first
        return first
