"""Twisted's own ``IMAP4Server`` over our account and mailboxes, on a real Maildir.

What is asserted is that it works, not its octets: what it makes of headers and
structures is limited by what the interfaces can say.
"""

from io import BytesIO
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.mail import imap4
from twisted.test.iosim import FakeTransport, connect

from imapd.mailbox.threads import InlineWorkers
from tests.server.test_sessions import deliver
from tests.support.shared import SHARED, needs_shared
from tests.support.stock import AWKWARD, PLAIN, PullingTransport, StockCase

NO_HEADER = b"\r\njust text\r\n"


class TranscriptTests(StockCase):
    def setUp(self) -> None:
        super().setUp()
        self.protocol = self.stock()
        self.transport = PullingTransport("192.0.2.1")
        self.transport.protocol = self.protocol
        self.protocol.makeConnection(self.transport)
        self.transport.clear()
        self.addCleanup(self.leave)
        self.ok("LOGIN alice wonderland")

    def leave(self) -> None:
        if self.transport.connected:
            self.transport.loseConnection()
        for client in self.server.clients:
            client.hang_up()
        self.assertEqual(self.server.accounts._open, {}, "an account stayed open")

    def say(self, octets: bytes) -> bytes:
        self.protocol.dataReceived(octets)
        answer: bytes = self.transport.value()
        self.transport.clear()
        return answer

    def command(self, text: str) -> bytes:
        return self.say(b"t %b\r\n" % text.encode())

    def ok(self, text: str) -> bytes:
        answer = self.command(text)
        self.assertIn(b"\nt OK ", b"\n" + answer, f"{text}: {answer!r}")
        return answer

    def no(self, text: str) -> bytes:
        answer = self.command(text)
        self.assertIn(b"\nt NO ", b"\n" + answer, f"{text}: {answer!r}")
        return answer

    def append(self, message: bytes, mailbox: str = "INBOX", date: str = "") -> bytes:
        # Without flags the stock server fails by itself.
        self.assertIn(
            b"+ ",
            self.command(rf"APPEND {mailbox} (\Flagged) {date}{{{len(message)}}}"),
        )
        answer = self.say(message + b"\r\n")
        self.assertIn(b"t OK ", answer)
        return answer

    def test_a_whole_session(self) -> None:
        self.assertIn(
            b"1 EXISTS", self.append(PLAIN, date='"17-Jul-1996 02:44:25 -0700" ')
        )
        self.append(AWKWARD)
        self.append(NO_HEADER)
        answer = self.ok("SELECT inbox")
        self.assertIn(b"* 3 EXISTS\r\n", answer)
        self.assertIn(b"\\Deleted", answer)
        self.assertIn(b"UIDVALIDITY", answer)
        self.assertIn(b"[READ-WRITE]", answer)
        self.assertIn(PLAIN, self.ok("FETCH 1 BODY[]"))
        self.assertIn(b"RFC822.SIZE %d" % len(PLAIN), self.ok("FETCH 1 RFC822.SIZE"))
        self.assertIn(
            b'INTERNALDATE "17-Jul-1996 09:44:25 +0000"',
            self.ok("FETCH 1 INTERNALDATE"),
        )
        self.assertIn(b"body of the first", self.ok("UID FETCH 1 (UID BODY[TEXT])"))
        answer = self.ok("FETCH 1 (FLAGS ENVELOPE BODYSTRUCTURE)")
        self.assertIn(b"\\Flagged", answer)
        self.assertIn(b'"first" (("A" NIL "a" "example.org"))', answer)
        answer = self.ok(r"STORE 1:2 +FLAGS (\Deleted $Work)")
        self.assertIn(b"* 1 FETCH (FLAGS ($Work \\Deleted \\Flagged", answer)
        self.assertEqual(answer.count(b"FETCH (FLAGS"), 2)
        self.ok(r"UID STORE 2 -FLAGS (\Deleted)")
        self.ok("CREATE Archive")
        self.ok("COPY 1:2 Archive")
        self.assertIn(b"MESSAGES 2", self.ok("STATUS Archive (MESSAGES UIDNEXT)"))
        self.assertIn(b"* 1 EXPUNGE\r\nt OK", self.ok("EXPUNGE"))
        self.assertIn(b"* SEARCH 1 2\r\n", self.ok("SEARCH ALL"))
        self.assertIn(b"* SEARCH 2 3\r\n", self.ok("UID SEARCH ALL"))
        self.ok("CLOSE")
        answer = self.ok("SELECT Archive")
        self.assertIn(b"* 2 EXISTS\r\n", answer)
        self.assertIn(PLAIN, self.ok("FETCH 1 RFC822"))
        self.assertIn(b"$Work \\Deleted \\Flagged", self.ok("FETCH 1 FLAGS"))
        self.assertIn(b"BYE", self.ok("LOGOUT"))

    def test_search_is_ours(self) -> None:
        for message in (PLAIN, AWKWARD, NO_HEADER):
            self.append(message)
        self.ok("SELECT INBOX")
        self.ok("STORE 3 FLAGS ($Work)")
        for keys, found in {
            "SUBJECT first": b"1",
            'SUBJECT "first"': b"1",
            'HEADER Received "one"': b"1",
            "FROM example": b"1 2",
            'TEXT "body of the"': b"1",
            "OR (FLAGGED SUBJECT first) BODY just": b"1 3",
            "NOT (SUBJECT first)": b"2 3",
            "KEYWORD $Work": b"3",
            "SINCE 1-Jan-2001": b"1 2 3",
            "SENTON 17-Jul-1996": b"1",
            "2:* UNSEEN": b"2 3",
            "UID 1": b"1",
            "SUBJECT OR": b"",
            'SUBJECT ""': b"1 2",
        }.items():
            with self.subTest(keys):
                answer = self.ok(f"SEARCH {keys}")
                self.assertIn(b"* SEARCH %b\r\n" % found, answer, keys)

    def test_bad_searches(self) -> None:
        self.append(PLAIN)
        self.ok("SELECT INBOX")
        for keys in ("NONSENSE", "SUBJECT", "9", "SINCE yesterday", "NOT"):
            answer = self.command(f"SEARCH {keys}")
            self.assertIn(b"t BAD SEARCH failed: ", answer, keys)
            self.assertTrue(self.flushLoggedErrors(imap4.IllegalQueryError), keys)

    def test_awkward_messages_do_not_end_the_connection(self) -> None:
        for message in (AWKWARD, NO_HEADER, b"x", b"Subject: a\r\nbad line\r\n"):
            self.append(message)
        self.ok("SELECT INBOX")
        for item in (
            *("ENVELOPE", "BODYSTRUCTURE", "BODY", "RFC822.HEADER", "RFC822.TEXT"),
            *("BODY[1]", "BODY[HEADER]", "BODY[HEADER.FIELDS (Subject From)]"),
        ):
            answer = self.ok(f"FETCH 1:4 {item}")
            self.assertEqual(answer.count(b" FETCH ("), 4, item)
        self.assertIn(b"inner body", self.ok("FETCH 1 BODY[3]"))
        self.assertIn(b"=?utf-8?b?", self.ok("FETCH 1 ENVELOPE"))

    @needs_shared
    def test_real_messages_do_not_end_it_either(self) -> None:
        paths = sorted((SHARED / "corpus" / "eml").glob("*.eml"))
        self.assertGreater(len(paths), 50)
        self.ok("STATUS INBOX (MESSAGES)")  # now there is a Maildir
        maildir = self.server.maildir("alice")
        for number, path in enumerate(paths):
            deliver(maildir, f"1700000000.M{number}P1.host", path.read_bytes())
        self.ok("SELECT INBOX")
        for item in ("ENVELOPE", "BODYSTRUCTURE", "RFC822.HEADER", "RFC822.SIZE"):
            answer = self.ok(f"FETCH 1:* {item}")
            self.assertGreaterEqual(answer.count(b" FETCH ("), len(paths), item)

    def test_names(self) -> None:
        for name in ("Entw&APw-rfe", "a", "a/b", '"two words"'):
            self.ok(f"CREATE {name}")
        answer = self.ok('LIST "" "*"')
        self.assertIn(rb'* LIST (\HasChildren) "/" "a"', answer)
        self.assertIn(rb'* LIST (\HasNoChildren \Drafts) "/" "Entw&APw-rfe"', answer)
        self.assertIn(rb'* LIST (\Noselect) "/" ""', self.ok('LIST "" ""'))
        self.assertEqual(self.ok('LIST "" "%"').count(b"* LIST"), 4)
        self.ok("SUBSCRIBE Entw&APw-rfe")
        self.ok("SUBSCRIBE a")
        self.ok("UNSUBSCRIBE a")
        answer = self.ok('LSUB "" "*"')
        self.assertEqual(answer.count(b"* LSUB"), 1)
        self.assertIn(b'"Entw&APw-rfe"', answer)
        self.ok("RENAME a c")
        self.assertIn(b"* 0 EXISTS", self.ok("SELECT c/b"))
        self.assertIn(b'(("" "/"))', self.ok("NAMESPACE"))
        self.ok("DELETE Entw&APw-rfe")
        for refused in (
            *("CREATE c", "DELETE nowhere", "RENAME nowhere x", "RENAME c/b INBOX"),
            *("SELECT nowhere", "SELECT c//d", "CREATE Entw&APw-rfe/INBOX//x"),
        ):
            self.no(refused)

    def test_what_others_do_is_told(self) -> None:
        self.append(PLAIN)
        self.ok("SELECT INBOX")
        other = self.server.login(select="INBOX")
        other.ok(r"STORE 1 +FLAGS (\Answered)")
        self.assertIn(b"* 1 FETCH (FLAGS (\\Answered \\Flagged", self.say(b""))
        other.append(b"Subject: x\r\n\r\ny\r\n")
        self.assertIn(b"* 2 EXISTS", self.say(b""))
        deliver(self.server.maildir("alice"), "1700000000.M1P1.host")
        for _ in range(10):
            self.server.clock.advance(0.1)
        self.assertIn(b"* 3 EXISTS", self.say(b""))
        other.ok(r"STORE 1 +FLAGS (\Deleted)")
        other.ok("EXPUNGE")
        # Number 1 stays until it may be told of, and no other message has it.
        self.assertNotIn(b"EXPUNGE", self.say(b""))
        self.assertNotIn(b"* 1 FETCH", self.ok("FETCH 1 BODY[]"))
        self.assertIn(b"Subject: x", self.ok("FETCH 2 BODY[]"))
        self.assertIn(b"* 1 EXPUNGE\r\nt OK", self.ok("EXPUNGE"))
        self.assertIn(b"Subject: x", self.ok("FETCH 1 BODY[]"))

    def test_silent_store_tells_nothing(self) -> None:
        self.append(PLAIN)
        self.ok("SELECT INBOX")
        self.assertNotIn(b"FETCH", self.ok(r"STORE 1 +FLAGS.SILENT (\Seen)"))

    def test_examine_changes_nothing(self) -> None:
        self.append(PLAIN)
        self.assertIn(b"[READ-ONLY]", self.ok("EXAMINE INBOX"))
        self.assertIn(b"t BAD ", self.command(r"STORE 1 +FLAGS (\Deleted)"))
        self.no("EXPUNGE")
        self.ok("CLOSE")
        self.assertIn(b"* 1 EXISTS", self.ok("SELECT INBOX"))
        self.assertNotIn(b"Deleted", self.ok("FETCH 1 FLAGS"))

    def test_mailboxes_left_open_are_closed(self) -> None:
        self.ok("CREATE Archive")
        for _ in range(5):
            self.ok("STATUS Archive (MESSAGES)")
            self.append(PLAIN, "Archive")
        self.ok("SELECT INBOX")
        (account,) = self.server.accounts._open.values()
        users = {path: live.users for path, live in account._live.items()}
        self.assertEqual(users, {(): 1, ("Archive",): 0})

    def test_absurd_sets_cost_nothing(self) -> None:
        # Hardening: P12.
        self.append(PLAIN)
        self.ok("SELECT INBOX")
        for numbers in ("1:4294967295", "*", "7:*", "1:*"):
            self.assertIn(b"UID 1", self.ok(f"UID FETCH {numbers} UID"), numbers)
        self.assertNotIn(b"FETCH (", self.ok("FETCH 5:9 UID"))


