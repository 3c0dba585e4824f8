"""Reading: sizes, dates and octets of messages, from any thread."""

import errno
import stat
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TypeVar

from twisted.logger import Logger

from imapd.errors import MessageGone, Unavailable
from imapd.ids import Octets, Uid
from imapd.model.columns import META, decode_meta, encode_meta
from imapd.model.mailbox import MessageMeta
from imapd.store import fsops, quiet
from imapd.store.api import WouldBlock
from imapd.store.maildir.core import MailboxCore
from imapd.store.maildir.names import base_of, file_size, rfc822_size
from imapd.store.maildir.scan import FINE_SECONDS, Directory
from imapd.store.maildir.streaming import MessageStream

_log = Logger()
_T = TypeVar("_T")

#: How often a file is looked for that another program renames under our hands.
ATTEMPT_COUNT = 10


def read(core: MailboxCore, uid: Uid, most_octets: int | None = None) -> bytes:
    """Return the octets of a message as they are on disk, or the first of them.

    Raises:
        MessageGone: there is no file of it.
        Unavailable: there is one, and it cannot be read.
        OSError: the same, with the reason.
    """
    path = core.index.path(uid)
    if path is None:
        raise MessageGone("The message is gone")
    try:
        return _read_from(core.directory + b"/" + path, most_octets)
    except OSError:  # it is not there, or is not what it should be
        return _with_file(core, uid, lambda path: _read_from(path, most_octets))


def _read_from(path: bytes, most_octets: int | None) -> bytes:
    if most_octets is None:
        return fsops.read_file(path)
    return fsops.read_start(path, most_octets)


def stream(core: MailboxCore, uid: Uid) -> MessageStream:
    """Open a message that is too large to be held; raises as ``read`` does."""
    return _with_file(core, uid, MessageStream)


def _with_file(core: MailboxCore, uid: Uid, use: Callable[[bytes], _T]) -> _T:
    """Use the file of a message, which other programs may rename meanwhile."""
    for attempt in range(ATTEMPT_COUNT):
        path = _path(core, uid, attempt)
        try:
            return use(core.directory + b"/" + path)
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ELOOP, errno.EISDIR):
                if quiet.is_due("message", core.directory, path):
                    _log.warn(
                        "store: {path!r} is not a message",
                        path=core.directory + b"/" + path,
                    )
                raise Unavailable("The message cannot be read") from error
            raise
    raise MessageGone("The message is gone")


def read_dated(
    core: MailboxCore, uid: Uid, most_octets: int | None = None
) -> tuple[bytes, MessageMeta]:
    """Return the octets of a message, and what ``meta`` says of it.

    Where that takes no reading they are only the first ``most_octets``.

    Raises:
        MessageGone: there is no file of it.
        Unavailable: there is one, and it cannot be read.
        OSError: the same, with the reason.
    """

    def open_and_read(path: bytes) -> tuple[bytes, MessageMeta]:
        descriptor, status = fsops.open_status(path)
        try:
            on_disk = status.st_size
            size = _named_size(core, uid, path.rpartition(b"/")[2], on_disk)
            if size is not None and most_octets is not None and most_octets < on_disk:
                octets = fsops.read_at(descriptor, most_octets, 0)
            else:
                octets = fsops.read_open(descriptor, on_disk)
        finally:
            fsops.close(descriptor)
        if size is None:
            size = crlf_size(octets)
        seconds = status.st_mtime_ns // 1_000_000_000
        return octets, MessageMeta(uid, seconds, Octets(size))

    return _with_file(core, uid, open_and_read)


def try_read(core: MailboxCore, uid: Uid, largest_octets: int) -> bytes:
    """Return the octets of a message that is small and where the index says.

    Raises:
        WouldBlock: it is not; ``read`` finds out what it is.
        MessageGone: it is not in the index.
    """
    path = core.index.path(uid)
    if path is None:
        raise MessageGone("The message is gone")
    try:
        octets = fsops.read_start(core.directory + b"/" + path, largest_octets + 1)
    except OSError:
        raise WouldBlock from None
    if len(octets) > largest_octets:
        raise WouldBlock
    return octets


def meta(core: MailboxCore, uids: Iterable[Uid]) -> dict[Uid, MessageMeta]:
    """Return size and date: from the cache, from the name, and else from the file."""
    wanted = sorted(set(uids))
    found: dict[Uid, MessageMeta] = {}
    unknown: list[Uid] = []
    for uid, value in zip(wanted, core.load_column(META, wanted), strict=True):
        if uid not in core.index:
            continue
        known = None if value is None else decode_meta(value)
        if known is None:
            unknown.append(uid)
            continue
        date, size = known
        found[uid] = MessageMeta(uid, date, Octets(size))
    if unknown and (fresh := _look_up_all(core, unknown)):
        found.update((each.uid, each) for each in fresh)
        columns = {
            each.uid: encode_meta(each.internal_date_seconds, each.rfc822_size)
            for each in fresh
        }
        core.save_columns({META: columns})
    return found


