"""COPY and MOVE between folders, and APPEND: what ``publish`` is given."""

import errno
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from twisted.logger import Logger

from imapd.errors import ImapError, MessageGone
from imapd.ids import Uid
from imapd.model.mailbox import Appended, Changes, Copied
from imapd.store import fsops
from imapd.store.maildir.change import ATTEMPT_COUNT, relocate
from imapd.store.maildir.core import MailboxCore
from imapd.store.maildir.deliver import MaildirDelivery
from imapd.store.maildir.keywords import LETTERS
from imapd.store.maildir.names import (
    SYSTEM_LETTERS,
    parse,
    sizes_part,
    unique_base,
)
from imapd.store.maildir.publish import Incoming, publish
from imapd.store.maildir.sync import forget, sync_first

_log = Logger()

#: Why a file cannot be linked, and must be copied.
_NO_LINK = (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP)
_PIECE_OCTETS = 1 << 20
#: The kernel writes back what is older than 30 seconds; there may be a lot of it.
_WRITTEN_BACK_SECONDS = 120


@dataclass(frozen=True, slots=True)
class _Taken:
    """A message on its way: held in the target's ``tmp`` under a name of its own."""

    uid: Uid
    incoming: Incoming


def commit(
    core: MailboxCore, delivery: MaildirDelivery, claim_recent: bool
) -> Appended:
    """Publish what was delivered; its files in ``tmp`` are removed in any case."""
    incoming = [
        Incoming(draft.path, draft.sized_base, draft.flags)
        for draft in delivery.drafts
        if draft.on_disk is not None
    ]
    try:
        with core.telling() as changes:
            uids = publish(core, incoming, changes, claim_recent) if incoming else []
    finally:
        # A crash before this leaves a second link in tmp/, gone after 36 hours.
        delivery.abort()
    return Appended(core.uidlist.table.uid_validity, uids, changes)


def copy(
    source: MailboxCore,
    target: MailboxCore,
    uids: Iterable[Uid],
    *,
    move: bool,
    claim_recent: bool,
) -> Copied:
    """Copy or move messages; flags, keywords by name, and dates come along.

    First each is linked into the target's ``tmp``, from where nothing can take it
    away; then all are published at once.
    """
    target.require_writable()
    if move:
        source.require_writable()
    with ExitStack() as stack:
        to_source = stack.enter_context(source.telling())
        to_target = to_source
        if source is not target:
            to_target = stack.enter_context(target.telling())
        sync_first(source, to_source)
        taken = _take_all(source, target, sorted(set(uids)), to_source)
        pairs = _publish_all(target, taken, to_target, claim_recent)
        if move and pairs:
            # A crash before or in here leaves messages in both folders, none in
            # neither.
            _remove(source, [uid for uid, _ in pairs], to_source)
    return Copied(target.uidlist.table.uid_validity, pairs, to_target, to_source)


def _take_all(
    source: MailboxCore, target: MailboxCore, uids: Iterable[Uid], changes: Changes
) -> list[_Taken]:
    """Get hold of all messages that are there, or of none."""
    taken: list[_Taken] = []
    try:
        for uid in uids:
            one = _take(source, target, uid, changes)
            if one is not None:
                taken.append(one)
    except BaseException:
        _let_go(taken)
        raise
    return taken


def _publish_all(
    target: MailboxCore,
    taken: Sequence[_Taken],
    changes: Changes,
    claim_recent: bool,
) -> list[tuple[Uid, Uid]]:
    """Publish all of the messages in the target, or none; return pairs of UIDs."""
    try:
        incoming = [one.incoming for one in taken]
        new = publish(target, incoming, changes, claim_recent) if taken else []
    finally:
        _let_go(taken)
    return list(zip([one.uid for one in taken], new, strict=True))


def _let_go(taken: Iterable[_Taken]) -> None:
    for one in taken:
        with suppress(OSError):  # litter, gone after 36 hours
            fsops.unlink(one.incoming.source)


def _take(
    source: MailboxCore, target: MailboxCore, uid: Uid, changes: Changes
) -> _Taken | None:
    """Get hold of one message; None if it is gone."""
    for _ in range(ATTEMPT_COUNT):
        path = source.index.path(uid)
        if path is None:
            return None
        name = path[4:]
        base = unique_base()
        draft = target.directory + b"/tmp/" + base
        try:
            _link_or_copy(source.directory + b"/" + path, draft)
        except FileNotFoundError:
            relocate(source, changes)
            continue
        flags = sorted(source.flags_of(name, uid))
        parsed = parse(name)
        unknown = bytes(
            letter
            for letter in parsed.letters
            if letter not in SYSTEM_LETTERS and letter not in LETTERS
        )
        sized = base + sizes_part(name)
        incoming = Incoming(draft, sized, flags, unknown, parsed.extra)
        return _Taken(uid, incoming)
    raise MessageGone("A message is being changed by another program")


def _link_or_copy(path: bytes, draft: bytes) -> None:
    """Give a file a second name, or, on another file system, make a synced copy."""
    descriptor = fsops.open_read(path)  # never a link, a FIFO or a directory
    try:
        _sync_if_young(descriptor)
        try:
            fsops.link(path, draft)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            _copy(descriptor, draft)
    finally:
        fsops.close(descriptor)


def _sync_if_young(descriptor: int) -> None:
    """Make contents durable that another program may have left to the kernel.

    What is older is on its way to the disk, and reaches it with the names.
    """
    age_seconds = time.time() - os.fstat(descriptor).st_ctime
    if age_seconds < _WRITTEN_BACK_SECONDS:  # or the clock was set back
        fsops.fsync(descriptor)


def _copy(descriptor: int, draft: bytes) -> None:
    copy_descriptor = fsops.open_exclusive(draft)
    try:
        try:
            offset = 0
            while piece := fsops.read_at(descriptor, _PIECE_OCTETS, offset):
                fsops.write(copy_descriptor, piece)
                offset += len(piece)
            fsops.set_times(draft, os.fstat(descriptor).st_mtime_ns)
            fsops.fsync(copy_descriptor)
        finally:
            fsops.close(copy_descriptor)
    except OSError:
        with suppress(OSError):
            fsops.unlink(draft)
        raise


def _remove(source: MailboxCore, uids: Sequence[Uid], changes: Changes) -> None:
    """Unlink what was moved.  What cannot be removed stays: a copy, not a loss."""
    gone = []
    with source.own_changes(in_new=source.in_new(uids)):
        for uid in uids:
            try:
                if _remove_one(source, uid, changes):
                    gone.append(uid)
            except (OSError, ImapError) as error:
                _log.warn(
                    "store: moved message {uid} stays in {path!r}: {error!r}",
                    uid=uid,
                    path=source.directory,
                    error=error,
                )
    with suppress(OSError):  # a power loss may bring them back, with their UIDs
        fsops.fsync_directory(source.directory + b"/cur")
    source.forget_messages(gone)
    changes.expunged.sort()


def _remove_one(source: MailboxCore, uid: Uid, changes: Changes) -> bool:
    for _ in range(ATTEMPT_COUNT):
        path = source.index.path(uid)
        if path is None:
            return False
        try:
            fsops.unlink(source.directory + b"/" + path)
        except FileNotFoundError:
            relocate(source, changes)
            continue
        forget(source, changes, uid)
        return True
    return False
