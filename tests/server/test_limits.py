"""Each limit answers as it says: before login, after it, with and without waiting."""

import contextlib
import errno
import random
import unittest
from collections.abc import Iterator
from typing import Any
from unittest import mock

from imapd.errors import LimitReached
from imapd.limits import Limits
from imapd.store import fsops
from tests.support.server import Server


class PreAuthTests(unittest.TestCase):
    def setUp(self) -> None:
        self.server = Server(self)
        self.client = self.server.connect()

    def test_line(self) -> None:
        self.client.write(b"a LOGIN " + b"x" * 8300 + b"\r\n")
        self.assertIn(b"[TOOBIG]", self.client.raw)

    def test_an_endless_line_costs_little(self) -> None:
        # Hardening: P10, P21.
        for _ in range(200):
            self.client.protocol.dataReceived(b"x" * 4096)
        self.assertLess(self.client.protocol.framer.buffered, 100_000)

    def test_literal(self) -> None:
        # Hardening: X3, P08.
        self.client.write(b"a LOGIN {1025}\r\n")
        self.assertIn(b"a NO [TOOBIG]", self.client.raw)
        self.client.write(b"b LOGIN {5}\r\n")
        self.assertTrue(self.client.raw.startswith(b"+ "))

    def test_literal_count(self) -> None:
        # Hardening: P09.
        self.client.write(b"a LOGIN {1+}\r\nx {1+}\r\ny {1+}\r\nz\r\nb NOOP\r\n")
        self.assertIn(b"a NO [LIMIT]", self.client.raw)
        self.assertIn(b"b OK", self.client.raw)

    def test_literals_that_are_none(self) -> None:
        # Hardening: X3, P08.
        for text in ("{-1}", "{1e3}", "{ 5}", "{+}", "{4294967296}", "{99999999999}"):
            client = self.server.connect()
            client.command(f"LOGIN {text}")
            self.assertIn(b" BAD ", client.raw, text)
            self.assertNotIn(b"+ ", client.raw, text)

    def test_nesting(self) -> None:
        # Hardening: P11.
        self.client.bad("ID ((((((")
        self.client.ok("ID NIL")

    def test_deadline_is_absolute(self) -> None:
        # Hardening: P21, V08.
        for _ in range(7):
            self.server.clock.advance(8.5)
            self.client.write(b"")
            self.client.protocol.dataReceived(b"x")
        self.assertFalse(self.client.protocol._closing)
        self.server.clock.advance(1)
        self.client.receive()
        self.assertIn(b"* BYE ", self.client.raw)

    def test_browsers_are_turned_away(self) -> None:
        # Hardening: P04.
        self.client.write(
            b"POST / HTTP/1.1\r\nHost: x\r\n\r\na LOGIN alice wonderland\r\n"
        )
        self.assertTrue(self.client.raw.startswith(b"* BYE "), self.client.raw)
        self.assertNotIn(b"a OK", self.client.raw)

    def test_logins_refused_end_it(self) -> None:
        for _ in range(9):
            self.client.no("LOGIN alice wrong")
        self.client.command("LOGIN alice wrong")
        self.assertIn(b"* BYE ", self.client.raw)

    def test_connections_of_an_address(self) -> None:
        # Hardening: P21, V06.
        from imapd.server.counts import ConnectionCounts

        limits = Limits(address_connections=2)
        server = Server(self, limits=limits, counts=ConnectionCounts(limits))
        one, _two = server.connect(), server.connect()
        three = server.connect()
        self.assertIn(b"* BYE [LIMIT]", three.raw)
        one.hang_up()
        self.assertIn(b"* OK ", server.connect().raw)

    def test_a_refused_connection_takes_nobodys_place(self) -> None:
        from imapd.server.counts import ConnectionCounts

        counts = ConnectionCounts(Limits(address_connections=1))
        self.assertTrue(counts.connected("192.0.2.1"))
        self.assertFalse(counts.connected("192.0.2.1"))
        counts.disconnected("192.0.2.1")  # either of them
        counts.disconnected("192.0.2.1")
        self.assertTrue(counts.connected("192.0.2.1"))
        self.assertFalse(counts.connected("192.0.2.1"))

    def test_what_other_processes_admitted_is_ended_here(self) -> None:
        """Rather who has not logged in, and the newest; nobody from elsewhere."""
        clients = [self.client, self.server.connect(), self.server.connect()]
        elsewhere = self.server.connect("198.51.100.1")
        clients[2].ok("LOGIN alice wonderland")
        # One that is refused, and would not be there a moment later, is no help.
        closing = self.server.connect()
        closing.protocol._closing = True
        peer = clients[0].protocol.peer_host
        self.server.factory.drop(None, peer, 1)
        for each in clients:
            each.receive()
        self.assertEqual(
            [b"* BYE [LIMIT]" in each.raw for each in clients], [False, True, False]
        )
        self.server.factory.drop(None, peer, 5)
        for each in clients:
            each.receive()
        self.assertIn(b"* BYE [LIMIT]", clients[0].raw)
        self.assertIn(b"* BYE [LIMIT]", clients[2].raw)
        elsewhere.ok("NOOP")

    def test_a_user_whom_other_processes_admitted_is_logged_out(self) -> None:
        other = self.server.connect()
        peer = other.protocol.peer_host
        other.ok("LOGIN alice wonderland")
        self.server.factory.drop(b"alice", peer, 5)
        other.receive()
        self.assertIn(b"* BYE [LIMIT]", other.raw)
        self.client.ok("NOOP")

    def test_a_flood_from_an_address_is_cut_off(self) -> None:
        """A BYE in TLS waits for a handshake: nothing is held for so many."""
        # Hardening: P21.
        from imapd.server.counts import ConnectionCounts

        limits = Limits(address_connections=2)
        counts = ConnectionCounts(limits)
        server = Server(self, limits=limits, counts=counts)
        for _ in range(3):
            counts.connected("192.0.2.1")
        self.assertIn(b"* BYE [LIMIT]", server.connect().raw)
        counts.connected("192.0.2.1")
        cut_off = server.connect()
        self.assertEqual(cut_off.raw, b"")
        self.assertFalse(cut_off.transport.connected)
        self.assertIn(b"* OK ", server.connect("198.51.100.1").raw)

    def test_the_oldest_without_a_login_gives_way(self) -> None:
        """Whoever has logged in stays, and whoever comes may."""
        # Hardening: P21.
        server = Server(self, limits=Limits(preauth_connections=10))
        users = [server.login() for _ in range(12)]
        crowd = [server.connect(f"198.51.100.{n}") for n in range(10)]
        for each in users + crowd:
            each.ok("NOOP")
        late = server.connect()
        self.assertFalse(crowd[0].transport.connected)
        late.ok("LOGIN bob builder")
        for number in range(1, 10):
            self.assertTrue(crowd[number].transport.connected)
        # The place of one who logged in, or who went, is nobody's to give up.
        crowd[5].hang_up()
        for number in range(2):
            server.connect(f"203.0.113.{number}").ok("NOOP")
        self.assertTrue(crowd[1].transport.connected)
        server.connect("203.0.113.9")
        self.assertFalse(crowd[1].transport.connected)
        for each in [*users, late]:
            each.ok("NOOP")

    def test_who_gives_way_is_found_at_one_look(self) -> None:
        """A flood shall not be dearer for each one that is there already."""
        # Hardening: P21, V04.

        class Counted(dict[Any, None]):
            looks = 0

            def __iter__(self) -> Iterator[Any]:
                for each in super().__iter__():
                    self.looks += 1
                    yield each

        server = Server(self, limits=Limits(preauth_connections=50))
        server.factory._strangers = strangers = Counted()
        users = [server.login() for _ in range(5)]
        for number in range(60):
            server.connect(f"198.51.100.{number}")
        self.assertEqual(len(strangers), 50)
        self.assertEqual(strangers.looks, 10)
        for each in users:
            each.ok("NOOP")

    def test_an_ipv6_customer_has_one_address(self) -> None:
        # Hardening: V06.
        from imapd.server.counts import ConnectionCounts

        limits = Limits(address_connections=2, user_address_connections=1)
        counts = ConnectionCounts(limits)
        for number in range(2):
            self.assertTrue(counts.connected(f"2001:db8::{number}"))
        self.assertFalse(counts.connected("2001:db8::ffff"))
        self.assertTrue(counts.connected("2001:db8:0:1::1"))
        counts.disconnected("2001:db8::7")
        counts.disconnected("2001:db8::8")
        self.assertTrue(counts.connected("2001:db8::9"))
        self.assertTrue(counts.connected("192.0.2.1"))
        self.assertTrue(counts.connected("::ffff:192.0.2.1"))
        self.assertFalse(counts.connected("192.0.2.1"))
        self.assertTrue(counts.connected("192.0.2.2"))  # IPv4: each its own
        counts.logged_in(b"alice", "2001:db8::1")
        with self.assertRaises(LimitReached):
            counts.logged_in(b"alice", "2001:db8::2")
        counts.logged_out(b"alice", "2001:db8::3")
        counts.logged_in(b"alice", "2001:db8::4")

    def test_behind_a_translator_here_each_client_has_an_address(self) -> None:
        # Hardening: V06.
        from imapd.server.counts import ConnectionCounts

        counts = ConnectionCounts(Limits(address_connections=2))
        for number in range(50):
            for _ in range(2):
                self.assertTrue(counts.connected(f"64:ff9b::8.8.4.{number}"), number)
        self.assertFalse(counts.connected("64:ff9b::8.8.4.1"))
        self.assertFalse(counts.connected("8.8.4.1"))

    def test_counts_return_to_nothing(self) -> None:
        """Whoever comes, is refused, logs in and goes, in any order."""
        # Hardening: V06.
        from imapd.server.counts import ConnectionCounts

        limits = Limits(
            address_connections=5, user_connections=4, user_address_connections=2
        )
        counts = ConnectionCounts(limits)
        chance = random.Random(1)
        addresses = [f"192.0.2.{n}" for n in range(9)] + ["2001:db8::1", "127.0.0.1"]
        here: list[str] = []
        users: list[tuple[bytes, str]] = []
        refused = 0
        for _ in range(50_000):
            what = chance.random()
            if what < 0.4:
                here.append(chance.choice(addresses))
                refused += not counts.connected(here[-1])
            elif what < 0.6:
                user = chance.choice((b"alice", b"Alice", b"bob")), here[-1:]
                with contextlib.suppress(LimitReached):
                    if user[1]:
                        counts.logged_in(user[0], user[1][0])
                        users.append((user[0], user[1][0]))
            elif what < 0.8 and users:
                counts.logged_out(*users.pop(chance.randrange(len(users))))
            elif here:
                counts.disconnected(here.pop(chance.randrange(len(here))))
        self.assertGreater(refused, 1000)
        for each in users:
            counts.logged_out(*each)
        for address in here:
            counts.disconnected(address)
        for name in ("_addresses", "_refused", "_users", "_pairs"):
            self.assertEqual(dict(getattr(counts, name)), {}, name)

    def test_connections_of_this_machine(self) -> None:
        from imapd.server.counts import ConnectionCounts

        limits = Limits(address_connections=2)
        server = Server(self, limits=limits, counts=ConnectionCounts(limits))
        for host in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
            for _ in range(6):  # a webmail has all of its users
                self.assertIn(b"* OK ", server.connect(host).raw)

    def test_connections_of_a_user(self) -> None:
        # Hardening: V06.
        from imapd.server.counts import ConnectionCounts

        limits = Limits(user_address_connections=1, user_connections=2)
        server = Server(self, limits=limits, counts=ConnectionCounts(limits))
        one = server.login()
        two = server.connect()
        self.assertIn(b"[LIMIT]", two.no("LOGIN alice wonderland"))
        two.ok("LOGIN bob builder")
        three = server.connect("198.51.100.9")
        three.ok("LOGIN alice wonderland")
        four = server.connect("198.51.100.10")
        four.no("LOGIN alice wonderland")
        one.ok("LOGOUT")
        four.ok("LOGIN alice wonderland")


