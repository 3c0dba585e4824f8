"""Our accounts, mailboxes and messages, used by a program through the interfaces."""

import os
import unittest
from collections.abc import Callable
from io import BytesIO
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.mail import imap4, interfaces
from zope.interface.verify import verifyObject

from imapd.errors import MessageGone
from imapd.model import utf7
from imapd.server.imapanswers import soonest
from imapd.server.imapquery import search_key
from imapd.server.realm import MailRealm
from tests.support.foreign import FileMessage
from tests.support.stock import AWKWARD, PLAIN, StockCase


class InterfaceTests(StockCase):
    """What a program sees that uses the interfaces by itself."""

    def test_the_interfaces_are_kept(self) -> None:
        account = self.account()
        verifyObject(interfaces.IAccountIMAP, account)
        verifyObject(interfaces.INamespacePresenter, account)
        self.result(account.select("INBOX").addCallback(self.verify_mailbox))
        for _, info in self.result(account.listMailboxes("", "*")):
            verifyObject(interfaces.IMailboxIMAPInfo, info)

    def verify_mailbox(self, mailbox: Any) -> None:
        for interface in (
            interfaces.IMailboxIMAP,
            interfaces.ICloseableMailboxIMAP,
            interfaces.ISearchableIMAPMailbox,
            interfaces.IMessageIMAPCopier,
        ):
            verifyObject(interface, mailbox)
        uid = self.result(mailbox.addMessage(BytesIO(AWKWARD), [r"\Recent"], None))
        self.assertEqual(uid, 1)
        ((seq, message),) = self.result(mailbox.fetch(imap4.MessageSet(1, None), True))
        self.assertEqual((seq, message.getUID()), (1, 1))
        verifyObject(interfaces.IMessageIMAP, message)
        verifyObject(interfaces.IMessageIMAPFile, message)
        verifyObject(interfaces.IMessageIMAPPart, message.getSubPart(0))
        self.assertTrue(message.isMultipart())
        self.assertEqual(message.getSubPart(1).getBodyFile().read(), b"no type")
        inner = message.getSubPart(2).getSubPart(0)
        self.assertEqual(inner.getHeaders(True), {"subject": "inner"})
        self.assertRaises(IndexError, message.getSubPart, 3)
        self.assertRaises(TypeError, inner.getSubPart, 0)
        self.assertRaises(IndexError, mailbox.getUID, 0)
        self.assertRaises(ValueError, mailbox.removeListener, self)
        refused = self.failureResultOf(mailbox.addMessage(BytesIO(b"x"), [], b"soon"))
        refused.trap(imap4.MailboxException)

    def result(self, answer: Any) -> Any:
        return self.successResultOf(answer) if isinstance(answer, Deferred) else answer

    def test_errors_are_those_of_the_interface(self) -> None:
        account = self.account()
        account.create("Archive")
        self.assertRaises(imap4.MailboxCollision, account.create, b"Archive")
        self.assertRaises(imap4.NoSuchMailbox, account.delete, "nowhere")
        self.assertRaises(imap4.MailboxException, account.create, b"&bad")
        self.assertRaises(imap4.MailboxException, account.addMailbox, "x", object())
        self.assertIsNone(self.result(account.select(b"&bad")))
        self.assertIsNone(self.result(account.select("nowhere")))
        mailbox = self.result(account.select("Archive", False))
        failure = self.failureResultOf(mailbox.expunge())
        failure.trap(imap4.ReadOnlyMailbox)
        account.delete("Archive")
        failure = self.failureResultOf(mailbox.fetch(imap4.MessageSet(1), False))
        failure.trap(imap4.NoSuchMailbox)

    def test_mailboxes_and_subscriptions_by_either_form_of_a_name(self) -> None:
        account = self.account()
        self.assertTrue(self.result(account.addMailbox("Entwürfe")))
        self.assertTrue(self.result(account.subscribe(b"Entw&APw-rfe")))
        another = self.account()  # which has listed nothing yet
        self.assertTrue(self.result(another.isSubscribed("Entwürfe")))
        self.assertFalse(self.result(another.isSubscribed("INBOX")))
        for pattern, found in (
            (b"Entw&APw-*", ["Entw&APw-rfe"]),
            ("Entwü*", ["Entw&APw-rfe"]),
            (b"&bad*", []),
        ):
            listed = self.result(another.listMailboxes("", pattern))
            self.assertEqual([self.in_utf7(name) for name, _ in listed], found, pattern)

    def in_utf7(self, name: Any) -> str:
        octets = name if isinstance(name, bytes) else utf7.encode(name)
        return octets.decode("ascii")

    def test_a_mailbox_that_was_destroyed_cannot_be_selected(self) -> None:
        mailbox = self.result(self.account().select("INBOX"))
        self.assertNotIn(r"\Noselect", mailbox.getFlags())
        mailbox.destroy()
        self.assertEqual(mailbox.getFlags(), [r"\Noselect"])

    def test_messages_are_copied_from_anybody(self) -> None:
        account = self.account()
        account.create("Archive")
        inbox = self.result(account.select("INBOX"))
        archive = self.result(account.select("Archive"))
        date = "Wed, 17 Jul 1996 02:44:25 -0700"
        theirs = FileMessage(1, PLAIN, [r"\Flagged"], date)
        self.assertEqual(self.result(archive.copy(theirs)), 1)
        ((_, found),) = self.result(archive.fetch(imap4.MessageSet(1), True))
        self.assertEqual(found.open().read(), PLAIN)
        self.assertIn(r"\Flagged", found.getFlags())
        self.assertIn(b"17 Jul 1996 09:44:25", found.getInternalDate())
        self.result(inbox.addMessage(BytesIO(PLAIN), []))
        ((_, ours),) = self.result(inbox.fetch(imap4.MessageSet(1), True))
        self.assertIn(r"\Recent", ours.getFlags())
        self.assertEqual(self.result(archive.copy(ours)), 2)
        other = self.result(account.select("INBOX"))
        self.result(other.store(imap4.MessageSet(1), [r"\Deleted"], 1, False))
        self.result(other.expunge())
        failure = self.failureResultOf(archive.copy(ours))
        failure.trap(imap4.MailboxException)
        status = self.result(archive.requestStatus(["MESSAGES"]))
        self.assertEqual(status, {"MESSAGES": 2})

    def test_who_stops_to_listen_is_told_no_more(self) -> None:
        class Listener:
            def __init__(self) -> None:
                self.exists: list[Any] = []

            def newMessages(self, exists: Any, recent: Any) -> None:
                self.exists.append(exists)

        mailbox = self.result(self.account().select("INBOX"))
        one, two = Listener(), Listener()
        for each in (one, two):
            mailbox.addListener(each)
        self.result(mailbox.addMessage(BytesIO(PLAIN), []))
        mailbox.removeListener(one)
        self.result(mailbox.addMessage(BytesIO(PLAIN), []))
        self.assertEqual((one.exists[-1], two.exists[-1]), (1, 2))

    def test_there_is_one_kind_of_account(self) -> None:
        """As ``IRealm`` says it, for programs that ask for another protocol's."""
        realm = MailRealm(self.server.accounts, self.server.locate)
        with self.assertRaises(NotImplementedError):
            realm.requestAvatar(b"alice", None, interfaces.IMailboxIMAP)

    def test_a_message_that_goes_while_it_is_held(self) -> None:
        account = self.account()
        mailbox = self.result(account.select("INBOX"))
        self.result(mailbox.addMessage(BytesIO(PLAIN), []))
        ((_, message),) = self.result(mailbox.fetch(imap4.MessageSet(1), False))
        cur = self.server.maildir("alice")
        for path in [*(cur / "cur").iterdir(), *(cur / "new").iterdir()]:
            os.unlink(path)
        self.assertRaises(MessageGone, message.open)


