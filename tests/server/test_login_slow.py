"""Logins that take their time, fail, or come too late; and what the log gets."""

from typing import Any
from unittest import mock

from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from imapd.auth.passwdfile import parse_users
from imapd.auth.passwdline import parse_line
from imapd.errors import LimitReached
from imapd.limits import Limits
from imapd.model.requests import Authenticate, Login
from imapd.server.counts import ConnectionCounts
from imapd.server.protocol import ImapServer
from tests.support.logins import (
    SlowCase,
    b64,
    plain,
    watch_log,
)

GOOD = b"a LOGIN alice wonderland\r\n"


class SlowTests(SlowCase):
    def setUp(self) -> None:
        super().setUp()
        self.spy.slow = True

    def test_what_is_sent_ahead_runs_in_the_new_state(self) -> None:
        peer = self.peer()
        peer.write(GOOD + b"b SELECT INBOX\r\nc LOGIN bob builder\r\nd CLOSE\r\n")
        self.assertEqual(peer.raw, b"")
        self.spy.answer()
        answer = peer.sent()
        places = [answer.find(word) for word in (b"a OK", b"b OK", b"c BAD", b"d OK")]
        self.assertEqual(places, sorted(places), answer)
        self.assertGreaterEqual(places[0], 0)
        self.assertEqual(self.spy.asked, [b"alice"])

    def test_what_is_sent_ahead_runs_in_the_old_state_if_it_fails(self) -> None:
        peer = self.peer()
        peer.write(b"a LOGIN alice wrong\r\nb SELECT INBOX\r\nc NOOP\r\n")
        self.spy.answer()
        answer = peer.sent()
        for word in (b"a NO", b"b BAD", b"c OK"):
            self.assertIn(word, answer)

    def test_leaving_while_it_is_checked(self) -> None:
        for exchange in (GOOD, b"a AUTHENTICATE PLAIN " + b64(b"\0alice\0wonderland")):
            peer = self.peer()
            peer.write(exchange.rstrip() + b"\r\n")
            peer.hang_up()
            self.spy.answer()
            self.assert_nothing_is_left(str(exchange))
        self.assertNotIn("login_ok", self.events.names())

    def test_nothing_is_waited_for_after_bye(self) -> None:
        peer = self.peer()
        peer.protocol.hang_up(b"The server stops")
        cancelled: list[Deferred[None]] = []
        waiting: Deferred[None] = Deferred(cancelled.append)
        ended: list[Failure] = []
        asked = Deferred.fromCoroutine(peer.protocol.while_connected(waiting))
        asked.addErrback(ended.append)
        self.assertTrue(ended[0].check(ConnectionAbortedError))
        self.assertEqual(cancelled, [waiting])

    def test_the_deadline_passes_while_it_is_checked(self) -> None:
        """BYE is the last word, and who does not close is closed, soon."""
        with mock.patch.object(self.server.factory, "protocol", _Lingering):
            peer = self.peer()
        peer.write(GOOD)
        self.server.clock.advance(60)
        self.assertIn(b"* BYE", peer.sent())
        self.spy.answer()
        self.assertEqual(peer.sent(), b"")
        self.assertNotIn("login_ok", self.events.names())
        self.assertEqual(self.server.accounts._open, {})
        self.server.clock.advance(20)
        self.assertFalse(peer.transport.connected)
        self.assert_nothing_is_left()

    def test_the_server_stops_while_it_is_checked(self) -> None:
        peer = self.peer()
        peer.write(GOOD)
        gone = self.server.factory.close_all()
        self.assertFalse(gone.called)
        self.spy.answer()
        self.assertRegex(peer.sent(), rb"\Aa OK .*\r\n\* BYE ")
        self.assertTrue(gone.called)
        self.assert_nothing_is_left()

    def test_others_go_on(self) -> None:
        slow = self.peer()
        slow.write(GOOD)
        self.spy.slow = False
        self.peer().ok("LOGIN bob builder")
        self.assertEqual(slow.sent(), b"")
        self.spy.answer()
        self.assertIn(b"a OK", slow.sent())


class _Lingering(ImapServer):
    """Its client does not close when it is told BYE."""

    def connectionMade(self) -> None:
        self.transport.loseConnection = lambda: None
        self.transport.abortConnection = self._abort
        super().connectionMade()

    def _abort(self) -> None:
        type(self.transport).loseConnection(self.transport)


