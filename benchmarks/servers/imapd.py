"""This server: the ``twistd imapd`` of this checkout, with its default settings."""

import os
import sys
from pathlib import Path
from typing import ClassVar

from benchmarks.servers.base import Server
from tests.live.process import REPOSITORY, Child

_TWISTD = "from twisted.scripts.twistd import run; run()"


class Imapd(Server):
    """In a process of its own, as administrators run it."""

    name = "imapd"
    #: The program, for ``python -c``.
    script: ClassVar[str] = _TWISTD
    #: Those before the name of the plugin.
    twistd_options: tuple[str, ...] = ()

    @classmethod
    def missing(cls) -> str | None:
        """Never."""
        return None

    def launch(self, plain: int, implicit: int) -> Child:
        """Start ``twistd``."""
        loopback = "interface=127.0.0.1"
        command = [
            *(sys.executable, "-c", self.script, "--nodaemon", "--pidfile="),
            *(*self.twistd_options, "imapd"),
            *("--imap", f"tcp:{plain}:{loopback}"),
            *("--imaps", f"tcp:{implicit}:{loopback}"),
            *("--certificate", str(self.authority.certificate)),
            *("--key", str(self.authority.key)),
            *("--mail", f"{self.mail}/{{user}}/Maildir"),
            *("--auth", f"passwdfile:{self.users}"),
            *self.options,
        ]
        if os.getuid() == 0:
            command.append("--allow-root=yes")
        path = os.pathsep.join(
            filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH")))
        )
        environment = {**os.environ, "PYTHONPATH": path, "HOME": str(self.folder)}
        return Child(
            command, log=self.log_file, environment=environment, folder=self.folder
        )


class ImapdWorkers(Imapd):
    """The same with a process for each CPU."""

    name = "imapd-workers"
    only_crowds = True

    def __init__(self, folder: Path, mail: Path, options: tuple[str, ...] = ()) -> None:
        """Prepare only."""
        workers = ("--workers", str(os.cpu_count() or 1))
        super().__init__(folder, mail, (*workers, *options))
