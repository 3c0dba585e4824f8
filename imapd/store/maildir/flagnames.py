"""What the letters in file names mean, and the keywords that found no letter."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from imapd.ids import Uid
from imapd.model.flags import NO_FLAGS, Flags
from imapd.store import fsops
from imapd.store.maildir.index import FileIndex
from imapd.store.maildir.keywords import (
    LETTERS,
    KeywordOverflow,
    KeywordTable,
    OverflowChanges,
)
from imapd.store.maildir.names import SYSTEM_LETTERS, letters_of

#: Combinations of letters whose flags are remembered.
_MOST_COMBINATIONS = 4096


class FlagNames:
    """The half of ``MailboxCore`` that knows flags."""

    index: FileIndex

    def __init__(self, directory: bytes, overflow: KeywordOverflow | None) -> None:
        self._folder = directory
        self.overflow = overflow
        self.reset_flags()

    def reset_flags(self) -> None:
        """Forget everything that was read."""
        self.keywords = KeywordTable(self._folder)
        self.overflow_keywords: dict[int, frozenset[bytes]] = {}
        #: Keywords that another server keeps, where we may not take them over.
        self.taken_keywords: dict[int, frozenset[bytes]] = {}
        #: A letter was seen that had no name.
        self.has_unnamed = False
        self.forget_flags()

    @property
    def numbering(self) -> str:
        """What is kept by UID beside the Maildir is kept under this name."""
        raise RuntimeError("the core knows")

    def refresh_keywords(self) -> bool:
        """Read the letters' names again; return whether they changed.

        Then every message is to be looked at again.
        """
        if not self.keywords.refresh():
            return False
        self.has_unnamed = False
        self.forget_flags()
        return True

    def letters_were_named(self) -> bool:
        """Whether letters that were seen without a name may have one now.

        Dovecot renames files first and writes the names of new letters after that.
        """
        return self.has_unnamed and self.keywords.changed()

    def forget_flags(self) -> None:
        """Compute flags anew: letters got names."""
        self._flags_of_letters: dict[bytes, Flags] = {}
        self._known: tuple[bytes, ...] | None = None
        self._known_of = (0, 0)

    def flags_of(self, name: bytes, uid: Uid) -> Flags:
        """Return the flags of a message: those in its file name, and the rest."""
        flags = self._named_flags(name)
        more = self.overflow_keywords.get(uid)
        return flags | more if more else flags

    def flags_of_all(
        self, names: Sequence[bytes], uids: Sequence[Uid]
    ) -> Sequence[Flags]:
        """Return the flags of many messages: few names end in different ways."""
        endings = [name.partition(b":")[2] for name in names]
        known = {each: self._named_flags(b":" + each) for each in set(endings)}
        flags = [known[each] for each in endings]
        if self.overflow_keywords:
            for at, uid in enumerate(uids):
                flags[at] |= self.overflow_keywords.get(uid, NO_FLAGS)
        return flags

    def _named_flags(self, name: bytes) -> Flags:
        letters = letters_of(name)
        flags = self._flags_of_letters.get(letters)
        if flags is None:
            flags = frozenset(
                SYSTEM_LETTERS.get(letter) or self._keyword(letter)
                for letter in letters
                if letter in SYSTEM_LETTERS or letter in LETTERS
            )
            if len(self._flags_of_letters) > _MOST_COMBINATIONS:
                self._flags_of_letters.clear()
            self._flags_of_letters[letters] = flags
        return flags

    def _keyword(self, letter: int) -> bytes:
        self.has_unnamed = self.has_unnamed or not self.keywords.has_name(letter)
        return self.keywords.name_of(letter)

    # -- keywords without letters --

    def load_overflow(self) -> set[Uid]:
        """Read the keywords without letters; return whose changed."""
        old = self.overflow_keywords
        self.overflow_keywords = dict(self.taken_keywords)
        if self.overflow is not None:
            self.overflow_keywords.update(self.overflow.keywords(self.numbering))
        if old == self.overflow_keywords:
            return set()
        self._known = None
        every = old.keys() | self.overflow_keywords.keys()
        return {
            Uid(uid) for uid in every if old.get(uid) != self.overflow_keywords.get(uid)
        }

    def set_overflow(
        self, changes: Mapping[int, frozenset[bytes]], under: str | None = None
    ) -> None:
        """Keep keywords that have no letter, under a numbering or the present one."""
        if self.overflow is None or not changes:
            return
        self.overflow.set(under or self.numbering, changes)
        self._note_overflow(changes)

    def _note_overflow(self, changes: Mapping[int, frozenset[bytes]]) -> None:
        self._known = None
        for uid, names in changes.items():
            if names:
                self.overflow_keywords[uid] = names
            else:
                self.overflow_keywords.pop(uid, None)

    def change_overflow(self, changes: OverflowChanges) -> None:
        """Add and remove keywords that have no letter, beside other processes of ours.

        They look only where a directory changed, so it is made to look changed.
        """
        if self.overflow is None or not changes:
            return
        self._note_overflow(self.overflow.change(self.numbering, changes))
        with suppress(OSError):  # not our directory: it waits for the next change
            fsops.set_times(self._folder + b"/cur", time.time_ns())

    # -- what is in use --

    def known_keywords(self) -> tuple[bytes, ...]:
        """Return the keywords in use here: those with letters first.

        Sessions ask after every command, and are given the same tuple as long as
        it is the same.
        """
        known, used = self._known, self.index.keywords
        if known is None or self._known_of != (id(used), len(used)):
            self._known_of = (id(used), len(used))
            known = self._known = self._collect(list(used.values()))  # another thread's
        return known

    def _collect(self, used: list[bytes]) -> tuple[bytes, ...]:
        known = {name.lower(): name for name in self.keywords.names()}
        for names in list(self.overflow_keywords.values()):
            for name in sorted(names):
                known.setdefault(name.lower(), name)
        for name in used:
            known.setdefault(name.lower(), name)
        return tuple(known.values())
