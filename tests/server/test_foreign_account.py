"""Our ``ImapServer`` over an account that a Twisted programmer wrote, in memory."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.mail import imap4
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from imapd.limits import DEFAULT_LIMITS
from imapd.server.foreign import ForeignAccount
from tests.support.foreign import (
    MESSAGE,
    Account,
    ForeignCase,
    MemoryMailbox,
    MemoryMessage,
)
from tests.support.server import Client

NESTED = (
    b'Subject: nested\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain\r\n\r\none\r\n"
    b'--b\r\nContent-Type: multipart/alternative; boundary="c"\r\n\r\n'
    b"--c\r\nContent-Type: text/plain\r\n\r\ntwo\r\n"
    b"--c\r\nContent-Type: text/html\r\n\r\n<p>two</p>\r\n"
    b"--c--\r\n\r\n--b--\r\n"
)


class EveryCommandTests(ForeignCase):
    def test_keywords_have_no_case(self) -> None:
        client = self.filled(2)
        first, second = self.inbox.messages
        first.flags = {"NonJunk", "nonjunk"}
        second.flags = set()
        self.assertEqual(client.ok("SELECT INBOX").lower().count(b"nonjunk"), 2)
        self.assertIn(b"(FLAGS (NonJunk))", client.ok("FETCH 1 FLAGS"))
        client.ok("STORE 2 +FLAGS (other OTHER NONJUNK)")
        self.assertEqual(sorted(map(str.lower, second.flags)), ["nonjunk", "other"])
        self.assertIn("NonJunk", second.flags)

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

    def test_mailboxes_that_cannot_be_shown(self) -> None:
        """What has no name in modified UTF-7, and what nobody can select."""
        client = self.login()
        client.ok("CREATE GONE")
        client.ok("CREATE STAYS")
        self.account.mailboxes["GONE"].attributes = ["\\Noselect"]
        plain = self.account.listMailboxes

        def listed(*args: Any) -> list[Any]:
            box = self.inbox
            return [*plain(*args), (b"&bad", box), ("a//b", box), ("\udc80", box)]

        self.account.listMailboxes = listed
        seen: list[str] = []

        @implementer(ILogObserver)
        def note(event: LogEvent) -> None:
            if "is not shown" in (event.get("log_format") or ""):
                seen.append(event["name"])

        globalLogPublisher.addObserver(note)
        self.addCleanup(globalLogPublisher.removeObserver, note)
        for _ in range(2):
            answer = client.ok('LIST "" *')
            self.assertEqual(answer.count(b"* LIST"), 2, answer)
            self.assertIn(b"STAYS", answer)
        self.assertEqual(seen, [b"&bad", "a//b", "\udc80"], "told once each")

    def test_no_modification_sequences(self) -> None:
        """RFC 7162 §3.1.2.2: NOMODSEQ, and BAD for whoever asks all the same."""
        client = self.filled()
        client.ok("UNSELECT")
        self.assertIn(b"ENABLED QRESYNC", client.ok("ENABLE QRESYNC"))
        self.assertIn(b"* OK [NOMODSEQ] ", client.ok("SELECT inbox (CONDSTORE)"))
        self.assertIn(b"[NOMODSEQ]", client.ok("SELECT inbox (QRESYNC (7 1 1:3))"))
        self.assertNotIn(b"VANISHED", client.raw)
        for command in (
            "FETCH 1 MODSEQ",
            "FETCH 1 FLAGS (CHANGEDSINCE 1)",
            "UID FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)",
            "SEARCH MODSEQ 1",
            r"STORE 1 (UNCHANGEDSINCE 1) +FLAGS (\Seen)",
        ):
            client.bad(command)
        self.assertIn(b"(HIGHESTMODSEQ 0)", client.ok("STATUS INBOX (HIGHESTMODSEQ)"))
        answer = client.ok(r"STORE 2 +FLAGS (\Deleted)")
        self.assertIn(b"FLAGS (", answer)
        self.assertNotIn(b"MODSEQ", answer)
        answer = client.ok("EXPUNGE")
        self.assertIn(b"* 2 EXPUNGE", answer)  # not VANISHED: §3.2.10
        self.assertNotIn(b"MODSEQ", answer)

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
        self.assertIn(b"(DELETED 1)", client.ok("STATUS INBOX (DELETED)"))
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

    def test_sort_and_thread(self) -> None:
        client = self.filled()
        for command, said in {
            "SORT (REVERSE SUBJECT) UTF-8 ALL": b"SORT 3 2 1",
            "UID SORT (DATE REVERSE ARRIVAL SIZE) UTF-8 2:3": b"SORT 2 3",
            "SORT RETURN (MAX COUNT) (SUBJECT) UTF-8 ALL": b"MAX 3 COUNT 3",
            "THREAD REFERENCES UTF-8 2,3": b"THREAD (2)(3)",
            "THREAD ORDEREDSUBJECT UTF-8 ALL": b"THREAD (1)(2)(3)",
        }.items():
            for _ in range(2):
                self.assertIn(said + b"\r\n", client.ok(command), command)
        client.bad("SORT (DATE) UTF-8 9")

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
        # Hardening: P18.
        client = self.filled(1)
        (message,) = self.inbox.messages
        message.getHeaders = lambda negate, *names: {
            "subject": "a\r\nBcc: injected\r\n\r\nbody",
            b"x\r\n y": b"\xff",
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

    def test_a_message_within_a_message(self) -> None:
        """A message/rfc822 has one part and no delimiters around it."""
        client = self.login()
        inner = b"Subject: inner\r\n\r\nwithin\r\n"
        client.append(b"Subject: outer\r\nContent-Type: message/rfc822\r\n\r\n" + inner)
        client.ok("SELECT INBOX")
        self.assertIn(b"\r\n" + inner + b")", client.ok("FETCH 1 BODY.PEEK[TEXT]"))
        self.assertIn(b'"inner"', client.ok("FETCH 1 BODYSTRUCTURE"))

    def test_more_parts_than_anybody_reads(self) -> None:
        client = self.login()
        client.append(NESTED)
        (message,) = self.inbox.messages
        part: MemoryMessage = message.getSubPart(0)
        asked: list[int] = []

        def endless(number: int) -> MemoryMessage:
            asked.append(number)
            return part

        message.getSubPart = endless
        client.ok("SELECT INBOX")
        self.assertIn(b"{3}\r\none", client.ok("FETCH 1 BODY.PEEK[1]"))
        self.assertEqual(max(asked) + 1, DEFAULT_LIMITS.mime_parts)

    def test_names_and_files_as_somebody_else_has_them(self) -> None:
        """A name with capitals is kept; a body that cannot be closed is read."""

        class Body:
            def read(self) -> str:
                return "body"

        client = self.filled(1)
        (message,) = self.inbox.messages
        message.getHeaders = lambda negate, *names: {"X-oDD": "1", "x-plain": "2"}
        message.getBodyFile = Body
        answer = client.ok("FETCH 1 BODY.PEEK[]")
        self.assertIn(b"X-oDD: 1\r\nX-Plain: 2\r\n\r\nbody", answer)


@implementer(imap4.ICloseableMailbox, imap4.IMessageCopier)
class AbleMailbox(MemoryMailbox):
    """A mailbox with all that is optional; a new object is made by each test."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = 0
        self.copied: list[Any] = []

    def close(self) -> None:
        self.closed += 1

    def copy(self, messageObject: Any) -> Any:  # noqa: N803  as named there
        self.copied.append(messageObject)
        return self.addMessage(
            messageObject.open(), messageObject.flags, messageObject.date
        )


