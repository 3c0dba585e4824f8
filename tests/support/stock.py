"""Twisted's own ``IMAP4Server`` over our realm, on real Maildirs, without sockets."""

from collections.abc import Iterator
from typing import Any

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred
from twisted.mail import imap4, interfaces
from twisted.trial.unittest import SynchronousTestCase

from imapd.server.realm import MailRealm
from tests.support.server import USERS, Server, Transport

PLAIN = (
    b"From: A <a@example.org>\r\nTo: b@example.net\r\nSubject: first\r\n"
    b"Date: Wed, 17 Jul 1996 02:23:25 -0700\r\nReceived: one\r\nReceived: two\r\n"
    b"\r\nbody of the first\r\n"
)
#: What the stock server is known to drop connections for.
AWKWARD = (
    "From: Jörg Müller <j@example.org>\r\nSubject: schöne Grüße\r\n"
    'Content-Type: multipart/mixed; boundary="a;b";\r\n\r\n'
    "--a;b\r\nContent-Type: text/plain; charset=x;\r\n\r\none\r\n"
    "--a;b\r\n\r\nno type\r\n"
    "--a;b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner body\r\n"
    "--a;b--\r\n"
).encode()


def at_once(steps: Iterator[Any]) -> "Deferred[None]":
    """A scheduler for the stock server that needs no reactor."""
    done: Deferred[None] = Deferred()

    def step(_: object = None) -> None:
        try:
            for waiting in steps:
                if isinstance(waiting, Deferred):
                    waiting.addCallbacks(step, done.errback)
                    return
        except Exception:
            done.errback()
        else:
            done.callback(None)

    step()
    return done


class PullingTransport(Transport):
    """Takes what pull producers have, at once."""

    producer: Any

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        super().registerProducer(producer, streaming)
        while not streaming and self.producer is not None:
            producer.resumeProducing()


class StockCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = Server(self)
        checker = InMemoryUsernamePasswordDatabaseDontUse()
        for user, password in USERS.items():
            checker.addUser(user, password)
        realm = MailRealm(self.server.accounts, self.server.locate)
        self.portal = Portal(realm, [checker])

    def stock(self) -> Any:
        protocol: Any = imap4.IMAP4Server(scheduler=at_once)
        protocol.portal = self.portal
        protocol.callLater = self.server.clock.callLater
        return protocol

    def account(self) -> Any:
        """What a program gets that logs in by itself."""
        realm = MailRealm(self.server.accounts, self.server.locate)
        _, avatar, logout = self.successResultOf(
            realm.requestAvatar(b"alice", None, interfaces.IAccountIMAP)
        )
        self.addCleanup(logout)
        return avatar
