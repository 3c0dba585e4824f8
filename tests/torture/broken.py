"""The server, broken on purpose: a harness that does not find it finds nothing.

``forked_twistd`` is told the name of a function, and calls it before it serves.
"""

import os
from typing import Any

from imapd.store import fsops


def careless() -> None:
    """Empty a file, and then write it; do not say which trees are being renamed."""

    def replace(path: bytes, octets: bytes, *_: Any, **__: Any) -> None:
        with open(path, "wb", buffering=0) as file:
            if not path.endswith(b"imapd-rename.json"):
                file.write(octets)
            os.fsync(file.fileno())

    fsops.replace_file = replace
