"""What every live test needs: children that end with it, ports, a throw-away CA."""

import atexit
import contextlib
import functools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from tests.support import certificates

REPOSITORY = Path(__file__).resolve().parents[2]
START_SECONDS = 20
STOP_SECONDS = 5
_SEARCH_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))

_NOT_FOR_ROOT = {
    "dovecot": "dovecot serves no mail of",
    "getmail": "getmail delivers nothing as",
}

_T = TypeVar("_T")


def program(name: str) -> str | None:
    """The path of a program, also where only root has it in PATH."""
    return shutil.which(name, path=_SEARCH_PATH)


@functools.cache
def peers_folder() -> Path:
    """Where ``.ci/peers`` unpacks what cannot be installed.

    Raises:
        OSError: the script is not there, or bash is not.
    """
    script = REPOSITORY / ".ci" / "peers"
    if not script.is_file():
        raise FileNotFoundError(f"no {script}")
    words = subprocess.run(
        ["bash", str(script), "--folder"], capture_output=True, text=True, check=True
    )
    return Path(words.stdout.strip())


@functools.cache
def missing(peer: str) -> str | None:
    """Why a peer or a client cannot run here, or None when it can."""
    if peer == "courier":
        try:
            if (peers_folder() / "usr/bin/imapd").is_file():
                return None
        except OSError as error:
            return f"no courier-imap: {error}"
        return f"no courier-imap in {peers_folder()} (.ci/peers unpacks it)"
    if program(peer) is None:
        return f"{peer} is not installed (.ci/peers installs it)"
    if peer in _NOT_FOR_ROOT and os.getuid() == 0 and not other_user():
        return f"{_NOT_FOR_ROOT[peer]} uid 0, and there are no user namespaces here"
    return None


def needs(*peers: str) -> Callable[[type[_T]], type[_T]]:
    """Skip a test class where one of these programs is missing, and say which."""
    reasons = [reason for peer in peers if (reason := missing(peer))]
    return unittest.skipIf(bool(reasons), "; ".join(reasons))


@functools.cache
def other_user() -> tuple[str, ...]:
    """The command prefix under which root's files belong to nobody, or ().

    Dovecot refuses mail that belongs to uid 0.  In a user namespace that maps our
    uid to nobody's it is an ordinary user for Dovecot, while on disk every file
    stays ours: nothing is handed over and nothing is chowned.
    """
    prefix = ("unshare", "--user", "--map-user=65534", "--map-group=65534", "--")
    if program("unshare") is None:
        return ()
    tried = subprocess.run([*prefix, "true"], capture_output=True, check=False)
    return prefix if tried.returncode == 0 else ()


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nothing listens on right now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is gone afterwards, with a path short enough for sockets in it."""
    with tempfile.TemporaryDirectory(
        prefix="live-", ignore_cleanup_errors=True
    ) as name:
        yield Path(name).resolve()


class Child:
    """A server process in a session of its own; stopping it stops all it started."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        stdio: socket.socket | None = None,
    ) -> None:
        """Start it; ``log`` gets what it writes, with ``stdio`` only its stderr."""
        self.log = log
        # It must not outlive a test run that was killed hard.
        guard = ["setpriv", "--pdeathsig", "TERM", "--"] if program("setpriv") else []
        with open(log, "ab") as output:
            self.process = subprocess.Popen(
                [*guard, *command],
                stdin=stdio.fileno() if stdio else subprocess.DEVNULL,
                stdout=stdio.fileno() if stdio else output,
                stderr=output,
                env=dict(environment) if environment is not None else None,
                cwd=folder,
                start_new_session=True,
            )
        atexit.register(self.stop)

    def running(self) -> bool:
        return self.process.poll() is None

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Ask it to end, then end it and all it left behind."""
        atexit.unregister(self.stop)
        if self.running():
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
        # What follows does not ask; mostly nothing is left.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def wait_for_ports(self, *ports: int) -> bool:
        """True when all ports answer; False when it ended or the time did."""
        end = time.monotonic() + START_SECONDS
        left = list(ports)
        while left and self.running() and time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", left[0]), timeout=1).close()
                left.pop(0)
            except OSError:
                time.sleep(0.05)
        return not left


def start_on_free_ports(start: Callable[[int, int], Child]) -> tuple[Child, int, int]:
    """Start a server on two ports; try others when somebody was quicker.

    Raises:
        RuntimeError: it does not answer; with its log.
    """
    log = ""
    for _ in range(3):
        plain, implicit = free_ports(2)
        child = start(plain, implicit)
        if child.wait_for_ports(plain, implicit):
            return child, plain, implicit
        child.stop()
        log = child.log.read_text(errors="replace")
        if "in use" not in log:
            break
    raise RuntimeError(f"the server does not answer; its log:\n{log}")


class Authority:
    """A certificate authority made for one run, and a server certificate of it."""

    def __init__(self, folder: Path) -> None:
        """Write ``ca.pem``, ``cert.pem`` and ``key.pem`` into ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        self.ca = folder / "ca.pem"
        self.certificate = folder / "cert.pem"
        self.key = folder / "key.pem"
        self.key.touch(mode=0o600)
        certificates.Authority("live test CA").write(folder)
