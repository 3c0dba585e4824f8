"""The factory of ``ImapServer``, and what its connections share."""

from collections.abc import Callable, Container
from functools import partial
from typing import Any

from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IOpenSSLContextFactory,
    IOpenSSLServerConnectionCreator,
)
from twisted.internet.protocol import ServerFactory

from imapd.auth.sasl import MECHANISMS
from imapd.server.addresses import place
from imapd.server.protocol import ImapServer
from imapd.server.settings import Settings
from imapd.server.states import State

ALL_MECHANISMS = frozenset(row.name for row in MECHANISMS)
#: What is asked of the checkers, each once.
_INTERFACES = tuple(dict.fromkeys(row.interface for row in MECHANISMS))


class ImapFactory(ServerFactory):
    """Builds a connection for each client, and can say BYE to all of them.

    ``offers`` says whether some checker can deal with an interface of
    credentials, asked for each connection: CRAM-MD5 is offered only while a
    checker can do it, and only if it is one of ``mechanisms``.
    """

    protocol = ImapServer
    noisy = False

    def __init__(
        self,
        portal: Portal,
        settings: Settings | None = None,
        *,
        context: IOpenSSLServerConnectionCreator | IOpenSSLContextFactory | None = None,
        host: bytes = b"localhost",
        offers: Callable[[Any], bool] | None = None,
        mechanisms: Container[bytes] = ALL_MECHANISMS,
    ) -> None:
        self.portal = portal
        self.settings = settings or Settings()
        self.context = context
        self.host = host
        self._offers = offers or self._portal_offers
        self._mechanisms = mechanisms
        self._challengers: (
            tuple[tuple[Any, ...], dict[bytes, Callable[[], Any]]] | None
        ) = None
        self._registered = self._register  # bound once for all connections
        self._connections: dict[ImapServer, None] = {}  # the newest is the last
        #: Among them those that have not logged in.
        self._strangers: dict[ImapServer, None] = {}
        self._emptied: list[Deferred[None]] = []

    def _portal_offers(self, interface: Any) -> bool:
        listed = self.portal.listCredentialsInterfaces()
        return any(each.isOrExtends(interface) for each in listed)

    def challengers(self) -> dict[bytes, Callable[[], Any]]:
        """Mechanisms that some checker can deal with now.

        The same object so long as they are the same: all connections share it.
        """
        offered = tuple(each for each in _INTERFACES if self._offers(each))
        if self._challengers is None or self._challengers[0] != offered:
            made: dict[bytes, Callable[[], Any]] = {
                row.name: partial(row.factory, self.host)
                for row in MECHANISMS
                if row.name in self._mechanisms and row.interface in offered
            }
            self._challengers = offered, made
        return self._challengers[1]

    def buildProtocol(self, addr: IAddress | None) -> ImapServer:  # noqa: N802
        """A connection of its own for a client."""
        connection = self.protocol(
            self.challengers(), self.context, settings=self.settings
        )
        connection.factory = self
        connection.portal = self.portal
        connection.registered = self._registered
        return connection

    def _register(self, connection: ImapServer, is_open: bool) -> None:
        is_stranger = connection.session.state is State.NOT_AUTHENTICATED
        if is_open and is_stranger:
            self._connections[connection] = None
            self._strangers[connection] = None
            if len(self._strangers) > self.settings.limits.preauth_connections:
                self._make_room()
            return
        self._strangers.pop(connection, None)
        if is_open:
            return
        self._connections.pop(connection, None)
        if not self._connections:
            waiting, self._emptied = self._emptied, []
            for each in waiting:
                each.callback(None)

    def _make_room(self) -> None:
        """Let the oldest go that has not logged in.

        Whoever sends nothing, or an octet now and then, takes a place for as long as
        he may; he shall not take one from who comes and logs in.
        """
        oldest = next(iter(self._strangers))
        del self._strangers[oldest]
        # A BYE in TLS would wait for a handshake.
        oldest.abort("Too many connections without a login")

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    def drop(self, user: bytes | None, where: str, number: int) -> None:
        """End some connections of a place, or of a user there: they are too many.

        Processes with the same limits have let them in at the same moment.
        """
        found = [
            each
            for each in reversed(self._connections)
            if not each._closing  # it has been told already
            and place(each.peer_host) == where
            and (user is None or each.session.user.lower() == user)
        ]
        # Rather those who have not logged in, and the newest.
        found.sort(key=lambda each: bool(each.session.user))
        for each in found[:number]:
            if user is None:
                each.refuse(b"Too many connections from your address", b"LIMIT")
            else:
                each.hang_up(b"Too many connections", b"LIMIT")

    def close_all(self, why: bytes = b"Server is shutting down") -> "Deferred[None]":
        """End every session; a command that runs is finished and answered first.

        Fires when the last one is gone, with all it held given back.
        """
        for connection in list(self._connections):
            connection.finish(why)
        emptied: Deferred[None] = Deferred()
        if self._connections:
            self._emptied.append(emptied)
        else:
            emptied.callback(None)
        return emptied
