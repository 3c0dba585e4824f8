"""A plugin of coverage.py: what a server that ends by a signal has run is kept, too.

Twisted ends a process that was told to by sending itself the same signal again, so
that who waits for it sees why; nothing that waits for an ordinary end is called then.
"""

import os
from typing import Any

import coverage


def coverage_init(registry: Any, options: Any) -> None:
    """Called by coverage.py where it begins to measure a process."""
    kill = os.kill

    def saving(pid: int, number: int) -> None:
        current = coverage.Coverage.current()
        if pid == os.getpid() and current is not None:
            current.stop()
            current.save()
        kill(pid, number)

    os.kill = saving
