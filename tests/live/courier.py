"""Debian's Courier IMAP as a peer: its post-login imapd, one process a connection.

See ``.ci/peers`` for how it gets here without being installed.
"""

import itertools
import os
import re
import socket
from pathlib import Path

from tests.live.base import LiveServer
from tests.live.client import Client
from tests.live.process import Child, peers_folder

_CLIENT_NUMBERS = itertools.count()


class CourierServer(LiveServer):
    """Courier's imapd on one end of a socket pair, logged in as the user named.

    It has no ports: what speaks TLS and asks for passwords at Courier is another
    program, and says nothing about the Maildir.
    """

    kind = "courier"

    def __init__(self, root: Path, *, label: str | None = None) -> None:
        """Prepare only; it runs inside ``with``."""
        super().__init__(root, label=label)
        self._peers = peers_folder()
        # FAM in a process of our own: the one Courier starts would stay behind.
        self._fam = f"live-{os.getpid()}-{next(_CLIENT_NUMBERS)}"
        self._sessions: list[Child] = []

    def start(self) -> None:
        server = next(iter(self._peers.glob("usr/lib*/**/gam_server")), None)
        if server is not None:
            self._child = Child(
                [str(server), "--notimeout", self._fam],
                log=self.folder / "gamin.log",
                environment=self._environment("nobody"),
            )

    def _environment(self, user: str) -> dict[str, str]:
        libraries = ["usr/lib", "usr/lib/*-linux-gnu", "lib/*-linux-gnu"]
        found = [str(path) for name in libraries for path in self._peers.glob(name)]
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LD_LIBRARY_PATH": os.pathsep.join(found),
            "GAM_CLIENT_ID": self._fam,
            "HOME": str(self.root / "mail" / user),
            "AUTHENTICATED": user,
            "AUTHADDR": user,
            "TCPREMOTEIP": "127.0.0.1",
            "IMAP_CAPABILITY": "IMAP4rev1 UIDPLUS CHILDREN NAMESPACE IDLE",
            "IMAP_KEYWORDS": "1",
            "IMAP_USELOCKS": "1",
            "IMAP_ACL": "0",
        }

    def connect(self, user: str) -> Client:
        maildir = self.maildir(user)
        for name in ("cur", "new", "tmp"):
            (maildir / name).mkdir(parents=True, exist_ok=True)
        ours, theirs = socket.socketpair()
        with theirs:
            child = Child(
                [str(self._peers / "usr/bin/imapd"), "Maildir"],
                log=self.log_file,
                environment=self._environment(user),
                folder=maildir.parent,
                stdio=theirs,
            )
        self._sessions = [one for one in self._sessions if one.running()] + [child]
        return Client(ours).login(user, "")

    def stop(self) -> None:
        for child in self._sessions:
            child.stop()
        self._sessions.clear()
        super().stop()

    def complaints(self, *, races: bool = True) -> list[str]:
        return re.findall(r"(?m)^ERR:.*|^.*[Cc]orrupt.*", self.log())
