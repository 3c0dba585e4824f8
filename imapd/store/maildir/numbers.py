"""The UID list of a folder: read it, and make one where there is none.

A folder without one gets the numbers of the server it comes from, or new ones.
"""

import errno
import secrets

from twisted.logger import Logger

from imapd.ids import LARGEST_NUMBER, Uid
from imapd.store import fsops
from imapd.store.locks import MailboxLock
from imapd.store.maildir.core import MailboxCore, numbering
from imapd.store.maildir.keywords import LETTERS
from imapd.store.maildir.names import base_of, letters_of, parse, sort_key, usable
from imapd.store.maildir.takeover import TakenOver
from imapd.store.maildir.uidformat import LARGEST_UID, BrokenUidList, UidTable

_log = Logger()

_NOT_A_FILE = (errno.EINVAL, errno.EISDIR)


def load_uid_list(core: MailboxCore) -> None:
    """Read what is new in the UID list; make or mend it where needed.

    The first one of a folder without numbers of another server is left to who
    records UIDs in it: one lock and one write do for both.
    """
    broken = False
    try:
        there = core.uidlist.refresh()
    except BrokenUidList:
        there, broken = False, True
    except OSError as error:
        if error.errno not in _NOT_A_FILE:
            raise
        there, broken = False, True
    if there:
        return
    first = not broken and not core.read_only and not core.uidlist.table.uid_validity
    if not first or core.take_over(core.location) is not None:
        _make_uid_list(core)


def refresh_locked(
    core: MailboxCore, lock: MailboxLock, *, recording: bool = False
) -> bool:
    """Read the UID list under the lock, and leave a good one behind.

    With ``recording`` the caller records UIDs next, and a first list has no file
    before: then False is returned.
    """
    try:
        there = core.uidlist.is_as_read() or core.uidlist.refresh()
    except BrokenUidList as error:
        _log.warn("store: {path!r}: {error}", path=core.uidlist.path, error=str(error))
        core.uidlist.repair(lock, core.new_uid_validity)
        return True
    except OSError as error:
        if error.errno not in _NOT_A_FILE:
            raise
        # A directory or a FIFO has its name: it is moved aside.
        core.uidlist.repair(lock, core.new_uid_validity)
        return True
    if there:
        return True
    if core.uidlist.table.uid_validity:
        # Somebody removed it, but we still know the numbers.
        core.uidlist.rewrite(lock, core.is_gone)
        return True
    return _create(core, lock, recording)


def _make_uid_list(core: MailboxCore) -> None:
    if not core.read_only:
        try:
            with core.lock() as lock:
                refresh_locked(core, lock)
        except OSError as error:
            core.note_failure("making a UID list", error)
            if not core.read_only:
                raise
    if core.read_only:
        _make_up(core)


def _make_up(core: MailboxCore) -> None:
    """Give a folder that cannot be written numbers for as long as we run."""
    if core.uidlist.table.uid_validity or core.uidlist.salvage():
        return
    taken = core.take_over(core.location)
    if taken is not None:
        table = core.uidlist.table = _table(taken)
        for base, keywords in taken.message_keywords.items():
            if base in table.uids:
                core.taken_keywords[table.uids[base]] = keywords
        return
    names = [
        name
        for directory in (core.new, core.cur)
        for name in directory.list().names
        if usable(name)
    ]
    bases = sorted({base_of(name) for name in names}, key=sort_key)
    core.uidlist.table.uid_validity = core.make_up_validity(bases)
    core.failed = False  # of these numbers nothing will be on any disk
    core.uidlist.table.guid = core.guid


def _create(core: MailboxCore, lock: MailboxLock, recording: bool) -> bool:
    """Write the first UID list; False: that is left to who records UIDs.

    The keywords go first: a crash before the UID list is there makes the next
    opening do the same again.
    """
    taken = core.take_over(core.location)
    table = UidTable() if taken is None else _table(taken)
    if not 0 < table.uid_validity <= LARGEST_NUMBER:
        table.uid_validity = core.new_uid_validity()
    guid = secrets.token_hex(16) if taken is None or not taken.guid else taken.guid
    core.uidlist.table.guid = table.guid = guid
    if taken is not None:
        _take_keywords(core, lock, taken, table)
        _log.info(
            "store: took over {count} UIDs of {path!r}",
            count=len(table.uids),
            path=core.directory,
        )
    later = recording and taken is None
    core.uidlist.create(lock, table, later=later)
    return not later


