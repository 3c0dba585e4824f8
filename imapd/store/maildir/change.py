"""STORE and EXPUNGE on files: renames and unlinks that survive other programs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from imapd.errors import Cannot, LimitReached, MessageGone
from imapd.ids import Uid
from imapd.model.flags import RECENT, StoreMode, canonical, combine, is_system
from imapd.model.mailbox import Changes
from imapd.store import fsops
from imapd.store.maildir.core import MailboxCore
from imapd.store.maildir.keywords import LETTERS, is_keyword
from imapd.store.maildir.names import (
    DELETED_LETTER,
    LETTER_OF_SYSTEM_FLAG,
    SYSTEM_LETTERS,
    letters_of,
    parse,
)
from imapd.store.maildir.sync import forget, sync, sync_first, tell_flags

#: How often a file is looked for that another program renames under our hands.
ATTEMPT_COUNT: Final = 10


@dataclass(frozen=True, slots=True)
class _Letters:
    """What flags become in a file name, and what does not fit there."""

    letters: bytes
    overflow: frozenset[bytes]
    unchanged: bool  # the name has these letters already, in any order
    info: bytes = b""  # all of a name from its ``:2,`` on


_NOTHING: Final[frozenset[bytes]] = frozenset()


def store_flags(
    core: MailboxCore, uids: Iterable[Uid], mode: StoreMode, flags: Iterable[bytes]
) -> Changes:
    """Change flags by renaming files, each from what its name says now.

    A crash leaves some messages changed and others not; each is whole.
    """
    core.require_writable()
    wanted = list(uids)
    with core.telling() as changes:
        sync_first(core, changes)
        with core.own_changes(in_new=core.in_new(wanted)):
            _store_all(core, wanted, mode, flags, changes)
    return changes


def _store_all(
    core: MailboxCore,
    uids: Sequence[Uid],
    mode: StoreMode,
    flags: Iterable[bytes],
    changes: Changes,
) -> None:
    wanted = [canonical(flag) for flag in flags if canonical(flag) != RECENT]
    if mode is not StoreMode.REMOVE:
        provide_letters(core, [flag for flag in wanted if not is_system(flag)])
    spelling = {name.lower(): name for name in core.known_keywords()}
    wanted = [spelling.get(flag.lower(), flag) for flag in wanted]
    touched: set[Uid] = set()
    if mode is StoreMode.REPLACE or not all(is_system(flag) for flag in wanted):
        core.must_be_patient()  # the state is asked
        touched = core.load_overflow()
    overflow: dict[int, tuple[frozenset[bytes], frozenset[bytes]]] = {}
    renaming = _Renaming(core, mode, wanted, changes)
    try:
        with fsops.opened_directory(core.cur.path) as cur:
            for uid in uids:
                rest = renaming.store(uid, cur)
                if rest is None:
                    continue
                touched.add(uid)
                old = core.overflow_keywords.get(uid, _NOTHING)
                if rest != old:
                    overflow[uid] = rest - old, old - rest
        core.change_overflow(overflow)
    finally:
        renaming.tell_missing()
        tell_flags(core, changes, touched)


class _Renaming:
    """One STORE: what it makes of the letters of a name is worked out once for each.

    Whole mailboxes are marked, and have few combinations of letters.
    """

    def __init__(
        self, core: MailboxCore, mode: StoreMode, flags: list[bytes], changes: Changes
    ) -> None:
        self._core = core
        self._mode = mode
        self._flags = flags
        self._changes = changes
        self._results: dict[bytes, _Letters] = {}
        self._missing: set[Uid] = set()

    def store(self, uid: Uid, cur: int) -> frozenset[bytes] | None:
        """Rename one file; its keywords without letters, None if it is gone.

        ``cur`` is that directory, opened: no other has a message renamed.
        """
        core, index = self._core, self._core.index
        for _ in range(ATTEMPT_COUNT):
            name = index.name(uid)
            if name is None:
                self._missing.add(uid)
                return None
            head, found, info = name.rpartition(b":2,")
            new = self._new(uid, name, info)
            target = (head if found else name) + new.info
            in_new = name in index.new
            try:
                if new.unchanged:  # is it still so?
                    if in_new:
                        fsops.status_strictly(core.new.path + b"/" + name)
                    else:
                        fsops.status_in(cur, name)
                    return new.overflow
                # A crash leaves the old name or the new one.
                if in_new:
                    moved = core.cur.path + b"/" + target
                    fsops.move_new(core.new.path + b"/" + name, moved)
                else:
                    fsops.rename_new(name, target, cur)
            except (FileNotFoundError, FileExistsError):
                # Renamed, or its new name is taken by a second file of its base.
                relocate(core, self._changes)
                self._results.clear()  # letters may have got names
                continue
            index.put(uid, target, in_new=False)
            return new.overflow
        raise MessageGone("A message is being changed by another program")

    def _new(self, uid: Uid, name: bytes, info: bytes) -> _Letters:
        """What becomes of a name that has ``info`` behind its ``:2,``."""
        alone = uid not in self._core.overflow_keywords
        new = self._results.get(info) if alone else None
        if new is None:
            flags = combine(self._core.flags_of(name, uid), self._mode, self._flags)
            new = _split(self._core, flags, name)
            if alone:
                self._results[info] = new
        return new

    def tell_missing(self) -> None:
        """Tell which messages are gone."""
        gone = self._changes.expunged
        gone.extend(sorted(self._missing.difference(gone)))


def relocate(core: MailboxCore, changes: Changes) -> None:
    """Look where a file went that is not where it was."""
    core.pending = True
    sync(core, changes, claim_recent=False)


def _split(core: MailboxCore, flags: Iterable[bytes], name: bytes) -> _Letters:
    """Part flags into letters and the rest; letters we do not know stay."""
    letters = {
        letter
        for letter in letters_of(name)
        if letter not in SYSTEM_LETTERS and letter not in LETTERS
    }
    overflow = set()
    for flag in flags:
        if is_system(flag):
            letter = LETTER_OF_SYSTEM_FLAG.get(flag)
        else:
            letter = core.keywords.letter_of(flag)
            if letter is None:
                overflow.add(flag)
        if letter is not None:
            letters.add(letter)
    ordered = bytes(sorted(letters))
    return _Letters(
        ordered,
        frozenset(overflow),
        unchanged=letters == set(letters_of(name)),
        info=b":2,%b%b" % (ordered, parse(name).extra),
    )


def provide_letters(core: MailboxCore, names: Iterable[bytes]) -> None:
    """Make sure that keywords can be stored: give new ones their letters.

    Raises:
        LimitReached: a keyword too many, or too long.
        Cannot: it is no keyword.
    """
    wanted = {name.lower(): name for name in names}
    if not wanted:
        return
    known = {name.lower() for name in core.known_keywords()}
    new = {lower: name for lower, name in wanted.items() if lower not in known}
    for name in new.values():
        if len(name) > core.limits.keyword_octets:
            raise LimitReached("The keyword is too long")
        if not is_keyword(name):
            raise Cannot("This is not a keyword")
    if len(known) + len(new) > core.limits.keyword_count:
        raise LimitReached("Too many keywords in this mailbox")
    if not new:
        return
    used = {letter for name in _names(core) for letter in letters_of(name)}
    with core.lock() as lock:
        core.read_keywords()  # letters that other messages have may be named now
        core.keywords.assign(lock, new.values(), used)
    core.forget_flags()
    if core.overflow is None and any(
        core.keywords.letter_of(name) is None for name in new.values()
    ):
        raise LimitReached("Too many keywords in this mailbox")


def _names(core: MailboxCore) -> list[bytes]:
    """The names of all messages, also where nobody has opened the mailbox yet."""
    if core.synced:
        return [name for _, name in core.index.items()]
    return [*fsops.names(core.cur.path), *fsops.names(core.new.path)]


def letters_for(core: MailboxCore, flags: Iterable[bytes], name: bytes) -> bytes:
    """Return the letters of flags that were provided for."""
    return _split(core, flags, name).letters


def overflow_of(core: MailboxCore, flags: Iterable[bytes]) -> frozenset[bytes]:
    """Return the keywords among flags that have no letter."""
    return _split(core, flags, b"").overflow


def expunge(core: MailboxCore, uids: Iterable[Uid]) -> Changes:
    r"""Unlink the files whose names say ``\Deleted`` at that moment.

    No lock and no space is needed.  A crash leaves some of the messages; a power
    loss may bring some back, with their UIDs.
    """
    core.require_writable()
    with core.telling() as changes:
        sync_first(core, changes)
        wanted = list(uids)
        with (
            core.own_changes(in_new=core.in_new(wanted)),
            fsops.opened_directory(core.cur.path) as cur,
            Removal(core, cur, changes) as removal,
        ):
            missing = [
                uid for uid in wanted if not removal.remove(uid, only_deleted=True)
            ]
        core.forget_messages(removal.gone)
        told = set(changes.expunged)
        changes.expunged.extend(uid for uid in missing if uid not in told)
        changes.expunged.sort()
    return changes


class Removal:
    """Unlinks messages; those that went are forgotten together, when it ends."""

    def __init__(self, core: MailboxCore, cur: int, changes: Changes) -> None:
        """``cur`` is that directory, opened."""
        self._cur = cur
        self.gone: list[Uid] = []
        self._core = core
        self._changes = changes
        self._forgotten = 0  # of those

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._forget()

    def _forget(self) -> None:
        gone, self._forgotten = self.gone[self._forgotten :], len(self.gone)
        forget(self._core, self._changes, *gone)

    def remove(self, uid: Uid, *, only_deleted: bool = False) -> bool:
        r"""Unlink a file; False: there is no such message.

        With ``only_deleted`` it is left alone unless its name says ``\Deleted``.
        """
        core = self._core
        for _ in range(ATTEMPT_COUNT):
            path = core.index.path(uid)
            if path is None:
                return False
            if only_deleted and DELETED_LETTER not in letters_of(path[4:]):
                return True
            try:
                # The name carries the flag: if it was cleared, there is no such file.
                if path.startswith(b"cur/"):
                    fsops.unlink_in(self._cur, path[4:])
                else:
                    fsops.unlink(core.directory + b"/" + path)
            except FileNotFoundError:
                self._forget()  # else they are found missing
                relocate(core, self._changes)
                continue
            self.gone.append(uid)
            break
        return True  # or it is being renamed all the time: it stays for now
