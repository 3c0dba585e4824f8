"""Who fails to log in waits; nobody else does, and guessing gains nothing by it."""

from collections.abc import Callable
from unittest import mock

from imapd.auth import throttle
from imapd.auth.throttle import Throttle
from imapd.errors import Unavailable
from tests.support.logins import SlowCase, b64, plain, use_checkers

GOOD = b"a LOGIN alice wonderland\r\n"
#: What no login has; with a number, so that no two are the same.
NO_LOGINS: dict[str, Callable[[bytes], bytes]] = {
    "a name": lambda number: b"LOGIN /%b x" % number,
    "a password": lambda number: b'LOGIN alice "\xff%b"' % number,
    "a response": lambda number: b"AUTHENTICATE PLAIN " + b64(number),
    "an identity": lambda number: b"AUTHENTICATE PLAIN " + plain(b"al", number, b"bob"),
}


class ThrottleTests(SlowCase):
    # Hardening: A01.

    def setUp(self) -> None:
        super().setUp()
        self.throttle = Throttle()
        self.server = self.make_server(throttle=self.throttle)
        use_checkers(self.server, self.spy)

    def test_who_fails_waits(self) -> None:
        for _ in range(3):
            self.peer().no(f"LOGIN alice wrong{len(self.spy.asked)}")
        peer = self.peer()
        peer.write(GOOD)
        self.assertEqual((peer.raw, len(self.spy.asked)), (b"", 3))
        self.server.clock.advance(1.9)
        self.assertEqual((peer.sent(), len(self.spy.asked)), (b"", 3))
        self.server.clock.advance(0.2)
        self.assertIn(b"a OK", peer.sent())

    def test_so_does_who_sends_what_no_login_has(self) -> None:
        """No checker is asked; but each is a line of the log."""
        # Hardening: A13.
        for name, command in NO_LOGINS.items():
            self.setUp()
            peers = [self.peer() for _ in range(40)]
            for first, peer in enumerate(peers):
                for number in range(20):
                    line = command(b"%d" % (first * 20 + number))
                    peer.protocol.dataReceived(b"a %b\r\n" % line)
            self.assertLess(len(self.refused()), 8, name)
            self.server.clock.pump([1.0] * 55)
            self.assertLess(len(self.refused()), 20, name)
            self.assertGreater(len(self.refused()), 5, name)
            self.assertEqual(self.spy.asked, [], name)
            for peer in peers:
                peer.hang_up()
            self.assert_nothing_is_left()

    def test_a_connection_ends_after_so_many_whatever_they_are(self) -> None:
        def broken(credentials: object) -> Exception:
            return Unavailable("not just now")

        commands = {**NO_LOGINS, "what breaks": lambda number: b"LOGIN alice x"}
        for name, command in commands.items():
            self.setUp()
            self.spy.error = broken
            peer = self.peer("127.0.0.1")
            for number in range(30):
                line = command(b"%d" % number)
                peer.protocol.dataReceived(b"a %b\r\n" % line)
            self.server.clock.pump([0.0] * 40)  # where its turn was over
            self.assertEqual(len(self.refused()), 10, name)
            self.assertIn(b"* BYE ", peer.sent(), name)

    def refused(self) -> list[str]:
        return [each for each in self.events.names() if each == "login_refused"]

    def test_who_sends_the_same_nonsense_again_hardly_does(self) -> None:
        for _ in range(30):
            peer = self.peer()
            peer.protocol.dataReceived(b"a LOGIN ../alice wonderland\r\n")
            self.server.clock.advance(1)
            self.assertIn(b"a NO [AUTHENTICATIONFAILED]", peer.sent())
            peer.hang_up()

    def test_nobody_behind_a_webmail_here_does(self) -> None:
        for number in range(6):
            self.peer("127.0.0.1").no(f"LOGIN alice wrong{number}")
        self.peer("127.0.0.1").ok("LOGIN bob builder")

    def test_others_do_not(self) -> None:
        bob = self.peer()
        bob.ok("LOGIN bob builder")
        for number in range(4):
            self.peer().write(b"a LOGIN alice wrong%d\r\n" % number)
        self.peer("198.51.100.1").ok("LOGIN alice wonderland")
        self.peer().ok("LOGIN bob builder")
        bob.ok("NOOP")

    def test_leaving_while_waiting(self) -> None:
        """Nothing is held for who has left, and nobody is asked."""
        for number in range(3):
            self.peer().no(f"LOGIN alice wrong{number}")
        for client in self.server.clients:
            client.hang_up()
        peers = [self.peer() for _ in range(20)]
        for peer in peers:
            peer.write(GOOD)
        for peer in peers:
            peer.hang_up()
        self.assert_nothing_is_left()
        self.assertEqual(len(self.spy.asked), 3)

    def test_what_is_sent_meanwhile_stays_with_the_client(self) -> None:
        """A stranger costs no more than a line that it may send."""
        # Hardening: V07.
        self.spy.slow = True
        peer = self.peer()
        peer.protocol.dataReceived(GOOD)
        for number in range(2000):
            if peer.transport.producerState == "paused":
                break
            peer.protocol.dataReceived(b"n%d NOOP\r\n" % number)
        self.assertLess(peer.protocol.framer.buffered, 8300)
        self.spy.answer()
        self.server.clock.pump([0.0] * 40)
        self.assertEqual(peer.transport.producerState, "producing")
        self.assertIn(b"\r\nn%d OK" % (number - 1), peer.sent())

    def test_guessing_side_by_side_is_no_faster(self) -> None:
        """Twenty connections at a time, for an hour, with a checker that is slow."""
        self.spy.slow = True
        guesses = 0
        for _ in range(3600 // 60):
            peers = [self.peer() for _ in range(20)]
            for peer in peers:
                for _ in range(10):
                    guesses += 1
                    peer.protocol.dataReceived(b"a LOGIN alice w%d\r\n" % guesses)
            for _ in range(60):
                self.server.clock.advance(1)
                self.spy.answer()
            for peer in peers:
                peer.hang_up()
        self.assertLess(len(self.spy.asked), 300)

    def test_nor_from_a_whole_ipv6_prefix(self) -> None:
        """Two tries from each /64, which cost nothing there."""
        guesses = 0
        for _ in range(600):
            peers = [
                self.peer(f"2001:db8:0:{(guesses + each) * 257 % 65536:x}::1")
                for each in range(0, 20, 2)
            ]
            for peer in peers:
                for _ in range(2):
                    guesses += 1
                    peer.protocol.dataReceived(b"a LOGIN alice w%d\r\n" % guesses)
            self.server.clock.advance(1)
            for peer in peers:
                peer.hang_up()
        self.assertLessEqual(len(self.spy.asked), 60 + 600 // 4)
        self.assertGreater(len(self.spy.asked), 100)
        self.assert_nothing_is_left()

    def test_leaving_the_queue_of_a_prefix(self) -> None:
        """Nothing is held for who has left, whichever queue they were in."""
        hosts = [f"2001:db8:0:{number * 257:x}::1" for number in range(200)]
        self.spy.slow = True
        peers = [self.peer(host) for host in hosts]
        for peer in peers:
            peer.write(b"a LOGIN alice wrong\r\n")
        self.assertEqual(len(self.spy.asked), 12)
        for peer in peers:
            peer.hang_up()
        for _ in range(12):
            self.spy.answer()
        self.assert_nothing_is_left()
        self.spy.slow = False
        for number in range(12):
            self.peer(hosts[number]).no(f"LOGIN bob wrong{number}")

    def test_nor_at_a_user_who_is_known(self) -> None:
        """Who has logged in from here waits for nobody; who guesses at them does."""
        self.peer().ok("LOGIN alice wonderland")
        self.spy.slow = True
        for number in range(40):
            self.peer().write(b"a LOGIN alice guess%d\r\n" % number)
        for _ in range(40):
            self.spy.answer()
            self.server.clock.advance(0)
        self.assertLess(len(self.spy.asked), 8)

    def test_many_who_waited_go_on_one_after_the_other(self) -> None:
        """However many: the end of one try is not inside that of another."""
        for number in range(3):
            self.peer().no(f"LOGIN alice wrong{number}")
        peers = [self.peer(f"192.0.2.{number % 250}") for number in range(300)]
        self.enterContext(mock.patch.object(throttle, "REPEATED_SECONDS", 0.0))
        for peer in peers:
            peer.write(b"a LOGIN alice wrong2\r\n")
        self.server.clock.pump([1.0] * 3 + [0.0] * 400)
        for peer in peers:
            self.assertIn(b"a NO [AUTHENTICATIONFAILED]", peer.sent())

    def test_a_server_that_stops_does_not_wait(self) -> None:
        for number in range(3):
            self.peer().no(f"LOGIN alice wrong{number}")
        peers = [self.peer() for _ in range(5)]
        for peer in peers:
            peer.write(GOOD)
        self.assertTrue(self.server.factory.close_all().called)
        self.assertIn(b"* BYE", peers[4].sent())
        self.assert_nothing_is_left()

    def test_a_good_login_among_many_is_not_slow(self) -> None:
        """After a restart everybody comes at once, from one address."""
        # Hardening: V05.
        self.spy.slow = True
        peers = [self.peer() for _ in range(50)]
        for number, peer in enumerate(peers):
            peer.write((GOOD, b"a LOGIN bob builder\r\n")[number % 2])
        for _ in range(25):
            self.spy.answer()
            self.server.clock.advance(0)
        for peer in peers[:20]:
            self.assertIn(b"a OK", peer.sent())
