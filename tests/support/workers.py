"""Workers whose results come when the test says so, and not before."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from twisted.internet.defer import Deferred

P = ParamSpec("P")
T = TypeVar("T")


class LaterWorkers:
    """Keeps what it is given until ``step`` or ``finish``.

    ``inline`` runs everything at once: for the parts of a test that come before
    the one it is about.
    """

    def __init__(self, *, inline: bool = False) -> None:
        self.inline = inline
        self.waiting: list[tuple[Deferred[Any], Callable[[], Any]]] = []

    def run(
        self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> "Deferred[T]":
        done: Deferred[T] = Deferred()
        self.waiting.append((done, lambda: call(*args, **kwargs)))
        if self.inline:
            self.finish()
        return done

    heavy = run

    @property
    def quick(self) -> bool:
        """Nothing is done on the reactor: the test says when it is done."""
        return False

    def short(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return call(*args, **kwargs)

    def brief(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return call(*args, **kwargs)

    def step(self, index: int = 0) -> None:
        """Run one call, by default the one that waits longest."""
        done, call = self.waiting.pop(index)
        try:
            result = call()
        except Exception:
            done.errback()
        else:
            done.callback(result)

    def finish(self) -> None:
        """Run all calls, and those that come of them."""
        while self.waiting:
            self.step()
