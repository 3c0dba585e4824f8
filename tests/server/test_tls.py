"""The TLS baseline: what is accepted, what is refused, and the reload."""

import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from unittest import mock

from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import TestCase

from imapd.server import outlet, tlsmemory
from imapd.server.tls import TlsContext
from tests.support.certificates import Authority, certificate_pem, key_pem, make_key

AUTHORITY = Authority()

#: The name of the curve P-256, as certificates have it.
_P256 = bytes.fromhex("06082a8648ce3d030107")


class _Folder(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.cert = self.folder / "cert.pem"
        self.key = self.folder / "key.pem"
        self.certificate = AUTHORITY.write(self.folder)
        self.events: list[LogEvent] = []
        observer = cast(ILogObserver, self.events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)


class LoadTests(_Folder):
    def _make_folder_of_the_certificate(self) -> None:
        self.cert.unlink()
        self.cert.mkdir()

    def _write(self, key: ec.EllipticCurvePrivateKey) -> None:
        self.cert.write_bytes(certificate_pem(AUTHORITY.issue(key)))
        self.key.write_bytes(key_pem(key))

    def _spoil(self, point: Callable[[bytes], bytes], curve: bytes = b"\x07") -> None:
        """Write a certificate of which the key was made something else."""
        key = ec.generate_private_key(ec.SECP256R1())
        self._write(key)
        der = AUTHORITY.issue(key).public_bytes(Encoding.DER)
        known = key.public_key().public_bytes(
            Encoding.X962, PublicFormat.UncompressedPoint
        )
        self.assertEqual((der.count(known), der.count(_P256)), (1, 1))
        der = der.replace(known, point(known)).replace(_P256, _P256[:-1] + curve)
        self.cert.write_text(ssl.DER_cert_to_PEM_cert(der))

    def test_every_bad_file_is_named_with_its_reason(self) -> None:
        # Hardening: A10.
        other = make_key()
        leaf = AUTHORITY.issue(other)
        weak = rsa.generate_private_key(65537, 1024)
        cases: dict[str, tuple[Callable[[], Any], str, str]] = {
            "no certificate file": (self.cert.unlink, "cert.pem", "No such file"),
            "certificate is a folder": (
                self._make_folder_of_the_certificate,
                "cert.pem",
                "cannot be read",
            ),
            "certificate is not PEM": (
                lambda: self.cert.write_bytes(b"\x30\x82rubbish"),
                "cert.pem",
                "no PEM certificate",
            ),
            "certificate is empty": (
                lambda: self.cert.write_bytes(b""),
                "cert.pem",
                "no PEM certificate",
            ),
            "certificate is half": (
                lambda: self.cert.write_bytes(self.cert.read_bytes()[:300]),
                "cert.pem",
                "no PEM certificate",
            ),
            "no key file": (self.key.unlink, "key.pem", "No such file"),
            "key is not PEM": (
                lambda: self.key.write_bytes(b"rubbish"),
                "key.pem",
                "no PEM private key",
            ),
            "key is of another certificate": (
                lambda: self.key.write_bytes(key_pem(other)),
                "cert.pem",
                "does not belong",
            ),
            "chain before the certificate": (
                lambda: (
                    self.cert.write_bytes(
                        certificate_pem(AUTHORITY.certificate) + certificate_pem(leaf)
                    ),
                    self.key.write_bytes(key_pem(other)),
                ),
                "cert.pem",
                "not the first one",
            ),
            "key is encrypted": (
                lambda: self.key.write_bytes(key_pem(other, b"secret")),
                "key.pem",
                "encrypted",
            ),
            "RSA key is short": (
                lambda: self.key.write_bytes(key_pem(weak)),
                "key.pem",
                "at least 2048",
            ),
            "DSA key": (
                lambda: self.key.write_bytes(
                    key_pem(dsa.generate_private_key(2048))  # type: ignore[arg-type]
                ),
                "key.pem",
                "neither RSA",
            ),
            "key is too small for OpenSSL": (
                lambda: self._write(ec.generate_private_key(ec.SECP192R1())),
                "cert.pem",
                "ee key too small",
            ),
            "no point of its curve": (
                lambda: self._spoil(lambda der: der[:5] + b"\xff" + der[6:]),
                "cert.pem",
                "public key cannot be used",
            ),
            "a curve that nobody knows": (
                lambda: self._spoil(lambda der: der, curve=b"\x77"),
                "cert.pem",
                "public key cannot be used",
            ),
        }
        for name, (spoil, file, reason) in cases.items():
            if self.cert.is_dir():
                self.cert.rmdir()
            AUTHORITY.write(self.folder)
            spoil()
            with self.assertRaises(ValueError, msg=name) as caught:
                TlsContext(self.cert, self.key).load()
            self.assertIn(file, str(caught.exception), name)
            self.assertIn(reason, str(caught.exception), name)

    def test_a_key_may_be_in_the_file_of_the_certificate(self) -> None:
        self.cert.write_bytes(self.cert.read_bytes() + self.key.read_bytes())
        context = TlsContext(self.cert)
        context.load()
        self.assertEqual(context.serial, f"{self.certificate.serial_number:x}")

    def test_an_expired_certificate_is_served_with_a_warning(self) -> None:
        AUTHORITY.write(self.folder, days=-1)
        TlsContext(self.cert, self.key).load()
        self.assertIn("expired", [e["log_format"] for e in self.events][-1])

    def test_a_certificate_of_tomorrow_is_served_with_a_warning(self) -> None:
        """It may be our clock that is wrong; clients judge by theirs."""
        with mock.patch("imapd.server.tls.datetime") as clock:
            clock.now.return_value = datetime.now(UTC) - timedelta(days=61)
            context = TlsContext(self.cert, self.key)
            context.load()
        self.assertIn("not valid before", [e["log_format"] for e in self.events][-1])
        self.assertEqual(context.serial, f"{self.certificate.serial_number:x}")

    def test_a_bad_reload_keeps_the_old_one_and_says_why(self) -> None:
        # Hardening: A11.
        context = TlsContext(self.cert, self.key)
        context.load()
        before = context.getContext()
        AUTHORITY.write(self.folder)
        self.key.unlink()
        self.assertFalse(context.reload())
        self.assertIs(context.getContext(), before)
        self.assertIn("key.pem", self.events[-1]["reason"])
        self._write(ec.generate_private_key(ec.SECP192R1()))
        self.assertFalse(context.reload(), "what OpenSSL refuses")
        self.assertIs(context.getContext(), before)
        self.assertIn("cert.pem", self.events[-1]["reason"])
        AUTHORITY.write(self.folder)
        self.assertTrue(context.reload())
        self.assertIsNot(context.getContext(), before)

    def test_what_another_process_has_read(self) -> None:
        theirs = TlsContext(self.cert, self.key)
        theirs.load()
        ours = TlsContext(self.cert, self.key)
        self.cert.unlink()
        self.key.unlink()
        ours.use(*theirs.pem)
        self.assertEqual(ours.serial, theirs.serial)
        before = ours.getContext()
        with self.assertRaises(ValueError):
            ours.use(theirs.pem[0], b"no key")
        self.assertIs(ours.getContext(), before)
        self.assertEqual(ours.pem, theirs.pem)


class _Greeter(Protocol):
    """Greets, and sends back what it gets."""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"* OK\r\n")

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)


