"""The real ``twistd imapd`` in processes of its own, from start to stop."""

import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest
from collections.abc import Iterator
from pathlib import Path

from imapd.service.table import OPTIONS
from tests.support.certificates import Authority

CHECKOUT = Path(__file__).resolve().parents[2]
TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()")
AUTHORITY = Authority()
SECONDS = 20.0


def twistd(*arguments: str, **settings: object) -> "subprocess.Popen[str]":
    """Start twistd with the checkout on its path; both outputs on one pipe."""
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    process: subprocess.Popen[str] = subprocess.Popen(
        [*TWISTD, "--nodaemon", "--pidfile=", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        **settings,  # type: ignore[call-overload]
    )
    return process


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class TwistdTests(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.certificate = AUTHORITY.write(self.folder)
        (self.folder / "mail").mkdir()
        self.port = free_port()

    def arguments(self, *more: str) -> list[str]:
        return [
            *("imapd", "--mail", f"{self.folder}/mail/{{user}}"),
            *("--auth", "memory:alice:wonderland"),
            *("--certificate", str(self.folder / "cert.pem")),
            *("--key", str(self.folder / "key.pem"), "--allow-root", "yes"),
            *more,
        ]

    def run_to_end(self, *arguments: str, code: int = 1) -> str:
        with twistd(*arguments, cwd=self.folder) as process:
            try:
                output, _ = process.communicate(timeout=SECONDS)
            finally:
                process.kill()
        self.assertEqual(process.returncode, code, output)
        return output

    @contextlib.contextmanager
    def serving(self, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        """A server that accepts connections; killed if it is still there after."""
        with twistd(*arguments, cwd=self.folder) as process:
            try:
                end = time.monotonic() + SECONDS
                while True:
                    with contextlib.suppress(OSError):
                        socket.create_connection(("127.0.0.1", self.port), 1).close()
                        break
                    if process.poll() is not None or time.monotonic() > end:
                        self.fail(process.communicate()[0])
                    time.sleep(0.05)
                yield process
            finally:
                process.kill()

    def connect(self) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        plain = socket.create_connection(("127.0.0.1", self.port), 10)
        tls = context.wrap_socket(plain, server_hostname="localhost")
        self.assertIn(b"* OK", tls.recv(1000))
        return tls

    def test_help(self) -> None:
        output = self.run_to_end("imapd", "--help", code=0)
        for option in OPTIONS:
            self.assertIn(f"--{option.key}=", output)
        self.assertIn("--help-auth", output)
        self.assertIn("passwdfile", self.run_to_end("imapd", "--help-auth", code=0))

    def test_everything_wrong_is_told_without_a_traceback(self) -> None:
        busy = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(busy.close)
        taken = f"tcp:{busy.getsockname()[1]}:interface=127.0.0.1"
        weak = self.folder / "weak.pem"
        weak.write_text("nothing")
        cases = {
            "configuration": (["imapd", "--mial=x"], "imapd: "),
            "nothing given": (["imapd"], "imapd: configuration: mail is missing"),
            "port taken": (self.arguments("--imaps", taken), f"listen on {taken}"),
            "no certificate": (
                self.arguments("--imaps=tcp:0", "--certificate", str(weak)),
                "no PEM certificate",
            ),
            "no such socket": (
                self.arguments("--imaps", "systemd:domain=INET:name=x"),
                "no socket named 'x'",
            ),
            "no password file": (
                [*self.arguments("--imaps=tcp:0"), "--auth", "passwdfile:/nowhere"],
                "auth passwdfile:/nowhere: no such file",
            ),
            "auth": (
                [*self.arguments("--imaps=tcp:0"), "--auth", "passwdfile:"],
                "passwdfile needs a path",
            ),
        }
        for name, (arguments, words) in cases.items():
            output = self.run_to_end(*arguments)
            self.assertIn(words, output.splitlines()[-1] + output, name)
            self.assertNotIn("Traceback", output, name)

    def test_root_is_refused(self) -> None:
        # Hardening: F06.
        if os.geteuid() != 0:
            self.skipTest("not root")
        arguments = self.arguments("--imaps=tcp:0:interface=127.0.0.1")
        output = self.run_to_end(*arguments, "--allow-root", "no")
        self.assertIn("--uid", output)
        self.assertNotIn("Traceback", output)

    def test_ports_and_keys_come_before_privileges_drop(self) -> None:
        # Hardening: F06, A14.
        if os.geteuid() != 0:
            self.skipTest("not root")
        (self.folder / "key.pem").chmod(0o600)
        self.folder.chmod(0o755)
        arguments = self.arguments(f"--imaps=tcp:{self.port}:interface=127.0.0.1")
        user = ("--uid", "65534", "--gid", "65534")
        with self.serving(*user, *arguments, "--allow-root", "no") as process:
            with self.connect():
                pass  # who is greeted, is so after the service has started
            status = Path(f"/proc/{process.pid}/status").read_text()
            self.assertIn("Uid:\t65534\t65534\t65534\t65534", status)
            self.assertIn("Gid:\t65534\t65534\t65534\t65534", status)
            self.assertIn("CapEff:\t0000000000000000", status)
            self.assertRegex(status, r"Groups:\t(65534)? *\n")
            self.assertIn("NoNewPrivs:\t1", status)
            self.assertIn("Umask:\t0077", status)
            limits = Path(f"/proc/{process.pid}/limits").read_text()
            self.assertRegex(limits, r"Max core file size\s+0\s+0")

    def test_hangup_reloads_and_running_sessions_stay(self) -> None:
        # Hardening: A11.
        def serial(tls: ssl.SSLSocket) -> int:
            return int(str((tls.getpeercert() or {})["serialNumber"]), 16)

        arguments = self.arguments(f"--imaps=tcp:{self.port}:interface=127.0.0.1")
        with self.serving(*arguments) as process, self.connect() as old:
            self.assertEqual(serial(old), self.certificate.serial_number)
            renewed = AUTHORITY.write(self.folder)
            process.send_signal(signal.SIGHUP)
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                with self.connect() as new:
                    if serial(new) == renewed.serial_number:
                        break
                time.sleep(0.05)
            else:
                self.fail("the new certificate was never served")
            old.sendall(b"a NOOP\r\n")
            self.assertIn(b"a OK", old.recv(1000))
            (self.folder / "key.pem").write_bytes(b"broken")
            process.send_signal(signal.SIGHUP)
            time.sleep(0.3)
            with self.connect() as new:
                self.assertEqual(serial(new), renewed.serial_number)
            old.close()
            process.terminate()
            output, _ = process.communicate(timeout=SECONDS)
            self.assertIn("certificate reloaded", output)
            self.assertIn("certificate not reloaded", output)

    def test_terminate_says_bye_and_ends_well(self) -> None:
        # Hardening: V09.
        arguments = self.arguments(f"--imaps=tcp:{self.port}:interface=127.0.0.1")
        with self.serving(*arguments) as process, self.connect() as tls:
            tls.sendall(b"a LOGIN alice wonderland\r\nb SELECT INBOX\r\n")
            received = b""
            while b"b OK" not in received:
                received += tls.recv(10_000) or self.fail(received)
            process.terminate()
            received = b""
            with contextlib.suppress(ssl.SSLError):
                while octets := tls.recv(10_000):
                    received += octets
            self.assertIn(b"* BYE", received)
            tls.close()
            output, _ = process.communicate(timeout=SECONDS)
            # twistd ends itself by the signal it got; systemd calls that clean.
            self.assertEqual(process.returncode, -signal.SIGTERM, output)
            self.assertNotIn("still busy", output)
            self.assertNotIn("Traceback", output)

    def test_who_idles_is_told(self) -> None:
        for mode, words in (
            ("inotify", "inotify tells what changes, as configured"),
            ("poll", "looked at twice a second, as configured"),
        ):
            arguments = self.arguments(
                f"--imaps=tcp:{self.port}:interface=127.0.0.1", f"--watch={mode}"
            )
            with self.serving(*arguments) as process, self.connect() as tls:
                tls.sendall(b"a LOGIN alice wonderland\r\nb SELECT INBOX\r\nc IDLE\r\n")
                self.read_until(tls, b"+ idling")
                self.deliver(mode)
                self.read_until(tls, b" EXISTS\r\n")
                tls.sendall(b"DONE\r\n")
                self.read_until(tls, b"c OK")
                process.terminate()
                output, _ = process.communicate(timeout=SECONDS)
            self.assertIn(words, output)
            self.assertNotIn("Traceback", output)

    def read_until(self, tls: ssl.SSLSocket, words: bytes) -> None:
        received = b""
        while words not in received:
            received += tls.recv(10_000) or self.fail(received)

    def deliver(self, name: str) -> None:
        """What a delivery agent does."""
        maildir = self.folder / "mail/alice"
        (maildir / "tmp" / name).write_bytes(b"Subject: x\n\nx\n")
        (maildir / "tmp" / name).rename(maildir / "new" / name)

    def test_told_twice_it_waits_for_nobody(self) -> None:
        # Hardening: V09.
        (self.folder / "mail/alice").mkdir()
        arguments = self.arguments(f"--imaps=tcp:{self.port}:interface=127.0.0.1")
        with self.serving(*arguments) as process, self.connect() as tls:
            tls.sendall(b"a LOGIN alice wonderland\r\nb SELECT INBOX\r\ni IDLE\r\n")
            received = b""
            while b"\n+ " not in received:
                received += tls.recv(10_000) or self.fail(received)
            tls.sendall(b"DONE\r\n")
            # A neighbour that lives holds the lock: the command waits for it.
            lock = self.folder / "mail/alice/dovecot-uidlist.lock"
            lock.write_text(f"{os.getpid()}:{os.uname().nodename}")
            tls.sendall(b"c APPEND INBOX {4+}\r\nx: y\r\nd NOOP\r\n")
            drafts = self.folder / "mail/alice/tmp"
            end = time.monotonic() + SECONDS
            while not any(drafts.iterdir()):
                self.assertLess(time.monotonic(), end)
                time.sleep(0.02)
            process.terminate()
            assert process.stdout is not None
            for line in process.stdout:
                if "imapd#info] stopping" in line:
                    break
            process.terminate()
            output, _ = process.communicate(timeout=SECONDS)
            self.assertIn("told twice to stop", output)
            self.assertNotIn("inotify broke", output)
            self.assertNotIn("still busy", output)

    def test_a_socket_of_systemd(self) -> None:
        """What systemd does: descriptor 3, and its name in the environment."""
        # Hardening: V10.
        for workers in ("0", "1"):
            with self.subTest(workers=workers):
                self.socket_of_systemd(f"--workers={workers}")

    def socket_of_systemd(self, *more: str) -> None:
        with socket.create_server(("127.0.0.1", self.port)) as server:
            script = (
                f"import os; os.dup2({server.fileno()}, 3); "
                "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', "
                "LISTEN_FDNAMES='imaps'); from twisted.scripts.twistd import run; run()"
            )
            arguments = self.arguments("--imaps=systemd:domain=INET:name=imaps", *more)
            process = subprocess.Popen(
                [
                    *(sys.executable, "-c", script),
                    *("--nodaemon", "--pidfile=", *arguments),
                ],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(server.fileno(),),
                env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
                cwd=self.folder,
            )
            with process:
                try:
                    with self.connect():
                        pass
                    process.terminate()
                    process.communicate(timeout=SECONDS)
                finally:
                    process.kill()

    def test_behind_haproxy(self) -> None:
        listen = f"--imap=haproxy:tcp:{self.port}:interface=127.0.0.1"
        with (
            self.serving(*self.arguments(listen)),
            socket.create_connection(("127.0.0.1", self.port), 10) as plain,
        ):
            plain.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 4000 143\r\n")
            greeting = plain.recv(1000)
            self.assertIn(b"LOGINDISABLED", greeting)
            self.assertIn(b"STARTTLS", greeting)

    def test_a_daemon_that_cannot_start_says_so(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as busy:
            taken = f"tcp:{busy.getsockname()[1]}:interface=127.0.0.1"
            done = subprocess.run(
                [
                    *TWISTD,
                    *("--pidfile", str(self.folder / "pid")),
                    *("--logfile", str(self.folder / "log")),
                    *self.arguments("--imaps", taken),
                ],
                capture_output=True,
                text=True,
                env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
                cwd=self.folder,
                timeout=SECONDS,
                check=False,
            )
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("cannot listen", done.stderr)
        self.assertFalse((self.folder / "pid").exists())
        self.assertIn("cannot start", (self.folder / "log").read_text())
