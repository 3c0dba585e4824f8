"""A Deferred from a coroutine that need not wait, as a rule, at half the price."""

from collections.abc import Coroutine, Generator
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
    return Deferred.fromCoroutine(_rest(steps, waited))


@awaitable
def _rest(
    steps: Coroutine["Deferred[Any]", Any, T], waited: "Deferred[Any]"
) -> Generator["Deferred[Any]", Any, T]:
    """Wait for what it waits for, and go on, until it is done."""
    while True:
        try:
            result = yield waited
        except GeneratorExit:
            steps.close()  # nobody waits for it any more
            raise
        except BaseException as error:
            try:
                waited = steps.throw(error)
            except StopIteration as end:
                value: T = end.value
                return value
        else:
            try:
                waited = steps.send(result)
            except StopIteration as end:
                done: T = end.value
                return done
