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
from collections.abc import Iterator
from typing import ClassVar

from tests.live.injections import (
    INITIAL,
    Judge,
    Variant,
    clean_variants,
    judge_clean,
    judge_taken,
    run_all,
    taken_variants,
)
from tests.live.peers import (
    PASSWORD,
    PEER_UNDER_TEST,
    USERS,
    ImapdServer,
    temporary_folder,
)
from tests.live.process import free_ports
from tests.live.starttls import Wire, client_context

DEADLINE_SECONDS = 10
HANDSHAKE_SECONDS = 5


class StarttlsTests(unittest.TestCase):
    """The real twistd: cleartext logins never, so that no variant may log in."""

    # Hardening: A14.

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
        self.assertNotIn(INITIAL.decode(), self.server.log())

    def run_all(
        self,
        variants: list[Variant],
        judge: Judge,
        *,
        port: int | None = None,
        header: bytes = b"",
    ) -> None:
        """Run them side by side; the first few that fail are told by name."""
        running = run_all(variants, judge, port or self.server.port, header)
        failed = asyncio.run(running)
        self.assertEqual(failed[:5], [], f"{len(failed)} of {len(variants)}")

    async def judge_taken(self, wire: Wire, variant: Variant) -> None:
        begun = await judge_taken(wire, self.context)
        self.begun += begun  # not in one line: others count meanwhile

    async def judge_clean(self, wire: Wire, variant: Variant) -> None:
        await judge_clean(wire, self.context, next(self.users))

    def test_octets_after_it(self) -> None:
        # Hardening: X1.
        variants = list(taken_variants())
        self.assertGreaterEqual(len(variants), 400)
        self.begun = 0
        self.run_all(variants, self.judge_taken)
        # Both ends of it were tried: closed at once, and no TLS from what followed.
        self.assertGreater(self.begun, 50)
        self.assertGreater(len(variants) - self.begun, 100)

    def test_octets_before_it(self) -> None:
        # Hardening: P02.
        variants = list(clean_variants())
        self.assertGreaterEqual(len(variants), 100)
        self.run_all(variants, self.judge_clean)

    def test_behind_a_proxy(self) -> None:
        """The address is the client's, STARTTLS works, and is TLS afterwards."""
        header = b"PROXY TCP4 192.0.2.1 192.0.2.2 4000 143\r\n"
        self.begun = 0
        taken = [each for each in taken_variants() if each.name.startswith("upper")]
        self.run_all(taken, self.judge_taken, port=self.proxied, header=header)
        clean = [each for each in clean_variants() if " then upper" in each.name]
        self.run_all(clean, self.judge_clean, port=self.proxied, header=header)
        self.assertIn(" mechanism=LOGIN peer=192.0.2.1 tls=yes", self.server.log())

    def test_the_deadline_in_mid_handshake(self) -> None:
        """Not a word in the clear, however far the handshake had come."""
        # Hardening: P02.

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
        # Hardening: P04, P25.
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


class HandshakeTests(unittest.TestCase):
    """The real twistd, whose clients do not come to an end with TLS, or do."""

    def test_the_deadline(self) -> None:
        # Hardening: P21.
        if PEER_UNDER_TEST:
            self.skipTest("a test of ours alone")
        root = self.enterContext(temporary_folder())
        (proxied,) = free_ports(1)
        config = root / "imapd.toml"
        config.write_text(
            f"[limits]\nhandshake_seconds = {HANDSHAKE_SECONDS}\n"
            f"preauth_seconds = {DEADLINE_SECONDS}\n"
        )
        listen = f"--imap=haproxy:tcp:{proxied}:interface=127.0.0.1"
        server = ImapdServer(root, options=(f"--config={config}", listen))
        self.enterContext(server)
        context = client_context(server.ca)
        hello = _client_hello(context)
        header = b"PROXY TCP4 192.0.2.1 192.0.2.2 4000 143\r\n"

        async def incomplete(octets: bytes, *, starttls: bool) -> float:
            if starttls:
                wire = await Wire.connect(server.port)
                await wire.send(b"a STARTTLS\r\n")
                await wire.until(b"now\r\n")
            else:
                wire = Wire(
                    *await asyncio.open_connection("127.0.0.1", server.tls_port)
                )
            began = time.monotonic()
            await wire.send(octets)
            await wire.rest(DEADLINE_SECONDS + 8)
            self.assertTrue(wire.ended, "still open")
            wire.close()
            return time.monotonic() - began

        async def complete(port: int, header: bytes) -> float:
            began = time.monotonic()
            wire = await Wire.connect(port, header)
            await wire.send(b"a STARTTLS\r\n")
            await wire.until(b"now\r\n")
            self.assertTrue(await wire.handshake(context))
            await wire.rest(DEADLINE_SECONDS + 8)
            wire.close()
            return time.monotonic() - began

        async def every() -> tuple[list[float], list[float]]:
            first = [
                incomplete(octets, starttls=starttls)
                for octets in (b"", hello[: len(hello) // 2])
                for starttls in (False, True)
            ]
            second = [complete(server.port, b""), complete(proxied, header)]
            return await asyncio.gather(asyncio.gather(*first), asyncio.gather(*second))

        gone, left_alone = asyncio.run(every())
        self.assertGreater(min(gone), HANDSHAKE_SECONDS - 0.5)
        self.assertLess(max(gone), HANDSHAKE_SECONDS + 3)
        self.assertGreater(min(left_alone), DEADLINE_SECONDS - 0.5)
        self.assertEqual(server.complaints(), [])


class ProxiedPolicyTests(unittest.TestCase):
    """Cleartext logins on loopback: of the client's address, not of the proxy's."""

    def test_cleartext_follows_the_client(self) -> None:
        # Hardening: P05.
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
