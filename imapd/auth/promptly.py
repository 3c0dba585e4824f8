"""A Deferred from a coroutine that need not wait, as a rule, at half the price."""

from collections.abc import Callable, Coroutine, Generator
from types import coroutine as awaitable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

T = TypeVar("T")


def deferred(steps: Coroutine["Deferred[Any]", Any, T]) -> "Deferred[T]":
    """What ``Deferred.fromCoroutine`` does; what waits for nothing is only run."""
    try:
        waited = steps.send(None)
    except StopIteration as end:
        return succeed(end.value)
    except Exception:
        return fail(Failure())
    return Deferred.fromCoroutine(rest(steps, waited))


def _nobody(*told: bool) -> None:
    """Nobody wants to know."""


@awaitable
def rest(
    steps: Coroutine["Deferred[Any]", Any, T],
    waited: "Deferred[Any]",
    turn: Callable[[bool], object] = _nobody,
    forsaken: Callable[[], object] = _nobody,
) -> Generator["Deferred[Any]", Any, T]:
    """Wait for what a coroutine waits for, and go on, until it is done.

    Args:
        steps: a coroutine that has begun.
        waited: what it waits for now.
        turn: told when it begins to run (True), and when it waits or has ended.
        forsaken: called if what it waits for was thrown away, and will never come:
            by whoever collects garbage, in whatever thread.
    """
    while True:
        try:
            result = yield waited
        except GeneratorExit:
            # Both of us are garbage, and closed in any order.  What is closed may be
            # closed again, but thrown into it complains.
            try:
                steps.close()
            finally:
                forsaken()
            raise
        except BaseException as error:
            turn(True)
            try:
                waited = steps.throw(error)
            except StopIteration as end:
                value: T = end.value
                return value
            finally:
                turn(False)
        else:
            turn(True)
            try:
                waited = steps.send(result)
            except StopIteration as end:
                done: T = end.value
                return done
            finally:
                turn(False)
