"""Where passwords are verified: threads of one pool, for all checkers of a process.

So many as there are processors: more would not be done sooner, and each of them would
take from the reactor, which all clients wait for, as much as it has itself.
"""

import os
from collections.abc import Callable
from functools import cache
from typing import Any, Final, ParamSpec, TypeVar, cast

from twisted.internet.defer import Deferred

from imapd.mailbox.threads import ThreadWorkers

#: A third of what the reactor gets where both want the same processor; further back
#: nobody would get in while others keep the machine busy.
_NICE: Final = 5

P = ParamSpec("P")
T = TypeVar("T")


def in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "Deferred[T]":
    """Run a call in a thread, when it is its turn.

    They are never waited for: what they are at when the process ends is of no use
    to anybody then.
    """
    start()
    return _workers().run(call, *args, **kwargs)


def start() -> None:
    """Start the threads now, not when somebody logs in."""
    _workers().start()


@cache
def _workers() -> ThreadWorkers:
    from twisted.internet import reactor  # noqa: PLC0415  not chosen before

    threads = _processors()
    return ThreadWorkers(cast(Any, reactor), threads, name="imapd-hashes", nice=_NICE)


def _processors() -> int:
    """How many there are for us."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # a system that has no such thing
        return os.cpu_count() or 1
