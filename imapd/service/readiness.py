"""Whether the files that logins and renewals need can be read, by whom we are now."""

import encodings
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from imapd.auth.passwdfile import FILE_OCTETS, parse_users
from imapd.service.config import Config
from imapd.service.files import unreadable

#: Types of logins whose argument is the path of a file.
FILE_TYPES = ("passwdfile", "file")


def auth_problems(config: Config) -> list[str]:
    """A line for each file of logins that is missing or not ours to read."""
    return [
        f"auth {kind}:{path}: {words}"
        for kind, path in _auth_files(config)
        if (words := unreadable(path))
    ]


def auth_notes(config: Config) -> list[str]:
    """A line for each line of a passwd-file that fails, or says less than it seems.

    Raises:
        OSError: such a file cannot be read; ask ``auth_problems`` first.
    """
    notes = []
    for kind, path in _auth_files(config):
        if kind == "passwdfile":
            with path.open("rb") as file:
                users = parse_users(file.read(FILE_OCTETS))
            notes += [f"{path}:{number}: {text}" for number, text in users.problems]
    return notes


def renewal_problems(config: Config) -> list[str]:
    """A line for each file that SIGHUP could not read again."""
    if config.certificate is None:
        return []
    files = dict.fromkeys((config.certificate, config.key or config.certificate))
    return [f"{path}: {words}" for path in files if (words := unreadable(path))]


def python_problems() -> list[str]:
    """A line if modules that are loaded late could not be: a venv below /root."""
    path = Path(encodings.__file__)
    return [f"Python's own {path}: {words}" for words in [unreadable(path)] if words]


def worker_problems() -> list[str]:
    """A line if the program that workers are cannot be started by whom we are now."""
    if sys.executable and os.access(sys.executable, os.X_OK):
        return []
    words = f"cannot be run by uid {os.geteuid()}, as workers must be"
    return [f"Python itself, {sys.executable or 'of unknown path,'} {words}"]


def _auth_files(config: Config) -> Iterator[tuple[str, Path]]:
    for description in config.auth:
        kind, _, path = description.partition(":")
        if kind in FILE_TYPES and path.strip():
            yield kind, Path(path)
