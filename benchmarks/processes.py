"""What a server costs: CPU time and memory of all its processes, from /proc."""

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

_TICKS = os.sysconf("SC_CLK_TCK")
_QUIET_SHARE = 0.03
_QUIET_SECONDS = 0.05
_SIZES = re.compile(r"(?m)^(Pss|Private_Clean|Private_Dirty):\s+(\d+) kB")


@dataclass(frozen=True)
class Memory:
    """Of a process tree: shared pages divided among those who share, and private."""

    pss_octets: int
    private_octets: int
    processes: int


def _status(pid: int) -> tuple[int, float] | None:
    """(parent, CPU seconds of children waited for), or None when it has gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name of the program may hold spaces and parentheses.
            words = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return int(words[1]), (int(words[13]) + int(words[14])) / _TICKS


def _clock(pid: int) -> float:
    """CPU seconds of all threads of a process, those that ended too."""
    # What clock_getcpuclockid(3) returns; unlike /proc it does not count in ticks.
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


class ProcessTree:
    """A process and all that it started."""

    def __init__(self, root: int) -> None:
        self._root = root

    def pids(self) -> dict[int, float]:
        """Return the processes, each with the CPU seconds of its ended children."""
        known = {
            pid: status
            for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
            if (status := _status(pid))
        }
        children: dict[int, list[int]] = {}
        for pid, (parent, _) in known.items():
            children.setdefault(parent, []).append(pid)
        found: dict[int, float] = {}
        waiting = [self._root] if self._root in known else []
        while waiting:
            pid = waiting.pop()
            found[pid] = known[pid][1]
            waiting += children.get(pid, [])
        return found

    def cpu_seconds(self) -> float:
        """Return the CPU time used so far, processes that ended included."""
        return sum(_clock(pid) + reaped for pid, reaped in self.pids().items())

    def memory(self) -> Memory:
        """Return what it takes now; processes that end meanwhile are left out."""
        pss = private = processes = 0
        for pid in self.pids():
            try:
                with open(f"/proc/{pid}/smaps_rollup") as file:
                    sizes = {
                        name: int(size) for name, size in _SIZES.findall(file.read())
                    }
            except OSError:
                continue
            pss += sizes.get("Pss", 0)
            private += sizes.get("Private_Clean", 0) + sizes.get("Private_Dirty", 0)
            processes += 1
        return Memory(pss * 1024, private * 1024, processes)


def settle(trees: Sequence[ProcessTree], seconds: float = 60) -> bool:
    """Wait until none of them does anything; False when one is still at work."""
    end = time.monotonic() + seconds
    before, since = [tree.cpu_seconds() for tree in trees], time.monotonic()
    while time.monotonic() < end:
        time.sleep(_QUIET_SECONDS)
        after, now = [tree.cpu_seconds() for tree in trees], time.monotonic()
        used = sum(after) - sum(before)
        if used <= _QUIET_SHARE * (now - since):
            return True
        before, since = after, now
    return False
