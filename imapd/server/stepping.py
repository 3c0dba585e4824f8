"""Runs a coroutine where it is called, for as long as it need not wait.

Most commands are answered without waiting for anything; ``Deferred.fromCoroutine``
costs as much as all that NOOP does.
"""

from collections.abc import Callable, Coroutine, Generator
from types import coroutine as awaitable
from typing import Any

from twisted.internet.defer import Deferred

Steps = Coroutine["Deferred[Any]", Any, None]


def run(steps: Steps, turn: Callable[[bool], None]) -> "Deferred[None] | None":
    """Run it now; None: it is done.  What it raises at once is raised here.

    ``turn`` is told when it begins to run (True), and when it waits or has ended.
    """
    turn(True)
    try:
        waited = steps.send(None)
    except StopIteration:
        return None
    finally:
        turn(False)
    return Deferred.fromCoroutine(_rest(steps, waited, turn))


@awaitable
def _rest(
    steps: Steps, waited: "Deferred[Any]", turn: Callable[[bool], None]
) -> Generator["Deferred[Any]", Any, None]:
    """Wait for what it waits for, and go on, until it is done."""
    while True:
        try:
            result = yield waited
        except BaseException as error:
            turn(True)
            try:
                waited = steps.throw(error)
            except StopIteration:
                return
            finally:
                turn(False)
        else:
            turn(True)
            try:
                waited = steps.send(result)
            except StopIteration:
                return
            finally:
                turn(False)