def _table(taken: TakenOver) -> UidTable:
    table = UidTable(taken.uid_validity, max(taken.uid_next, 1))
    for uid, base in taken.entries:
        if table.last_uid < uid <= LARGEST_UID and usable(base):
            table.add(uid, base_of(base))
    return table


def _take_keywords(
    core: MailboxCore, lock: MailboxLock, taken: TakenOver, table: UidTable
) -> None:
    """Put the keywords of the other server into file names.

    Each rename stands for itself; doing it twice changes nothing.
    """
    if not taken.message_keywords and not taken.keywords_complete:
        return
    core.refresh_keywords()
    listed = [
        (part, name)
        for directory, part in ((core.new, b"/new/"), (core.cur, b"/cur/"))
        for name in directory.list().names
    ]
    every = set(taken.keywords).union(*taken.message_keywords.values())
    used = {letter for _, name in listed for letter in letters_of(name)}
    core.keywords.assign(lock, [*taken.keywords, *sorted(every)], used)
    under = numbering(table.guid, table.uid_validity)
    old = {} if core.overflow is None else core.overflow.keywords(under)
    overflow: dict[int, frozenset[bytes]] = {}
    for part, name in listed:
        lock.touch()
        base = base_of(name)
        words = taken.message_keywords.get(base, frozenset())
        letters, rest = _letters_and_rest(core, words)
        uid = table.uids.get(base)
        complete = taken.keywords_complete and uid is not None
        _set_letters(core, part, name, letters, complete)
        if uid is None:
            continue
        before = old.get(uid, frozenset())
        rest = rest if complete else rest | before
        if rest != before:
            overflow[uid] = rest
    core.set_overflow(overflow, under)
    core.forget_flags()


def _letters_and_rest(
    core: MailboxCore, names: frozenset[bytes]
) -> tuple[bytes, frozenset[bytes]]:
    letters = {name: core.keywords.letter_of(name) for name in names}
    have = bytes(letter for letter in letters.values() if letter is not None)
    rest = frozenset(name for name, letter in letters.items() if letter is None)
    return have, rest


def _set_letters(
    core: MailboxCore, part: bytes, name: bytes, letters: bytes, complete: bool
) -> None:
    """Add letters to a file name; with ``complete`` they are all that there are."""
    parsed = parse(name)
    kept = (key for key in parsed.letters if not complete or key not in LETTERS)
    wanted = bytes({*kept, *letters})
    if set(wanted) == set(parsed.letters):
        return
    renamed = parsed.with_letters(wanted)
    try:
        fsops.move_new(
            core.directory + part + name, core.directory + b"/cur/" + renamed
        )
    except (FileNotFoundError, FileExistsError) as error:
        # Another program was faster; its name stands.
        _log.info(
            "store: keywords of {name!r} in {path!r} not set: {error}",
            name=name,
            path=core.directory,
            error=repr(error),
        )


def restore_missing(core: MailboxCore) -> list[Uid]:
    """Compare the index with a UID list that was replaced.

    A message whose line is gone keeps its UID: the line comes back with the next
    write.  Returns the messages to which the list gives other UIDs.
    """
    table = core.uidlist.table
    others: list[Uid] = []
    used: set[Uid] | None = None
    for uid in core.index:
        base = base_of(core.index.name(uid) or b"")
        listed = table.uids.get(base)
        if listed == uid or (listed is None and core.made_up.get(base) == uid):
            continue
        if used is None:
            used = set(table.uids.values())
        if listed is None and uid not in used:
            core.uidlist.restore(uid, base)
        else:
            others.append(uid)
    return others
