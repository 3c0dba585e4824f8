"""Nothing that was said before TLS has any effect inside it.

Hardening P01: each way to bring octets past STARTTLS, over real TCP and real TLS.
"""

import asyncio
import itertools
import shutil
import ssl
import subprocess
import time
import unittest
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from tests.live.peers import (
    PASSWORD,
    PEER_UNDER_TEST,
    USERS,
    ImapdServer,
    temporary_folder,
)
from tests.live.process import free_ports
from tests.live.starttls import Wire, client_context

AT_ONCE = 40
SILENCE_SECONDS = 0.3
DEADLINE_SECONDS = 10

_IR = b64encode(b"\0user1\0" + PASSWORD.encode())
#: Commands that must not run inside TLS; their tag is ``i``.
INJECTED: dict[str, bytes] = {
    "LOGIN": b"i LOGIN user1 secret\r\n",
    "LOGIN, literals": b"i LOGIN {5+}\r\nuser1 {6+}\r\nsecret\r\n",
    "AUTHENTICATE at once": b"i AUTHENTICATE PLAIN " + _IR + b"\r\n",
    "AUTHENTICATE": b"i AUTHENTICATE PLAIN\r\n" + _IR + b"\r\n",
    "AUTHENTICATE CRAM-MD5": b"i AUTHENTICATE CRAM-MD5\r\n",
    "NOOP": b"i NOOP\r\n",
    "STARTTLS": b"i STARTTLS\r\n",
    "CAPABILITY": b"i CAPABILITY\r\n",
    "ID": b'i ID ("name" "x")\r\n',
    "APPEND": b"i APPEND INBOX {5+}\r\nhello\r\n",
    "LOGOUT": b"i LOGOUT\r\n",
    "half a command": b"i LOGIN user1 ",
    "half a literal": b"i LOGIN {100+}\r\n",
    "an LF": b"\n",
    "a CR": b"\r",
    "a NUL": b"\0",
    "a browser": b"GET / HTTP/1.1\r\n\r\n",
}
#: STARTTLS as it is taken.
TAKEN = {
    "upper case": b"a STARTTLS\r\n",
    "lower case": b"a starttls\r\n",
    "mixed case": b"a StArTtLs\r\n",
    "LF only": b"a STARTTLS\n",
}
#: And as it is not.
REFUSED = {
    "CR CR LF": b"a STARTTLS\r\r\n",
    "literal": b"a STARTTLS {3+}\r\nabc\r\n",
    "literal, waiting": b"a STARTTLS {3}\r\n",
    "quoted tag": b'"a" STARTTLS\r\n',
    "space after": b"a STARTTLS \r\n",
    "space before": b" a STARTTLS\r\n",
    "word after": b"a STARTTLS x\r\n",
    "NUL": b"a STARTTLS\0\r\n",
    "in quotes": b'a "STARTTLS"\r\n',
}
#: What may stand before it in the same segment.
BEFORE = {
    "nothing": b"",
    "NOOP": b"b NOOP\r\n",
    "refused LOGIN": b"b LOGIN user1 secret\r\n",
    "refused LOGIN, literal": b"b LOGIN {5+}\r\nuser1 x\r\n",
    "cancelled AUTHENTICATE": b"b AUTHENTICATE CRAM-MD5\r\n*\r\n",
    "ID": b'b ID ("name" "x")\r\n',
    "nonsense": b"b FROB\r\n",
}


@dataclass(frozen=True)
class Variant:
    """Pieces to send one after the other, with a pause between them."""

    name: str
    pieces: tuple[bytes, ...]
    injects: bool  # something follows a STARTTLS that is taken
    pause: float = 0.0


def _splits(octets: bytes, last: int) -> Iterator[tuple[int, tuple[bytes, bytes]]]:
    return ((cut, (octets[:cut], octets[cut:])) for cut in range(1, last + 1))