class LaterWorkers(InlineWorkers):
    """Answers one turn later, as worker threads do."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def run(self, call: Any, *args: Any, **kwargs: Any) -> "Deferred[Any]":
        return deferLater(self.clock, 0, call, *args, **kwargs)


class LaterTests(TranscriptTests):
    """The same, where nothing is done at once."""

    def stock(self) -> Any:
        accounts: Any = self.server.accounts
        accounts._workers = LaterWorkers(self.server.clock)
        return super().stock()

    def turn(self) -> None:
        for _ in range(100):
            self.server.clock.advance(0)

    def say(self, octets: bytes) -> bytes:
        self.protocol.dataReceived(octets)
        self.turn()
        return super().say(b"")

    def leave(self) -> None:
        for client in self.server.clients:
            client.hang_up()
        if self.transport.connected:
            self.transport.loseConnection()
        self.turn()
        super().leave()

    def test_names(self) -> None:
        """Refusals of the tree come too late for the stock server's OK."""
        self.ok("CREATE a")
        self.ok("SUBSCRIBE a")
        self.assertEqual(self.ok('LSUB "" "*"').count(b"* LSUB"), 1)
        self.ok("DELETE a")
        self.assertNotIn(b'"a"', self.ok('LIST "" "*"'))
        self.no("SELECT a")