class BrokenTests(SlowCase):
    def test_a_checker_that_breaks(self) -> None:
        other = self.peer()
        other.ok("LOGIN bob builder")
        for error in (OSError, MemoryError, RecursionError, UnicodeError, KeyError):
            self.spy.error = lambda _, error=error: error("x")
            for command in (
                b"LOGIN alice wonderland",
                b"AUTHENTICATE PLAIN " + plain(b"alice", b"wonderland"),
            ):
                peer = self.peer()
                peer.no(command)
                self.assertIn(b"NO [UNAVAILABLE] ", peer.raw, error)
                self.assertEqual(self.events.seen[-1][1]["reason"], "unavailable")
                other.ok("NOOP")
                self.spy.error, kept = None, self.spy.error
                peer.ok("LOGIN alice wonderland")
                self.spy.error = kept
                peer.hang_up()

    def test_a_realm_that_breaks(self) -> None:
        realm = self.server.factory.portal.realm
        for error in (NotImplementedError, OSError, ValueError):
            peer = self.peer()
            with mock.patch.object(realm, "requestAvatar", side_effect=error("x")):
                peer.no("LOGIN alice wonderland")
            self.assertIn(b"NO [UNAVAILABLE] ", peer.raw)
            peer.ok("LOGIN alice wonderland")
            peer.hang_up()
            self.assert_nothing_is_left(str(error))

    def test_an_avatar_that_cannot_be_used(self) -> None:
        """What the realm opened is closed, and the next try counts once."""
        left: list[str] = []

        class Realm:
            def requestAvatar(self, user: Any, mind: Any, *interfaces: Any) -> Any:
                return interfaces[0], object(), lambda: left.append("out")

        ours = self.server.factory.portal.realm
        for _ in range(3):
            peer = self.peer()
            with mock.patch("imapd.server.logins.mail_account", side_effect=TypeError):
                peer.protocol.portal.realm = Realm()
                peer.no("LOGIN alice wonderland")
            peer.protocol.portal.realm = ours
            peer.ok("LOGIN alice wonderland")
            peer.hang_up()
            self.assert_nothing_is_left()
        self.assertEqual(left, ["out"] * 3)

    def test_a_logout_that_breaks_hides_nothing(self) -> None:
        self.limits = Limits(user_connections=1)
        self.setUp()
        self.peer().ok("LOGIN alice wonderland")
        events = watch_log(self)
        two = self.peer()
        with (
            mock.patch.object(
                two.protocol.portal.realm, "requestAvatar", side_effect=_breaking_logout
            ),
            mock.patch("imapd.server.logins.mail_account"),
        ):
            self.assertIn(b"[LIMIT]", two.no("LOGIN alice wonderland"))
        self.assertIn("did not end cleanly", str(events()))

    def test_over_the_limit_of_a_user(self) -> None:
        self.limits = Limits(user_connections=2)
        self.setUp()
        one, two = self.peer(), self.peer()
        one.ok("LOGIN alice wonderland")
        two.ok("LOGIN alice wonderland")
        three = self.peer()
        three.no("LOGIN alice wonderland")
        self.assertIn(b"[LIMIT]", three.raw)
        self.assertEqual(self.events.names()[-1], "login_refused")
        one.hang_up()
        three.ok("LOGIN alice wonderland")
        two.hang_up()
        three.hang_up()
        self.assert_nothing_is_left()

    def test_letters_of_another_case_are_no_other_user(self) -> None:
        counts = ConnectionCounts(Limits(user_connections=2))
        counts.logged_in(b"alice", "192.0.2.1")
        counts.logged_in(b"ALICE", "192.0.2.2")
        with self.assertRaises(LimitReached):
            counts.logged_in(b"Alice", "192.0.2.3")
        counts.logged_out(b"ALICE", "192.0.2.2")
        counts.logged_out(b"alice", "192.0.2.1")
        self.assertEqual(dict(counts._users), {})