class PostAuthTests(unittest.TestCase):
    def setUp(self) -> None:
        self.server = Server(self)
        self.client = self.server.login(select="INBOX")

    def test_command_octets(self) -> None:
        self.client.write(b"a SEARCH SUBJECT " + b"x" * 66000 + b"\r\n")
        self.assertIn(b"[TOOBIG]", self.client.raw)

    def test_literal(self) -> None:
        # Hardening: P08.
        self.client.write(b"a SEARCH SUBJECT {102401}\r\n")
        self.assertIn(b"a NO [TOOBIG]", self.client.raw)
        self.client.write(b"b SEARCH SUBJECT {102401+}\r\n" + b"x" * 102401 + b"\r\n")
        self.assertIn(b"b NO [TOOBIG]", self.client.raw)
        self.client.ok("NOOP")

    def test_literals_in_all(self) -> None:
        # Hardening: P09.
        octets = b"x" * 100_000
        self.client.write(
            b"a SEARCH" + b" SUBJECT {100000+}\r\n%b" % octets * 11 + b"\r\n"
        )
        self.assertIn(b"a NO [TOOBIG]", self.client.raw)
        self.client.ok("NOOP")

    def test_literal_count(self) -> None:
        # Hardening: P09.
        self.client.write(b"a SEARCH" + b" SUBJECT {0+}\r\n" * 1001 + b"\r\n")
        self.assertIn(b"a NO [LIMIT]", self.client.raw)
        self.client.ok("NOOP")

    def test_nesting(self) -> None:
        # Hardening: P11.
        for depth in (33, 4000, 20000):
            self.client.command("SEARCH " + "(" * depth + "ALL" + ")" * depth)
            self.assertRegex(self.client.raw, rb" (NO|BAD) ", f"depth {depth}")
        self.client.ok("SEARCH " + "(" * 31 + "ALL" + ")" * 31)

    def test_search_keys(self) -> None:
        # Hardening: P11, P13.
        self.client.command("SEARCH " + "NOT " * 10_000 + "ALL")
        self.assertRegex(self.client.raw, rb" (NO|BAD) ")
        self.client.command("SEARCH " + "OR SEEN " * 5000 + "ALL")
        self.assertRegex(self.client.raw, rb" (NO|BAD) ")
        self.client.ok("SEARCH " + "OR SEEN " * 240 + "ALL")
        self.client.ok("SEARCH " + "NOT " * 490 + "ALL")

    def test_mailbox_names(self) -> None:
        for name in (
            "x" * 1001,
            "x" * 256,
            "/".join(["x"] * 33),
            "a//b",
            "a/../b",
            "..",
            "a.b",
            "&AAE-",
            "&Jjo",
        ):
            self.client.command(f'CREATE "{name}"')
            self.assertRegex(self.client.raw, rb" (NO|BAD) ", name)
        self.assertEqual(self.client.ok('LIST "" *').count(b"* LIST"), 1)

    def test_keywords(self) -> None:
        # Hardening: F09.
        self.client.append(b"Subject: x\r\n\r\nx\r\n")
        self.client.command("STORE 1 +FLAGS (" + "k" * 65 + ")")
        self.assertRegex(self.client.raw, rb" (NO|BAD) ")
        self.client.ok("STORE 1 +FLAGS (" + "k" * 64 + ")")
        many = " ".join(f"k{n}" for n in range(40))
        self.client.ok(f"STORE 1 +FLAGS ({many})")
        self.assertIn(b"k39", self.client.ok("FETCH 1 FLAGS"))

    def test_append(self) -> None:
        # Hardening: P23.
        self.assertIn(b"[TOOBIG]", self.client.no("APPEND INBOX {52428801}"))
        self.client.write(b"a APPEND INBOX {5}\r\n")
        self.assertTrue(self.client.raw.startswith(b"+ "))
        self.client.write(b"abcde\r\n")
        self.assertIn(b"a OK", self.client.raw)

    def test_idle_time(self) -> None:
        # Hardening: V08.
        self.server.clock.advance(1799)
        self.client.ok("NOOP")
        self.server.clock.advance(1799)
        self.client.receive()
        self.assertEqual(self.client.raw, b"")
        self.server.clock.advance(2)
        self.client.receive()
        self.assertIn(b"* BYE ", self.client.raw)

    def test_octets_ahead_pause_the_client(self) -> None:
        # Hardening: X4, V01, V07.
        # The client does not read: its commands wait, and then its octets do.
        self.client.protocol.gate.pauseProducing()
        for _ in range(100):
            if self.client.transport.producerState == "paused":
                break
            self.client.protocol.dataReceived(b"a NOOP\r\n" * 1000)
        self.assertEqual(self.client.transport.producerState, "paused")
        self.assertLess(self.client.protocol.framer.buffered, 100_000)
        self.client.protocol.gate.resumeProducing()
        self.client.receive()
        self.assertEqual(self.client.transport.producerState, "producing")
        self.client.ok("NOOP")

    def test_a_client_that_does_not_read_is_dropped(self) -> None:
        # Hardening: V01.
        self.client.protocol.gate.pauseProducing()
        self.server.clock.advance(299)
        self.assertTrue(self.client.transport.connected)
        self.server.clock.advance(2)
        self.assertFalse(self.client.transport.connected)

    def test_id_pairs(self) -> None:
        # Hardening: P26.
        pairs = " ".join(f'"k{n}" "v"' for n in range(31))
        self.assertIn(b"[LIMIT]", self.client.no(f"ID ({pairs})"))

    def test_tag(self) -> None:
        # Hardening: P24.
        self.client.write(b"x" * 65 + b" NOOP\r\n")
        self.assertIn(b" BAD ", self.client.raw)
        self.client.write(b"x" * 64 + b" NOOP\r\n")
        self.assertIn(b" OK ", self.client.raw)

    def test_sequence_set(self) -> None:
        # Hardening: P12.
        numbers = ",".join(str(n) for n in range(1, 20_000, 2))
        self.client.bad(f"FETCH {numbers[:60000].rstrip(',')} FLAGS")
        self.client.ok("UID FETCH 1:4294967295 FLAGS")
        self.client.bad("UID FETCH 1:4294967296 FLAGS")

    def test_list_patterns(self) -> None:
        # Hardening: P14.
        self.client.ok("CREATE " + "a" * 100)
        self.client.ok('LIST "" "' + "*a" * 400 + 'b"')


