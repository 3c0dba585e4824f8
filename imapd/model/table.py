"""The messages of one mailbox in memory: eight octets each, whatever their flags."""

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter

from imapd.ids import Uid
from imapd.model.flags import Flags
from imapd.model.mailbox import MessageState
from imapd.model.numbered import index_of, joined, places_of, uid_array, without

_CODES = "I"
#: So many more sets of flags than messages may be remembered before they are sorted
#: out: each lives as long as the mailbox is open, and clients make them up.
_SPARE_SETS = 1024


class MessageTable:
    """Ascending UIDs, and for each message the number of its set of flags.

    ``uids`` is replaced and never changed, so that others may keep it.
    """

    __slots__ = ("_counts", "_first", "_numbers", "codes", "sets", "uids")

    def __init__(self) -> None:
        self.uids: Sequence[Uid] = uid_array()
        self.codes: array[int] = array(_CODES)
        #: The distinct sets of flags; a code is an index.  Only ever appended to,
        #: or replaced together with ``codes``.
        self.sets: list[Flags] = []
        self._numbers: dict[Flags, int] = {}
        self._changed()

    def _changed(self) -> None:
        """Forget what was worked out of all codes."""
        self._counts: Counter[int] | None = None
        self._first: dict[bytes, int | None] = {}

    def __len__(self) -> int:
        return len(self.uids)

    def __contains__(self, uid: int) -> bool:
        return index_of(self.uids, uid) is not None

    def flags(self, uid: Uid) -> Flags | None:
        """The flags of a message, None for one that is not there."""
        place = index_of(self.uids, uid)
        return None if place is None else self.sets[self.codes[place]]

    def codes_of(self, uids: Sequence[Uid]) -> Sequence[int | None]:
        """The codes of messages, None for one that is not there.

        A run of neighbours, as whole mailboxes are asked for, takes no look-ups.
        """
        if not len(uids):
            return ()
        start = index_of(self.uids, uids[0])
        if start is not None:
            stop = start + len(uids)
            if self.uids[start:stop] == uids:
                return self.codes[start:stop]
        places = [index_of(self.uids, uid) for uid in uids]
        codes = self.codes
        return [None if place is None else codes[place] for place in places]

    def with_flag(self, flag: bytes) -> list[Uid]:
        """The messages that have a flag, ascending; spelled as the table has it."""
        wanted = {code for code, flags in enumerate(self.sets) if flag in flags}
        if not wanted:
            return []
        pairs = zip(self.uids, self.codes, strict=True)
        return [uid for uid, code in pairs if code in wanted]

    def count(self, flag: bytes) -> int:
        """How many messages have a flag."""
        if self._counts is None:
            self._counts = Counter(self.codes)
        return sum(
            count for code, count in self._counts.items() if flag in self.sets[code]
        )

    def first_without(self, flag: bytes) -> int | None:
        """The index of the first message that lacks a flag, None if all have it."""
        if flag not in self._first:
            has = [flag in flags for flags in self.sets]
            lacking = (at for at, code in enumerate(self.codes) if not has[code])
            self._first[flag] = next(lacking, None)
        return self._first[flag]

    # Changes.

    def set_flags(self, flags: Mapping[Uid, Flags]) -> list[Uid]:
        """Give messages flags; return those that are there."""
        self._make_room()
        self._changed()
        uids, codes, numbers = self.uids, self.codes, self._numbers
        there: list[Uid] = []
        place = 0
        for uid, new in flags.items():
            # Whole mailboxes are marked: then the next one is the neighbour.
            if place >= len(uids) or uids[place] != uid:
                place = bisect_left(uids, uid)
                if place >= len(uids) or uids[place] != uid:
                    continue
            code = numbers.get(new)
            codes[place] = self._code(new) if code is None else code
            there.append(uid)
            place += 1
        return there

    def add(self, states: Iterable[MessageState]) -> list[MessageState]:
        """Take new messages in; return those that were not there, ascending."""
        last = self.uids[-1] if len(self.uids) else 0
        fresh = [each for each in states if each.uid > last or each.uid not in self]
        if not fresh:
            return fresh
        fresh.sort(key=itemgetter(0))
        self._make_room()
        self._changed()
        flags = [each.flags for each in fresh]
        for one in dict.fromkeys(flags):  # thousands of messages have a few of them
            self._code(one)
        codes = list(map(self._numbers.__getitem__, flags))
        if fresh[0].uid > last:
            self.uids = joined(self.uids, [each.uid for each in fresh])
            self.codes.extend(codes)
        else:
            known = dict(zip(self.uids, self.codes, strict=True))
            known.update(zip((each.uid for each in fresh), codes, strict=True))
            ordered = sorted(known)
            self.uids = uid_array(ordered)
            self.codes = array(_CODES, [known[uid] for uid in ordered])
        return fresh

    def remove(self, uids: Iterable[Uid]) -> set[Uid]:
        """Take messages out; return those that were there."""
        places = places_of(self.uids, set(uids))
        gone = {self.uids[place] for place in places}
        if places:
            self._changed()
            if len(places) <= 8:
                for place in reversed(places):
                    del self.codes[place]
            else:
                pairs = zip(self.uids, self.codes, strict=True)
                left = [code for uid, code in pairs if uid not in gone]
                self.codes = array(_CODES, left)
            self.uids = without(self.uids, gone)
        return gone

    def clear(self) -> None:
        """Forget every message."""
        self.__init__()  # type: ignore[misc]

    def _code(self, flags: Flags) -> int:
        code = self._numbers.get(flags)
        if code is None:
            code = self._numbers[flags] = len(self.sets)
            self.sets.append(flags)
        return code

    def _make_room(self) -> None:
        """Number anew the sets that some message has, if there are many others.

        Before codes are given out, never between: those not stored yet would change.
        """
        if len(self.sets) <= len(self.codes) + _SPARE_SETS:
            return
        used = sorted(set(self.codes))
        sets = [self.sets[code] for code in used]
        number = {code: at for at, code in enumerate(used)}
        self.codes = array(_CODES, [number[code] for code in self.codes])
        self.sets = sets
        self._numbers = {flags: at for at, flags in enumerate(sets)}


def total_octets(table: MessageTable) -> int:
    """About what a table costs in memory."""
    return 8 * len(table) + 300 * len(table.sets) + 1000
