"""An account and mailboxes in memory, as a Twisted programmer would write them.

``ForeignCase`` runs our ``ImapServer`` over them; every octet it sends is read by the
strict grammar.
"""

import email
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.mail import imap4
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from imapd.auth.chain import ChainChecker
from imapd.server.factory import ImapFactory
from imapd.server.settings import CleartextLogin, Settings
from tests.support.server import USERS, Client

MESSAGE = (
    b"From: A <a@example.org>\r\nTo: b@example.net\r\nSubject: number %d\r\n"
    b"Date: Wed, 17 Jul 1996 02:23:25 -0700\r\nX-Odd-cAse: kept\r\n"
    b"\r\nbody of number %d\r\n"
)


@implementer(imap4.IMessage)
class MemoryMessage:
    """A message by the book: headers in a dictionary, bodies as files."""

    def __init__(self, uid: int, octets: bytes, flags: Any, date: Any) -> None:
        self.uid = uid
        self.octets = octets
        self.parsed: Any = email.message_from_bytes(octets)
        self.flags = set(flags)
        self.date = date

    def getUID(self) -> int:
        return self.uid

    def getFlags(self) -> Any:
        return list(self.flags)

    def getInternalDate(self) -> Any:
        return self.date

    def getHeaders(self, negate: bool, *names: str) -> dict[str, str]:
        wanted = {name.lower() for name in names}
        return {
            name.lower(): value
            for name, value in self.parsed.items()
            if (name.lower() in wanted) is not negate
        }

    def getBodyFile(self) -> BytesIO:
        return BytesIO(self.parsed.get_payload().encode())

    def getSize(self) -> int:
        return len(self.octets)

    def isMultipart(self) -> bool:
        return bool(self.parsed.is_multipart())

    def getSubPart(self, part: int) -> "MemoryMessage":
        if not self.parsed.is_multipart():
            raise TypeError
        below = self.parsed.get_payload()[part]
        return MemoryMessage(0, below.as_bytes(), (), None)


@implementer(imap4.IMessageFile)
class FileMessage(MemoryMessage):
    """A message that has its octets."""

    def open(self) -> BytesIO:
        return BytesIO(self.octets)


@implementer(imap4.IMailbox)
class MemoryMailbox:
    """One object for all sessions, with a list of messages."""

    message_class: type[MemoryMessage] = FileMessage

    def __init__(self) -> None:
        self.messages: list[MemoryMessage] = []
        self.listeners: list[Any] = []
        self.uid_next = 1
        self.attributes: list[str] = []
        self.writeable = True

    def getFlags(self) -> list[str]:
        return ["\\Seen", "\\Deleted", "\\Flagged", *self.attributes]

    def getHierarchicalDelimiter(self) -> str:
        return "/"

    def getUIDValidity(self) -> int:
        return 7

    def getUIDNext(self) -> int:
        return self.uid_next

    def getUID(self, message: int) -> int:
        return self.messages[message - 1].uid

    def getMessageCount(self) -> int:
        return len(self.messages)

    def getRecentCount(self) -> int:
        return sum("\\Recent" in each.flags for each in self.messages)

    def getUnseenCount(self) -> int:
        return sum("\\Seen" not in each.flags for each in self.messages)

    def isWriteable(self) -> bool:
        return self.writeable

    def destroy(self) -> None:
        self.attributes.append("\\Noselect")

    def requestStatus(self, names: Any) -> Any:
        return imap4.statusRequestHelper(self, names)

    def addListener(self, listener: Any) -> None:
        self.listeners.append(listener)

    def removeListener(self, listener: Any) -> None:
        self.listeners.remove(listener)

    def addMessage(self, message: Any, flags: Any = (), date: Any = None) -> Any:
        made = self.message_class(
            self.uid_next, message.read(), {*flags, "\\Recent"}, date
        )
        self.uid_next += 1
        self.messages.append(made)
        for listener in self.listeners:
            listener.newMessages(len(self.messages), self.getRecentCount())
        done: Deferred[int] = Deferred()
        done.callback(made.uid)
        return done

    def expunge(self) -> list[int]:
        gone = [
            seq
            for seq, each in enumerate(self.messages, 1)
            if "\\Deleted" in each.flags
        ]
        self.messages = [
            each for each in self.messages if "\\Deleted" not in each.flags
        ]
        return gone

    def fetch(self, messages: Any, uid: Any) -> Any:
        return self.named(messages, uid)

    def named(self, messages: Any, uid: Any) -> Iterator[tuple[int, MemoryMessage]]:
        for seq, each in enumerate(self.messages, 1):
            if (each.uid if uid else seq) in messages:
                yield seq, each

    def store(self, messages: Any, flags: Any, mode: int, uid: Any) -> Any:
        changed = {}
        for seq, each in self.named(messages, uid):
            if mode == 0:
                each.flags = set(flags) | ({"\\Recent"} & each.flags)
            elif mode == 1:
                each.flags |= set(flags)
            else:
                each.flags -= set(flags)
            changed[seq] = list(each.flags)
        return changed


class Account(imap4.MemoryAccount):
    box_class: Callable[[], Any] = MemoryMailbox

    def _emptyMailbox(self, name: str, id: int) -> Any:
        return type(self).box_class()


class ForeignCase(SynchronousTestCase):
    account_class: type[Any] = Account

    def setUp(self) -> None:
        self.test = self  # what tests.support.server.Client asks of its server
        self.clock = Clock()
        self.account = self.account_class("alice")
        self.account.addMailbox("INBOX")
        checker = InMemoryUsernamePasswordDatabaseDontUse()
        for user, password in USERS.items():
            checker.addUser(user, password)
        account = self.account

        @implementer(IRealm)
        class Realm:
            def requestAvatar(self, *asked: Any) -> Any:
                return imap4.IAccount, account, lambda: None

        self.factory = ImapFactory(
            Portal(Realm(), [ChainChecker([checker])]),
            Settings(cleartext_login=CleartextLogin.ALWAYS, clock=self.clock),
        )
        self.clients: list[Client] = []
        self.addCleanup(self.leave)

    def leave(self) -> None:
        for client in self.clients:
            client.hang_up()
        self.assertEqual(self.factory.connections, 0)
        for box in self.account.mailboxes.values():
            self.assertEqual(getattr(box, "listeners", []), [], "a listener was left")

    @property
    def inbox(self) -> Any:
        return self.account.mailboxes["INBOX"]

    def login(self, select: str | None = None) -> Client:
        server: Any = self
        client = Client(server, "192.0.2.1")
        self.clients.append(client)
        client.ok("LOGIN alice wonderland")
        if select is not None:
            client.ok(f"SELECT {select}")
        return client

    def filled(self, count: int = 3) -> Client:
        client = self.login()
        for number in range(1, count + 1):
            answer = client.append(
                MESSAGE % (number, number), date='"17-Jul-1996 02:44:25 -0700"'
            )
            self.assertIn(b" OK ", answer)
        client.ok("SELECT INBOX")
        return client