def _look_up_all(core: MailboxCore, uids: Iterable[Uid]) -> list[MessageMeta]:
    """Look at the files themselves; what is gone, or is no file, is left out."""
    # Without the directory all of them are gone.
    with suppress(FileNotFoundError), fsops.opened_directory(core.cur.path) as cur:
        looked_up = [_look_up(core, uid, cur) for uid in uids]
        return [each for each in looked_up if each is not None]
    return []


def _look_up(core: MailboxCore, uid: Uid, cur: int) -> MessageMeta | None:
    """Look at one file; ``cur`` is that directory, opened."""
    for attempt in range(ATTEMPT_COUNT):
        try:
            path = _path(core, uid, attempt)
            if path.startswith(b"cur/"):
                status = fsops.status_in(cur, path[4:])
            else:
                status = fsops.status_strictly(core.directory + b"/" + path)
            if not stat.S_ISREG(status.st_mode):
                return None
            size = _size(core, uid, path, status.st_size)
        except MessageGone:
            return None
        except FileNotFoundError:
            continue
        seconds = status.st_mtime_ns // 1_000_000_000
        return MessageMeta(uid, seconds, Octets(size))
    return None


def _size(core: MailboxCore, uid: Uid, path: bytes, on_disk: int) -> int:
    """Return the size in the CRLF form.

    What a name or the UID list says of it is believed only beside the size that
    the file really has: files are edited, compressed and cut off, and a client
    that was told a wrong size gets out of step or asks for the wrong parts.
    """
    said = _named_size(core, uid, path[4:], on_disk)
    if said is not None:
        return said
    return crlf_size(fsops.read_file(core.directory + b"/" + path))


def _named_size(core: MailboxCore, uid: Uid, name: bytes, on_disk: int) -> int | None:
    extras = core.uidlist.table.extras
    if b",W=" not in name and uid not in extras:  # as other servers deliver it
        return None
    said_on_disk, said = file_size(name), rfc822_size(name)
    for word in extras[uid].split(b" ") if uid in extras else ():
        if not word[1:].isdigit() or len(word) >= 16:
            continue
        if word[:1] == b"S" and said_on_disk is None:
            said_on_disk = Octets(int(word[1:]))
        elif word[:1] == b"W" and said is None:
            said = Octets(int(word[1:]))
    if said is not None and said_on_disk == on_disk <= said <= 2 * on_disk:
        return said
    return None


def crlf_size(octets: bytes) -> int:
    """Return how long octets are when every line end is CRLF."""
    size = len(octets) + octets.count(b"\n")
    # Nearly all files have bare line feeds, and to see that takes the least.
    return size - octets.count(b"\r\n") if b"\r" in octets else size


def find(core: MailboxCore, path: bytes) -> bytes | None:
    """Look in both directories for a file that had this path; None: it is gone.

    What one listing misses may be there: see ``scan``.

    Raises:
        MessageGone: no listing could tell.
    """
    base = base_of(path[4:])
    # Of our own: those of the core are to be listed by the next sync all the same.
    new, cur = Directory(core.new.path), Directory(core.cur.path)
    new.may_be_missing = True  # in an archive
    for _ in range(ATTEMPT_COUNT):
        start = cur.start()
        in_new, in_cur = new.list(), cur.list(start)
        for part, listing in ((b"new/", in_new), (b"cur/", in_cur)):
            for name in listing.names:
                if base_of(name) == base:
                    return part + name
        if in_cur.exact:
            return None
        time.sleep(FINE_SECONDS)
    raise MessageGone("A message is being changed by another program")


def _path(core: MailboxCore, uid: Uid, attempt: int) -> bytes:
    """Return where a message is: by the index, and then by looking for it.

    The index belongs to the thread that syncs, so what is found is kept apart.
    """
    path = core.index.path(uid)
    if path is None:
        raise MessageGone("The message is gone")
    if not attempt:
        return path
    base = base_of(path[4:])
    hint = core.whereabouts.get(base)
    if attempt == 1 and hint is not None:
        return hint
    whereabouts: dict[bytes, bytes] = {}
    for part in (b"new/", b"cur/"):
        with suppress(FileNotFoundError):  # an archive may have no new
            for name in fsops.names(core.directory + b"/" + part):
                whereabouts[base_of(name)] = part + name
    core.whereabouts = whereabouts
    return whereabouts.get(base, path)