class ServeTests(TestCase):
    """Real handshakes on a port of 127.0.0.1, clients in threads."""

    timeout = 60

    def setUp(self) -> Any:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.certificate = AUTHORITY.write(self.folder)
        self.context = TlsContext(self.folder / "cert.pem", self.folder / "key.pem")
        self.context.load()
        factory = self.context.wrap(Factory.forProtocol(_Greeter))
        self.port: Any = cast(Any, reactor).listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)

    def client(self, **settings: Any) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        if alpn := settings.get("alpn"):
            context.set_alpn_protocols(alpn)
        if "ciphers" in settings:
            context.set_ciphers(settings["ciphers"])
        if "most" in settings:
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = settings["most"]
        return context

    def connect(self, context: ssl.SSLContext) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.port.getHost().port), 10)
        try:
            return context.wrap_socket(plain, server_hostname="localhost")
        except BaseException:
            plain.close()
            raise

    def test_what_is_negotiated(self) -> Deferred[None]:
        """Version, cipher and ALPN for each kind of client; or how it fails."""
        # Hardening: P04, A10.
        v12 = ssl.TLSVersion.TLSv1_2
        cases: dict[str, tuple[dict[str, Any], str]] = {
            "modern": ({}, "TLSv1.3 None"),
            "imap": ({"alpn": ["imap"]}, "TLSv1.3 imap"),
            "imap among others": ({"alpn": ["h2", "imap"]}, "TLSv1.3 imap"),
            "imap, TLS 1.2": ({"alpn": ["imap"], "most": v12}, "TLSv1.2 imap"),
            "http": ({"alpn": ["http/1.1"]}, "no application protocol"),
            "http, TLS 1.2": (
                {"alpn": ["h2", "http/1.1"], "most": v12},
                "no application protocol",
            ),
            "TLS 1.1": (
                {"most": ssl.TLSVersion.TLSv1_1, "ciphers": "ALL:@SECLEVEL=0"},
                "alert",
            ),
            "CBC": ({"most": v12, "ciphers": "ECDHE+AES+SHA"}, "handshake failure"),
            "no forward secrecy": (
                {"most": v12, "ciphers": "AES128-GCM-SHA256"},
                "handshake failure",
            ),
            "finite field": ({"most": v12, "ciphers": "DHE+AESGCM"}, "failure"),
            "ChaCha": ({"most": v12, "ciphers": "ECDHE+CHACHA20"}, "TLSv1.2 None"),
        }

        def attempt(settings: dict[str, Any]) -> str:
            try:
                with self.connect(self.client(**settings)) as tls:
                    tls.recv(6)
                    return f"{tls.version()} {tls.selected_alpn_protocol()}"
            except ssl.SSLError as error:
                return str(error).lower().replace("_", " ")

        def every() -> None:
            for name, (settings, expected) in cases.items():
                self.assertIn(expected, attempt(settings), name)

        return deferToThread(every)

    def test_buffers_that_grew_are_given_back_once(self) -> Deferred[None]:
        # Hardening: X10.
        given: list[object] = []
        self.patch(tlsmemory, "give_back", given.append)

        def talk(*sizes: int) -> Deferred[None]:
            def echo(tls: ssl.SSLSocket, octets: int) -> None:
                tls.sendall(b"x" * octets)
                while octets > 0:
                    octets -= len(tls.recv(octets))

            def each() -> None:
                with self.connect(self.client()) as tls:
                    tls.recv(6)
                    for size in sizes:
                        echo(tls, size)

            return deferToThread(each)

        def small(_: None) -> Deferred[None]:
            # What the handshake left behind, and then nothing more.
            self.assertEqual(len(given), 1)
            return talk(1, 50_000, 1, 1)

        def large(_: None) -> None:
            self.assertGreaterEqual(len(given) - 1, 2)

        return talk(1, 1, 1, 1).addCallback(small).addCallback(large)

    def test_last_words_and_the_end_go_together(self) -> Deferred[None]:
        """A word and ``close_notify`` in one piece; nothing of it is lost."""
        pieces: list[bytes] = []
        write = outlet.write

        def note(transport: Any, octets: bytes) -> None:
            pieces.append(octets)
            write(transport, octets)

        self.patch(outlet, "write", note)

        def end(protocol: Any) -> None:
            pieces.clear()
            with outlet.together(protocol.transport):
                protocol.transport.write(b"end")
                outlet.close(protocol.transport)

        def hear() -> None:
            with self.connect(self.client()) as tls:
                tls.recv(6)
                tls.sendall(b"x")
                self.assertEqual(tls.recv(6), b"end")
                self.assertEqual(tls.recv(6), b"")  # no error: it was said in TLS

        self.patch(_Greeter, "dataReceived", lambda protocol, octets: end(protocol))
        heard = deferToThread(hear)
        return heard.addCallback(lambda _: self.assertEqual(len(pieces), 1))

    def test_last_words_are_heard_however_much_came_before_them(
        self,
    ) -> Deferred[None]:
        """What is gathered makes more records than are taken at once."""
        answer = b"x" * (tlsmemory.TAKEN_OCTETS - 8)

        def end(protocol: Any) -> None:
            with outlet.together(protocol.transport):
                protocol.transport.write(answer)
                protocol.transport.write(b"end")
                outlet.close(protocol.transport)

        def hear() -> None:
            with self.connect(self.client()) as tls:
                tls.recv(6)
                tls.settimeout(10)
                tls.sendall(b"x")
                heard = b""
                while piece := tls.recv(65536):
                    heard += piece
                self.assertEqual(heard, answer + b"end")

        def later(protocol: Any, octets: bytes) -> None:
            cast(Any, reactor).callLater(0, end, protocol)

        self.patch(_Greeter, "dataReceived", later)
        return deferToThread(hear)

    def test_no_session_is_resumed(self) -> Deferred[None]:
        # Hardening: X10, A10.
        def twice() -> None:
            for most in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                context = self.client(most=most)
                session = None
                for _ in range(2):
                    plain = socket.create_connection(
                        ("127.0.0.1", self.port.getHost().port), 10
                    )
                    with context.wrap_socket(
                        plain, server_hostname="localhost", session=session
                    ) as tls:
                        tls.recv(6)
                        self.assertFalse(tls.session_reused, most)
                        session = tls.session

        return deferToThread(twice)

    def test_a_reload_reaches_new_sessions_and_leaves_the_old(self) -> Deferred[None]:
        # Hardening: A11.
        done = threading.Event()

        def reload() -> None:
            self.certificate = AUTHORITY.write(self.folder)
            self.assertTrue(self.context.reload())
            done.set()

        def serial(tls: ssl.SSLSocket) -> int:
            peer = tls.getpeercert()
            assert peer is not None
            return int(str(peer["serialNumber"]), 16)

        def sessions() -> None:
            with self.connect(self.client()) as old:
                old.recv(6)
                self.assertEqual(serial(old), self.certificate.serial_number)
                reactor.callFromThread(reload)  # type: ignore[attr-defined]
                self.assertTrue(done.wait(10))
                with self.connect(self.client()) as new:
                    self.assertEqual(serial(new), self.certificate.serial_number)
                    self.assertNotEqual(serial(old), serial(new))
                old.sendall(b"a NOOP\r\n")
                self.assertEqual(old.recv(8), b"a NOOP\r\n")

        return deferToThread(sessions)

    @unittest.skipUnless(shutil.which("openssl"), "no openssl command")
    def test_openssl_agrees(self) -> Deferred[None]:
        # Hardening: P04, A10.
        cases = {
            "chain verifies": (["-alpn", "imap"], True),
            "none offered": ([], True),
            "TLS 1.2": (["-tls1_2"], True),
            "TLS 1.1": (["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], False),
            "TLS 1.0": (["-tls1", "-cipher", "ALL:@SECLEVEL=0"], False),
            "another ALPN": (["-alpn", "http/1.1"], False),
            "kRSA": (["-tls1_2", "-cipher", "kRSA"], False),
            "CBC": (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"], False),
            "anonymous": (["-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"], False),
        }

        def every() -> None:
            for name, (arguments, works) in cases.items():
                done = subprocess.run(
                    [
                        *("openssl", "s_client", "-connect"),
                        f"127.0.0.1:{self.port.getHost().port}",
                        *("-CAfile", str(self.folder / "ca.pem")),
                        *("-verify_return_error", *arguments),
                    ],
                    input=b"Q\n",
                    capture_output=True,
                    timeout=20,
                    check=False,
                )
                self.assertEqual(done.returncode == 0, works, f"{name}: {done}")

        return deferToThread(every)


if __name__ == "__main__":
    unittest.main()
