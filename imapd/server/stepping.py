"""Runs a coroutine where it is called, for as long as it need not wait.

Most commands are answered without waiting for anything; ``Deferred.fromCoroutine``
costs as much as all that NOOP does.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred

from imapd.auth.promptly import rest

Steps = Coroutine["Deferred[Any]", Any, None]


def run(
    steps: Steps, turn: Callable[[bool], None], forsaken: Callable[[], object]
) -> "Deferred[None] | None":
    """Run it now; None: it is done.  What it raises at once is raised here.

    ``turn`` is told when it begins to run (True), and when it waits or has ended;
    ``forsaken`` is called as ``promptly.rest`` does.
    """
    turn(True)
    try:
        waited = steps.send(None)
    except StopIteration:
        return None
    finally:
        turn(False)
    return Deferred.fromCoroutine(rest(steps, waited, turn, forsaken))
