"""LOGIN and AUTHENTICATE, octet by octet.  RFC 3501 §6.2, RFC 4959, RFC 4616."""

import base64
import hmac
from typing import Any

from twisted.cred.credentials import CramMD5Credentials
from twisted.mail import imap4

from tests.support.logins import (
    LoginCase,
    b64,
    plain,
)

ALICE = plain(b"alice", b"wonderland")
REFUSED = b"NO [AUTHENTICATIONFAILED]"
CAPABILITY = b"OK [CAPABILITY "

#: What is sent in turn, and how the tagged answer begins.  ``+`` must be asked for
#: each line after the first.
EXCHANGES: dict[str, tuple[list[bytes], bytes]] = {
    "LOGIN atoms": ([b"a LOGIN alice wonderland"], CAPABILITY),
    "LOGIN quoted": ([b'a LOGIN "alice" "wonderland"'], CAPABILITY),
    "LOGIN quoted, escapes of what needs none": (
        [b'a LOGIN "ali\\ce" wonderland'],
        b"BAD",
    ),
    "LOGIN lower case": ([b"a login alice wonderland"], CAPABILITY),
    "LOGIN literals": ([b"a LOGIN {5}", b"alice {10}", b"wonderland"], CAPABILITY),
    "LOGIN literal and atom": ([b"a LOGIN {5}", b"alice wonderland"], CAPABILITY),
    "LOGIN wrong": ([b"a LOGIN alice wonder"], REFUSED),
    "LOGIN unknown": ([b"a LOGIN nobody wonder"], REFUSED),
    "LOGIN no password": ([b"a LOGIN alice"], b"BAD"),
    "LOGIN empty password": ([b'a LOGIN alice ""'], REFUSED),
    "LOGIN empty name": ([b'a LOGIN "" wonderland'], REFUSED),
    "LOGIN empty literals": ([b"a LOGIN {0}", b" {0}", b""], REFUSED),
    "LOGIN three words": ([b"a LOGIN alice wonderland x"], b"BAD"),
    "LOGIN NUL in a literal": ([b"a LOGIN {6}", b"ali\0ce x"], b"BAD"),
    "LOGIN CR LF in a literal": ([b"a LOGIN {7}", b"ali\r\nce x"], REFUSED),
    "LOGIN 8-bit in an atom": ([b"a LOGIN al\xffice x"], b"BAD"),
    "LOGIN 8-bit in a literal": ([b"a LOGIN {3}", b"\xff\xfe\xfd x"], REFUSED),
    "LOGIN UTF-8 in a literal": ([b"a LOGIN {2}", "é".encode() + b" x"], REFUSED),
    "LOGIN path": ([b"a LOGIN ../../etc x"], REFUSED),
    "LOGIN wildcard": ([b"a LOGIN al* x"], b"BAD"),
    "PLAIN": ([b"a AUTHENTICATE PLAIN", ALICE], CAPABILITY),
    "PLAIN, lower case": ([b"a authenticate plain", ALICE], CAPABILITY),
    "PLAIN at once": ([b"a AUTHENTICATE PLAIN " + ALICE], CAPABILITY),
    "PLAIN, itself as identity": (
        [b"a AUTHENTICATE PLAIN " + plain(b"alice", b"wonderland", b"alice")],
        CAPABILITY,
    ),
    "PLAIN as another": (
        [b"a AUTHENTICATE PLAIN " + plain(b"alice", b"wonderland", b"bob")],
        b"NO [AUTHORIZATIONFAILED]",
    ),
    "PLAIN wrong": ([b"a AUTHENTICATE PLAIN " + plain(b"alice", b"w")], REFUSED),
    "PLAIN unknown": ([b"a AUTHENTICATE PLAIN " + plain(b"no", b"w")], REFUSED),
    "PLAIN, empty at once": ([b"a AUTHENTICATE PLAIN ="], REFUSED),
    "PLAIN, empty": ([b"a AUTHENTICATE PLAIN", b""], REFUSED),
    "PLAIN, = is no base64 later": ([b"a AUTHENTICATE PLAIN", b"="], b"BAD"),
    "PLAIN, two fields": ([b"a AUTHENTICATE PLAIN " + b64(b"\0alice")], REFUSED),
    "PLAIN, four fields": (
        [b"a AUTHENTICATE PLAIN " + b64(b"\0alice\0wonderland\0")],
        REFUSED,
    ),
    "PLAIN, no name": ([b"a AUTHENTICATE PLAIN " + b64(b"\0\0x")], REFUSED),
    "PLAIN, no password": ([b"a AUTHENTICATE PLAIN " + b64(b"\0alice\0")], REFUSED),
    "PLAIN cancelled": ([b"a AUTHENTICATE PLAIN", b"*"], b"BAD"),
    "PLAIN, no cancelling at once": ([b"a AUTHENTICATE PLAIN *"], b"BAD"),
    "PLAIN, words after": ([b"a AUTHENTICATE PLAIN " + ALICE + b" x"], b"BAD"),
    "PLAIN, white space": ([b"a AUTHENTICATE PLAIN", b" " + ALICE], b"BAD"),
    "PLAIN, no padding": ([b"a AUTHENTICATE PLAIN", ALICE.rstrip(b"=")], b"BAD"),
    "PLAIN, bits in the padding": ([b"a AUTHENTICATE PLAIN", b"AB=="], b"BAD"),
    "PLAIN, a command instead": ([b"a AUTHENTICATE PLAIN", b"b NOOP"], b"BAD"),
    "PLAIN, 8-bit": ([b"a AUTHENTICATE PLAIN", b"\xff" * 8], b"BAD"),
    "PLAIN, NUL": ([b"a AUTHENTICATE PLAIN", b"\0\0\0\0"], b"BAD"),
    "PLAIN, literal": ([b"a AUTHENTICATE PLAIN {3}", b"abc"], b"BAD"),
    "PLAIN, too long": ([b"a AUTHENTICATE PLAIN", b"A" * 8196], b"NO [TOOBIG]"),
    "PLAIN, too long at once": ([b"a AUTHENTICATE PLAIN " + b"A" * 8196], b"NO [TOO"),
    "PLAIN, name too long": (
        [b"a AUTHENTICATE PLAIN", plain(b"a" * 129, b"x")],
        REFUSED,
    ),
    "PLAIN, password too long": (
        [b"a AUTHENTICATE PLAIN", plain(b"alice", b"x" * 1025)],
        REFUSED,
    ),
    "LOGIN mechanism": (
        [b"a AUTHENTICATE LOGIN", b64(b"alice"), b64(b"wonderland")],
        CAPABILITY,
    ),
    "LOGIN mechanism, the name at once": (
        [b"a AUTHENTICATE LOGIN " + b64(b"alice"), b64(b"wonderland")],
        CAPABILITY,
    ),
    "LOGIN mechanism, empty name": ([b"a AUTHENTICATE LOGIN ="], REFUSED),
    "LOGIN mechanism, wrong": (
        [b"a AUTHENTICATE LOGIN", b64(b"alice"), b64(b"x")],
        REFUSED,
    ),
    "LOGIN mechanism, empty password": (
        [b"a AUTHENTICATE LOGIN", b64(b"alice"), b""],
        REFUSED,
    ),
    "LOGIN mechanism cancelled": (
        [b"a AUTHENTICATE LOGIN", b64(b"alice"), b"*"],
        b"BAD",
    ),
    "CRAM-MD5, at once": ([b"a AUTHENTICATE CRAM-MD5 " + b64(b"alice x")], b"BAD"),
    "CRAM-MD5, empty at once": ([b"a AUTHENTICATE CRAM-MD5 ="], b"BAD"),
    "CRAM-MD5 cancelled": ([b"a AUTHENTICATE CRAM-MD5", b"*"], b"BAD"),
    "CRAM-MD5, nonsense": ([b"a AUTHENTICATE CRAM-MD5", b64(b"alice")], REFUSED),
    "CRAM-MD5, wrong": (
        [b"a AUTHENTICATE CRAM-MD5", b64(b"alice " + b"0" * 32)],
        REFUSED,
    ),
    "CRAM-MD5, unknown": (
        [b"a AUTHENTICATE CRAM-MD5", b64(b"nobody " + b"0" * 32)],
        REFUSED,
    ),
    "unknown mechanism": ([b"a AUTHENTICATE GSSAPI"], b"NO [CANNOT]"),
    "unknown mechanism at once": ([b"a AUTHENTICATE X " + ALICE], b"NO [CANNOT]"),
    "mechanism of 65 octets": ([b"a AUTHENTICATE " + b"X" * 65], b"BAD"),
    "mechanism of 10 KB": ([b"a AUTHENTICATE " + b"X" * 10_000], b"NO [TOOBIG]"),
    "no mechanism": ([b"a AUTHENTICATE"], b"BAD"),
    "mechanism as a string": ([b'a AUTHENTICATE "PLAIN"'], b"BAD"),
    "mechanism with a NUL": ([b"a AUTHENTICATE PL\0AIN"], b"BAD"),
}
#: After these the place in the stream is lost, and the connection ends.
FATAL = {"PLAIN, too long at once", "mechanism of 10 KB"}


