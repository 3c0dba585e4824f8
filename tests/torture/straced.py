"""``strace`` on a server that runs: which system calls it makes, and SIGKILL at one.

Counts are those of ``when=``: per number of the system call and per thread, from when
it was attached.  Goal G7, hardening section 7, L2.
"""

import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

#: What changes files, and ``sendto``: the moment between a deed and its answer.
CALLS: Final = (
    *("openat", "write", "pwrite64", "fsync", "fdatasync", "link", "linkat"),
    *("rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat"),
    *("rmdir", "ftruncate", "close", "fcntl", "flock", "utimensat", "sendto"),
)
_CALL: Final = re.compile(r"^(?:\[pid +)?(\d+)\]? +(\w+)\((.*)$")
_ATTACH_SECONDS: Final = 20
_DETACH_SECONDS: Final = 3


@dataclass(frozen=True, order=True)
class Point:
    """The ``count``-th system call of a name, by whichever thread makes it first."""

    call: str
    count: int

    def __str__(self) -> str:
        return f"{self.call} {self.count}"


class Strace:
    """Attached to a process inside ``with``."""

    def __init__(self, pid: int, output: Path, point: Point | None = None) -> None:
        """``point``: where it is killed; None: it is only watched."""
        self._pid, self._output = pid, output
        calls = ",".join(CALLS) if point is None else point.call
        options = ["-e", f"trace={calls}"]
        if point is not None:
            inject = f"inject={point.call}:signal=KILL:when={point.count}"
            options += ["-e", inject]
        self._command = [
            *("strace", "-f", "-qq", "-y", "-e", "signal=none", "-o", str(output)),
            *(*options, "-p", str(pid)),
        ]

    def __enter__(self) -> Self:
        if self._output.is_file():
            self._output.unlink()
        self._process = subprocess.Popen(self._command, stderr=subprocess.PIPE)
        end = time.monotonic() + _ATTACH_SECONDS
        while not self._attached():
            if self._process.poll() is not None or time.monotonic() > end:
                assert self._process.stderr is not None
                said = self._process.stderr.read().decode()
                raise RuntimeError(f"strace could not attach: {said}")
            time.sleep(0.002)
        return self

    def _attached(self) -> bool:
        ours = f"TracerPid:\t{self._process.pid}\n"
        try:
            tasks = list(Path(f"/proc/{self._pid}/task").iterdir())
            return all(ours in (task / "status").read_text() for task in tasks)
        except FileNotFoundError:  # a thread that ended meanwhile
            return False

    def __exit__(self, *_: object) -> None:
        """Let go; whoever was killed is dead now."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_DETACH_SECONDS)
        except subprocess.TimeoutExpired:  # it waits for threads that are dead
            self._process.kill()
            self._process.wait()
        assert self._process.stderr is not None
        self._process.stderr.close()

    def calls(self) -> list[tuple[str, str, str]]:
        """Thread, name and arguments, with the paths of descriptors, in order."""
        found = []
        for line in self._output.read_text(errors="replace").splitlines():
            match = _CALL.match(line)
            if match:
                found.append((match[1], match[2], match[3]))
        return found


def unusable() -> str | None:
    """Why nothing can be injected here; None: it can."""
    if shutil.which("strace") is None:
        return "strace is not installed (.ci/run installs it)"
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        with Strace(sleeper.pid, Path(os.devnull)):
            return None
    except RuntimeError as error:
        return str(error)
    finally:
        sleeper.kill()
        sleeper.wait()


def points_of(calls: list[tuple[str, str, str]], place: str) -> list[Point]:
    """Where a process could be killed that made these calls below ``place``.

    The calls of ``sendto`` are among them, wherever they go.
    """
    counts: dict[tuple[str, str], int] = {}
    found = set()
    for thread, call, arguments in calls:
        counts[thread, call] = counts.get((thread, call), 0) + 1
        if place in arguments or call == "sendto":
            found.add(Point(call, counts[thread, call]))
    return sorted(found)
