"""Number messages that have no UIDs, or old ones, in the order they are told in.

A session is told of messages in ascending order of UIDs, and never of one below the
last.  So a UID that another server gave out must be told before those that we give
out after it; where the listing at hand may lack its file, we list again first.
"""

import stat
from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from typing import Final

from twisted.logger import Logger

from imapd.errors import InUse, Unavailable
from imapd.ids import Uid
from imapd.store import fsops, quiet
from imapd.store.maildir import recall
from imapd.store.maildir.core import MailboxCore
from imapd.store.maildir.names import base_of, in_order
from imapd.store.maildir.numbers import load_uid_list, refresh_locked

_log = Logger()

#: How long a sync waits to number new mail, before it shows the rest without.
SYNC_LOCK_SECONDS: Final = 2.0


@dataclass(slots=True)
class Found:
    """What the listings of one sync showed.  Paths are relative."""

    added: dict[Uid, bytes] = field(default_factory=dict)  # have a UID, not in index
    renamed: dict[Uid, bytes] = field(default_factory=dict)  # in index elsewhere
    unknown: dict[bytes, bytes] = field(default_factory=dict)  # by base
    duplicates: list[tuple[bytes, bytes]] = field(default_factory=list)
    missing: set[Uid] = field(default_factory=set)
    unseen: set[Uid] = field(default_factory=set)  # those missing that never were here
    odd: frozenset[bytes] = frozenset()  # names that may be no regular files
    exact: bool = False
    last_uid: int = 0  # in the UID list when the listing began
    deferred: bool = False  # new messages still wait for their UIDs
    overtaken: bool = False  # another server gave out UIDs meanwhile


def number(core: MailboxCore, found: Found) -> None:
    """Give UIDs to messages that have none; without a disk to write to, later.

    A full disk or a lock held too long does not keep a mailbox from being read.
    Where the disk failed they wait too: the UIDs that we would make up are those
    that the next process gives to others, under the same UIDVALIDITY.
    """
    messages = _messages_only(core, found)
    first = not core.uidlist.table.uid_validity
    if not core.read_only:
        if not messages and not core.uidlist.needs_rewrite():
            return
        try:
            if first:
                _number_first(core, found)
            else:
                _number_locked(core, found)
        except InUse:
            if first:
                raise  # there is no UIDVALIDITY to show anything under
            found.deferred = True
        except OSError as error:
            core.note_failure("numbering new messages", error)
            if not first:
                found.deferred = True
            elif core.read_only:
                load_uid_list(core)  # with numbers of this process, if there are none
            else:
                raise
    if core.failed:
        found.deferred = True
    elif core.read_only:
        for base in in_order(messages):
            found.added[core.make_up_uid(base)] = found.unknown[base]


def _number_locked(core: MailboxCore, found: Found) -> None:
    """Give UIDs to messages that have none, in the order Dovecot would."""
    validity = core.uidlist.table.uid_validity
    with core.lock(SYNC_LOCK_SECONDS) as lock:
        refresh_locked(core, lock)
        if core.uidlist.table.uid_validity != validity:
            raise Unavailable("The mailbox was renumbered; try again")
        recall.recall(core)
        if _is_overtaken(core, found):
            return
        known = core.uidlist.table.uids
        late = known.keys() & found.unknown.keys()  # another server was faster
        found.added.update((known[base], found.unknown[base]) for base in late)
        unknown = in_order(_unnumbered(core, found, late))
        # The files are their deliverer's to sync; the UIDs are durable before any
        # session hears of them.
        uids = core.uidlist.record(lock, unknown, core.is_gone)
        paths = map(found.unknown.__getitem__, unknown)
        found.added.update(zip(uids, paths, strict=True))


def _number_first(core: MailboxCore, found: Found) -> None:
    """Make the first UID list of the folder, with all that the listing showed.

    Where it is there by now, the listing is older than its UIDs, and than the names
    that it may have given to files.
    """
    with core.lock() as lock:
        if refresh_locked(core, lock, recording=True):
            found.overtaken = found.deferred = True
            return
        recall.recall(core)
        bases = in_order(_unnumbered(core, found, frozenset()))
        uids = core.uidlist.record(lock, bases, core.is_gone)
        found.added.update(
            zip(uids, map(found.unknown.__getitem__, bases), strict=True)
        )
        core.told_table = core.uidlist.table


def _unnumbered(core: MailboxCore, found: Found, late: Set[bytes]) -> list[bytes]:
    if not core.ignored and not late:
        return list(found.unknown)
    return [
        base
        for base, path in found.unknown.items()
        if base not in late and path[4:] not in core.ignored
    ]


def _is_overtaken(core: MailboxCore, found: Found) -> bool:
    """Note whether there are UIDs now whose files the listing may not have seen."""
    table = core.uidlist.table
    if table.last_uid <= found.last_uid:
        return False
    found.overtaken = any(
        uid > found.last_uid and base not in found.unknown and uid not in core.index
        for base, uid in table.uids.items()
    )
    found.deferred = found.deferred or found.overtaken
    return found.overtaken


def _messages_only(core: MailboxCore, found: Found) -> list[bytes]:
    """Return the bases of regular files; remember what is something else."""
    if not found.odd:
        return list(found.unknown)
    bases = []
    for base, path in found.unknown.items():
        if path[4:] not in found.odd:
            bases.append(base)
            continue
        status = fsops.status_or_none(core.directory + b"/" + path)
        if status is not None and not stat.S_ISREG(status.st_mode):
            if quiet.is_due("message", core.directory, path):
                _log.warn(
                    "store: {path!r} is not a message",
                    path=core.directory + b"/" + path,
                )
            core.ignored.add(path[4:])
        elif status is not None:
            bases.append(base)
    return bases


def renumber(
    core: MailboxCore, found: Found, late: Iterable[Uid]
) -> list[tuple[Uid, bytes]]:
    """Give a message that was expunged and came back a new UID, as Dovecot does.

    Sessions were told of higher UIDs: the old one cannot come between them.
    """
    paths = [(uid, found.added.pop(uid)) for uid in late]
    if not paths:
        return []
    bases = [base_of(path[4:]) for _, path in paths]
    _log.info(
        "store: {count} messages of {path!r} came back",
        count=len(bases),
        path=core.directory,
    )
    if core.failed:
        found.deferred = True
        return []
    if core.read_only:
        uids = [core.make_up_uid(base) for base in bases]
    else:
        with core.lock() as lock:
            refresh_locked(core, lock)
            if _is_overtaken(core, found):
                return []
            uids = recall.record(core, lock, bases)
    return [(uid, path) for uid, (_, path) in zip(uids, paths, strict=True)]