class ConfiguredTests(unittest.TestCase):
    """Limits that somebody has set hold for what precedes a literal, too."""

    def setUp(self) -> None:
        limits = Limits(
            keyword_octets=16,
            list_item_count=100,
            mailbox_name_octets=100,
            tag_octets=16,
        )
        self.client = Server(self, limits=limits).login()

    def test_all_messages_of_one_append_together(self) -> None:
        """Each is small enough; RFC 3502 §6.3.11: none of them is stored."""
        client = Server(self, limits=Limits(append_total_octets=1024)).login(
            select="INBOX"
        )
        message = b"Subject: x\r\n\r\n" + b"y" * 500
        more = b" {%d+}\r\n%b" % (len(message), message)
        self.assertIn(b"[TOOBIG]", client.no(b"APPEND INBOX" + 2 * more))
        self.assertNotIn(b"EXISTS", client.ok("NOOP"))
        self.assertIn(b"* 1 EXISTS", client.ok(b"APPEND INBOX" + more))

    def test_how_many_messages_one_append_has(self) -> None:
        client = Server(self, limits=Limits(append_message_count=2)).login(
            select="INBOX"
        )
        more = b" {4+}\r\na:b\n"
        self.assertIn(b"[LIMIT]", client.no(b"APPEND INBOX" + 3 * more))
        self.assertNotIn(b"EXISTS", client.ok("NOOP"))
        self.assertIn(b"* 2 EXISTS", client.ok(b"APPEND INBOX" + 2 * more))

    def test_a_full_disk_in_the_middle_of_append(self) -> None:
        """What is left of the message is not taken for commands."""
        client = Server(self).login(select="INBOX")
        message = b"Subject: x\r\n\r\nt9 LOGOUT\r\n" + b"y" * 200_000
        line = b"APPEND INBOX {%d+}\r\n" % len(message)
        full = OSError(errno.ENOSPC, "full")
        with mock.patch.object(fsops, "write", side_effect=full):
            for more in (b"", b" {%d+}\r\n%b" % (len(message), message)):
                octets = b"a " + line + message + more + b"\r\n"
                answer = b""
                for at in range(0, len(octets), 50_000):
                    client.write(octets[at : at + 50_000])
                    answer += client.raw
                self.assertTrue(answer.startswith(b"a NO [OVERQUOTA]"), answer)
                self.assertEqual(answer.count(b"\r\n"), 1, answer)
                self.assertEqual(client.ok("NOOP").count(b"\r\n"), 1)
        self.assertNotIn(b"EXISTS", client.ok("NOOP"))
        self.assertIn(b"* 1 EXISTS", client.ok(line + message))

    def test_flags_of_append(self) -> None:
        for flags in ("k" * 17, " ".join(["x"] * 101)):
            for plus in ("", "+"):
                self.client.command(f"APPEND INBOX ({flags}) {{4{plus}}}")
                self.assertIn(b" NO [LIMIT]", self.client.raw)
                if plus:
                    self.client.write(b"x\r\ny\r\n")
                self.client.ok("NOOP")

    def test_mailbox_of_append(self) -> None:
        self.client.command("APPEND " + "x" * 101 + " {4}")
        self.assertIn(b" NO [CANNOT]", self.client.raw)

    def test_tag_before_a_literal(self) -> None:
        self.client.write(b"t" * 17 + b" APPEND INBOX {4}\r\n")
        self.assertTrue(self.client.raw.startswith(b"* BAD tag too long"))
