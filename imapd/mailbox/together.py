"""Those who wait for a lock do together what costs the same for one and for many."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
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
    """A queue before a lock, in which those who come while it is held make a group.

    ``work`` is given the items of one group under the lock, and returns what became
    of each in their order; an exception is raised for who brought the item.
    """

    def __init__(
        self,
        lock: DeferredLock,
        work: Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]],
        most_weight: int,
    ) -> None:
        self._lock = lock
        self._work = work
        self._most_weight = most_weight
        self._group: _Group[T, R] | None = None  # which may still be joined

    async def add(self, item: T, weight: int = 1) -> R:
        """Have it done; no group weighs more than the most, but for a single item.

        Raises:
            Exception: what became of it, or of the whole group.
        """
        group = self._group
        if group is None or group.weight + weight > self._most_weight:
            group = self._group = _Group([item], weight=weight)
            return await self._lead(group)
        waiter: Deferred[R] = Deferred()
        group.items.append(item)
        group.others.append(waiter)
        group.weight += weight
        return await waiter

    async def _lead(self, group: _Group[T, R]) -> R:
        try:
            async with self._lock:
                if self._group is group:
                    self._group = None
                first, *rest = await self._work(group.items)
        except BaseException:
            if self._group is group:  # it did not come to the lock
                self._group = None
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
