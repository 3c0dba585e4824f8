"""What a server costs: CPU time and memory of all its processes, from /proc."""

import math
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

_TICKS = os.sysconf("SC_CLK_TCK")
_QUIET_SHARE = 0.03
_QUIET_SECONDS = 0.05
#: Longer than a server waits before it begins on what can be made ahead of need.
_REST_SECONDS = 5.0
_LOOK_SECONDS = 1.0
#: States in /proc: it runs or waits for a processor, it waits for a disk.
_AT_WORK = (b"R", b"D")
_SIZES = re.compile(r"(?m)^(Pss|Private_Clean|Private_Dirty):\s+(\d+) kB")


@dataclass(frozen=True)
class Memory:
    """Of a process tree: shared pages divided among those who share, and private."""

    pss_octets: int
    private_octets: int
    processes: int


def _threads_at_work(pid: int) -> bool:
    """Whether a thread of it computes, or would if it got a processor."""
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/stat", "rb") as file:
                if file.read().rpartition(b")")[2].split()[0] in _AT_WORK:
                    return True
    except OSError:
        pass  # it has gone, or the thread has
    return False


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

    @property
    def at_work(self) -> bool:
        """Whether anything of it computes, even if others leave it no processor."""
        return any(_threads_at_work(pid) for pid in self.pids())

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


def settle(trees: Sequence[ProcessTree], seconds: float = 180) -> bool:
    """Wait until none of them does anything; False when one is still at work."""
    end = time.monotonic() + seconds
    before, since = [tree.cpu_seconds() for tree in trees], time.monotonic()
    while time.monotonic() < end:
        time.sleep(_QUIET_SECONDS)
        after, now = [tree.cpu_seconds() for tree in trees], time.monotonic()
        used = sum(after) - sum(before)
        quiet = used <= _QUIET_SHARE * (now - since)
        # On a busy machine it may be at work and get nothing done in that moment.
        if quiet and not any(tree.at_work for tree in trees):
            return True
        before, since = after, now
    return False


def rest(tree: ProcessTree, seconds: float) -> bool:
    """Wait until it does nothing for so long that nothing more is to come of itself."""
    end = time.monotonic() + seconds
    quiet_since = before = -math.inf
    while time.monotonic() < end:
        used, now = tree.cpu_seconds(), time.monotonic()
        if used - before > _QUIET_SHARE or tree.at_work:
            quiet_since = now
        elif now - quiet_since >= _REST_SECONDS:
            return True
        before = used
        time.sleep(_LOOK_SECONDS)
    return False
