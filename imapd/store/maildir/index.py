"""Which message has which file now: one folder in memory, shared by its sessions."""

from collections.abc import Collection, Iterator, Sequence

from imapd.ids import Uid
from imapd.model.flags import NO_FLAGS, Flags

#: Sets of flags whose keywords are known to be noted; clients make them up.
_MOST_SETS = 4096


class FileIndex:
    """Messages by UID, and their files by name.

    Paths are relative: ``cur/<name>`` and ``new/<name>`` are kept apart as two
    tables of names, so that a listing can be compared at the speed of sets.
    """

    def __init__(self) -> None:
        self.cur: dict[bytes, Uid] = {}
        self.new: dict[bytes, Uid] = {}
        self._names: dict[Uid, bytes] = {}
        self.flags: dict[Uid, Flags] = {}  # as last told to the caller
        #: The keywords that some message has, or had since the folder was read, by
        #: their lower case.  Only ever added to, or replaced.
        self.keywords: dict[bytes, bytes] = {}
        self._seen: set[Flags] = set()
        self.highest = 0  # the highest UID ever told to the caller
        #: Up to it every UID of the UID list was looked for where none can be missed.
        self.certain = 0
        self._removed: set[Uid] = set()  # above that, and gone all the same

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, uid: object) -> bool:
        return uid in self._names

    def __iter__(self) -> Iterator[Uid]:
        return iter(self._names)

    def items(self) -> list[tuple[Uid, bytes]]:
        """UIDs and names as they are now; safe from any thread."""
        return list(self._names.items())

    def name(self, uid: Uid) -> bytes | None:
        """Return the file name of a message; None if it is not here."""
        return self._names.get(uid)

    def path(self, uid: Uid) -> bytes | None:
        """Return ``cur/<name>`` or ``new/<name>``; safe from any thread."""
        name = self._names.get(uid)
        if name is None:
            return None
        return (b"new/" if name in self.new else b"cur/") + name

    def load(
        self, uids: Sequence[Uid], names: Sequence[bytes], in_new: Collection[bytes]
    ) -> None:
        """Take all messages at once, into an empty index."""
        self._names = dict(zip(uids, names, strict=True))
        self.cur = dict(zip(names, uids, strict=True))
        self.new = {name: self.cur.pop(name) for name in in_new}

    def put(self, uid: Uid, name: bytes, in_new: bool) -> None:
        """Take a message, or its new name."""
        old = self._names.get(uid)
        (self.new if in_new else self.cur)[name] = uid
        self._names[uid] = name
        if old is None:
            return
        if old == name:
            (self.cur if in_new else self.new).pop(name, None)
        elif not in_new and self.cur.get(old) == uid:  # flags: much the most
            del self.cur[old]
        else:
            self._drop_name(old, uid)

    def tell(self, uid: Uid, flags: Flags) -> None:
        """Note the flags that the caller is told of a message."""
        self.flags[uid] = flags
        if flags not in self._seen:
            self._note_keywords(flags)

    def tell_all(self, uids: Sequence[Uid], flags: Sequence[Flags]) -> None:
        """Note the flags of all messages at once, where none were told before."""
        self.flags = dict(zip(uids, flags, strict=True))
        for each in dict.fromkeys(flags):
            if each not in self._seen:
                self._note_keywords(each)

    def _note_keywords(self, flags: Flags) -> None:
        if len(self._seen) >= _MOST_SETS:
            self._seen.clear()
        self._seen.add(flags)
        for name in sorted(flags):
            if not name.startswith(b"\\"):
                self.keywords.setdefault(name.lower(), name)

    def remove(self, uid: Uid) -> Flags:
        """Forget a message that is gone; return the flags it had."""
        if uid > self.certain:
            self._removed.add(uid)
        name = self._names.pop(uid, None)
        if name is not None:
            self._drop_name(name, uid)
        return self.flags.pop(uid, NO_FLAGS)

    def is_gone(self, uid: Uid) -> bool:
        """Whether a UID names no message any more: not if it was only overlooked."""
        return uid not in self._names and (uid <= self.certain or uid in self._removed)

    @property
    def is_certain(self) -> bool:
        """Whether nothing below what was told can have been overlooked."""
        return self.certain == self.highest

    def raise_to(self, uid: int, *, certain: bool) -> None:
        """Note how far UIDs were told, and whether that is all there is."""
        self.highest = max(self.highest, uid)
        if certain:
            self.certain = self.highest
            self._removed.clear()

    def clear(self) -> None:
        """Forget everything: the numbers are others now."""
        for table in (self.cur, self.new, self._names, self.flags):
            table.clear()
        self.keywords = {}  # another one: what was made of it is known to be old
        self._seen = set()
        self.highest = self.certain = 0
        self._removed.clear()

    def _drop_name(self, name: bytes, uid: Uid) -> None:
        for table in (self.cur, self.new):
            if table.get(name) == uid:
                del table[name]
