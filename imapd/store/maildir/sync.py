"""Bring what we know of a folder in line with the disk."""

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from twisted.logger import Logger

from imapd.ids import Uid
from imapd.model.mailbox import Changes, MessageState
from imapd.store import fsops
from imapd.store.maildir import newcomers, snapshot
from imapd.store.maildir.core import MailboxCore
from imapd.store.maildir.intake import take_all
from imapd.store.maildir.names import (
    all_usable,
    base_of,
    parse,
    sizes_part,
    unique_base,
    usable,
)
from imapd.store.maildir.newcomers import Found
from imapd.store.maildir.numbers import (
    load_uid_list,
    restore_missing,
)
from imapd.store.maildir.scan import FINE_SECONDS, Listing

_log = Logger()

#: Listings in one sync, until one is exact or nothing is missing.
SCAN_COUNT: Final = 4
#: The same where a message missed is one given a new UID: at the first sync, and
#: where the UID list has one that was not seen yet.
FIRST_SCAN_COUNT: Final = 10
#: A second name of one inode is a move in progress until it is this old.
_MOVE_SECONDS: Final = 2.0
_NEW: Final = b"new/"
_CUR: Final = b"cur/"


def sync(core: MailboxCore, changes: Changes, claim_recent: bool) -> None:
    """Add to ``changes`` all that is not as it was.

    Raises:
        OSError: the folder cannot be read.
        InUse: new messages wait for UIDs, and another program holds the lock.
    """
    core.must_be_patient()
    if not core.synced:
        core.make_directories()
        snapshot.restore(core, changes)
    if not core.synced or core.uidlist.changed():
        load_uid_list(core)
    _compare_numbers(core, changes)
    core.read_keywords()
    if not core.synced or core.pending or core.new.changed() or core.cur.changed():
        core.touched |= core.load_overflow()
        for _ in range(SCAN_COUNT):
            overtaken = _scan(core, changes)
            # The list may have been read again, under its lock.
            if not (_compare_numbers(core, changes) or overtaken):
                break
    tell_flags(core, changes, core.touched)
    core.touched.clear()
    if claim_recent and not core.read_only:
        _claim(core)
    core.synced = True


def sync_first(core: MailboxCore, changes: Changes) -> None:
    """Sync if that was never done: a message not known is not one that is gone."""
    if not core.synced:
        sync(core, changes, claim_recent=False)


def _compare_numbers(core: MailboxCore, changes: Changes) -> bool:
    """Find out what the UID list says now of messages we know.

    True: some have other numbers, which a listing is to find.
    """
    table = core.uidlist.table
    lost: list[Uid] = []
    again = not core.knows_numbers()
    if again:
        changes.renumbered = True
        changes.added.clear()
        changes.expunged.clear()
        changes.flags.clear()
        core.index.clear()
        core.made_up.clear()
        core.published.clear()
        core.synced = False
    elif core.made_up or core.told_table is not table or table.renumbered:
        # In the midst of a first sync, too: what it has listed has old numbers.
        lost = restore_missing(core)
        if lost:
            forget(core, changes, *lost)
            core.pending = True
    core.told_table = table if table.uid_validity else None
    table.renumbered = False
    return again or bool(lost)


# -- listing ------------------------------------------------------------------


def _scan(core: MailboxCore, changes: Changes) -> bool:
    """Look for what is new and what is gone; True: look again at once."""
    whole = core.pending or not core.synced
    core.whereabouts = {}
    core.pending = True  # until this is done: if it fails, we look again
    certain = core.index.is_certain
    found = _list_until_sure(core, whole)
    if found.unknown or (core.uidlist.needs_rewrite() and not core.read_only):
        newcomers.number(core, found)
    _add(core, changes, found)
    certain = found.exact or (certain and not found.missing)
    core.index.raise_to(found.last_uid if found.exact else 0, certain=certain)
    if found.exact:
        # Those that are there are in the index by now.
        highest = core.index.highest
        core.published = {uid for uid in core.published if uid > highest}
        gone = [uid for uid in found.missing if uid in core.index]
        forget(core, changes, *gone)
        core.forget_messages(gone)
    core.pending = found.deferred or (bool(found.missing) and not found.exact)
    for kept, second in found.duplicates:
        _part_duplicates(core, kept, second)
    return found.overtaken