class DeadlineTests(SlowCase):
    # Hardening: P21.

    def test_a_client_that_does_not_read_gets_no_longer(self) -> None:
        """Absolute: output that stalls before login does not move it."""
        peer = self.peer()
        for _ in range(6):
            peer.protocol.gate.pauseProducing()
            self.server.clock.advance(5)
            peer.protocol.gate.resumeProducing()
            self.server.clock.advance(4.9)
        self.assertTrue(peer.transport.connected)
        self.server.clock.advance(1)
        self.assertFalse(peer.transport.connected)

    def test_slow_loris(self) -> None:
        """Two hundred send an octet now and then, in every place there is."""
        starts = (
            b"a LOGIN alice ",
            b"a LOGIN {5}\r\n",
            b"a AUTHENTICATE PLAIN\r\n",
            b"",
            b"a NOOP\r\n",
        )
        peers = []
        for number in range(200):
            peers.append(self.peer(f"192.0.2.{number}"))
            peers[-1].protocol.dataReceived(starts[number % len(starts)])
        for second in range(59):
            self.server.clock.advance(1)
            for peer in peers[second % 5 :: 5]:
                peer.protocol.dataReceived(b"A")
        self.assertTrue(all(peer.transport.connected for peer in peers))
        self.peer("198.51.100.1").ok("LOGIN alice wonderland")
        self.server.clock.advance(1.1)
        self.assertFalse(any(peer.transport.connected for peer in peers))
        self.assertEqual(self.server.factory.connections, 1)


class SecretTests(SlowCase):
    # Hardening: A14.

    CANARY = b"c4n4ry-in-the-mine"

    def test_no_password_in_the_log(self) -> None:
        texts = watch_log(self)
        secret = self.CANARY
        commands = {
            "wrong": b"LOGIN alice " + secret,
            "literal": b"LOGIN alice {%d+}\r\n%b" % (len(secret), secret),
            "unfinished": b"LOGIN alice " + secret + b' "',
            "leading blank": b" LOGIN alice " + secret,
            "misspelt": b"LOGNI alice " + secret,
            "as a tag": secret + b" LOGIN alice",
            "PLAIN": b"AUTHENTICATE PLAIN " + plain(b"alice", secret),
            "no base64": b"AUTHENTICATE PLAIN " + secret,
            "LOGIN": b"AUTHENTICATE LOGIN " + b64(b"alice") + b"\r\n" + b64(secret),
            "mechanism": b"AUTHENTICATE " + secret + b" x",
        }
        errors: dict[str, Any] = {
            "none": None,
            "with the password": lambda asked: OSError(f"bind as x:{asked.password!r}"),
            "with the line": lambda asked: KeyError(asked.password.decode()),
        }
        for slow in (False, True):
            for name, error in errors.items():
                for command in commands.values():
                    self.spy.slow, self.spy.error = slow, error
                    peer = self.peer()
                    peer.write(b"a " + command + b"\r\n")
                    self.spy.answer()
                    self.assertNotIn(secret, peer.raw + peer.sent(), name)
                    peer.hang_up()
        found = [text for text in texts() if secret.decode() in text]
        found += [text for text in texts() if b64(secret).decode()[:-4] in text]
        self.assertEqual(found[:1], [])
        self.assertTrue(any("broke" in text for text in texts()))

    def test_nor_where_a_command_or_a_record_is_told(self) -> None:
        secret = self.CANARY
        told = (
            Login(b"alice", secret),
            Authenticate(b"PLAIN", secret),
            parse_line(b"alice:{PLAIN}" + secret),
            parse_users(b"alice:{PLAIN}" + secret + b"\n"),
        )
        for each in told:
            self.assertNotIn(secret.decode(), repr(each))

    def test_nor_from_a_portal_that_is_not_ours(self) -> None:
        texts = watch_log(self)
        portal = Portal(self.server.factory.portal.realm)
        portal.registerChecker(self.spy)
        self.server.factory.portal = portal
        self.spy.error = lambda asked: OSError(asked.password.decode())
        peer = self.peer()
        peer.no(b"LOGIN alice " + self.CANARY)
        self.assertIn(b"[UNAVAILABLE]", peer.raw)
        found = [text for text in texts() if self.CANARY.decode() in text]
        self.assertEqual(found[:1], [])


def _breaking_logout(user: Any, mind: Any, *interfaces: Any) -> Any:
    return interfaces[0], object(), lambda: 1 // 0
