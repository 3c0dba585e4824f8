"""A server in this process, a client that reads strictly, no sockets, no threads.

Everything the server sends goes through ``tests.support.grammar``: a response
that RFC 3501 does not know fails the test that provoked it.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import TestCase

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import Portal
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransportWithDisconnection

from imapd.auth.chain import ChainChecker
from imapd.limits import DEFAULT_LIMITS, Limits
from imapd.mailbox.accounts import Accounts
from imapd.mailbox.flushing import Flusher
from imapd.mailbox.threads import InlineWorkers, Workers
from imapd.mailbox.watch import PollingWatch
from imapd.model.mailbox import NamespaceStyle
from imapd.server.factory import ImapFactory
from imapd.server.protocol import ImapServer
from imapd.server.realm import MailRealm
from imapd.server.settings import CleartextLogin, Settings
from imapd.store.maildir.account import MaildirAccount, StoreOptions
from tests.support.grammar import Response, ResponseReader
from tests.support.untimed import untimed

USERS = {b"alice": b"wonderland", b"bob": b"builder", b"carol": b"singers"}


class Transport(StringTransportWithDisconnection):
    """What a TCP transport does, as far as the server can see."""

    def __init__(self, host: str) -> None:
        super().__init__()
        self.peerAddr = IPv4Address("TCP", host, 55555)
        self.connected = True

    def abortConnection(self) -> None:
        self.loseConnection()


class Server:
    """Accounts in temporary Maildirs; ``connect`` gives clients."""

    def __init__(
        self,
        test: TestCase,
        *,
        limits: Limits = DEFAULT_LIMITS,
        namespace: NamespaceStyle | None = None,
        cleartext_login: CleartextLogin = CleartextLogin.ALWAYS,
        root: Path | None = None,
        options: StoreOptions | None = None,
        workers: Workers | None = None,
        **settings: Any,
    ) -> None:
        if root is None:
            folder = TemporaryDirectory()
            test.addCleanup(folder.cleanup)
            root = Path(folder.name)
        self.test = test
        self.root = root
        untimed(test)
        self.clock = Clock()
        self.limits = limits
        self.watch = PollingWatch(self.clock)
        flusher = Flusher(self.clock)
        self.accounts = Accounts(
            workers or InlineWorkers(), self.watch, flushing=flusher
        )
        self.options = options or StoreOptions(namespace=namespace)
        checker = InMemoryUsernamePasswordDatabaseDontUse(**{})
        for user, password in USERS.items():
            checker.addUser(user, password)
        chain = ChainChecker([checker])
        self.factory = ImapFactory(
            Portal(MailRealm(self.accounts, self.locate), [chain]),
            Settings(
                limits=limits,
                cleartext_login=cleartext_login,
                clock=self.clock,
                **settings,
            ),
        )
        self.clients: list[Client] = []
        test.addCleanup(self.close)

    def maildir(self, user: str) -> Path:
        return self.root / user / "Maildir"

    def locate(self, user: bytes) -> tuple[Path, Callable[[], MaildirAccount]]:
        path = self.maildir(user.decode())
        path.parent.mkdir(exist_ok=True)
        return path, lambda: MaildirAccount(
            path, options=self.options, limits=self.limits
        )

    def connect(self, host: str = "192.0.2.1") -> "Client":
        client = Client(self, host)
        self.clients.append(client)
        return client

    def login(self, user: str = "alice", select: str | None = None) -> "Client":
        client = self.connect()
        client.ok(f"LOGIN {user} {USERS[user.encode()].decode()}")
        if select is not None:
            client.ok(f"SELECT {select}")
        return client

    def close(self) -> None:
        for client in self.clients:
            client.hang_up()
        self.test.assertEqual(self.factory.connections, 0, "a session was left over")


class Client:
    """One connection's other end."""

    def __init__(self, server: Server, host: str) -> None:
        self.server = server
        self.transport = Transport(host)
        self.reader = ResponseReader()
        self.protocol: ImapServer = server.factory.buildProtocol(None)
        self.transport.protocol = self.protocol
        self.protocol.makeConnection(self.transport)
        self.closed = False
        self.number = 0
        self.raw = b""
        self.greeting = self.receive()

    def receive(self) -> list[Response]:
        """What the server has sent since, parsed."""
        for _ in range(100):
            self.server.clock.advance(0)
        self.raw = self.transport.value()
        self.transport.clear()
        return self.reader.feed(self.raw)

    def write(self, octets: bytes) -> list[Response]:
        """Send octets as they are."""
        self.protocol.dataReceived(octets)
        return self.receive()

    def command(self, text: str | bytes) -> list[Response]:
        """Send one command under the next tag."""
        self.number += 1
        line = text.encode() if isinstance(text, str) else text
        return self.write(b"t%d %b\r\n" % (self.number, line))

    def ok(self, text: str | bytes) -> bytes:
        """A command that must end in OK; return all octets of the answer."""
        return self.expect(b"OK", text)

    def no(self, text: str | bytes) -> bytes:
        return self.expect(b"NO", text)

    def bad(self, text: str | bytes) -> bytes:
        return self.expect(b"BAD", text)

    def expect(self, condition: bytes, text: str | bytes) -> bytes:
        self.command(text)
        last = self.raw.rsplit(b"\r\n", 2)[-2:][0]
        wanted = b"t%d %b" % (self.number, condition)
        self.server.test.assertTrue(
            last.startswith(wanted), f"{text!r} was answered {self.raw!r}"
        )
        return self.raw

    def append(
        self, message: bytes, mailbox: str = "INBOX", flags: str = "", date: str = ""
    ) -> bytes:
        """APPEND with a synchronising literal."""
        words = " ".join(word for word in ("APPEND", mailbox, flags, date) if word)
        self.command(f"{words} {{{len(message)}}}")
        self.server.test.assertTrue(self.raw.startswith(b"+ "), self.raw)
        self.write(message)
        self.write(b"\r\n")
        return self.raw

    def hang_up(self) -> None:
        """The client leaves."""
        if not self.closed:
            self.closed = True
            if self.transport.connected:
                self.transport.loseConnection()
