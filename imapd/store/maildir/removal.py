"""Remove a folder, and nothing but what a Maildir folder is known to have.

Everything is done below open directories, so that a name which turns into a link
meanwhile leads nowhere.  A directory inside ``cur``, another file system mounted
there, or a file that no mail server makes, is somebody's: it is never removed.
"""

import os
import stat
from contextlib import suppress
from typing import Final

from twisted.logger import Logger

from imapd.errors import Cannot
from imapd.store import fsops

_log = Logger()

_MESSAGE_DIRECTORIES: Final = (b"cur", b"new", b"tmp")
_DIRECTORIES: Final = (*_MESSAGE_DIRECTORIES, b"courierimapkeywords")
_FILES: Final = (b"maildirfolder", b"maildirsize", b"subscriptions")
_FILE_PREFIXES: Final = (b"dovecot", b"courierimap", b"courierpop3", b"imapd-")


def check_removable(directory: bytes) -> None:
    """Look through a folder before anything is done to it.

    Raises:
        Cannot: there is something in it that is not a mailbox's; the log says what.
    """
    descriptor = fsops.open_directory(directory)
    try:
        device = os.fstat(descriptor).st_dev
        for name in fsops.names_in(descriptor):
            with suppress(FileNotFoundError):  # a lock, given back just now
                if _is_known(descriptor, name, device):
                    continue
                _log.warn(
                    "store: {directory!r} is not removed: {name!r} is not a mailbox's",
                    directory=directory,
                    name=name,
                )
                raise Cannot("There are files in this mailbox that are not mail")
    finally:
        fsops.close(descriptor)


def remove_known(directory: bytes) -> bool:
    """Remove what is known; False: something was left, and the directory with it."""
    descriptor = fsops.open_directory(directory)
    try:
        device = os.fstat(descriptor).st_dev
        for name in fsops.names_in(descriptor):
            with suppress(FileNotFoundError):
                if not _is_known(descriptor, name, device):
                    continue
                if name in _DIRECTORIES:
                    _remove_flat(descriptor, name)
                else:
                    fsops.unlink_in(descriptor, name)
    finally:
        fsops.close(descriptor)
    with suppress(OSError):
        fsops.rmdir(directory)
        return True
    _log.warn("store: {directory!r} has more than mail in it", directory=directory)
    return False


def _is_known(parent: int, name: bytes, device: int) -> bool:
    status = fsops.status_in(parent, name)
    if stat.S_ISDIR(status.st_mode):
        return (
            name in _DIRECTORIES
            and status.st_dev == device
            and _has_files_only(parent, name)
        )
    if name in _DIRECTORIES or not _is_file(status):
        return False
    return name in _FILES or name.startswith(_FILE_PREFIXES)


def _has_files_only(parent: int, name: bytes) -> bool:
    descriptor = fsops.open_directory(name, parent)
    try:
        for entry in fsops.names_in(descriptor):
            with suppress(FileNotFoundError):  # delivered, or read, just now
                if stat.S_ISDIR(fsops.status_in(descriptor, entry).st_mode):
                    return False
    finally:
        fsops.close(descriptor)
    return True


def _remove_flat(parent: int, name: bytes) -> None:
    descriptor = fsops.open_directory(name, parent)
    try:
        for entry in fsops.names_in(descriptor):
            with suppress(FileNotFoundError, IsADirectoryError, PermissionError):
                fsops.unlink_in(descriptor, entry)
    finally:
        fsops.close(descriptor)
    with suppress(OSError):  # what was put there meanwhile stays
        fsops.rmdir_in(parent, name)


def _is_file(status: os.stat_result) -> bool:
    # A link is removed itself, never what it leads to.
    return stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)
