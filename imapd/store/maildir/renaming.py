"""Rename many folders as one: a Maildir++ tree is many directories side by side.

What is to be done is written down first, in ``imapd-rename.json`` in the root.
Whoever opens the account and finds it finishes the work.  So after a crash a tree
has its new name, all of it.
"""

import errno
import json
import os
import time
import zlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from twisted.logger import Logger

from imapd.errors import AlreadyExists
from imapd.store import dotlock, fsops
from imapd.store.maildir.layout import NAME_MAX_OCTETS

_log = Logger()

JOURNAL_NAME: Final = b"imapd-rename.json"
_LARGEST_OCTETS: Final = 64 << 20
_NOT_A_FILE: Final = frozenset((errno.ELOOP, errno.EINVAL, errno.EFBIG))

#: (old, new) directory names in the root.
Moves = Sequence[tuple[bytes, bytes]]


def rename_all(root: bytes, moves: Moves) -> None:
    """Rename the folders; the caller holds the account and looked for conflicts.

    Raises:
        AlreadyExists: a name was taken meanwhile; all is as it was.
        OSError: it did not work; all is as it was, or will be finished later.
    """
    journal = root + b"/" + JOURNAL_NAME
    fsops.replace_file(journal, _written(moves))
    # Looked for before: whoever opens the new name at once has drafts there, too.
    drafts = [
        b"%b/tmp/%b" % (_in(root, new), name)
        for old, new in moves
        for name in dotlock.drafts_in(_in(root, old) + b"/tmp")
    ]
    # A crash from here on is finished by ``finish``.
    done: list[tuple[bytes, bytes]] = []
    try:
        for old, new in moves:
            fsops.move_new(_in(root, old), _in(root, new))
            done.append((old, new))
        fsops.fsync_directory(root)
    except OSError as error:
        _undo(root, done)
        fsops.unlink(journal)
        fsops.fsync_directory(root)
        if isinstance(error, FileExistsError):
            raise AlreadyExists("A mailbox of the new name is there") from error
        raise
    try:
        fsops.unlink(journal)
        # A crash before this line finds a journal of which everything is done.
        fsops.fsync_directory(root)
    except OSError as error:
        # It is renamed, durably: a NO would be wrong.  A journal that is still
        # there is finished before anything else is changed.
        _log.error(
            "store: {path!r} is done and stays: {error}",
            path=journal,
            error=repr(error),
        )
    for draft in drafts:
        # A crash before this leaves litter in tmp/, which goes after 36 hours.
        with suppress(OSError):
            fsops.unlink(draft)


def is_unfinished(root: bytes) -> bool:
    """Whether a renaming was begun and not finished: by a crash, or just now."""
    return fsops.exists(root + b"/" + JOURNAL_NAME)


def finish(root: bytes) -> None:
    """Finish what a crash left; the caller holds the account.

    A journal that cannot be read is put aside: nothing is guessed.

    Raises:
        OSError: it did not work; the journal stays.
    """
    journal = root + b"/" + JOURNAL_NAME
    try:
        moves = _read(fsops.read_file(journal, _LARGEST_OCTETS))
    except FileNotFoundError:
        return  # another process has finished it
    except (ValueError, TypeError, RecursionError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _NOT_A_FILE:
            raise  # perhaps it can be read tomorrow
        aside = b"%b.damaged-%d" % (journal, time.time_ns())
        _log.error(
            "store: {path!r} put aside: {error}", path=journal, error=repr(error)
        )
        fsops.rename(journal, aside)
        return
    for old, new in moves:
        _move_if_left(root, old, new)
    fsops.fsync_directory(root)
    fsops.unlink(journal)
    fsops.fsync_directory(root)
    _log.info("store: finished an interrupted renaming in {root!r}", root=root)


def _move_if_left(root: bytes, old: bytes, new: bytes) -> None:
    if not fsops.exists(_in(root, old)):
        return
    try:
        fsops.move_new(_in(root, old), _in(root, new))
    except FileExistsError:
        _log.error(
            "store: {old!r} keeps its name in {root!r}: {new!r} was made meanwhile",
            old=old,
            new=new,
            root=root,
        )


def _undo(root: bytes, done: Moves) -> None:
    for old, new in reversed(done):
        fsops.move_new(_in(root, new), _in(root, old))


def _in(root: bytes, name: bytes) -> bytes:
    return root + b"/" + name


def _written(moves: Moves) -> bytes:
    # Names are octets: those that are no UTF-8 become lone surrogates, which JSON
    # writes as escapes and gives back.
    text = json.dumps([[os.fsdecode(old), os.fsdecode(new)] for old, new in moves])
    return b"%08x\n%b\n" % (zlib.crc32(text.encode("ascii")), text.encode("ascii"))


def _read(octets: bytes) -> list[tuple[bytes, bytes]]:
    check, _, text = octets.partition(b"\n")
    text = text.removesuffix(b"\n")
    if check != b"%08x" % zlib.crc32(text):
        raise ValueError("the check sum is wrong")
    moves = []
    for old, new in json.loads(text):
        pair = os.fsencode(old), os.fsencode(new)
        if not all(map(_is_folder_name, pair)):
            raise ValueError("not the name of a folder")
        moves.append(pair)
    return moves


def _is_folder_name(name: bytes) -> bool:
    """Whether it can only be a directory in the root, whatever it says."""
    return (
        name.startswith(b".")
        and name.strip(b".") != b""
        and not any(octet in b"/\0" for octet in name)
        and len(name) <= NAME_MAX_OCTETS
    )