class ClientTests(StockCase):
    """Both ends of Twisted, our mail in between."""

    def setUp(self) -> None:
        super().setUp()
        protocol = self.stock()
        self.client = imap4.IMAP4Client()
        self.pump = connect(
            protocol,
            FakeTransport(protocol, isServer=True),
            self.client,
            FakeTransport(self.client, isServer=False),
        )
        self.addCleanup(self.pump.flush)
        self.ask(self.client.login(b"alice", b"wonderland"))

    def ask(self, answer: "Deferred[Any]") -> Any:
        self.pump.flush()
        return self.successResultOf(answer)

    def test_a_whole_session(self) -> None:
        client, ask = self.client, self.ask
        for message in (PLAIN, AWKWARD):
            ask(client.append("INBOX", BytesIO(message), (r"\Seen",)))
        ask(client.create("Entwürfe"))
        names = [name for _, _, name in ask(client.list("", "*"))]
        self.assertEqual(names, ["INBOX", "Entwürfe"])
        chosen = ask(client.select("INBOX"))
        self.assertEqual((chosen["EXISTS"], chosen["READ-WRITE"]), (2, True))
        fetched = ask(client.fetchMessage("1:*", uid=True))
        self.assertEqual(
            {each["UID"]: each["RFC822"] for each in fetched.values()},
            {"1": PLAIN.decode(), "2": AWKWARD.decode("latin-1")},
        )
        self.assertIn(r"\Seen", ask(client.fetchFlags("1"))[1]["FLAGS"])
        self.assertEqual(ask(client.search(imap4.Query(subject="first"))), [1])
        self.assertEqual(ask(client.search(imap4.Query(seen=1), uid=True)), [1, 2])
        ask(client.copy("1:*", "Entwürfe", uid=False))
        status = ask(client.status("Entwürfe", "MESSAGES", "UNSEEN", "UIDNEXT"))
        self.assertEqual(
            {name: int(value) for name, value in status.items()},
            {"MESSAGES": 2, "UNSEEN": 0, "UIDNEXT": 3},
        )
        ask(client.addFlags("1", (r"\Deleted",)))
        self.assertEqual(ask(client.expunge()), [1])
        ask(client.close())
        self.assertEqual(ask(client.examine("INBOX"))["EXISTS"], 1)
        ask(client.rename("Entwürfe", "Archiv"))
        ask(client.subscribe("Archiv"))
        self.assertEqual([name for *_, name in ask(client.lsub("", "*"))], ["Archiv"])
        ask(client.delete("Archiv"))
        ask(client.logout())

    def test_structure(self) -> None:
        self.ask(self.client.append("INBOX", BytesIO(PLAIN), (r"\Seen",)))
        self.ask(self.client.select("INBOX"))
        fetched = self.ask(self.client.fetchBodyStructure("1"))
        body = fetched[1]["BODYSTRUCTURE"]
        self.assertEqual(body[:3], ["text", "plain", ["charset", "us-ascii"]], fetched)