WORDS = st.binary(max_size=4) | st.sampled_from(
    [b"ALL", b"NOT", b"OR", b"SUBJECT", b"HEADER", b"1:*", b"{3}", b"SINCE", "\xfc"]
)
QUERIES: st.SearchStrategy[Any] = st.recursive(
    WORDS, lambda words: st.lists(words, max_size=4), max_leaves=10
)


class NotDoneTests(unittest.TestCase):
    """Answers that come later, as they do with worker threads."""

    def test_what_is_not_done_is_a_deferred(self) -> None:
        waiting: Deferred[int] = Deferred()

        async def work(wait: Callable[[], "Deferred[int]"]) -> int:
            return await wait() + 1

        answer = soonest(work(lambda: waiting))
        assert isinstance(answer, Deferred)
        found: list[int] = []
        answer.addCallback(found.append)
        waiting.callback(41)
        self.assertEqual(found, [42])


class ContentTypeTests(StockCase):
    """What the stock server takes apart, and drops the connection over."""

    def test_every_content_type_can_be_taken_apart(self) -> None:
        mailbox = self.successResultOf(self.account().select("INBOX"))
        for number, (said, told) in enumerate(
            (
                ("text/html; charset=utf-8", "text/html; charset=utf-8"),
                ("Text/Plain;charset=x", "Text/Plain;charset=x"),
                ("text/plain; charset=x;", 'text/plain; charset="x"'),
                ('text/plain; name="a;b"', 'text/plain; name="a_b"'),
                ("text/plain; charset=", "text/plain"),
                ("text", "text/plain; charset="),
                ("nonsense nonsense", "text/plain; charset="),
                ("message/rfc822; x", "message/rfc822"),
            ),
            1,
        ):
            octets = b"Content-Type: %b\r\n\r\nSubject: x\r\n\r\ny\r\n" % said.encode()
            self.successResultOf(mailbox.addMessage(BytesIO(octets), []))
            ((_, message),) = self.successResultOf(
                mailbox.fetch(imap4.MessageSet(number), False)
            )
            found = message.getHeaders(False, b"Content-Type")["content-type"]
            self.assertTrue(found.startswith(told), f"{said}: {found}")
            imap4.getBodyStructure(message, extended=True)

    def test_headers_are_one_line_of_ascii(self) -> None:
        mailbox = self.successResultOf(self.account().select("INBOX"))
        octets = "X: a\x0bb\x1cc\x85d\u2028e ü\r\n\tfolded Ж".encode() + b"\xff\r\n\r\n"
        self.successResultOf(mailbox.addMessage(BytesIO(octets), []))
        ((_, message),) = self.successResultOf(
            mailbox.fetch(imap4.MessageSet(1), False)
        )
        (value,) = message.getHeaders(True).values()
        self.assertTrue(value.isascii(), value)
        self.assertEqual(len(value.splitlines()), 1, value)


class QueryTests(unittest.TestCase):
    """Whatever is asked has a key or the error of the interface."""

    @given(st.lists(QUERIES, max_size=6))
    def test_any_query(self, query: list[Any]) -> None:
        try:
            search_key(query)
        except imap4.IllegalQueryError as error:
            self.assertTrue(str(error).isascii())

    def test_depth_and_length_have_bounds(self) -> None:
        deep: list[Any] = []
        for _ in range(5000):
            deep = [deep]
        for query in (deep, [b"NOT"] * 100_000):
            self.assertRaises(imap4.IllegalQueryError, search_key, query)
