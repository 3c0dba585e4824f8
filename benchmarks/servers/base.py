"""What the servers have in common: a port, users with one password, a process tree."""

import abc
import contextlib
import itertools
import re
from pathlib import Path
from typing import ClassVar, Self

from benchmarks.client import Connection, Door
from benchmarks.crowd import Script
from benchmarks.processes import ProcessTree
from tests.live.process import Authority, Child, start_on_free_ports

PASSWORD = "secret"  # noqa: S105 - of mail that is made here
USERS = tuple(f"user{number}" for number in range(1, 1001))


class Server(abc.ABC):
    """A server over ``mail/{user}/Maildir``; it runs inside ``with``."""

    name: ClassVar[str]
    #: Whether it speaks TLS and asks for passwords itself.
    has_logins: ClassVar[bool] = True
    #: Whether it differs from another only where many clients are served at once.
    only_crowds: ClassVar[bool] = False

    def __init__(self, folder: Path, mail: Path, options: tuple[str, ...] = ()) -> None:
        """Prepare only.  The path of ``folder`` must be short enough for sockets."""
        self.folder, self.mail, self.options = folder, mail, options
        for one in (folder, mail):
            one.mkdir(parents=True)
        self.log_file = folder / "log"
        self.users = folder / "users"
        lines = [f"{user}:{{PLAIN}}{PASSWORD}::::::\n" for user in USERS]
        self.users.write_text("".join(lines))
        self.users.chmod(0o600)
        self.authority = Authority(folder / "pki")
        self.port = self.tls_port = 0
        self.capabilities: frozenset[str] = frozenset()
        self._prefix = ""
        self._child: Child | None = None
        # A server that bounds connections by address sees many, as it would in use.
        self._sources = itertools.cycle(
            f"127.0.{number // 200}.{number % 200 + 1}" for number in range(1000)
        )

    @classmethod
    @abc.abstractmethod
    def missing(cls) -> str | None:
        """Why it cannot run here, or None when it can."""

    @abc.abstractmethod
    def launch(self, plain: int, implicit: int) -> Child:
        """Start it on these ports, without waiting."""

    def __enter__(self) -> Self:
        self._child, self.port, self.tls_port = start_on_free_ports(self.launch)
        self.tree = ProcessTree(self._child.process.pid)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._child:
            self._child.stop()
            self._child = None

    @property
    def running(self) -> bool:
        """Whether it was started, and has not ended."""
        return self._child is not None and self._child.running()

    def last_words(self) -> str:
        """The last line of its log, "" if there is none."""
        with contextlib.suppress(OSError):
            lines = self.log_file.read_text(errors="replace").split("\n")
            return next((line for line in reversed(lines) if line.strip()), "")
        return ""

    def restart(self) -> None:
        """Start it anew, on other ports: nothing is left in its memory."""
        self.__exit__()
        self.__enter__()

    def maildir(self, user: str) -> Path:
        """Where the mail of a user is."""
        return self.mail / user / "Maildir"

    def door(self, user: str, *, tls: bool = False, receive_octets: int = 0) -> Door:
        """How to connect as ``user``; each time from another address."""
        port = self.tls_port if tls else self.port
        return Door(port, tls, self._opening(user), next(self._sources), receive_octets)

    def _opening(self, user: str) -> bytes:
        return b""

    def connect(
        self, user: str, *, tls: bool = False, receive_octets: int = 0
    ) -> Connection:
        """Return a connection that is logged in."""
        door = self.door(user, tls=tls, receive_octets=receive_octets)
        connection = Connection(door)
        if self.has_logins:
            connection.login(user, PASSWORD)
        return connection

    def login_steps(self, user: str) -> Script:
        """The same for a crowd: ``yield from`` it."""
        if self.has_logins:
            yield b"LOGIN %s %s" % (user.encode(), PASSWORD.encode())

    def probe(self, user: str) -> None:
        """Learn what it can do, and how it names folders."""
        connection = self.connect(user)
        answer = connection.ask(b"CAPABILITY").decode("latin-1").upper()
        found = re.search(r"(?m)^\* CAPABILITY (.*?)\r", answer)
        self.capabilities = frozenset(found[1].split() if found else ())
        if "NAMESPACE" in self.capabilities:
            personal = re.search(
                rb'\* NAMESPACE \(\("([^"]*)"', connection.ask(b"NAMESPACE")
            )
            self._prefix = personal[1].decode() if personal else ""
        connection.logout()

    def mailbox(self, name: str) -> bytes:
        """Return the name of a folder, as this server has it."""
        return f"{self._prefix}{name}".encode()
