"""The folders of one Maildir++ on disk: find, make, rename, remove.

A folder is a directory ``.A.B`` in the root that has a directory ``cur``, as Courier
asks for it, or the file ``maildirfolder``, which nothing else has; what is missing of
``cur``, ``new`` and ``tmp`` is made when it is opened, as Dovecot does.  A parent
that has no directory of its own is no folder.  Links are not followed, neither the
folder nor its ``cur``, unless ``follow_links`` allows the former.

Methods that change something are called with the account's lock held.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from twisted.logger import Logger

from imapd.errors import AlreadyExists, Cannot
from imapd.ids import INBOX, MailboxPath
from imapd.store import fsops
from imapd.store.maildir import layout, removal
from imapd.store.maildir.layout import NameEncoding

_log = Logger()

MESSAGE_DIRECTORIES: Final = (b"cur", b"new", b"tmp")
#: Why a directory will be no folder to us however often we look.
_FOR_GOOD: Final = (errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG)
_NEW_PREFIX: Final = b"imapd-new."
_GONE_PREFIX: Final = b"imapd-gone."


class FolderTree:
    """The root directory of an account, and the folders in it."""

    def __init__(self, root: bytes, *, follow_links: bool = False) -> None:
        self.root = root
        self._follow_links = follow_links
        self._told: set[bytes] = set()

    def listing(self) -> dict[MailboxPath, bytes]:
        """Every folder and its directory name, by path; the INBOX is not in it.

        Raises:
            OSError: it cannot be told now of all directories what they are.
        """
        found: dict[MailboxPath, bytes] = {}
        for name in sorted(fsops.names(self.root)):
            if not name.startswith(b".") or not self._is_folder(name):
                continue
            path = self._decoded(name)
            if path is None:
                continue
            if path in found:
                self.tell(name, "is left out: it has the same name as another folder")
                # ".R&-D" and ".R&D": look-ups take the first that is there.
                found[path] = self._preferred(path) or name
            else:
                found[path] = name
        return found

    def directory_name(self, path: MailboxPath) -> bytes | None:
        """Return the name of a folder's directory; None: there is no such folder."""
        return self._preferred(path)

    def directory(self, name: bytes) -> bytes:
        """Return the whole path of a directory; ``b""`` is the INBOX's."""
        return self.root + b"/" + name if name else self.root

    def location(self, name: bytes) -> bytes:
        """Return where its files are: elsewhere if its name is a link to follow."""
        directory = self.directory(name)
        return os.path.realpath(directory) if self._follow_links else directory

    def has_children(self, path: MailboxPath) -> bool:
        """Whether a folder lies below, at any depth."""
        return any(is_below(other, path) for other in self.listing())

    def create(self, name: bytes, uid_validity: int) -> None:
        """Make an empty folder, whole and durable from its first moment.

        Raises:
            AlreadyExists: something has the name.
            OSError: it cannot be made; nothing is left of it.
        """
        draft = b"%b/tmp/%b%b" % (self.root, _NEW_PREFIX, _unique())
        fsops.mkdir(draft)
        # A crash from here to move_new() leaves a draft for ``sweep``.
        try:
            for part in MESSAGE_DIRECTORIES:
                fsops.mkdir(draft + b"/" + part)
            # Tells delivery agents that the quota is in the directory above.
            _write_new(draft + b"/maildirfolder", b"")
            header = b"3 V%d N1 G%b\n" % (uid_validity, _unique())
            _write_new(draft + b"/dovecot-uidlist", header)
            fsops.fsync_directory(draft)
            self._publish(draft, name)
        except BaseException:
            with suppress(OSError):
                removal.remove_known(draft)
            raise
        fsops.fsync_directory(self.root)

    def _publish(self, draft: bytes, name: bytes) -> None:
        target = self.directory(name)
        try:
            fsops.move_new(draft, target)
        except FileExistsError:
            if self._is_folder(name):
                raise AlreadyExists("A mailbox of this name is there") from None
            try:
                fsops.rename(draft, target)  # replaces an empty directory only
            except OSError as error:
                _log.warn(
                    "store: {path!r} is in the way of a folder: {error}",
                    path=target,
                    error=repr(error),
                )
                raise Cannot("Something that is no mailbox has this name") from error

    def remove(self, name: bytes) -> None:
        """Remove a folder and its messages.

        Raises:
            Cannot: there is something in it that is not ours to remove.
            OSError: it did not work; the folder is there, or it is gone.
        """
        directory = self.directory(name)
        if stat.S_ISLNK(fsops.status(directory).st_mode):
            raise Cannot("This mailbox is a link to another place")
        removal.check_removable(directory)
        trash = b"%b/tmp/%b%b" % (self.root, _GONE_PREFIX, _unique())
        fsops.move_new(directory, trash)
        fsops.fsync_directory(self.root)  # from here on it is deleted
        # A crash from here on leaves it to ``sweep``.
        with suppress(OSError):
            removal.remove_known(trash)

    def needs_sweep(self) -> bool:
        """Whether a crash, or work that goes on just now, left drafts."""
        return any(self._drafts())

    def sweep(self) -> None:
        """Remove drafts; what is not known to be ours in them stays."""
        for name in self._drafts():
            with suppress(OSError):
                removal.remove_known(b"%b/tmp/%b" % (self.root, name))

    def _drafts(self) -> Iterable[bytes]:
        for name in fsops.names(self.root + b"/tmp"):
            if name.startswith((_NEW_PREFIX, _GONE_PREFIX)):
                yield name

    def _preferred(self, path: MailboxPath) -> bytes | None:
        if path == INBOX:
            return b""
        for name in layout.candidate_directories(path):
            if self._is_folder(name):
                return name
        return None

    def _decoded(self, name: bytes) -> MailboxPath | None:
        try:
            path = layout.decode_directory(name)
        except ValueError:
            self.tell(name, "is left out: it cannot be shown as a mailbox name")
            return None
        if len(path) == 1 and path[0].upper() == "INBOX":
            self.tell(name, "is left out: it has the name of the INBOX")
            return None
        return path

    def tell(self, name: bytes, what: str) -> None:
        """Say it once for every name, and not of more names than anyone reads."""
        if name in self._told or len(self._told) >= 100:
            return
        self._told.add(name)
        _log.warn(
            "store: folder {name!r} of {root!r} {what}",
            name=name,
            root=self.root,
            what=what,
        )

    def _is_folder(self, name: bytes) -> bool:
        directory = self.directory(name)
        try:
            status = fsops.status_or_none(directory)
            if status is None:
                return False
            if stat.S_ISLNK(status.st_mode):
                if not self._follow_links:
                    self.tell(name, "is left out: it is a symbolic link")
                    return False
                directory = self.location(name)
            elif not stat.S_ISDIR(status.st_mode):
                return False
            inner = fsops.status_or_none(directory + b"/cur")
            if inner is None:
                # What copies no empty directories (git, some backups) leaves this.
                inner = fsops.status_or_none(directory + b"/maildirfolder")
                return inner is not None and stat.S_ISREG(inner.st_mode)
        except OSError as error:
            if error.errno in _FOR_GOOD:
                return False
            raise  # it may be one: who leaves it out may leave it behind
        return stat.S_ISDIR(inner.st_mode)


def is_below(path: MailboxPath, parent: MailboxPath) -> bool:
    """Whether a path is a child of the other, at any depth."""
    return len(path) > len(parent) and path[: len(parent)] == parent


def new_encoding(names: Iterable[bytes], root_names: Iterable[bytes]) -> NameEncoding:
    """How the next folder's name is written: as most are that are there.

    Where none tells, Courier's files mean UTF-8, as Courier has used it since 5.0,
    and all else modified UTF-7, as Dovecot does.
    """
    courier = any(name.startswith(b"courierimap") for name in root_names)
    fallback = NameEncoding.UTF8 if courier else NameEncoding.UTF7
    return layout.majority_encoding(list(names), fallback)


def _unique() -> bytes:
    """32 hex digits that nobody can foresee."""
    return os.fsencode(secrets.token_hex(16))


def _write_new(path: bytes, octets: bytes) -> None:
    descriptor = fsops.open_exclusive(path)
    try:
        fsops.write(descriptor, octets)
        fsops.fsync(descriptor)
    finally:
        fsops.close(descriptor)
