"""How client programs are run: with a home of their own, for a short time."""

import os
import signal
import subprocess
import unittest
from pathlib import Path
from typing import ClassVar

from tests.live import mail
from tests.live.base import PASSWORD, PortServer
from tests.live.client import Client
from tests.live.peers import (
    PEER_UNDER_TEST,
    DovecotServer,
    ImapdServer,
    temporary_folder,
)

CLIENT_SECONDS = 30


class ClientTests(unittest.TestCase):
    """One server for all tests of a class, and an account for each of them."""

    server: ClassVar[PortServer]
    _accounts: ClassVar[int]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        root = cls.enterClassContext(temporary_folder())
        made = DovecotServer(root) if PEER_UNDER_TEST else ImapdServer(root)
        cls.server = cls.enterClassContext(made)
        cls._accounts = 0

    def setUp(self) -> None:
        super().setUp()
        type(self)._accounts += 1
        self.user = f"user{self._accounts}"
        self.home = self.enterContext(temporary_folder())

    def connect(self) -> Client:
        """A second pair of eyes."""
        return self.server.connect(self.user)

    def fill(self, count: int, folder: str = "INBOX") -> None:
        with self.connect() as client:
            if folder != "INBOX":
                client.command(b"CREATE " + client.wire_name(folder))
            for number in range(count):
                octets = mail.message(number, tag=folder)
                client.append(folder, octets, mail.flags(number)[:2], mail.date(number))

    def run_client(
        self, *command: str, statuses: tuple[int, ...] = (0,), stdin: bytes = b""
    ) -> str:
        """Run a program to its end; what it said, both streams together.

        Raises:
            AssertionError: it took too long or ended with another status; with what
                it and the server said.
        """
        environment = {
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "TMPDIR": str(self.home),
        }
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.home,
            env=environment,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(stdin, CLIENT_SECONDS)
            ended = "" if process.returncode in statuses else "failed"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            ended = f"took more than {CLIENT_SECONDS} s"
        said = output.decode("utf-8", "replace")
        if ended:
            log = self.server.log()[-4000:]
            self.fail(f"{command} {ended}:\n{said}\n--- log of the server ---\n{log}")
        return said

    def write(self, name: str, text: str) -> str:
        """A configuration file that only we can read; its path."""
        path = self.home / name
        path.touch(mode=0o600)
        path.write_text(
            text.format(
                home=self.home,
                user=self.user,
                password=PASSWORD,
                ca=self.server.ca,
                port=self.server.port,
                tls_port=self.server.tls_port,
            )
        )
        return str(path)


def messages(maildir: Path) -> list[Path]:
    """The message files of one local Maildir folder, by name."""
    found = [*maildir.glob("cur/*"), *maildir.glob("new/*")]
    return sorted(found, key=lambda path: path.name)


def make_maildir(path: Path) -> Path:
    for name in ("cur", "new", "tmp"):
        (path / name).mkdir(parents=True)
    return path