class ExchangeTests(LoginCase):
    def test_each_is_answered_as_it_should(self) -> None:
        # Hardening: P06.
        for name, (lines, expected) in EXCHANGES.items():
            peer = self.peer()
            self.talk(peer, lines, name)
            ended = peer.raw.count(b"\r\n")
            self.assertTrue(
                peer.raw.startswith(b"a " + expected), f"{name}: {peer.raw!r}"
            )
            self.assertEqual(ended, 2 if name in FATAL else 1, name)
            if name not in FATAL:
                good = expected is CAPABILITY
                self.assertEqual(peer.protocol.state, "auth" if good else "unauth")
                peer.ok("NOOP")
            peer.hang_up()

    def test_any_cut_gives_the_same(self) -> None:
        """One octet at a time: what waits for ``+`` waits, and nothing else."""
        for name, (lines, expected) in EXCHANGES.items():
            if sum(map(len, lines)) > 200:
                continue
            peer = self.peer()
            octets = b""
            for line in lines:
                for octet in line + b"\r\n":
                    peer.write(bytes([octet]))
                    octets += peer.raw
            self.assertIn(b"a " + expected, octets, name)
            peer.hang_up()

    def test_without_literals_waiting(self) -> None:
        peer = self.peer()
        peer.write(b"a LOGIN {5+}\r\nalice {10+}\r\nwonderland\r\nb NOOP\r\n")
        self.assertIn(b"a OK", peer.raw)
        self.assertIn(b"b OK", peer.raw)

    def test_cram_md5(self) -> None:
        for password, expected in ((b"wonderland", b"a OK"), (b"wrong", b"a NO")):
            peer = self.peer()
            peer.write(b"a AUTHENTICATE CRAM-MD5\r\n")
            challenge = base64.b64decode(peer.raw[2:])
            digest = hmac.digest(password, challenge, "md5").hex().encode()
            peer.write(b64(b"alice " + digest) + b"\r\n")
            self.assertTrue(peer.raw.startswith(expected), peer.raw)

    def test_leaving_in_the_middle(self) -> None:
        # Hardening: P06.
        for name, (lines, _) in EXCHANGES.items():
            peer = self.peer()
            for line in lines[:-1]:
                peer.write(line + b"\r\n")
            peer.write(lines[-1][: len(lines[-1]) // 2])
            peer.hang_up()
            self.assertEqual(self.server.factory.connections, 0, name)
        self.assertEqual(self.server.clock.getDelayedCalls(), [])

    def test_a_refused_login_tells_nothing(self) -> None:
        """Unknown user, wrong password, bad name: octet for octet the same."""
        # Hardening: A03.
        answers = set()
        for login in (
            b"LOGIN alice wrong",
            b"LOGIN nobody wrong",
            b"LOGIN .. wrong",
            b"AUTHENTICATE PLAIN " + plain(b"alice", b"wrong"),
            b"AUTHENTICATE PLAIN " + plain(b"nobody", b"wrong"),
            b"AUTHENTICATE PLAIN " + plain(b"x/y", b"wrong"),
        ):
            peer = self.peer()
            answers.add(peer.no(login))
        self.assertEqual(len(answers), 1, answers)

    def test_every_refusal_is_an_event(self) -> None:
        for name, (lines, expected) in EXCHANGES.items():
            if expected != REFUSED:
                continue
            self.events.seen.clear()
            peer = self.peer()
            self.talk(peer, lines, name)
            self.assertEqual(self.events.names(), ["login_refused"], name)
            peer.hang_up()

    def test_fifty_good_beside_fifty_bad(self) -> None:
        # Hardening: P06.
        bad = [self.peer("198.51.100.1") for _ in range(50)]
        for peer in bad:
            peer.write(b"a AUTHENTICATE PLAIN\r\n")
        for number, peer in enumerate(bad):
            good = self.peer()
            good.write(b"a AUTHENTICATE LOGIN\r\n")
            peer.write((b"!!!\r\n", b"*\r\n", b"A" * 9000 + b"\r\n")[number % 3])
            good.write(b64(b"alice") + b"\r\n")
            peer.hang_up()
            good.write(b64(b"wonderland") + b"\r\n")
            self.assertIn(b"a OK", good.raw)


class ForeignTests(LoginCase):
    """Challengers of Twisted's own, as an embedding program may register them."""

    def test_an_exchange_ends(self) -> None:
        class Endless(imap4.PLAINCredentials):
            def setResponse(self, response: bytes) -> None:
                """Take anything."""

            def moreChallenges(self) -> bool:
                return True

        peer = self.peer()
        peer.protocol.challengers = {b"X": Endless}
        peer.write(b"a AUTHENTICATE X\r\n" + b"\r\n" * 8 + b"b NOOP\r\n")
        self.assertEqual(peer.raw.count(b"+ "), 8, peer.raw)
        self.assertIn(b"a " + REFUSED, peer.raw)
        self.assertIn(b"b OK", peer.raw)
        self.assertEqual(self.events.names(), ["login_refused"])

    def test_they_work_and_their_refusals_are_events(self) -> None:
        exchanges: dict[str, tuple[Any, list[bytes], bytes]] = {
            "PLAIN": (imap4.PLAINCredentials, [ALICE], b"OK"),
            "PLAIN, nonsense": (imap4.PLAINCredentials, [b64(b"x")], REFUSED),
            "PLAIN, no UTF-8": (imap4.PLAINCredentials, [b64(b"\0\xff\0x")], REFUSED),
            "PLAIN, empty": (imap4.PLAINCredentials, [b""], REFUSED),
            "LOGIN": (
                imap4.LOGINCredentials,
                [b64(b"alice"), b64(b"wonderland")],
                b"OK",
            ),
            "CRAM-MD5": (CramMD5Credentials, [b64(b"alice 0")], REFUSED),
            "CRAM-MD5, nonsense": (CramMD5Credentials, [b64(b"x")], REFUSED),
        }
        for name, (challenger, answers, expected) in exchanges.items():
            self.events.seen.clear()
            peer = self.peer()
            peer.protocol.challengers = {b"X": challenger}
            self.talk(peer, [b"a AUTHENTICATE X", *answers], name)
            self.assertIn(b"a " + expected, peer.raw, name)
            event = "login_ok" if expected == b"OK" else "login_refused"
            self.assertEqual(self.events.names(), [event], name)
            peer.hang_up()
