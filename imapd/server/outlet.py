"""Octets to a transport, without a turn of the reactor where the kernel takes them."""

import fcntl
import sys
import termios
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

from twisted.internet.main import CONNECTION_DONE
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure

_DONE: Final = Failure(CONNECTION_DONE)


def write(transport: Any, octets: bytes) -> None:
    """What ``transport.write`` does, and for TCP at once.

    Twisted first asks the kernel whether the socket takes octets, and asks it to
    stop asking afterwards: three calls for each answer of a few octets.  Behind what
    waits already, or is not taken, the octets wait as ever.
    """
    if (
        not isinstance(transport, Connection)
        or transport.TLS
        or not transport.connected
        or transport.disconnecting
        or _has_octets(transport)
    ):
        transport.write(octets)
        return
    send: Any = transport.writeSomeData  # it takes any octets, and is typed for bytes
    sent = send(octets)
    if sent == len(octets):
        return
    if not isinstance(sent, int):
        transport.write(octets)  # the connection is lost: that finds it out too
        return
    # One call takes no more than that; after a shorter one the kernel is full.
    at = 0
    while sent == transport.SEND_LIMIT:
        at += sent
        sent = send(memoryview(octets)[at:])
        if not isinstance(sent, int):
            sent = 0
    transport.write(octets[at + sent :])


def close(transport: Any, waits: Callable[[], object] = lambda: None) -> None:
    """What ``transport.loseConnection`` does, and for TCP without a wait in vain.

    Twisted asks the kernel whether the socket takes octets, where none are to be
    sent, and closes it when it does.  Here that is in the next turn of the reactor.
    ``waits`` is called where it may be later, since the client has to read first.
    """
    if (
        not isinstance(transport, Connection)
        or transport.TLS
        or transport.producer is not None
        or not transport.connected
        or transport.disconnecting
        or _has_octets(transport)
    ):
        waits()
        transport.loseConnection()
        return
    transport.disconnecting = True
    clock: Any = transport.reactor
    clock.callLater(0, _closed, transport, waits)


def together(transport: Any) -> AbstractContextManager[None]:
    """Send in one piece what is said in the block, where the transport can."""
    hold: Callable[[], AbstractContextManager[None]] | None
    hold = getattr(transport, "together", None)
    return nullcontext() if hold is None else hold()


def _closed(transport: Connection, waits: Callable[[], object]) -> None:
    if not transport.connected:
        return
    if _has_octets(transport):
        waits()  # what was written meanwhile goes out first: then Twisted closes it
    else:
        transport.connectionLost(_DONE)


def send_at_once(transport: Any) -> None:
    """Let the kernel hold back no octets until the client has confirmed others.

    Answers are gathered by us; what Nagle's algorithm adds is 40 ms of waiting for
    the last piece of a large answer.  A transport that is no TCP has no such thing.
    """
    tell = getattr(transport, "setTcpNoDelay", None)
    if tell is not None:
        tell(True)


def unsent(transport: Any) -> int | None:
    """Octets that the kernel holds until the client takes them; None: it has no say.

    The buffers above it may not shrink for minutes while a slow client reads: the
    kernel wants no more before a third of its own, some megabytes, is free.
    """
    fileno = getattr(transport, "fileno", None)
    if fileno is None:
        return None
    try:
        answer = fcntl.ioctl(fileno(), termios.TIOCOUTQ, bytes(4))
    except (OSError, ValueError):  # it is closed, or no socket
        return None
    return int.from_bytes(answer, sys.byteorder)


def _has_octets(transport: Connection) -> bool:
    """Whether something was written and not sent."""
    # Private: the public way to learn it is to wait for a producer's turn.
    return bool(transport.dataBuffer or getattr(transport, "_tempDataBuffer", True))
