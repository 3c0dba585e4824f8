"""Foreign accounts that answer late, fail, or talk nonsense."""

from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.mail import imap4

from imapd.limits import DEFAULT_LIMITS
from imapd.server.protocol import ImapServer
from tests.support.foreign import MESSAGE, ForeignCase, MemoryMailbox
from tests.support.server import Client


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

    def test_who_waits_for_us_is_not_idle(self) -> None:
        client = self.login()
        client.command("SELECT INBOX")
        for _ in range(3):
            self.clock.advance(DEFAULT_LIMITS.idle_seconds + 1)
            client.receive()
            self.assertEqual(client.raw, b"")
            self.assertTrue(client.transport.connected)
        while SlowMailbox.waiting:
            SlowMailbox.waiting.pop(0).callback(None)
        client.receive()
        self.assertIn(b"t%d OK" % client.number, client.raw)
        self.clock.advance(DEFAULT_LIMITS.idle_seconds + 1)
        client.receive()
        self.assertIn(b"* BYE ", client.raw)

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
        # Hardening: V12.
        client = self.filled()
        commands = {
            "fetch": (
                *("FETCH 1 BODY.PEEK[]", "SEARCH TEXT x", "COPY 1 INBOX"),
                *("SORT (DATE) UTF-8 ALL", "UID THREAD REFS UTF-8 ALL"),
            ),
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

    def test_a_connection_of_its_own_that_ends(self) -> None:
        """It is not the client's: that one waits for an answer."""
        client = self.filled()
        for error in (ConnectionRefusedError(), ConnectionAbortedError()):
            kind = type(error)
            self.raising(self.inbox, "store", error)
            self.assertIn(b"[UNAVAILABLE]", client.no(r"STORE 1 +FLAGS (\Seen)"))
            self.assertTrue(self.flushLoggedErrors(kind), kind)
        with mock.patch.object(ImapServer, "ready", side_effect=ConnectionResetError):
            self.assertIn(b"[SERVERBUG]", client.no("FETCH 1 FLAGS"))
        self.assertTrue(self.flushLoggedErrors(ConnectionResetError))
        client.ok("NOOP")

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

    def test_append_that_is_broken_off_stores_nothing(self) -> None:
        client = self.filled(1)
        before = len(self.inbox.listeners)
        client.bad("APPEND INBOX {3+}\r\na:b nonsense")
        self.assertNotIn(b"EXISTS", client.ok("NOOP"))
        self.assertEqual(len(self.inbox.messages), 1)
        self.assertEqual(len(self.inbox.listeners), before)

    def test_copy_of_several_that_stops(self) -> None:
        client = self.filled()
        client.ok("CREATE ARCHIVE")
        archive = self.account.mailboxes["ARCHIVE"]
        plain, calls = archive.addMessage, []

        def add(*args: Any) -> Any:
            calls.append(args)
            if len(calls) == 3:
                raise Broken
            return plain(*args)

        archive.addMessage = add
        answer = client.no("MOVE 1:3 ARCHIVE")
        self.assertIn(b"[UNAVAILABLE]", answer)
        self.assertIn(b"Only 2 of 3 messages were copied", answer)
        self.assertEqual([each.uid for each in self.inbox.messages], [1, 2, 3])
        self.assertTrue(self.flushLoggedErrors(Broken))

    def test_messages_that_others_took_meanwhile(self) -> None:
        """Nobody told us: a COPY copies none, a STORE changes those that are left."""
        client = self.filled()
        client.ok("CREATE ARCHIVE")
        gone = self.inbox.messages.pop(1)
        answer = client.no("UID COPY 1:3 ARCHIVE")
        self.assertIn(b"[EXPUNGEISSUED]", answer)
        self.assertEqual(self.account.mailboxes["ARCHIVE"].messages, [])
        self.assertIn(b"* 2 EXPUNGE\r\n", answer)
        self.inbox.messages.insert(1, gone)
        client.ok("SELECT INBOX")
        plain = self.inbox.store

        def taken(*args: Any, **kwargs: Any) -> Any:
            changed = plain(*args, **kwargs)
            self.inbox.messages.remove(gone)
            return changed

        self.inbox.store = taken
        answer = client.ok(r"UID STORE 1:3 +FLAGS (\Flagged)")
        self.assertIn(b"UID 1 ", answer)
        self.assertIn(b"UID 3 ", answer)
        self.assertNotIn(b"UID 2 ", answer)
        self.assertEqual(answer.count(b" EXPUNGE\r\n"), 1)
        self.assertIn(b"* 2 FETCH (UID 3)", client.ok("FETCH 2 UID"))

    def test_what_the_account_refuses_is_no_success(self) -> None:
        """It says False and not why: what is there and what is not tells it."""
        client = self.login()
        client.ok("CREATE ARCHIVE")
        for method in ("create", "delete", "rename"):
            self.patch(self.account, method, lambda *names: False)
        for command, code in {
            "CREATE ARCHIVE": b"[ALREADYEXISTS]",
            "CREATE other": b"[CANNOT]",
            "DELETE nowhere": b"[NONEXISTENT]",
            "DELETE ARCHIVE": b"[CANNOT]",
            "RENAME nowhere x": b"[NONEXISTENT]",
            "RENAME ARCHIVE x": b"[CANNOT]",
        }.items():
            self.assertIn(code, client.no(command), command)
        self.assertIn(b"ARCHIVE", client.ok('LIST "" ARCHIVE'))

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