def taken_variants() -> Iterator[Variant]:
    """STARTTLS is taken, and something comes with it or after it."""
    for (form, line), (what, injected) in itertools.product(
        TAKEN.items(), INJECTED.items()
    ):
        name = f"{form}, {what}"
        both = line + injected
        yield Variant(f"{name}, one segment", (both,), True)
        yield Variant(f"{name}, two segments", (line, injected), True)
        yield Variant(f"{name}, after 50 ms", (line, injected), True, 0.05)
        single = tuple(bytes([octet]) for octet in both)
        yield Variant(f"{name}, octets", single, True, 0.001)
        for before, first in list(BEFORE.items())[1:]:
            if form == "upper case":
                yield Variant(f"{before}, {name}", (first + both,), True)
    for what in ("LOGIN", "AUTHENTICATE", "NOOP", "STARTTLS"):
        line = TAKEN["upper case"]
        for cut, pieces in _splits(line + INJECTED[what], len(line) + 4):
            yield Variant(f"{what}, cut at {cut}", pieces, True, 0.01)


def clean_variants() -> Iterator[Variant]:
    """STARTTLS is taken or not, and TLS begins without anything in between."""
    for (form, line), (before, first) in itertools.product(
        TAKEN.items(), BEFORE.items()
    ):
        octets = first + line
        name = f"{before} then {form}"
        yield Variant(name, (octets,), False)
        yield Variant(f"{name}, octets", tuple(bytes([o]) for o in octets), False)
    whole = tuple(INJECTED[name] for name in ("LOGIN", "NOOP", "ID", "CAPABILITY"))
    for (form, line), injected in itertools.product(REFUSED.items(), whole):
        name = f"{form} refused, {injected!r}"
        good = b"a STARTTLS\r\n"
        yield Variant(name, (line + injected, good), False)
        yield Variant(f"{name}, slowly", (line, injected, good), False, 0.02)