def _list_until_sure(core: MailboxCore, whole: bool) -> Found:
    """List both directories until nothing is missing or a listing was exact.

    ``new`` goes first: what moves on to ``cur`` meanwhile is seen at least once.
    Files are only missed if they are renamed within ``cur`` or into it while it is
    listed, or out of it, back to ``new`` that is listed already; so ``cur`` must be
    the same from before ``new`` is listed until the end.

    Without ``whole`` it is listed only if it changed since it last was: of the two
    it is the large one, and a delivery does not touch it.
    """
    found = Found()
    for attempt in range(FIRST_SCAN_COUNT):
        found.last_uid = core.uidlist.table.last_uid
        start = core.cur.start()
        new = core.new.list()
        cur = core.cur.list(start) if whole or attempt or core.cur.changed() else None
        found.exact = cur is not None and cur.exact  # else nothing is taken for gone
        found.unknown.clear()
        found.duplicates.clear()
        found.unseen.clear()
        if found.exact:  # it alone counts: what earlier ones saw may be gone
            found.added.clear()
        found.missing = _match(core, found, new, cur)
        if found.exact or not found.missing:
            break
        # What is not there yet gets another UID if later ones are told before it.
        patient = found.unseen or not core.synced
        if attempt == (FIRST_SCAN_COUNT if patient else SCAN_COUNT) - 1:
            break
        time.sleep(FINE_SECONDS)
    for uid, path in found.renamed.items():
        core.index.put(uid, path[4:], path.startswith(_NEW))
    core.touched.update(found.renamed)
    return found


def _match(
    core: MailboxCore,
    found: Found,
    new: Listing,
    cur: Listing | None,
) -> set[Uid]:
    """Compare a listing with the index; return who is missing.

    None for ``cur``: it is as the index says.
    """
    index = core.index
    # What was no file may be one by now; a name that no message can have stays so.
    core.ignored = {name for name in core.ignored if not usable(name)}
    missing = {index.new[name] for name in index.new.keys() - new.names}
    fresh = [_NEW + name for name in _others(new.names, index.new)]
    found.odd = new.odd
    if cur is not None:
        missing.update(index.cur[name] for name in index.cur.keys() - cur.names)
        fresh = [_CUR + name for name in _others(cur.names, index.cur)] + fresh
        found.odd |= cur.odd
        if core.ignored:
            core.ignored &= cur.names | new.names
    if core.ignored:
        fresh = [path for path in fresh if path[4:] not in core.ignored]
    earlier, found.renamed = found.renamed, {}
    if len(index) or not _match_all(core, found, fresh):
        seen: dict[bytes, bytes] = {}
        for path in fresh:
            name = path[4:]
            if not usable(name):
                core.ignored.add(name)
                continue
            _match_one(core, found, missing, seen, path)
    for uid in missing & earlier.keys():
        found.renamed[uid] = earlier[uid]  # that listing saw more of this message
    listed = core.uidlist.table
    if max(listed.last_uid, index.highest) > index.certain:
        later = {uid for uid in listed.uids.values() if uid > index.certain}
        later -= found.added.keys()
        found.unseen = {
            uid for uid in later if uid not in index and not index.is_gone(uid)
        }
        missing |= found.unseen
    return missing


def _others(names: frozenset[bytes], known: Mapping[bytes, Uid]) -> frozenset[bytes]:
    """Those that are not known; of a folder read for the first time none is copied."""
    return names.difference(known) if known else names


def _match_all(core: MailboxCore, found: Found, paths: Sequence[bytes]) -> bool:
    """Find out whose names these are where no message is known yet.

    False: some are nobody's, or two are of one message: it is one by one then.
    """
    bases = [path.partition(b":")[0][4:] for path in paths]
    by_base = dict(zip(bases, paths, strict=True))
    if len(by_base) < len(paths) or core.made_up or not all_usable(paths):
        return False
    known = core.uidlist.table.uids
    if known.keys().isdisjoint(by_base):
        found.unknown = by_base  # there is none yet
        return True
    for base, path in by_base.items():
        uid = known.get(base)
        if uid is None:
            found.unknown[base] = path
        else:
            found.added[uid] = path
    return True


def _match_one(
    core: MailboxCore,
    found: Found,
    missing: set[Uid],
    seen: dict[bytes, bytes],
    path: bytes,
) -> None:
    """Find out whose name this is that was not there before."""
    base = base_of(path[4:])
    uid = core.uid_of(base)
    if base in seen:
        found.duplicates.append((seen[base], path))
    elif uid is not None and uid in core.index:
        if uid in missing:
            missing.discard(uid)
            found.renamed[uid] = path
        else:
            found.duplicates.append((core.index.path(uid) or path, path))
            return
    elif uid is not None:
        found.added[uid] = path
    else:
        found.unknown[base] = path
    seen[base] = path


# -- new messages -------------------------------------------------------------


