"""Where a password may be sent, what is offered, and what is not even looked at."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from twisted.cred.credentials import IUsernameHashedPassword, IUsernamePassword
from twisted.internet.defer import execute

from imapd.auth.chain import ChainChecker
from imapd.auth.passwdfile import PasswdFileChecker
from imapd.server.protocol import ImapServer
from imapd.server.settings import CleartextLogin
from tests.support.logins import LoginCase, Peer, SpyChecker, b64, plain, use_checkers
from tests.support.server import Server

ALICE = plain(b"alice", b"wonderland")

#: cleartext-login by client: may it send a password without TLS?
HOSTS = {
    "127.0.0.1": True,
    "127.8.9.1": True,
    "::1": True,
    "::ffff:127.0.0.1": True,
    "0:0:0:0:0:ffff:7f00:1": True,
    "unix": True,
    "192.0.2.1": False,
    "::ffff:192.0.2.1": False,
    "2001:db8::1": False,
    "127.0.0.1.example": False,
    "10.127.0.1": False,
    "2002:7f00:1::1": False,
    "64:ff9b::127.0.0.1": False,
}
ATTEMPTS = {
    "LOGIN": b"LOGIN alice wonderland",
    "LOGIN, literal": b"LOGIN {5+}\r\nalice {10+}\r\nwonderland",
    "PLAIN": b"AUTHENTICATE PLAIN",
    "PLAIN at once": b"AUTHENTICATE PLAIN " + ALICE,
    "PLAIN, broken": b"AUTHENTICATE PLAIN AAA",
    "LOGIN mechanism": b"AUTHENTICATE LOGIN " + b64(b"alice"),
}


class PolicyTests(LoginCase):
    def _each(self) -> "list[tuple[str, Peer, bool, bool]]":
        found = []
        for policy in CleartextLogin:
            self.server = Server(self, cleartext_login=policy, events=self.events)
            self.server.factory.context = cast(Any, object())
            use_checkers(self.server, self.spy)
            for host, near in HOSTS.items():
                for tls in (False, True):
                    peer = self.peer(host, tls=tls, starttls=True)
                    always = policy is CleartextLogin.ALWAYS
                    allowed = (
                        tls or always or (near and policy is CleartextLogin.LOOPBACK)
                    )
                    found.append((f"{policy} {host} {tls=}", peer, tls, allowed))
        return found

    def test_what_is_offered(self) -> None:
        # Hardening: X2, P05.
        for name, peer, tls, allowed in self._each():
            for words in (peer.raw, peer.ok("CAPABILITY")):
                self.assertEqual(b" STARTTLS" in words, not tls, name)
                self.assertEqual(b" LOGINDISABLED" in words, not allowed, name)
                self.assertEqual(b" AUTH=PLAIN" in words, allowed, name)
                self.assertEqual(b" AUTH=LOGIN" in words, allowed, name)
                self.assertIn(b" AUTH=CRAM-MD5", words, name)
            peer.hang_up()

    def test_what_is_refused_is_not_looked_at(self) -> None:
        # Hardening: P05.
        for name, peer, _, allowed in self._each():
            if allowed:
                peer.ok("LOGIN alice wonderland")
                peer.hang_up()
                continue
            self.spy.asked.clear()
            for attempt, octets in ATTEMPTS.items():
                peer.no(octets)
                text = f"{name} {attempt}: {peer.raw!r}"
                self.assertIn(b"NO [PRIVACYREQUIRED] ", peer.raw, text)
            self.assertEqual(self.spy.asked, [], name)
            peer.hang_up()

    def test_no_password_is_asked_for(self) -> None:
        """No ``+`` for the literals of a LOGIN that will be refused."""
        # Hardening: X2.
        server = Server(self, cleartext_login=CleartextLogin.NEVER)
        peer = Peer(server)
        for literals in (b"{5}", b"alice {10}", b'"alice" {10}'):
            peer.no(b"LOGIN " + literals)
            self.assertIn(b"NO [PRIVACYREQUIRED] ", peer.raw)
        peer.ok("NOOP")

    def test_no_starttls_without_a_certificate(self) -> None:
        # Hardening: P03.
        peer = self.peer(starttls=True)
        self.assertNotIn(b"STARTTLS", peer.raw)
        peer.bad("STARTTLS")

    def test_what_a_subclass_offers_is_listed(self) -> None:
        class Offering(ImapServer):
            def capabilities(self) -> dict[bytes, list[bytes] | None]:
                return {**super().capabilities(), b"XMORE": None, b"X": [b"1", b"2"]}

        class Listing(ImapServer):
            def listCapabilities(self) -> list[bytes]:
                return [*super().listCapabilities(), b"XMORE", b"X=1", b"X=2"]

        usual = self.peer().ok("CAPABILITY")
        for kind in (Offering, Listing):
            self.server.factory.protocol = kind
            peer = self.peer()
            for words in (peer.raw, peer.ok("CAPABILITY")):
                self.assertIn(b" XMORE X=1 X=2", words)
                self.assertIn(b" IDLE ", words)
            self.assertIn(b" XMORE", peer.ok("LOGIN alice wonderland"))
        self.server.factory.protocol = ImapServer
        self.assertEqual(self.peer().ok("CAPABILITY"), usual)

    def test_the_list_is_what_the_stock_method_makes_of_it(self) -> None:
        for name, peer, _, _ in self._each():
            protocol = peer.protocol
            for _ in range(2):
                self.assertEqual(
                    list(protocol.capability_names()), protocol.listCapabilities(), name
                )
                peer.write(b"x LOGIN alice wonderland\r\n")

    def test_after_login_nothing_of_it_is_offered(self) -> None:
        peer = self.peer()
        answer = peer.ok("LOGIN alice wonderland")
        for words in (answer, peer.ok("CAPABILITY")):
            for word in (b"AUTH=", b"STARTTLS", b"LOGINDISABLED"):
                self.assertNotIn(word, words)
        for command in ("LOGIN bob builder", "AUTHENTICATE PLAIN", "STARTTLS"):
            peer.bad(command)
        self.assertEqual(self.spy.asked, [b"alice"])


def a_second_later() -> Callable[[], float]:
    """A clock that goes on by a second each time it is looked at."""
    return map(float, count()).__next__


class MechanismTests(LoginCase):
    def test_offered_while_some_user_can_use_it(self) -> None:
        # Hardening: A06.
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        users = Path(folder.name) / "users"
        users.write_bytes(b"alice:{SSHA}dGhpcyBpcyBub3QgYSBoYXNoISEhIQ==\n")
        use_checkers(self.server, PasswdFileChecker(users, execute, a_second_later()))
        peer = self.peer()
        self.assertNotIn(b"CRAM-MD5", peer.raw)
        peer.no("AUTHENTICATE CRAM-MD5")
        self.assertIn(b"[CANNOT]", peer.raw)
        users.write_bytes(b"alice:{PLAIN}wonderland\n")
        later = self.peer()
        self.assertIn(b"AUTH=CRAM-MD5", later.raw)
        later.write(b"a AUTHENTICATE CRAM-MD5\r\n")
        self.assertTrue(later.raw.startswith(b"+ "), later.raw)
        users.unlink()
        self.assertIn(b"AUTH=PLAIN", self.peer().raw)

    def test_what_every_user_can_use(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        users = Path(folder.name) / "users"
        users.write_bytes(
            b"alice:{SSHA}dGhpcyBpcyBub3QgYSBoYXNoISEhIQ==\nbob:{PLAIN}builder\n"
        )
        some = PasswdFileChecker(users, execute, a_second_later())
        chain = ChainChecker([some])
        self.assertTrue(chain.offers(IUsernameHashedPassword))
        self.assertFalse(chain.offers_to_all(IUsernameHashedPassword))
        self.assertTrue(chain.offers_to_all(IUsernamePassword))
        users.write_bytes(b"alice:*\nbob:{PLAIN}builder\n")  # alice cannot log in
        self.assertTrue(chain.offers_to_all(IUsernameHashedPassword))
        other = SpyChecker()
        other.credentialInterfaces = (IUsernamePassword,)  # type: ignore[assignment]
        both = ChainChecker([some, other])
        self.assertFalse(both.offers_to_all(IUsernameHashedPassword))
        self.assertTrue(both.offers(IUsernameHashedPassword))