class StarttlsTests(unittest.TestCase):
    """The real twistd: cleartext logins never, so that no variant may log in."""

    server: ClassVar[ImapdServer]

    @classmethod
    def setUpClass(cls) -> None:
        if PEER_UNDER_TEST:
            raise unittest.SkipTest("a test of ours alone")
        folder = temporary_folder()
        root = cls.enterClassContext(folder)
        (cls.proxied,) = free_ports(1)
        config = root / "imapd.toml"
        config.write_text(f"[limits]\npreauth_seconds = {DEADLINE_SECONDS}\n")
        server = ImapdServer(
            root,
            options=(
                f"--config={config}",
                "--cleartext-login=never",
                f"--imap=haproxy:tcp:{cls.proxied}:interface=127.0.0.1",
            ),
        )
        cls.server = cls.enterClassContext(server)
        cls.context = client_context(server.ca)
        cls.users = itertools.cycle(USERS)  # few at a time are any one of them

    proxied: ClassVar[int]
    begun: int
    users: ClassVar[Iterator[str]]
    context: ClassVar[ssl.SSLContext]

    def tearDown(self) -> None:
        self.assertEqual(self.server.complaints(), [])
        self.assertNotIn(PASSWORD, self.server.log())
        self.assertNotIn(_IR.decode(), self.server.log())

    async def run_all(
        self,
        variants: list[Variant],
        judge: Callable[[Wire, Variant], Awaitable[None]],
        *,
        port: int | None = None,
        header: bytes = b"",
    ) -> None:
        """Run them side by side; the first few that fail are told by name."""
        gate = asyncio.Semaphore(AT_ONCE)
        failed: list[str] = []

        async def one(variant: Variant) -> None:
            async with gate:
                wire = await Wire.connect(port or self.server.port, header)
                try:
                    for piece in variant.pieces:
                        await wire.send(piece)
                        if variant.pause:
                            await asyncio.sleep(variant.pause)
                    await judge(wire, variant)
                except Exception as error:
                    failed.append(f"{variant.name}: {error!r}; {wire.plain!r}")
                finally:
                    wire.close()

        await asyncio.gather(*(one(variant) for variant in variants))
        self.assertEqual(failed[:5], [], f"{len(failed)} of {len(variants)}")

    async def judge_taken(self, wire: Wire, variant: Variant) -> None:
        """No TLS comes of it; and after the OK not one word in the clear."""
        await wire.until(b"a OK")
        if b"a OK" in wire.plain:
            await wire.until(b"negotiation now\r\n")
            self.begun += 1
            self.assertFalse(await wire.handshake(self.context), "TLS after all")
        said, _, after = wire.plain.partition(b"a OK Begin TLS negotiation now\r\n")
        after += await wire.rest(5)
        self.assertTrue(wire.ended, "left open")
        self.assertNotIn(b"\r\ni ", said)
        self.assertNotIn(b"i OK", after)
        self.assertNotIn(b"i NO", after)
        self.assertNotIn(b"i BAD", after)
        self.assertIn(after[:1], (b"", b"\x15"), after)  # an alert at most

    async def judge_clean(self, wire: Wire, variant: Variant) -> None:
        """TLS, and then silence until it is asked; nothing is left of before."""
        await wire.until(b"a OK Begin TLS negotiation now\r\n")
        self.assertFalse(wire.ended, "closed")
        self.assertTrue(wire.plain.endswith(b"now\r\n"), wire.plain)
        self.assertTrue(await wire.handshake(self.context), "no TLS")
        self.assertEqual(await wire.inside(SILENCE_SECONDS), b"")
        answer = await wire.ask(b"z CAPABILITY")
        self.assertTrue(answer.startswith(b"* CAPABILITY IMAP4rev1 "), answer)
        self.assertEqual(answer.count(b"\r\n"), 2, answer)
        self.assertIn(b" AUTH=PLAIN ", answer)  # not logged in, and has TLS
        for word in (b"STARTTLS", b"LOGINDISABLED", b"i OK"):
            self.assertNotIn(word, answer)
        self.assertIn(b"y BAD", await wire.ask(b"y STARTTLS"))
        user = next(self.users)
        answer = await wire.ask(f"x LOGIN {user} {PASSWORD}".encode())
        self.assertIn(b"x OK", answer)
        self.assertIn(b"w BAD", await wire.ask(b"w STARTTLS"))

    def test_octets_after_it(self) -> None:
        variants = list(taken_variants())
        self.assertGreaterEqual(len(variants), 400)
        self.begun = 0
        asyncio.run(self.run_all(variants, self.judge_taken))
        # Both ends of it were tried: closed at once, and no TLS from what followed.
        self.assertGreater(self.begun, 50)
        self.assertGreater(len(variants) - self.begun, 100)

    def test_octets_before_it(self) -> None:
        variants = list(clean_variants())
        self.assertGreaterEqual(len(variants), 100)
        asyncio.run(self.run_all(variants, self.judge_clean))

    def test_behind_a_proxy(self) -> None:
        """The address is the client's, STARTTLS works, and is TLS afterwards."""
        header = b"PROXY TCP4 192.0.2.1 192.0.2.2 4000 143\r\n"
        self.begun = 0
        taken = [each for each in taken_variants() if each.name.startswith("upper")]
        asyncio.run(
            self.run_all(taken, self.judge_taken, port=self.proxied, header=header)
        )
        clean = [each for each in clean_variants() if " then upper" in each.name]
        asyncio.run(
            self.run_all(clean, self.judge_clean, port=self.proxied, header=header)
        )
        self.assertIn(" mechanism=LOGIN peer=192.0.2.1 tls=yes", self.server.log())

    def test_the_deadline_in_mid_handshake(self) -> None:
        """Not a word in the clear, however far the handshake had come."""

        async def one(octets: bytes) -> tuple[bytes, float]:
            wire = await Wire.connect(self.server.port)
            began = time.monotonic()
            await wire.send(b"a STARTTLS\r\n")
            await wire.until(b"now\r\n")
            await wire.send(octets)
            rest = await wire.rest(DEADLINE_SECONDS + 8)
            self.assertTrue(wire.ended, "still open")
            wire.close()
            return rest, time.monotonic() - began

        async def every() -> list[tuple[bytes, float]]:
            hello = _client_hello(self.context)
            half = (b"", b"\x16", hello[:5], hello[: len(hello) // 2], hello[:-1])
            return await asyncio.gather(*map(one, half))

        for rest, seconds in asyncio.run(every()):
            self.assertNotIn(b"BYE", rest)
            self.assertIn(rest[:1], (b"", b"\x15"))
            self.assertLess(seconds, DEADLINE_SECONDS + 8)

    @unittest.skipUnless(shutil.which("openssl"), "no openssl command")
    def test_openssl(self) -> None:
        """STARTTLS with another ALPN, with old TLS, and a new handshake within."""
        cases: dict[str, tuple[list[str], bytes, bool]] = {
            "TLS 1.3": (["-tls1_3", "-alpn", "imap"], b"a LOGOUT\r\n", True),
            "TLS 1.2": (["-tls1_2"], b"a LOGOUT\r\n", True),
            "another ALPN": (["-alpn", "http/1.1"], b"Q\n", False),
            "TLS 1.1": (["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], b"Q\n", False),
            "new handshake": (["-tls1_2"], b"R\n", False),
        }
        for name, (arguments, typed, works) in cases.items():
            command = [
                *("openssl", "s_client", "-starttls", "imap", "-verify_return_error"),
                *("-connect", f"127.0.0.1:{self.server.port}"),
                *("-CAfile", str(self.server.ca), *arguments),
            ]
            with subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            ) as process:
                self.addCleanup(process.kill)
                assert process.stdin is not None
                time.sleep(0.7)  # it reads letters only when the handshake is over
                output, _ = process.communicate(typed, timeout=20)
            if name == "new handshake":
                self.assertIn(b"RENEGOTIATING", output)
                self.assertIn(b"no renegotiation", output)
            else:
                self.assertEqual(process.returncode == 0, works, f"{name}: {output!r}")


class ProxiedPolicyTests(unittest.TestCase):
    """Cleartext logins on loopback: of the client's address, not of the proxy's."""

    def test_cleartext_follows_the_client(self) -> None:
        if PEER_UNDER_TEST:
            self.skipTest("a test of ours alone")
        root = self.enterContext(temporary_folder())
        (port,) = free_ports(1)
        listen = f"--imap=haproxy:tcp:{port}:interface=127.0.0.1"
        addresses = {
            b"TCP4 192.0.2.1 192.0.2.2": False,
            b"TCP4 127.0.0.1 127.0.0.1": True,
            b"TCP6 ::1 ::1": True,
            b"TCP6 2001:db8::1 ::1": False,
            b"TCP6 ::ffff:192.0.2.1 ::1": False,
            b"TCP6 ::ffff:127.0.0.1 ::1": True,
        }

        async def every() -> None:
            for address, near in addresses.items():
                header = b"PROXY " + address + b" 4000 143\r\n"
                wire = await Wire.connect(port, header)
                self.assertEqual(b"LOGINDISABLED" in wire.plain, not near, address)
                self.assertEqual(b"AUTH=PLAIN" in wire.plain, near, address)
                await wire.send(b"x LOGIN user1 secret\r\n")
                await wire.until(b"\r\nx ")
                self.assertEqual(b"\r\nx OK" in wire.plain, near, address)
                wire.close()

        with ImapdServer(root, options=(listen,)) as server:
            asyncio.run(every())
            self.assertEqual(server.complaints(), [])


def _client_hello(context: ssl.SSLContext) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("a handshake with nobody")
