"""The next UIDVALIDITY of an account, by the files that Dovecot counts in.

``dovecot-uidvalidity`` holds the last value as 8 hex digits, and an empty file
``dovecot-uidvalidity.<8 hex>`` beside it is what is counted: renaming it to the
next value can be done by one process only.  So every value is given out once, by
whichever server, and a mailbox that is made again under an old name has a greater
one: RFC 3501 §2.3.1.1.

Where these files are lost, all that is known of earlier values is asked: the
account's high-water mark, the ``dovecot-uidlist`` and ``courierimapuiddb`` of the
folders that are there, and the clock.
"""

import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from twisted.logger import Logger

from imapd.errors import Unavailable
from imapd.ids import LARGEST_NUMBER
from imapd.store import fsops, quiet

_log = Logger()

FILE_NAME: Final = b"dovecot-uidvalidity"

#: A value so near to the end is a damaged file: nothing could be greater for long.
LARGEST_PLAUSIBLE: Final = LARGEST_NUMBER - (1 << 20)

_ATTEMPTS: Final = 100
_COUNTER = re.compile(rb"dovecot-uidvalidity\.([0-9a-f]{8})")
_HEX = re.compile(rb"[0-9a-fA-F]{8}")
_UIDLIST_HEADER = re.compile(rb"3 (?:[^\n]* )?V([0-9]{1,10})(?: [^\n]*)?\n")
_OLD_HEADER = re.compile(rb"1 ([0-9]{1,10}) [0-9]{1,10}\n")
_GUID = re.compile(rb" G([0-9a-fA-F]{32})(?= |\Z)")
_HEADER_OCTETS: Final = 4096
_COUNTER_MODE: Final = 0o444


def reserve(root: bytes, at_least: int, survey: Callable[[], int]) -> int:
    """Give out a value that no mailbox of the account has had.

    Args:
        root: where the files are.
        at_least: greater than every value known otherwise.
        survey: the greatest value in any folder's files; asked only where the
            counter is lost.

    Raises:
        OSError: the files cannot be written.
        Unavailable: other processes were always faster.
    """
    for _ in range(_ATTEMPTS):
        counted = _counters(root)
        least = max(at_least, int(time.time()), 1)
        if counted:
            value = max(counted[-1] + 1, least)
        else:
            value = max(least, _written(root) + 1, survey() + 1)
        if _claim(root, counted, value):
            # A crash here leaves the text one behind: Dovecot then looks at the
            # counter, as we do.
            _write(root, value)
            return value
    raise Unavailable("The mailbox cannot be made just now")


def raise_to(root: bytes, value: int) -> None:
    """Never give out this value, or a lesser one, again: its mailbox is deleted."""
    if not 0 < value <= LARGEST_PLAUSIBLE:
        return
    counted = _counters(root)
    if (not counted or counted[-1] < value) and _claim(root, counted, value):
        _write(root, value)


def of_directory(directory: bytes) -> int:
    """Return the UIDVALIDITY in a folder's files, Dovecot's or Courier's; 0: none."""
    values = []
    for name, header in (
        (b"dovecot-uidlist", _UIDLIST_HEADER),
        (b"dovecot-uidlist", _OLD_HEADER),
        (b"courierimapuiddb", _OLD_HEADER),
    ):
        with suppress(OSError):
            match = header.match(_head(directory + b"/" + name))
            if match and 0 < int(match[1]) <= LARGEST_PLAUSIBLE:
                values.append(int(match[1]))
    return max(values, default=0)


def guid_of_directory(directory: bytes) -> str:
    """Return the GUID in a folder's ``dovecot-uidlist``; ``""``: none."""
    with suppress(OSError):
        line = _head(directory + b"/dovecot-uidlist").partition(b"\n")[0]
        match = _GUID.search(line)
        if match:
            return match[1].decode("ascii").lower()
    return ""


def _head(path: bytes) -> bytes:
    descriptor = fsops.open_read(path)
    try:
        return fsops.read_at(descriptor, _HEADER_OCTETS, 0)
    finally:
        fsops.close(descriptor)


def _counters(root: bytes) -> list[int]:
    """Every value that a counter file has, ascending; usually one."""
    matches = (_COUNTER.fullmatch(name) for name in fsops.names(root))
    values = (int(match[1], 16) for match in matches if match)
    return sorted(value for value in values if 0 < value <= LARGEST_PLAUSIBLE)


def _written(root: bytes) -> int:
    with suppress(OSError):
        text = fsops.read_file(root + b"/" + FILE_NAME, _HEADER_OCTETS)
        if _HEX.fullmatch(text) and int(text, 16) <= LARGEST_PLAUSIBLE:
            return int(text, 16)
    return 0


def _write(root: bytes, value: int) -> None:
    """Replace the text.  No lock is held here, so the draft has a name of its own.

    The counter decides: where the text cannot be written it stays one behind.
    """
    try:
        _replace(root, value)
    except OSError as error:
        if quiet.is_due("uidvalidity", root, error.errno):
            _log.warn("store: {root!r}: {error}", root=root, error=repr(error))


def _replace(root: bytes, value: int) -> None:
    draft = b"%b/tmp/imapd-uidvalidity.%08x.%d" % (root, value, os.getpid())
    descriptor = fsops.open_exclusive(draft)
    try:
        fsops.write(descriptor, b"%08x" % value)
        fsops.fsync(descriptor)
    finally:
        fsops.close(descriptor)
    fsops.rename(draft, root + b"/" + FILE_NAME)


def _claim(root: bytes, counted: list[int], value: int) -> bool:
    """Make the counter say ``value``; False: another process was faster."""
    target = _counter_path(root, value)
    try:
        if counted:
            fsops.move_new(_counter_path(root, counted[-1]), target)
        else:
            fsops.close(fsops.open_exclusive(target, _COUNTER_MODE))
    except (FileNotFoundError, FileExistsError):
        return False
    for stale in counted[:-1]:
        fsops.remove_if_there(_counter_path(root, stale))
    fsops.fsync_directory(root)  # before the value is used: never given out twice
    return True


def _counter_path(root: bytes, value: int) -> bytes:
    return b"%b/%b.%08x" % (root, FILE_NAME, value)
