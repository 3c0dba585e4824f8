"""What every process has in common that we start from our own code."""

import os
import sys
from typing import Final

#: What systemd told us, and tells nobody else.
_PRIVATE: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def environment() -> dict[str, str]:
    """Ours, and the way to the same code."""
    found = {name: value for name, value in os.environ.items() if name not in _PRIVATE}
    # Absolute, in the order in which we look ourselves; "" is where we are.
    paths = dict.fromkeys(os.path.abspath(path) for path in sys.path)
    found["PYTHONPATH"] = os.pathsep.join(paths)
    return found
