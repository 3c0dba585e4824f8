"""Debian's Courier IMAP, unpacked: its imapd after the login, behind a listener."""

import os
import sys

from benchmarks.servers.base import Server
from tests.live import process
from tests.live.process import REPOSITORY, Child, peers_folder


class Courier(Server):
    """One process a connection.  There is no login and no TLS to measure."""

    name = "courier"
    has_logins = False

    @classmethod
    def missing(cls) -> str | None:
        """Whether ``.ci/peers`` has unpacked it."""
        return process.missing("courier")

    def launch(self, plain: int, implicit: int) -> Child:
        """Start the listener."""
        command = [
            *(sys.executable, "-m", "benchmarks.servers.superserver"),
            *(str(plain), str(implicit), str(peers_folder()), str(self.mail)),
        ]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        return Child(
            command, log=self.log_file, environment=environment, folder=self.folder
        )

    def _opening(self, user: str) -> bytes:
        return f"{user}\n".encode()
