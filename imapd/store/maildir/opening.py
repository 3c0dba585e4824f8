"""Look at what is where an account should be: a Maildir, nothing yet, or not ours.

A Maildir is a directory with a directory ``cur``.  Nothing at all, an empty
directory, or one with nothing but a part of ``cur``, ``new`` and ``tmp``, as a crash
leaves it, is made into one.  Everything else is refused: the log has path and
reason, the client only hears that it does not work.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

from twisted.logger import Logger

from imapd.errors import Unavailable
from imapd.model.mailbox import NamespaceStyle
from imapd.store import fsops
from imapd.store.handles import located
from imapd.store.maildir.folders import MESSAGE_DIRECTORIES

_log = Logger()

NAMESPACE_FILE: Final = b"imapd-namespace"
_NAMESPACE_OCTETS: Final = 64
_DOVECOT: Final = (b"dovecot", b"subscriptions")
_COURIER: Final = b"courierimap"


def open_root(root: bytes, *, create_missing: bool, owner: int | None = None) -> bool:
    """Make sure that there is a Maildir we may use; tell whether we may write it.

    Where the user's record says whose the mail is (``owner``, a UID of the system),
    a Maildir of anybody else but ourselves is not what was meant.

    Raises:
        Unavailable: there is none.
    """
    try:
        if not _is_maildir(root):
            if not create_missing:
                refuse(root, "there is no Maildir, and none is to be made")
            _make(root)
        found = fsops.status(root).st_uid
    except OSError as error:
        refuse(root, repr(error))
    if owner is not None and found not in (owner, os.geteuid()):
        refuse(root, f"it belongs to UID {found}, and the user's record says {owner}")
    for directory in (root, root + b"/cur"):
        if not os.access(directory, os.R_OK | os.X_OK, effective_ids=True):
            refuse(root, "we may not read it")
    writable = os.access(root, os.W_OK | os.X_OK, effective_ids=True)
    if writable:
        with suppress(OSError):  # a full disk: what is there can be read
            complete(root)
    else:
        _log.info("store: account {root!r} is served read-only", root=root)
    return writable


def real_path(root: Path, follow_links: bool) -> bytes:
    """Name what the links on the way to a Maildir lead to, once, before it is opened.

    They are the administrator's.  That of the Maildir itself may be one only where
    links are followed; one that leads nowhere stays, and is refused: a disk that is
    not mounted is no reason to make a Maildir.
    """
    if root.is_absolute() and ".." not in root.parts:
        path = os.fsencode(root)
        with suppress(OSError), fsops.opened_directory(path):
            return path  # nearly always: there are none, and one call says so
    if follow_links:
        return os.fsencode(os.path.realpath(root))
    above, name = os.path.split(os.path.abspath(root))
    return os.fsencode(os.path.join(_real_as_far(above), name))


def _real_as_far(path: str) -> str:
    try:
        return os.path.realpath(path, strict=True)
    except FileNotFoundError:
        above, name = os.path.split(path)
        if above == path or os.path.lexists(path):
            return path
        return os.path.join(_real_as_far(above), name)
    except OSError:
        return path


def cache_directory(root: bytes, wanted: Path | None) -> bytes:
    """Return where the cache of an account is; made, if it is not in the Maildir."""
    if wanted is None:
        return root
    with suppress(OSError):
        wanted.mkdir(mode=fsops.DIRECTORY_MODE, parents=True, exist_ok=True)
    return os.fsencode(os.path.realpath(wanted))


def identity(root: bytes) -> tuple[int, ...] | None:
    """What tells this Maildir from another in its place; None: it is not there."""
    try:
        statuses = fsops.status(root), fsops.status(root + b"/cur")
    except OSError:
        return None
    return _numbers(*statuses)


def is_straight(root: bytes, known: tuple[int, ...] | None) -> bool:
    """Whether a Maildir is ``known`` by its ``identity``, with no link on the way.

    The way is gone once; False also where that cannot be said.
    """
    try:
        with located(root + b"/cur") as (here, cur):
            return _numbers(os.fstat(here), fsops.status_in(here, cur)) == known
    except OSError:
        return False


def _numbers(root: os.stat_result, cur: os.stat_result) -> tuple[int, ...]:
    return (
        *(root.st_dev, root.st_ino, root.st_mode, root.st_uid),
        *(cur.st_dev, cur.st_ino, cur.st_mode, cur.st_uid),
    )


def refuse(root: bytes, reason: str) -> NoReturn:
    """Say why in the log, and only in the log.

    Raises:
        Unavailable: always.
    """
    _log.error("store: account {root!r} refused: {reason}", root=root, reason=reason)
    raise Unavailable("The mail store does not work just now")


def detect_namespace(root: bytes) -> NamespaceStyle:
    """Return how the clients of this account know its names.

    Dovecot's files decide, then Courier's; where both are, Courier's are what was
    there before.  A Maildir with neither's, be it full of a delivery agent's
    folders, has no client that knows any names: it gets the style of a new one.
    """
    names = fsops.names(root)
    if NAMESPACE_FILE in names:  # what the state said that was lost
        with suppress(OSError, ValueError):
            text = fsops.read_file(root + b"/" + NAMESPACE_FILE, _NAMESPACE_OCTETS)
            return NamespaceStyle(text.decode("ascii").strip())
    if any(name.startswith(_DOVECOT) for name in names):
        return NamespaceStyle.DOVECOT
    if any(name.startswith(_COURIER) for name in names):
        return NamespaceStyle.COURIER
    return NamespaceStyle.SLASH


def write_namespace(root: bytes, style: NamespaceStyle) -> None:
    """Keep the style beside the state as well.

    Were the state lost, the UID lists that we write ourselves would look like
    Dovecot's, and every name would change.
    """
    octets = style.value.encode("ascii") + b"\n"
    fsops.replace_file(root + b"/" + NAMESPACE_FILE, octets)


def tell_unwritten(root: bytes, error: Exception) -> None:
    """Log that the style was not kept; the next login finds it out again."""
    _log.error(
        "store: namespace of {root!r} not written down: {why}",
        root=root,
        why=repr(error),
    )


def _is_maildir(root: bytes) -> bool:
    status = fsops.status_or_none(root)
    if status is None:
        return False
    if not stat.S_ISDIR(status.st_mode):
        refuse(root, "it is not a directory")
    found = {
        part: fsops.status_or_none(root + b"/" + part) for part in MESSAGE_DIRECTORIES
    }
    for part, inner in found.items():
        # A link, of tmp above all, would have us write in somebody else's folder.
        if inner is not None and not stat.S_ISDIR(inner.st_mode):
            refuse(root, f"its {part.decode()} is not a directory")
    if found[b"cur"] is not None:
        return True
    if set(fsops.names(root)) - set(MESSAGE_DIRECTORIES):
        refuse(root, "it is a directory, but no Maildir")
    return False


def _make(root: bytes) -> None:
    """Make the Maildir and what leads to it, durably, ``cur`` last."""
    missing = []
    directory = root
    while not fsops.exists(directory):
        missing.append(directory)
        directory = os.path.dirname(directory)
    for directory in reversed(missing):
        _make_directory(directory)
    # A crash in between leaves a directory that the next open completes.
    for part in reversed(MESSAGE_DIRECTORIES):
        _make_directory(root + b"/" + part)
    _log.info("store: made the account {root!r}", root=root)


def complete(folder: bytes) -> None:
    """Make what is missing of ``cur``, ``new`` and ``tmp``, as Dovecot does.

    Backups and version control leave empty directories out.

    Raises:
        OSError: it cannot be made.
    """
    for part in MESSAGE_DIRECTORIES:
        if not fsops.exists(folder + b"/" + part):
            _make_directory(folder + b"/" + part)


def _make_directory(directory: bytes) -> None:
    with suppress(FileExistsError):  # by another session of the same user
        fsops.mkdir(directory)
        fsops.fsync_directory(os.path.dirname(directory))