def _add(core: MailboxCore, changes: Changes, found: Found) -> None:
    """Take new messages into the index, in ascending order."""
    highest = core.index.highest
    late = [uid for uid in found.added if uid <= highest] if highest else []
    for uid, path in newcomers.renumber(core, found, late):
        found.added[uid] = path
    if found.added and not len(core.index):
        _add_all(core, changes, found.added)
    else:
        _add_each(core, changes, found.added)
    core.published.difference_update(found.added)


def _add_all(core: MailboxCore, changes: Changes, added: dict[Uid, bytes]) -> None:
    uids = sorted(added)
    paths = list(map(added.__getitem__, uids))
    names = [path[4:] for path in paths]
    in_new = [path[4:] for path in paths if path.startswith(_NEW)]
    take_all(core, changes, uids, names, in_new)
    core.index.raise_to(uids[-1], certain=False)


def _add_each(core: MailboxCore, changes: Changes, added: dict[Uid, bytes]) -> None:
    for uid in sorted(added):
        path = added[uid]
        in_new = path.startswith(_NEW)
        core.index.put(uid, path[4:], in_new)
        core.index.raise_to(uid, certain=False)
        flags = core.flags_of(path[4:], uid)
        core.index.tell(uid, flags)
        # A message of ours is recent wherever it lies.  RFC 3501 §6.3.11.
        recent = in_new or uid in core.published
        changes.added.append(MessageState(uid, flags, recent))


# -- what changed -------------------------------------------------------------


def forget(core: MailboxCore, changes: Changes, *gone: Uid) -> None:
    """Take messages that are gone out of the index, and tell."""
    for uid in gone:
        core.index.remove(uid)
        changes.flags.pop(uid, None)
    doomed = set(gone)
    if changes.added:  # added and gone in one go: never heard of
        doomed -= {state.uid for state in changes.added}
        if len(doomed) < len(set(gone)):
            removed = set(gone)
            left = [state for state in changes.added if state.uid not in removed]
            changes.added[:] = left
    changes.expunged.extend(uid for uid in gone if uid in doomed)


def tell_flags(core: MailboxCore, changes: Changes, uids: Iterable[Uid]) -> None:
    """Tell those flags that are others than were told before."""
    index = core.index
    for uid in sorted(uids):
        name = index.name(uid)
        if name is None:
            continue
        flags, told = core.flags_of(name, uid), index.flags.get(uid)
        if flags is not told and flags != told:  # mostly they are the same object
            index.tell(uid, flags)
            changes.flags[uid] = flags


def _claim(core: MailboxCore) -> None:
    """Move messages from ``new`` to ``cur``: somebody has seen that they are there."""
    if not core.index.new:
        return
    with core.own_changes(in_new=True):
        _claim_all(core)


def _claim_all(core: MailboxCore) -> None:
    try:
        with (
            fsops.opened_directory(core.new.path) as new,
            fsops.opened_directory(core.cur.path) as cur,
        ):
            for name, uid in list(core.index.new.items()):
                _claim_one(core, name, uid, new, cur)
    except FileNotFoundError:
        core.pending = True  # somebody is about to remove the mailbox


def _claim_one(core: MailboxCore, name: bytes, uid: Uid, new: int, cur: int) -> None:
    parsed = parse(name)
    target = parsed.with_letters(parsed.letters)
    try:
        # A crash between two of these leaves the rest in new/.
        fsops.rename_new(name, target, new, cur)
    except (FileNotFoundError, FileExistsError):
        core.pending = True  # another program moved it; the next listing tells
    else:
        core.index.put(uid, target, in_new=False)


def _part_duplicates(core: MailboxCore, kept: bytes, second: bytes) -> None:
    """Give the second file of one base a base of its own; nothing is removed.

    A listing may show a file under its old and its new name: then one is gone.
    And one inode under two names may be a move by link and unlink that is not
    finished: that gets two seconds.
    """
    core.pending = True
    path = core.directory + b"/"
    one, two = fsops.status_or_none(path + kept), fsops.status_or_none(path + second)
    if one is None or two is None or core.read_only:
        core.pending = not core.read_only
        return
    same = (one.st_dev, one.st_ino) == (two.st_dev, two.st_ino)
    if same and abs(time.time() - two.st_ctime) < _MOVE_SECONDS:
        return
    parsed = parse(second[4:])
    base = unique_base() + sizes_part(second[4:])
    name = b"%b:2,%b%b" % (base, parsed.letters, parsed.extra)
    _log.warn(
        "store: {second!r} in {path!r} has the base of {kept!r}; it is {name!r} now",
        path=core.directory,
        second=second,
        kept=kept,
        name=name,
    )
    target = name if second.startswith(_CUR) else base
    with suppress(FileNotFoundError):  # it was renamed just now; look again
        fsops.move_new(path + second, path + second[:4] + target)
