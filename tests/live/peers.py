"""The servers that live tests run: ours, and the peers it must get on with."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar

from tests.live.base import PASSWORD, USERS, LiveServer, PortServer
from tests.live.courier import CourierServer
from tests.live.dovecot import DovecotServer
from tests.live.process import REPOSITORY, Child, needs, temporary_folder
from tests.live.sent import violations

__all__ = [
    "PASSWORD",
    "PEER_UNDER_TEST",
    "USERS",
    "CourierServer",
    "DovecotServer",
    "ImapdServer",
    "LiveServer",
    "PortServer",
    "needs",
    "temporary_folder",
]

#: With ``IMAPD_LIVE_SERVER=peer`` a peer plays our part: the tests test themselves.
PEER_UNDER_TEST = os.environ.get("IMAPD_LIVE_SERVER") == "peer"


_ADMIN = "import sys; from imapd.service.admin import main; sys.exit(main())"


class ImapdServer(PortServer):
    """Our ``twistd -n imapd`` as administrators run it, in a process of its own.

    All that it sends is kept in ``sent``, and must be in the grammar when it ends.
    """

    kind = "imapd"
    program: ClassVar = ("-m", "tests.live.recorded_twistd")

    def __init__(
        self,
        root: Path,
        *,
        label: str | None = None,
        namespace: str = "auto",
        options: Sequence[str] = (),
    ) -> None:
        """``options`` are further options of ``twistd imapd``."""
        super().__init__(root, label=label)
        self.sent = self.folder / "sent"
        self.sent.mkdir(exist_ok=True)
        self._options = ["--namespace", namespace, *options]
        self._environment = {
            **os.environ,
            # Found without being installed too: the plugin by way of the path.
            "PYTHONPATH": os.pathsep.join(
                filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH")))
            ),
            "PYTHONUNBUFFERED": "1",
            "HOME": str(self.folder),
            "IMAPD_LIVE_SENT": str(self.sent),
        }

    def _mail_options(self) -> list[str]:
        return [
            "--mail",
            f"{self.root}/mail/{{user}}/Maildir",
            "--auth",
            f"passwdfile:{self.users}",
        ]

    def launch(self, plain: int, implicit: int) -> Child:
        loopback = "interface=127.0.0.1"
        command = [
            *(sys.executable, *self.program),
            *("--nodaemon", "--pidfile", str(self.folder / "pid")),
            "imapd",
            *("--imap", f"tcp:{plain}:{loopback}"),
            *("--imaps", f"tcp:{implicit}:{loopback}"),
            *("--certificate", str(self.authority.certificate)),
            *("--key", str(self.authority.key)),
            *self._mail_options(),
            *self._options,
        ]
        if os.getuid() == 0:
            command.append("--allow-root=yes")
        return Child(
            command,
            log=self.log_file,
            environment=self._environment,
            folder=self.folder,
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop it.

        Raises:
            AssertionError: it sent what is not in the grammar.
        """
        super().__exit__(kind, error, traceback)
        told = "\n".join(violations(self.sent))
        if told and error is not None:
            error.add_note(f"--- not grammatical ---\n{told}")
        elif told:
            raise AssertionError(
                f"{self.folder.name} sent what no client can read:\n{told}"
            )

    def hand_back(self, user: str) -> None:
        """``imapd-admin hand-back --to courier USER``, as README tells it.

        Raises:
            AssertionError: it failed; with what it said.
        """
        command = [
            # As the console script of the same name does, installed or not.
            *(sys.executable, "-c", _ADMIN),
            *("hand-back", "--to", "courier"),
            *self._mail_options(),
            user,
        ]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            cwd=self.folder,
            env=self._environment,
        )
        if done.returncode:
            raise AssertionError(f"{command} failed:\n{done.stdout}\n{done.stderr}")

    def complaints(self, *, races: bool = True) -> list[str]:
        """Lines of its log that tell of a fault of ours; no race is an excuse."""
        words = ("Traceback", "Unhandled", "SERVERBUG", "#critical]")
        return [
            line for line in self.log().splitlines() if any(w in line for w in words)
        ]
