"""Real servers that may be killed: each a process, and a new one at once."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from tests.live.base import PASSWORD
from tests.live.client import Client
from tests.live.process import REPOSITORY, program

#: Users for whom the password file has a line.
MOST_USERS = 100
_FORKS = "tests.torture.forked_twistd"
_SECONDS_TO_DIE = 10
_SECONDS_TO_START = 20


class Servers:
    """One server at a time over ``top/mail/{user}/Maildir``."""

    def __init__(self, top: Path, broken: str = "") -> None:
        """Nothing runs before ``with``; ``broken``: a function of ``broken.py``."""
        self.top = top
        self.log = top / "log"
        self.users = top / "users"
        self.users.touch(mode=0o600)
        self.users.write_text(
            "".join(
                f"u{each}:{{PLAIN}}{PASSWORD}::::::\n" for each in range(MOST_USERS)
            )
        )
        self.pid = 0
        self._count = 0
        self._path = ""
        self._broken = broken

    def __enter__(self) -> Self:
        guard = ["setpriv", "--pdeathsig", "TERM", "--"] if program("setpriv") else []
        with open(self.log, "ab") as log:
            self._forks = subprocess.Popen(
                [
                    *guard,
                    sys.executable,
                    "-m",
                    "tests.torture.forked_twistd",
                    self._broken,
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=REPOSITORY,
                env={**os.environ, "HOME": str(self.top)},
                bufsize=0,
            )
        return self

    def _arguments(self) -> list[str]:
        return [
            *("--nodaemon", "--pidfile=", "imapd", "--index", "off"),
            *("--imap", f"unix:{self._path}:lockfile=0"),
            *("--mail", f"{self.top}/mail/{{user}}/Maildir"),
            *("--auth", f"passwdfile:{self.users}"),
            *(["--allow-root=yes"] if os.getuid() == 0 else []),
        ]

    def __exit__(self, *_: object) -> None:
        assert self._forks.stdin is not None
        assert self._forks.stdout is not None
        self._forks.stdin.close()
        self._forks.terminate()
        self._forks.wait()
        self._forks.stdout.close()

    def start(self) -> None:
        """Start one; it may need a moment until it can be reached."""
        assert self._forks.stdin is not None
        assert self._forks.stdout is not None
        self._count += 1
        self._path = f"{self.top}/socket{self._count}"
        self._forks.stdin.write(json.dumps(self._arguments()).encode() + b"\n")
        self.pid = int(self._forks.stdout.readline())

    def connect(self, user: str) -> Client:
        """Log in, with a new server if there is none."""
        if not self.runs():
            self.start()
        plain = socket.socket(socket.AF_UNIX)
        end = time.monotonic() + _SECONDS_TO_START
        while plain.connect_ex(self._path):
            if time.monotonic() > end or not self.runs():
                raise RuntimeError(f"no server:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.002)
        return Client(plain).login(user, PASSWORD)

    def runs(self) -> bool:
        return self.pid > 0 and os.path.exists(f"/proc/{self.pid}")

    def has_died(self, seconds: float = _SECONDS_TO_DIE) -> bool:
        """Whether the server is gone, or is so within some seconds."""
        end = time.monotonic() + seconds
        while self.runs():
            if time.monotonic() > end:
                return False
            time.sleep(0.002)
        return True

    def kill(self) -> None:
        """End the server without a word."""
        if self.runs():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, 9)
            self.has_died()

    def maildir(self, user: str) -> Path:
        return self.top / "mail" / user / "Maildir"
