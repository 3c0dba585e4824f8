"""Connections through a proxy that tells the client's address first (PROXY v1, v2).

Twisted's wrapper connects the protocol at once, while the address is still that of
the proxy.  IMAP greets before the client says a word, and what the greeting offers,
like every limit, depends on who the client is: ours waits for the header.
"""

import ipaddress
from typing import Any, cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHandshakeListener,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamServerEndpoint,
    ITransport,
)
from twisted.internet.protocol import Protocol, connectionDone

# Private modules: the public name, proxyEndpoint, greets before it knows the client.
from twisted.protocols.haproxy._wrapper import (
    HAProxyProtocolWrapper,
    HAProxyWrappingFactory,
)
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from imapd.server.addresses import host_of, is_near

#: How long a proxy may take to send its header.
HEADER_SECONDS = 20


#: All there is to a header that tells nothing.  PROXY protocol §2.1.
_UNKNOWN = b"PROXY UNKNOWN\r\n"


def _check(source: IAddress | None) -> None:
    """Raise ValueError for what is no address: it would be logged and counted."""
    if isinstance(source, IPv4Address):
        ipaddress.IPv4Address(source.host)
    elif isinstance(source, IPv6Address) and "%" in source.host:
        raise ValueError("an address of the proxy's own network")
    elif isinstance(source, IPv6Address):
        ipaddress.IPv6Address(source.host)


class _Held(Protocol):
    """Stands for the protocol until the header was read; keeps what follows it."""

    def __init__(self) -> None:
        self.octets = b""

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        self.octets += data


@implementer(IHandshakeListener)
class ProxiedProtocol(HAProxyProtocolWrapper):
    """Connects the protocol when the client's address is known, not before."""

    _deadline: IDelayedCall | None = None

    def __init__(self, factory: Any, wrappedProtocol: IProtocol) -> None:  # noqa: N803
        self._clock: IReactorTime = factory.clock
        self._waiting: IProtocol | None = wrappedProtocol
        self._held = _Held()
        super().__init__(factory, self._held)

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
        """Wait for the header, but not forever."""
        super().connectionMade()
        self._deadline = self._clock.callLater(HEADER_SECONDS, self.loseConnection)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Read the header; then hand everything on."""
        if self._waiting is None:
            if self._proxyInfo is not None:
                super().dataReceived(data)
            return
        if data.startswith(_UNKNOWN):  # the short form, of a proxy for itself
            data = b"%b \r\n%b" % (_UNKNOWN[:-2], data[len(_UNKNOWN) :])
        try:
            super().dataReceived(data)
            if self._proxyInfo is not None:
                _check(self._proxyInfo.source)
        except ValueError:
            self.loseConnection()
        if self.disconnecting:
            self._waiting = None
        if self._waiting is None or self._proxyInfo is None:
            return
        self._cancel_deadline()
        self.wrappedProtocol, self._waiting = self._waiting, None
        self.wrappedProtocol.makeConnection(cast(ITransport, self))
        if self._held.octets:
            self.wrappedProtocol.dataReceived(self._held.octets)
            self._held.octets = b""

    def getPeer(self) -> IAddress:  # noqa: N802 - Twisted's name
        """The client's address, or what is known of it.

        Who is on the machine of the proxy is not on this one, if that is another.
        """
        told = super().getPeer()
        assert self.transport
        own = self.transport.getPeer()
        return own if is_near(host_of(told)) and not is_near(host_of(own)) else told

    def handshakeCompleted(self) -> None:  # noqa: N802 - Twisted's name
        """TLS stands, which the protocol has begun over us: STARTTLS."""
        listener = IHandshakeListener(self.wrappedProtocol, None)
        if listener is not None:
            listener.handshakeCompleted()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802
        """The protocol hears of it only if it was connected."""
        self._cancel_deadline()
        self._waiting = None
        super().connectionLost(reason)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()


class ProxiedFactory(HAProxyWrappingFactory):
    """Makes a ``ProxiedProtocol`` for each connection."""

    protocol = ProxiedProtocol
    noisy = False

    def __init__(self, wrapped: IProtocolFactory, clock: IReactorTime) -> None:
        super().__init__(wrapped)
        self.clock = clock


@implementer(IStreamServerEndpoint)
class ProxiedEndpoint:
    """Listens at another endpoint, where only a proxy connects."""

    def __init__(self, endpoint: IStreamServerEndpoint, clock: IReactorTime) -> None:
        self._endpoint = endpoint
        self._clock = clock

    def listen(self, protocolFactory: IProtocolFactory) -> "Deferred[IListeningPort]":  # noqa: N803
        """Listen; the protocols see the addresses of clients."""
        wrapped: WrappingFactory = ProxiedFactory(protocolFactory, self._clock)
        return self._endpoint.listen(wrapped)
