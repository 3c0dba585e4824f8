"""The real ``twistd imapd`` for harnesses of load, and mail to fill it with."""

import contextlib
import hashlib
import os
import random
import re
import resource
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.servers.base import PASSWORD
from benchmarks.servers.imapd import Imapd
from tests.torture.figures import Figure, at_most, told

_COMPLAINTS = ("Traceback", "Unhandled", "SERVERBUG", "#critical]")
_STILL = re.compile(r"reactor stood still for ([\d.]+) s cpu=\S+ times=(\d+) at (.*)")
_WORDS = b"invoice meeting water garden letter winter signal harbour river".split()


class Served(Imapd):
    """A server in a process of its own, with some limits changed."""

    def __init__(
        self, folder: Path, limits: Mapping[str, int], options: tuple[str, ...]
    ) -> None:
        """Prepare only; it runs inside ``with``."""
        config = folder / "imapd.toml"
        lines = [f"{name} = {value}" for name, value in limits.items()]
        config.write_text("\n".join(["[limits]", *lines, ""]))
        super().__init__(
            folder / "server", folder / "mail", (f"--config={config}", *options)
        )

    @property
    def pid(self) -> int:
        """Of the process that serves."""
        assert self._child is not None
        return self._child.process.pid

    def source(self) -> str:
        """An address to connect from; few connections have the same."""
        return self.door("").source

    def tell(self, number: signal.Signals) -> None:
        """Send a signal to the process that serves."""
        os.kill(self.pid, number)

    def ended_within(self, seconds: float) -> bool:
        """Whether it has ended within that time from now."""
        assert self._child is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.process.wait(seconds)
        return not self._child.running()

    def resident_octets(self) -> int:
        """What the serving process has in memory, without its children."""
        return self._memory("Pss")

    def own_octets(self) -> int:
        """Of that what is in no file: whoever runs beside it has no part in this."""
        return self._memory("Anonymous")

    def _memory(self, name: str) -> int:
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        found = re.search(rf"(?m)^{name}:\s+(\d+) kB", text)
        assert found is not None
        return int(found[1]) * 1024

    def cpu_seconds(self) -> float:
        """What the serving process has used so far, without its children."""
        # As clock_getcpuclockid(3) has it; /proc would count in ticks.
        return time.clock_gettime((~self.pid << 3) | 2)

    def open_files(self) -> int:
        """How many descriptors the serving process has."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def descriptors(self) -> Counter[str]:
        """What they are of, as the system calls it; a socket or pipe by its kind."""
        folder = f"/proc/{self.pid}/fd"
        found: Counter[str] = Counter()
        for name in os.listdir(folder):
            with contextlib.suppress(OSError):  # it has gone meanwhile
                found[os.readlink(f"{folder}/{name}").split(":[")[0]] += 1
        return found

    def log(self) -> str:
        """All that it has logged."""
        return self.log_file.read_text(errors="replace")

    def hash_passwords(self, rounds: int) -> None:
        """Give all users a costly hash instead of a password in the clear."""
        names = [line.split(":")[0] for line in self.users.read_text().splitlines()]
        octets = hashlib.pbkdf2_hmac("sha1", PASSWORD.encode(), b"salt", rounds)
        stored = f"{{PBKDF2}}$1$salt${rounds}${octets.hex()}"
        self.users.write_text("".join(f"{name}:{stored}::::::\n" for name in names))

    def check(self) -> None:
        """Raise where the log tells of a fault.

        Raises:
            AssertionError: with the lines.
        """
        lines = self.log().splitlines()
        for number, line in enumerate(lines):
            if any(word in line for word in _COMPLAINTS):
                # What it is of is told before it; its reason is in its last line.
                told = lines[max(number - 2, 0) : number + 30]
                raise AssertionError("\n".join(told))


@contextlib.contextmanager
def serving(
    limits: Mapping[str, int] | None = None,
    options: tuple[str, ...] = (),
    kind: type[Served] = Served,
) -> Iterator[Served]:
    """A server that runs, over empty mail; what it logged is judged at the end.

    Raises:
        AssertionError: it logged a fault.
    """
    _allow_files()
    with tempfile.TemporaryDirectory(
        prefix="torture-", ignore_cleanup_errors=True
    ) as name:
        server = kind(Path(name).resolve(), limits or {}, options)
        with server:
            yield server
        server.check()


def _allow_files() -> None:
    """As many sockets as the system lets us have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def standing_still(server: Served, most_seconds: float) -> list[Figure]:
    """What its watchdog saw: how often, and for how long at most."""
    found = _STILL.findall(server.log())
    times = sum(int(times) for _, times, _ in found)
    longest, where = max(
        ((float(seconds), where) for seconds, _, where in found), default=(0.0, "")
    )
    if where:
        print(f"stood still for {longest} s: {where}")
    return [
        told("V04", "reactor stood still", times, "times"),
        at_most("V04", "reactor stood still, longest", longest, "s", most_seconds),
    ]


def fill(maildir: Path, count: int, octets: int, seed: int) -> None:
    """Write ``count`` messages of about that size; of fifty texts, linked."""
    chance = random.Random(f"fill:{seed}")
    for part in ("cur", "new", "tmp"):
        (maildir / part).mkdir(parents=True, exist_ok=True)
    paths = [
        maildir / "cur" / f"{1_600_000_000 + number}.M{number}P1.torture:2,S"
        for number in range(count)
    ]
    for number, path in enumerate(paths):
        if number < 50:
            path.write_bytes(message(f"text {number}", octets, chance))
        else:
            os.link(paths[number % 50], path)


def message(subject: str, octets: int, chance: random.Random) -> bytes:
    """A message of words, with lines of 60 octets, in CRLF."""
    lines = [
        b"From: someone@example.org",
        b"To: another@example.org",
        b"Subject: " + subject.encode(),
        b"Date: Thu, 26 Nov 2026 10:00:00 +0000",
        b"",
    ]
    length = 0
    while length < octets:
        line = b" ".join(chance.choices(_WORDS, k=9))[:60]
        lines.append(line)
        length += len(line) + 2
    return b"\r\n".join([*lines, b""])
