"""What tests of logins need: checkers that tell what they were asked, peers, logs."""

import base64
import unittest
from collections.abc import Callable, Iterable
from typing import Any, cast

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernameHashedPassword, IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import Portal
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ISSLTransport, ITLSTransport
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import directlyProvides, implementer

from imapd.auth.chain import ChainChecker
from imapd.limits import Limits
from imapd.server.counts import ConnectionCounts
from tests.support.grammar import ResponseReader
from tests.support.server import USERS, Client, Server, Transport


def b64(octets: bytes) -> bytes:
    return base64.b64encode(octets)


def plain(user: bytes, password: bytes, identity: bytes = b"") -> bytes:
    """The message of SASL PLAIN, in base64."""
    return b64(b"\0".join((identity, user, password)))


@implementer(ICredentialsChecker)
class SpyChecker:
    """Knows ``USERS``; remembers who was asked about; may be slow, or broken."""

    credentialInterfaces = (  # noqa: N815
        IUsernamePassword,
        IUsernameHashedPassword,
    )

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        #: Set: the answer waits until ``answer`` is called.
        self.slow = False
        #: Set: what is raised instead of an answer.
        self.error: Callable[[Any], Exception] | None = None
        self.waiting: list[tuple[Deferred[bytes], Any]] = []

    def requestAvatarId(self, credentials: Any) -> Any:
        self.asked.append(credentials.username)
        if not self.slow:
            return self._judge(credentials)
        later: Deferred[bytes] = Deferred()
        self.waiting.append((later, credentials))
        return later

    def answer(self) -> None:
        """Answer all who wait."""
        waiting, self.waiting = self.waiting, []
        for later, credentials in waiting:
            try:
                later.callback(self._judge(credentials))
            except Exception as error:
                later.errback(error)

    def _judge(self, credentials: Any) -> bytes:
        if self.error is not None:
            raise self.error(credentials)
        password = USERS.get(credentials.username)
        if password is None or not credentials.checkPassword(password):
            raise UnauthorizedLogin
        user: bytes = credentials.username
        return user


def use_checkers(server: Server, *checkers: Any) -> None:
    """Let the server ask these, as the service does."""
    chain = ChainChecker(checkers)
    portal = Portal(cast(Any, server.factory.portal.realm))
    portal.registerChecker(chain, IUsernamePassword, IUsernameHashedPassword)
    server.factory.portal = portal
    server.factory._offers = chain.offers


class Events:
    """Keeps the events of the server, as (name, fields)."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda **fields: self.seen.append((name, fields))

    def names(self) -> list[str]:
        return [name for name, _ in self.seen]


class PeerTransport(Transport):
    """A transport of any address, which may have TLS already, or be able to."""

    def __init__(self, host: str, *, tls: bool, starttls: bool) -> None:
        super().__init__(host)
        if host == "unix":
            self.peerAddr = cast(Any, UNIXAddress(None))
        self.tls_from: int | None = None  # octets written in the clear before TLS
        provided = [ISSLTransport] if tls else []
        directlyProvides(self, *provided, *([ITLSTransport] if starttls else []))

    def startTLS(self, context: Any, normal: bool = True) -> None:
        self.tls_from = len(self.value())


class Peer(Client):
    """A client with an address, with or without TLS."""

    transport: PeerTransport

    def __init__(
        self,
        server: Server,
        host: str = "192.0.2.1",
        *,
        tls: bool = False,
        starttls: bool = False,
    ) -> None:
        self.server = server
        self.transport = PeerTransport(host, tls=tls, starttls=starttls)
        self.reader = ResponseReader()
        self.protocol = server.factory.buildProtocol(None)
        self.transport.protocol = self.protocol
        self.protocol.makeConnection(self.transport)
        self.closed = False
        self.number = 0
        self.raw = b""
        self.greeting = self.receive()
        server.clients.append(self)

    def sent(self) -> bytes:
        """What the server has sent since."""
        self.receive()
        return self.raw

    def tagged(self) -> bytes:
        """Condition and code of the last tagged answer, ``NO [CANNOT]``."""
        for line in reversed(self.raw.split(b"\r\n")):
            tag, _, rest = line.partition(b" ")
            if tag not in (b"", b"*", b"+"):
                end = rest.find(b"]") + 1 if b" [" in rest[:5] else rest.find(b" ")
                return rest[:end]
        return b""


def watch_log(test: unittest.TestCase) -> Callable[[], Iterable[str]]:
    """All that is logged from now on, at every level, formatted and as it is."""
    texts: list[str] = []

    def observe(event: LogEvent) -> None:
        texts.append(formatEvent(event))
        failure = event.get("log_failure")
        if failure is not None:
            texts.append(failure.getTraceback())
        texts.extend(repr(value) for value in event.values())

    observer = cast(ILogObserver, observe)
    globalLogPublisher.addObserver(observer)
    test.addCleanup(globalLogPublisher.removeObserver, observer)
    return lambda: texts


class LoginCase(unittest.TestCase):
    """A server with a spy for a checker."""

    def setUp(self) -> None:
        self.events = Events()
        self.server = Server(self, events=self.events)
        self.spy = SpyChecker()
        use_checkers(self.server, self.spy)

    def peer(self, host: str = "192.0.2.1", **kind: bool) -> Peer:
        return Peer(self.server, host, **kind)

    def talk(self, client: Client, lines: list[bytes], name: str) -> None:
        for number, line in enumerate(lines):
            if number:
                self.assertTrue(client.raw.startswith(b"+ "), f"{name}: {client.raw!r}")
            client.write(line + b"\r\n")


class SlowCase(unittest.TestCase):
    """A server that counts, a spy for a checker, and what must be left of both."""

    limits = Limits()

    def setUp(self) -> None:
        self.events = Events()
        self.counts = ConnectionCounts(self.limits)
        self.server = self.make_server()
        self.spy = SpyChecker()
        use_checkers(self.server, self.spy)

    def make_server(self, **settings: Any) -> Server:
        return Server(
            self,
            limits=self.limits,
            events=self.events,
            counts=self.counts,
            **settings,
        )

    def peer(self, host: str = "192.0.2.1", **kind: bool) -> Peer:
        return Peer(self.server, host, **kind)

    def assert_nothing_is_left(self, name: str = "") -> None:
        self.assertEqual(self.server.factory.connections, 0, name)
        self.assertEqual(self.server.clock.getDelayedCalls(), [], name)
        self.assertEqual(self.server.accounts._open, {}, name)
        for counter in (
            self.counts._users,
            self.counts._pairs,
            self.counts._addresses,
        ):
            self.assertEqual(dict(counter), {}, name)
