"""What the servers have in common: the same accounts over the same folders."""

import abc
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.live.client import Client
from tests.live.process import Authority, Child, start_on_free_ports

PASSWORD = "secret"
USERS = tuple(f"user{number}" for number in range(1, 21))


class LiveServer(abc.ABC):
    """A server over ``root/mail/{user}/Maildir``.

    Servers that are given the same ``root`` serve the same mail, one after the
    other or at the same time.  What each needs besides is in ``root/{label}``.
    """

    kind = "server"

    def __init__(self, root: Path, *, label: str | None = None) -> None:
        """Prepare only; it runs inside ``with``."""
        self.root = root
        self.folder = root / (label or self.kind)
        self.folder.mkdir(parents=True, exist_ok=True)
        (root / "mail").mkdir(exist_ok=True)
        self.authority = Authority(self.folder / "pki")
        self.ca = self.authority.ca
        self.users = self.folder / "users"
        self.users.write_text(
            "".join(f"{user}:{{PLAIN}}{PASSWORD}::::::\n" for user in USERS)
        )
        self.users.chmod(0o600)
        self.log_file = self.folder / "log"
        self._child: Child | None = None

    def maildir(self, user: str) -> Path:
        return self.root / "mail" / user / "Maildir"

    @abc.abstractmethod
    def start(self) -> None:
        """Start it, and return when it answers."""

    @abc.abstractmethod
    def complaints(self, *, races: bool = True) -> list[str]:
        """Lines of its log that a healthy Maildir does not cause."""

    @abc.abstractmethod
    def connect(self, user: str) -> Client:
        """A connection that is logged in."""

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()
            self._child = None

    def hand_back(self, user: str) -> None:  # noqa: B027  # mostly there is nothing to do
        """What an administrator runs before Courier takes over."""

    def log(self) -> str:
        return (
            self.log_file.read_text(errors="replace") if self.log_file.exists() else ""
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        if error is not None:
            error.add_note(f"--- log of {self.folder.name} ---\n{self.log()[-6000:]}")


class PortServer(LiveServer):
    """A server on two loopback ports: ``port`` (STARTTLS) and ``tls_port``."""

    port = tls_port = 0

    def start(self) -> None:
        self._child, self.port, self.tls_port = start_on_free_ports(self.launch)

    @abc.abstractmethod
    def launch(self, plain: int, implicit: int) -> Child:
        """Start it on these ports, without waiting."""

    def connect(self, user: str) -> Client:
        """A connection over TLS that is logged in."""
        return Client.over_tls(self.tls_port, self.ca).login(user, PASSWORD)
