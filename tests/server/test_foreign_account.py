"""Our ``ImapServer`` over an account that a Twisted programmer wrote, in memory.

Every octet is read by the strict grammar of ``tests.support``.
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
NESTED = (
    b'Subject: nested\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain\r\n\r\none\r\n"
    b'--b\r\nContent-Type: multipart/alternative; boundary="c"\r\n\r\n'
    b"--c\r\nContent-Type: text/plain\r\n\r\ntwo\r\n"
    b"--c\r\nContent-Type: text/html\r\n\r\n<p>two</p>\r\n"
    b"--c--\r\n\r\n--b--\r\n"
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


class EveryCommandTests(ForeignCase):
    def test_the_tree(self) -> None:
        client = self.login()
        for name in ("ARCHIVE/2020", "OTHER", "ENTW&APw-RFE"):
            client.ok(f"CREATE {name}")
        answer = client.ok('LIST "" *')
        for line in (
            rb'* LIST (\HasNoChildren) "/" INBOX',
            rb'* LIST (\HasChildren) "/" ARCHIVE',
            rb'* LIST (\HasNoChildren) "/" ARCHIVE/2020',
            rb'* LIST (\HasNoChildren) "/" OTHER',
        ):
            self.assertIn(line, answer.replace(b'"INBOX"', b"INBOX"))
        self.assertEqual(client.ok('LIST "" %').count(b"* LIST"), 4)
        client.ok("SUBSCRIBE OTHER")
        client.ok("UNSUBSCRIBE ARCHIVE")
        self.assertEqual(client.ok('LSUB "" *').count(b"* LSUB"), 1)
        client.ok("UNSUBSCRIBE OTHER")
        self.assertNotIn(b"* LSUB", client.ok('LSUB "" *'))
        client.ok("RENAME OTHER THIRD")
        client.ok("DELETE THIRD")
        self.assertIn(b'(("" "/"))', client.ok("NAMESPACE"))
        for command, code in {
            "CREATE ARCHIVE": b"[ALREADYEXISTS]",
            "CREATE INBOX": b"[ALREADYEXISTS]",
            r"CREATE x (USE (\Sent))": b"[USEATTR]",
            "DELETE nowhere": b"[NONEXISTENT]",
            "DELETE INBOX": b"[CANNOT]",
            "RENAME nowhere x": b"[NONEXISTENT]",
            "RENAME ARCHIVE/2020 ARCHIVE": b"[ALREADYEXISTS]",
            "RENAME INBOX x": b"[CANNOT]",
            "SELECT nowhere": b"[NONEXISTENT]",
            "STATUS nowhere (MESSAGES)": b"[NONEXISTENT]",
        }.items():
            self.assertIn(code, client.no(command), command)

    def test_select_and_status(self) -> None:
        client = self.filled()
        client.ok("UNSELECT")
        self.inbox.messages[0].flags |= {"\\Seen", "\\Deleted", "$Work", "no flag!(x"}
        answer = client.ok("SELECT inbox")
        for line in (
            *(b"* 3 EXISTS", b"* 3 RECENT", b"[UNSEEN 2]", b"[UIDVALIDITY 7]"),
            *(b"[UIDNEXT 4]", b"[READ-WRITE]", b"$Work"),
        ):
            self.assertIn(line, answer)
        self.assertIn(
            b"(MESSAGES 3 RECENT 3 UNSEEN 2 UIDNEXT 4 UIDVALIDITY 7)",
            client.ok("STATUS INBOX (MESSAGES RECENT UNSEEN UIDNEXT UIDVALIDITY)"),
        )
        total = sum(len(MESSAGE % (n, n)) for n in (1, 2, 3))
        self.assertIn(
            b"(SIZE %d DELETED 1)" % total, client.ok("STATUS INBOX (SIZE DELETED)")
        )
        self.inbox.writeable = False
        self.assertIn(b"[READ-ONLY]", client.ok("SELECT INBOX"))
        self.assertIn(b"[READ-ONLY]", client.no(r"STORE 1 +FLAGS (\Seen)"))
        self.assertIn(b"[READ-ONLY]", self.refused_append(client, "INBOX"))
        self.inbox.attributes = ["\\Noselect"]
        self.assertIn(b"[NONEXISTENT]", client.no("SELECT INBOX"))

    def test_append(self) -> None:
        client = self.login(select="INBOX")
        answer = client.append(MESSAGE % (1, 1), flags=r"(\Flagged $Work)")
        self.assertIn(b"* 1 EXISTS", answer)
        self.assertIn(
            rb"* 1 FETCH (FLAGS ($Work \Flagged \Recent))", client.ok("FETCH 1 FLAGS")
        )
        self.assertIn(b"[TRYCREATE]", self.refused_append(client, "nowhere"))
        large = b"Subject: large\r\n\r\n" + b"x" * 1_000_000
        client.append(large)
        self.assertIn(b"RFC822.SIZE %d" % len(large), client.ok("FETCH 2 RFC822.SIZE"))
        client.command("APPEND INBOX {3+}\r\na:b {3+}\r\nc:d")
        self.assertIn(b" OK ", client.raw)
        self.assertIn(b"* 4 EXISTS", client.raw)

    def refused_append(self, client: Client, mailbox: str) -> bytes:
        client.command(f"APPEND {mailbox} {{3}}")
        return client.raw

    def test_fetch(self) -> None:
        client = self.filled()
        first = MESSAGE % (1, 1)
        for items, found in {
            "BODY.PEEK[]": first,
            "RFC822.HEADER": first.partition(b"body")[0],
            "BODY.PEEK[HEADER.FIELDS (x-odd-case)]": b"X-Odd-cAse: kept\r\n\r\n",
            "BODY.PEEK[TEXT]<5.2>": b"BODY[TEXT]<5> {2}\r\nof",
            "RFC822.SIZE": b"RFC822.SIZE %d" % len(first),
            "INTERNALDATE": b'INTERNALDATE "17-Jul-1996 09:44:25 +0000"',
            "ENVELOPE": b'"number 1" (("A" NIL "a" "example.org"))',
            "BODYSTRUCTURE": b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit"',
            "FAST": b"RFC822.SIZE",
        }.items():
            answer = client.ok(f"FETCH 1 {items}")
            self.assertIn(found.lower(), answer.lower(), items)
            self.assertNotIn(rb"\Seen", answer)
        self.assertIn(
            b"* 2 FETCH (UID 2 BODY[TEXT] {18}\r\nbody of number 2\r\n"
            b" FLAGS (\\Seen \\Recent))",
            client.ok("UID FETCH 2 BODY[TEXT]").replace(
                b"\\Recent \\Seen", b"\\Seen \\Recent"
            ),
        )
        self.assertEqual(client.ok("FETCH 1:* (UID FLAGS)").count(b" FETCH ("), 3)
        client.bad("FETCH 9 FLAGS")
        self.assertNotIn(b"FETCH (", client.ok("UID FETCH 9:10 FLAGS"))

    def test_search(self) -> None:
        client = self.filled()
        client.ok(r"STORE 2 +FLAGS.SILENT (\Flagged)")
        for keys, found in {
            "ALL": b" 1 2 3",
            "FLAGGED": b" 2",
            "SUBJECT {8}\r\nnumber 3": b" 3",
            'BODY "of number 1"': b" 1",
            "NOT 1 SENTON 17-Jul-1996": b" 2 3",
            "SINCE 1-Jan-1997": b"",
            "OR UID 3 TEXT nothing": b" 3",
            "LARGER 10 NEW": b" 1 2 3",
        }.items():
            sent = keys.replace("}\r\n", "+}\r\n").encode()
            self.assertIn(b"* SEARCH%b\r\n" % found, client.ok(b"SEARCH " + sent), keys)
        self.assertIn(b"COUNT 3", client.ok("UID SEARCH RETURN (COUNT) ALL"))
        client.bad("SEARCH 9")

    def test_store_and_expunge(self) -> None:
        client = self.filled(4)
        self.assertIn(
            rb"FLAGS ($Work \Deleted \Recent)",
            client.ok(r"STORE 2 FLAGS (\Deleted $Work)"),
        )
        self.assertNotIn(b"FETCH", client.ok(r"STORE 3 +FLAGS.SILENT (\Deleted)"))
        self.assertIn(b"UID 3", client.ok(r"UID STORE 3 +FLAGS (\Seen)"))
        self.assertIn(b"* 3 EXPUNGE\r\n", client.ok("UID EXPUNGE 3:4"))
        self.assertNotIn(b"* 2 EXPUNGE", client.raw)
        self.assertIn(rb"\Deleted", client.ok("FETCH 2 FLAGS"))
        self.assertIn(b"* 2 EXPUNGE\r\n", client.ok("EXPUNGE"))
        self.assertIn(b"UID 4", client.ok("FETCH 2 UID"))
        client.ok(r"STORE 1 +FLAGS (\Deleted)")
        client.ok("CLOSE")
        self.assertEqual([each.uid for each in self.inbox.messages], [4])
        client.ok("EXAMINE INBOX")
        client.no(r"STORE 1 +FLAGS (\Deleted)")
        client.no("EXPUNGE")
        client.ok("CLOSE")

    def test_copy_and_move(self) -> None:
        client = self.filled()
        client.ok("CREATE ARCHIVE")
        client.ok(r"STORE 1 +FLAGS (\Flagged)")
        client.ok(r"STORE 3 +FLAGS (\Deleted)")
        self.assertNotIn(b"COPYUID", client.ok("COPY 1:2 ARCHIVE"))
        self.assertIn(b"* 1 EXPUNGE\r\n", client.ok("UID MOVE 1 ARCHIVE"))
        self.assertEqual([each.uid for each in self.inbox.messages], [2, 3])
        self.assertIn(rb"\Deleted", client.ok("FETCH 2 FLAGS"))
        self.assertIn(b"[TRYCREATE]", client.no("COPY 1 nowhere"))
        client.ok("COPY 1 INBOX")
        self.assertIn(b"* 3 EXISTS", client.raw)
        self.assertIn(b"* 3 EXISTS", client.ok("SELECT ARCHIVE"))
        answer = client.ok("FETCH 1 (FLAGS INTERNALDATE BODY.PEEK[])")
        self.assertIn(MESSAGE % (1, 1), answer)
        self.assertIn(rb"\Flagged", answer)
        self.assertIn(b"17-Jul-1996", answer)

    def test_two_sessions(self) -> None:
        one, two = self.filled(), self.login(select="INBOX")
        two.command("IDLE")
        one.append(MESSAGE % (4, 4))
        two.receive()
        self.assertIn(b"* 4 EXISTS", two.raw)
        two.write(b"DONE\r\n")
        one.ok(r"STORE 1:2 +FLAGS (\Deleted)")
        one.ok("EXPUNGE")
        # The mailbox's numbers have moved; those of the second session have not.
        self.assertIn(b"* 4 FETCH (UID 4)", two.ok("FETCH 4 UID"))
        self.assertIn(b"body of number 4", two.ok("FETCH 4 BODY.PEEK[TEXT]"))
        self.assertIn(b"[EXPUNGEISSUED]", two.no("FETCH 1 BODY.PEEK[TEXT]"))
        two.ok("NOOP")
        self.assertIn(b"* 2 EXPUNGE\r\n* 1 EXPUNGE\r\n", two.raw)

    def test_the_rest(self) -> None:
        client = self.filled()
        for command in ("NOOP", "CHECK", "CAPABILITY", "ID NIL", "ENABLE X"):
            client.ok(command)
        client.ok("UNSELECT")
        client.ok("LOGOUT")


class ByTheBookTests(ForeignCase):
    """Messages without octets: headers and bodies are put together again."""

    def setUp(self) -> None:
        super().setUp()
        self.inbox.message_class = MemoryMessage

    def test_a_plain_message(self) -> None:
        client = self.filled(1)
        answer = client.ok("FETCH 1 (ENVELOPE BODY.PEEK[TEXT] BODY.PEEK[HEADER])")
        self.assertIn(b'"number 1" (("A" NIL "a" "example.org"))', answer)
        self.assertIn(b"{18}\r\nbody of number 1\r\n", answer)
        self.assertIn(b"X-Odd-Case: kept\r\n", answer)

    def test_parts(self) -> None:
        client = self.login()
        client.append(NESTED)
        client.ok("SELECT INBOX")
        self.assertIn(b"{3}\r\none", client.ok("FETCH 1 BODY.PEEK[1]"))
        self.assertIn(b"{10}\r\n<p>two</p>", client.ok("FETCH 1 BODY.PEEK[2.2]"))
        answer = client.ok("FETCH 1 BODYSTRUCTURE")
        self.assertIn(b'"alternative"', answer)
        self.assertIn(b"* SEARCH 1\r\n", client.ok("SEARCH BODY two"))

    def test_headers_cannot_break_out(self) -> None:
        client = self.filled(1)
        (message,) = self.inbox.messages
        message.getHeaders = lambda negate, *names: {
            "subject": "a\r\nBcc: injected\r\n\r\nbody",
            b"x": b"\xff",
            "empty": "",
        }
        answer = client.ok("FETCH 1 BODY.PEEK[HEADER]")
        self.assertIn(b"Subject: a\r\n Bcc: injected\r\n body\r\n", answer)

    def test_a_multipart_without_boundary(self) -> None:
        client = self.login()
        client.append(NESTED)
        (message,) = self.inbox.messages
        message.getHeaders = lambda negate, *names: {"content-type": "multipart/mixed"}
        client.ok("SELECT INBOX")
        self.assertIn(b"{3}\r\none", client.ok("FETCH 1 BODY.PEEK[1]"))
        sizes = {client.ok("FETCH 1 RFC822.SIZE").partition(b"\n")[0] for _ in range(3)}
        self.assertEqual(len(sizes), 1)


def later(name: str) -> Any:
    """A method that answers with a Deferred, fired when the test says so."""

    def method(self: Any, *args: Any, **kwargs: Any) -> "Deferred[Any]":
        waiting: Deferred[None] = Deferred()
        self.waiting.append(waiting)
        plain = getattr(MemoryMailbox, name)
        return waiting.addCallback(lambda _: plain(self, *args, **kwargs))

    return method


class SlowMailbox(MemoryMailbox):
    waiting: list["Deferred[None]"] = []  # noqa: RUF012  one for all of a test

    for _name in ("requestStatus", "addMessage", "expunge", "fetch", "store"):
        locals()[_name] = later(_name)


class SlowAccount(imap4.MemoryAccount):
    def _emptyMailbox(self, name: str, id: int) -> Any:
        return SlowMailbox()

    def select(self, name: str, readwrite: bool = True) -> Any:
        waiting: Deferred[Any] = Deferred()
        SlowMailbox.waiting.append(waiting)
        box = super().select(name, readwrite)
        return waiting.addCallback(lambda _: box)


class LaterTests(ForeignCase):
    """Everything that may answer with a Deferred does, some turns later."""

    account_class = SlowAccount

    def setUp(self) -> None:
        super().setUp()
        SlowMailbox.waiting = []

    def finish(self, client: Client, command: str | bytes, more: bytes = b"") -> bytes:
        """Send a command, and let its Deferreds fire one after the other."""
        client.command(command)
        raw = client.raw
        for turn in range(100):
            if not SlowMailbox.waiting:
                break
            if turn == 0:
                self.assertNotIn(b"\nt%d " % client.number, b"\n" + raw, "not waited")
            SlowMailbox.waiting.pop(0).callback(None)
            client.receive()
            raw += client.raw
            if more and raw.startswith(b"+ "):
                client.write(more)
                raw, more = raw + client.raw, b""
        self.assertIn(b"\nt%d OK" % client.number, b"\n" + raw, command)
        return raw

    def test_a_whole_session(self) -> None:
        client = self.login()
        for number in (1, 2):
            octets = MESSAGE % (number, number)
            self.finish(client, f"APPEND INBOX {{{len(octets)}}}", octets + b"\r\n")
        answer = self.finish(client, "STATUS INBOX (MESSAGES)")
        self.assertIn(b"(MESSAGES 2)", answer)
        self.assertIn(b"* 2 EXISTS", self.finish(client, "SELECT INBOX"))
        self.assertIn(b"body of number 2", self.finish(client, "FETCH 2 BODY[TEXT]"))
        answer = self.finish(client, r"STORE 1 +FLAGS (\Deleted)")
        self.assertIn(rb"\Deleted", answer)
        self.assertIn(b"* SEARCH 2", self.finish(client, "SEARCH SUBJECT 2"))
        self.finish(client, "COPY 2 INBOX")
        self.assertIn(b"* 1 EXPUNGE", self.finish(client, "EXPUNGE"))
        client.ok("CREATE OTHER")
        self.finish(client, "CLOSE")

    def test_the_client_leaves_meanwhile(self) -> None:
        client = self.login()
        client.command("SELECT INBOX")
        client.hang_up()
        while SlowMailbox.waiting:
            SlowMailbox.waiting.pop(0).callback(None)
        self.assertEqual(self.inbox.listeners, [])


class Broken(Exception):
    """What a foreign store may raise, with something that nobody may read."""

    def __str__(self) -> str:
        return "secret /path"


class TroubleTests(ForeignCase):
    def raising(self, target: Any, method: str, error: Exception) -> None:
        def fail(*args: Any, **kwargs: Any) -> Any:
            raise error

        self.patch(target, method, fail)

    def test_unknown_exceptions(self) -> None:
        client = self.filled()
        commands = {
            "fetch": ("FETCH 1 BODY.PEEK[]", "SEARCH TEXT x", "COPY 1 INBOX"),
            "store": (r"STORE 1 +FLAGS (\Seen)", "UID STORE 2 FLAGS ($Work)"),
            "requestStatus": ("STATUS INBOX (MESSAGES)",),
            "addMessage": ("APPEND INBOX {3+}\r\na:b", "COPY 1 INBOX"),
        }
        for method, lines in commands.items():
            kept = getattr(self.inbox, method)
            self.raising(self.inbox, method, Broken())
            for line in lines:
                answer = client.no(line)
                self.assertIn(b"[UNAVAILABLE]", answer, line)
                self.assertNotIn(b"secret", answer)
                self.assertTrue(self.flushLoggedErrors(Broken), line)
            setattr(self.inbox, method, kept)
        client.ok("FETCH 1 BODY[]")

    def test_expunge_that_fails_keeps_the_others_deleted(self) -> None:
        client = self.filled()
        client.ok(r"STORE 1:2 +FLAGS (\Deleted)")
        self.raising(self.inbox, "expunge", Broken())
        self.assertIn(b"[UNAVAILABLE]", client.no("UID EXPUNGE 1"))
        self.assertTrue(self.flushLoggedErrors(Broken))
        self.assertIn(b"* SEARCH 1 2\r\n", client.ok("SEARCH DELETED"))

    def test_the_account_raises(self) -> None:
        client = self.login()
        for method, lines in {
            "listMailboxes": ('LIST "" *', 'LSUB "" *'),
            "select": ("SELECT INBOX", "STATUS INBOX (MESSAGES)"),
            "create": ("CREATE X",),
            "delete": ("DELETE X",),
            "rename": ("RENAME X Y",),
            "subscribe": ("SUBSCRIBE X",),
            "isSubscribed": ("UNSUBSCRIBE X",),
        }.items():
            kept = getattr(self.account, method)
            self.raising(self.account, method, Broken())
            for line in lines:
                answer = client.no(line)
                self.assertIn(b"[UNAVAILABLE]", answer, line)
                self.assertNotIn(b"secret", answer)
                self.assertTrue(self.flushLoggedErrors(Broken), line)
            setattr(self.account, method, kept)

    def test_exceptions_of_the_interfaces(self) -> None:
        client = self.filled()
        for error, code in (
            (imap4.ReadOnlyMailbox(), b"[READ-ONLY]"),
            (imap4.NoSuchMailbox("secret"), b"[NONEXISTENT]"),
            (imap4.MailboxCollision("secret"), b"[ALREADYEXISTS]"),
            (imap4.MailboxException("secret"), b"[CANNOT]"),
        ):
            self.raising(self.inbox, "store", error)
            answer = client.no(r"STORE 1 +FLAGS (\Seen)")
            self.assertIn(code, answer)
            self.assertNotIn(b"secret", answer)

    def test_one_message_that_cannot_be_read(self) -> None:
        client = self.filled()
        self.raising(self.inbox.messages[1], "open", Broken())
        answer = client.no("FETCH 1:3 BODY.PEEK[TEXT]")
        self.assertIn(b"[UNAVAILABLE]", answer)
        self.assertIn(b"body of number 1", answer)
        self.assertIn(b"body of number 3", answer)
        self.assertTrue(self.flushLoggedErrors(Broken))

    def test_append_of_several_that_stops(self) -> None:
        client = self.login(select="INBOX")
        plain, calls = self.inbox.addMessage, []

        def add(*args: Any) -> Any:
            calls.append(args)
            if len(calls) == 2:
                raise Broken
            return plain(*args)

        self.inbox.addMessage = add
        answer = client.no("APPEND INBOX {3+}\r\na:b {3+}\r\nc:d")
        self.assertIn(b"Only 1 of 2 messages were stored", answer)
        self.assertIn(b"* 1 EXISTS", answer)
        self.assertTrue(self.flushLoggedErrors(Broken))

    def test_nonsense(self) -> None:
        client = self.filled()
        client.ok("UNSELECT")
        message = self.inbox.messages[0]
        for target, name, value in (
            (message, "uid", 0),
            (message, "uid", 2**32),
            (message, "uid", None),
            (self.inbox, "uid_next", "x"),
            (self.inbox, "uid_next", -1),
        ):
            kept = getattr(target, name)
            setattr(target, name, value)
            self.assertIn(b"[UNAVAILABLE]", client.no("SELECT INBOX"), (name, value))
            self.assertTrue(self.flushLoggedErrors(ValueError, TypeError))
            setattr(target, name, kept)
        message.date = "never"
        client.ok("SELECT INBOX")
        self.assertIn(b" 1-Jan-1970", client.ok("FETCH 1 INTERNALDATE"))

    def test_a_new_uidvalidity_ends_the_session(self) -> None:
        client = self.filled()
        self.inbox.getUIDValidity = lambda: 8
        for listener in self.inbox.listeners:
            listener.flagsChanged({1: ("\\Seen",)})
        client.command("NOOP")
        self.assertIn(b"* BYE", client.raw)

    def test_the_mode_changes(self) -> None:
        client = self.filled()
        for listener in self.inbox.listeners:
            listener.modeChanged(False)
        self.assertIn(b"[READ-ONLY]", client.no(r"STORE 1 +FLAGS (\Seen)"))


class NamespaceTests(SynchronousTestCase):
    def test_where_the_separator_comes_from(self) -> None:
        from imapd.server.foreign import ForeignAccount

        class Dotted(MemoryMailbox):
            def getHierarchicalDelimiter(self) -> str:
                return "."

        class NoPresenter(imap4.MemoryAccountWithoutNamespaces):
            def _emptyMailbox(self, name: str, id: int) -> Any:
                return Dotted()

        plain = NoPresenter("alice")
        plain.addMailbox("INBOX")
        plain.addMailbox("A.B")
        account = ForeignAccount(plain)
        folders = self.successResultOf(Deferred.fromCoroutine(account.folders()))
        self.assertEqual([each.path for each in folders], [(), ("A", "B")])
        self.assertEqual(account.namespace.separator, ".")

        class Courier(imap4.MemoryAccount):
            def getPersonalNamespaces(self) -> Any:
                return [["INBOX.", "."]]

        account = ForeignAccount(Courier("alice"))
        self.assertEqual(account.namespace.name(("A", "B")), "INBOX.A.B")
