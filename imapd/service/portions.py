"""Events in portions: what many clients do at once is not one turn of the reactor.

Ten thousand clients that leave at the same moment are more than a second's work, and
timers, threads and all other clients would wait for it.  Here a turn ends after some
milliseconds; what is left is still true in the next one.

Twisted calls each socket in a context of its own, from which lines in the old form
of its log have their prefix: a twelfth of a NOOP.  Where a client has only come, or
sent something, its socket is read without; all else is Twisted's.
"""

import select
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.internet.tcp import Port, Server
from twisted.python.log import callWithLogger, err
from zope.interface import implementer

#: After so long, the other things that a reactor does have their turn.
PORTION_SECONDS: Final = 0.01
#: So many are asked for: of more, the kernel tells the others first the next time.
MOST_EVENTS: Final = 256
#: So many connections of a port are accepted at once: with TLS some milliseconds.
MOST_ACCEPTS: Final = 16

#: Not every system has it.
_EPOLL: Final[Any] = getattr(select, "epoll", ())

#: The bit of ``poll``, which is that of ``epoll`` too.
_READABLE: Final = 1
#: Whose turn is had here.
_READ: Final = frozenset((Port, Server))

Event = tuple[int, int]


class Portions:
    """Stands in the place of the ``select.epoll`` of a reactor.

    Descriptors must be told of as long as something is to be done about them
    (level-triggered), as Twisted's are.
    """

    def __init__(self, poller: Any, reactor: Any = None) -> None:
        """Nothing has happened yet.

        Args:
            poller: the ``select.epoll``.
            reactor: whose it is; None: nothing is read without it.
        """
        self.poller = poller
        self._selectables: Mapping[int, Any] = getattr(reactor, "_selectables", {})
        self._disconnect: Any = getattr(reactor, "_disconnectSelectable", None)
        self.register = poller.register
        self.modify = poller.modify
        self.unregister = poller.unregister
        self._turn = 0
        #: Descriptors that had no turn, since which one: who waits longest is next.
        self._left: dict[int, int] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.poller, name)

    def poll(self, timeout: float = -1, most: int = -1) -> Iterable[Event]:
        """What has happened; whoever goes through it is stopped in time."""
        most = MOST_EVENTS if most < 0 else min(most, MOST_EVENTS)
        events: list[Event] = self.poller.poll(timeout, most)
        if len(events) < 2:
            self._left.clear()  # whoever else was in it has nothing to be done
            return self._unread(events)
        if self._left:
            events = self._ordered(events)
        return self._portion(events)

    def _unread(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            if not self._read(*event):
                yield event

    def _read(self, descriptor: int, event: int) -> bool:
        """Do what Twisted's ``_doReadOrWrite`` does, if it is for clients alone."""
        found: Any = self._selectables.get(descriptor)
        if event != _READABLE or type(found) not in _READ or self._disconnect is None:
            return False
        try:
            why: BaseException | None = found.doRead()
        except BaseException as error:  # as there: whatever it is ends that one
            why = error
            callWithLogger(found, err)
        if why is not None:
            self._disconnect(found, why, True)
        return True

    def _ordered(self, events: list[Event]) -> list[Event]:
        """Every other one has just happened: of many that wait, most are alike.

        Thousands may shake hands, while one who has done so asks for little.
        """
        left = self._left
        late = [event for event in events if event[0] in left]
        fresh = [event for event in events if event[0] not in left]
        late.sort(key=lambda event: left[event[0]])
        pairs = zip_longest(late, fresh)
        return [event for pair in pairs for event in pair if event is not None]

    def _portion(self, events: list[Event]) -> Iterator[Event]:
        until = time.monotonic() + PORTION_SECONDS
        left, self._turn = self._left, self._turn + 1
        for at, event in enumerate(events):
            if at and time.monotonic() >= until:
                for descriptor, _ in events[at:]:
                    left.setdefault(descriptor, self._turn)
                return
            left.pop(event[0], None)
            if not self._read(*event):
                yield event
        if len(events) < MOST_EVENTS:
            left.clear()  # whoever else was in it has nothing to be done


def portion(reactor: Any) -> None:
    """Let a reactor deal with events in portions, if it is one of epoll."""
    # Private: there is no public way.  Another reactor goes on as ever.
    poller = getattr(reactor, "_poller", None)
    if isinstance(poller, _EPOLL):
        reactor._poller = Portions(poller, reactor)


@implementer(IStreamServerEndpoint)
class PortionedEndpoint:
    """Listens at another endpoint, and accepts few at once."""

    def __init__(self, endpoint: IStreamServerEndpoint) -> None:
        """Nothing listens yet."""
        self._endpoint = endpoint

    def listen(self, protocolFactory: IProtocolFactory) -> "Deferred[IListeningPort]":  # noqa: N803
        """Open the port."""
        return self._endpoint.listen(protocolFactory).addCallback(_few_at_once)


def _few_at_once(port: Any) -> Any:
    accept = port.doRead

    def accept_few() -> None:
        port.numberAccepts = min(port.numberAccepts, MOST_ACCEPTS)
        accept()

    port.doRead = accept_few
    return port
