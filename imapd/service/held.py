"""Ports that one process opens and others accept from."""

import os
import socket
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory
from zope.interface import implementer

from imapd.service.scarce import calm

#: So many connections of one turn of the reactor: two workers share 200 that come at
#: once 100 to 100 so; with Twisted's hundred it was anything up to 21 to 179.
ACCEPTS = 1


class Nobody(Factory):
    """The factory of a port from which this process never accepts."""

    noisy = False

    def logPrefix(self) -> str:  # noqa: N802 - Twisted's name
        """What the log calls it."""
        return "imapd"


@implementer(IStreamServerEndpoint)
class HeldEndpoint:
    """Listens at another endpoint, and accepts nobody.

    What connects waits in the backlog until a worker accepts it, also while there
    is none.
    """

    def __init__(self, endpoint: IStreamServerEndpoint) -> None:
        """Nothing listens yet."""
        self._endpoint = endpoint
        self.port: Any = None

    def listen(self, protocolFactory: IProtocolFactory) -> "Deferred[IListeningPort]":  # noqa: N803
        """Open the port."""
        return self._endpoint.listen(protocolFactory).addCallback(self._hold)

    def _hold(self, port: Any) -> Any:
        port.stopReading()
        # Or closing our descriptor would end the socket for the workers too.
        port._shouldShutdown = False
        self.port = port
        return port


def adopt(reactor: Any, descriptor: int, factory: IProtocolFactory) -> IListeningPort:
    """Accept from a socket that another process opened; takes the descriptor."""
    with socket.socket(fileno=os.dup(descriptor)) as itself:
        family = itself.family
    port: Any
    if family == socket.AF_UNIX:
        port = AdoptedUnixPort._fromListeningDescriptor(reactor, descriptor, factory)
    else:
        port = AdoptedPort._fromListeningDescriptor(
            reactor, descriptor, family, factory
        )
    os.close(descriptor)
    port.startListening()
    listening: IListeningPort = calm(port, reactor)
    return listening


class _Adopted(tcp.Port):
    """What both kinds have in common: nothing is done to the socket but to accept.

    Twisted's own would set mode and backlog of a Unix socket anew, and remove its
    path at the end, though others listen there; and each would write to the log.
    """

    factory: Any
    _preexistingSocket: Any  # noqa: N815 - Twisted's name

    def startListening(self) -> None:  # noqa: N802 - Twisted's name
        """Begin to accept."""
        tcp._reservedFD.reserve()
        self.factory.doStart()
        self.socket, self._preexistingSocket = self._preexistingSocket, None
        self._shouldShutdown = False
        self.fileno = self.socket.fileno  # type: ignore[method-assign]
        self.connected = True
        self.numberAccepts = 1
        self.startReading()

    def doRead(self) -> None:  # noqa: N802 - Twisted's name
        """Accept few: the others look at the same socket."""
        self.numberAccepts = ACCEPTS
        super().doRead()

    def connectionLost(self, reason: Any) -> None:  # noqa: N802 - Twisted's name
        """Close our descriptor, and nothing else."""
        tcp.Port.connectionLost(self, reason)

    def _logConnectionLostMsg(self) -> None:  # noqa: N802 - Twisted's name
        """Leave it to the other process, whose port it is."""


class AdoptedPort(_Adopted):
    """A TCP port."""


class AdoptedUnixPort(_Adopted, unix.Port):
    """A Unix socket."""
