"""Whether a file that was configured can be read, said for the administrator."""

import os
from pathlib import Path


def absent(path: Path) -> str:
    """Why this is no path of a file; ``""`` if it is one."""
    try:
        if path.is_file():
            return ""
        return "not a file" if path.exists() else "no such file"
    except OSError as error:  # a folder on the way that is not ours to look into
        return _refused(error)


def unreadable(path: Path) -> str:
    """The same, also where it is not ours to read; never waits for a pipe's end."""
    if words := absent(path):
        return words
    try:
        path.open("rb").close()
    except OSError as error:
        return _refused(error)
    return ""


def _refused(error: OSError) -> str:
    return f"cannot be read by uid {os.geteuid()}: {error.strerror}"