class AbleAccount(Account):
    box_class = AbleMailbox


class OptionalTests(ForeignCase):
    account_class = AbleAccount

    def test_messages_are_copied_by_the_mailbox(self) -> None:
        client = self.filled(2)
        client.ok("CREATE ARCHIVE")
        client.ok("COPY 1:2 ARCHIVE")
        archive = self.account.mailboxes["ARCHIVE"]
        self.assertEqual([each.uid for each in archive.copied], [1, 2])
        self.assertIn(b"* 2 EXISTS", client.ok("SELECT ARCHIVE"))

    def test_mailboxes_are_closed_once_nobody_has_them(self) -> None:
        client = self.login(select="INBOX")
        before = self.inbox.closed
        client.ok("STATUS INBOX (MESSAGES)")
        client.append(MESSAGE % (1, 1))
        self.assertEqual(self.inbox.closed, before, "closed while it is selected")
        client.ok("UNSELECT")
        self.assertEqual(self.inbox.closed, before + 1)
        client.ok("STATUS INBOX (MESSAGES)")
        self.assertEqual(self.inbox.closed, before + 2)

    def test_a_mailbox_with_news_whenever_it_is_read(self) -> None:
        client = self.filled(1)
        plain = self.inbox.fetch

        def fetch(messages: Any, uid: Any) -> Any:
            for listener in self.inbox.listeners:
                listener.flagsChanged({})
            return plain(messages, uid)

        self.inbox.fetch = fetch
        client.command("IDLE")
        for listener in self.inbox.listeners:
            listener.newMessages(1, None)
        client.write(b"DONE\r\n")
        self.assertIn(b" OK ", client.raw)


class NamespaceTests(SynchronousTestCase):
    def test_where_the_separator_comes_from(self) -> None:
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
        self.patch(Dotted, "getHierarchicalDelimiter", lambda _: None)
        account = ForeignAccount(plain)
        folders = self.successResultOf(Deferred.fromCoroutine(account.folders()))
        self.assertEqual([each.path for each in folders], [(), ("A.B",)])
        for told in (None, [], [["", None]], [["", "//"]], [[b"x", b"/"]]):
            self.patch(Courier, "getPersonalNamespaces", lambda _, told=told: told)
            account = ForeignAccount(Courier("alice"))
            self.assertEqual(account.namespace.name(("A", "B")), "A/B", told)
