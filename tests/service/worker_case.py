"""A real ``twistd imapd --workers`` and clients of it."""

import contextlib
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest
from collections.abc import Callable
from pathlib import Path

from cryptography import x509

from tests.support.certificates import Authority

CHECKOUT = Path(__file__).resolve().parents[2]
AUTHORITY = Authority()
SECONDS = 60.0


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Wait until something is so.

    Raises:
        AssertionError: it never is.
    """
    end = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"never: {what}")
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for is none."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


class Client:
    """One connection; answers are octets up to the tagged line."""

    def __init__(self, sock: socket.socket, *, greeted: bool = True) -> None:
        self.sock = sock
        self.rest = b""
        sock.settimeout(SECONDS)
        self.greeting = self.line() if greeted else b""

    def line(self) -> bytes:
        """One line; what there was, if the server closes."""
        while b"\n" not in self.rest:
            try:
                octets = self.sock.recv(65536)
            except (ssl.SSLError, ConnectionResetError):
                octets = b""
            if not octets:
                rest, self.rest = self.rest, b""
                return rest
            self.rest += octets
        line, _, self.rest = self.rest.partition(b"\n")
        return line + b"\n"

    def until(self, pattern: bytes) -> bytes:
        """All lines up to the first that matches."""
        received = b""
        while line := self.line():
            received += line
            if re.search(pattern, line):
                return received
        raise AssertionError(f"no {pattern!r} in {received!r}")

    def send(self, octets: bytes) -> None:
        self.sock.sendall(octets)

    def command(self, text: bytes, otherwise: bytes | None = None) -> bytes:
        """Send a command, without its tag, and return the whole answer.

        ``otherwise`` comes back if the connection is no more.
        """
        try:
            self.send(b"t " + text + b"\r\n")
            return self.until(rb"^t ")
        except (ConnectionError, AssertionError):
            if otherwise is None:
                raise
            return otherwise

    def idle(self) -> None:
        self.send(b"i IDLE\r\n")
        self.until(rb"^\+ ")

    def close(self) -> None:
        self.sock.close()


class WorkerCase(unittest.TestCase):
    """One server for all tests of a class; ``options`` are its own."""

    options: tuple[str, ...] = ()
    before: tuple[str, ...] = ()  # options of twistd
    folder: Path
    port: int
    tls_port: int
    certificate: x509.Certificate
    process: "subprocess.Popen[bytes]"

    @classmethod
    def setUpClass(cls) -> None:
        cls.make_folder()
        cls.start_server()

    @classmethod
    def make_folder(cls) -> None:
        cls.folder = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.certificate = AUTHORITY.write(cls.folder)
        (cls.folder / "mail").mkdir()

    @classmethod
    def start_server(cls) -> None:
        with contextlib.ExitStack() as stack:
            ports = [
                stack.enter_context(socket.create_server(("127.0.0.1", 0)))
                for _ in range(2)
            ]
            cls.port, cls.tls_port = (each.getsockname()[1] for each in ports)
        log = open(cls.folder / "log", "ab")  # noqa: SIM115 - the child's
        with log:
            cls.process = subprocess.Popen(
                [
                    *(sys.executable, "-c"),
                    "from twisted.scripts.twistd import run; run()",
                    *("--nodaemon", "--pidfile=", *cls.before),
                    *cls.arguments(),
                ],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": f"{CHECKOUT}:{cls.folder}/site"},
                cwd=cls.folder,
            )
        cls.addClassCleanup(cls.kill)
        wait_for(
            lambda: cls.process.poll() is not None or len(cls.serving()) == 2,
            "both workers serve",
        )
        assert cls.process.poll() is None, cls.log()

    @classmethod
    def arguments(cls) -> list[str]:
        local = "interface=127.0.0.1"
        return [
            *("imapd", "--workers=2", "--allow-root=yes"),
            f"--mail={cls.folder}/mail/{{user}}",
            "--auth=memory:alice:wonderland:bob:builder",
            f"--certificate={cls.folder}/cert.pem",
            f"--key={cls.folder}/key.pem",
            "--cleartext-login=always",
            f"--imap=haproxy:tcp:{cls.port}:{local}",
            f"--imaps=tcp:{cls.tls_port}:{local}",
            f"--imap=unix:{cls.folder}/socket:mode=640",
            *cls.options,
        ]

    @classmethod
    def kill(cls) -> None:
        cls.process.kill()
        cls.process.wait()

    @classmethod
    def log(cls) -> str:
        return (cls.folder / "log").read_text("utf-8", "replace")

    @classmethod
    def serving(cls) -> dict[int, int]:
        """The process of each worker, as the log has it."""
        found = re.findall(r"worker (\d+) serves pid=(\d+)", cls.log())
        return {int(number): int(pid) for number, pid in found}

    def stop(self, number: signal.Signals = signal.SIGTERM) -> str:
        """End the master; nobody of its workers is left.  Returns the log."""
        pids = self.serving().values()
        self.process.send_signal(number)
        self.process.wait(SECONDS)
        wait_for(lambda: not any(map(is_alive, pids)), "all workers are gone")
        return self.log()

    def connect(self, peer: str = "127.0.0.1") -> Client:
        """A client behind the proxy, from wherever it says."""
        sock = socket.create_connection(("127.0.0.1", self.port), SECONDS)
        self.addCleanup(sock.close)
        sock.sendall(f"PROXY TCP4 {peer} 192.0.2.254 4000 143\r\n".encode())
        return Client(sock)

    def connect_tls(self) -> Client:
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        plain = socket.create_connection(("127.0.0.1", self.tls_port), SECONDS)
        tls = context.wrap_socket(plain, server_hostname="localhost")
        self.addCleanup(tls.close)
        return Client(tls)

    def logged_in(
        self, user: str = "alice", peer: str = "127.0.0.1"
    ) -> tuple[Client, int]:
        """A client that has logged in, and the number of its worker."""
        pattern = rf"login ok user='{user}' .*peer={re.escape(peer)} .*worker=(\d+)"
        before = len(re.findall(pattern, self.log()))
        client = self.connect(peer)
        word = {"alice": "wonderland", "bob": "builder"}[user]
        answer = client.command(f"LOGIN {user} {word}".encode())
        self.assertIn(b"t OK", answer)
        wait_for(
            lambda: len(re.findall(pattern, self.log())) > before, "the login is logged"
        )
        return client, int(re.findall(pattern, self.log())[-1])

    def on_both_workers(self, user: str = "alice") -> tuple[Client, Client]:
        """A client of the one worker, and a client of the other."""
        found: dict[int, Client] = {}
        for _ in range(100):
            client, number = self.logged_in(user)
            if number in found:
                client.command(b"LOGOUT")
                client.close()
            found.setdefault(number, client)
            if len(found) == 2:
                return found[1], found[2]
        raise AssertionError("one worker has all the clients")
