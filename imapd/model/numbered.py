"""UIDs in compact arrays, and messages with their numbers.

An array of UIDs is never changed once others may hold it: a mailbox and all the
sessions that know the same messages share one, at four octets a message.
"""

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import compress
from typing import Final, cast, overload

from imapd.ids import Seq, Uid

#: Looking for one costs as much as passing by so many.
_FEW: Final = 8
#: Four octets hold every UID; RFC 3501 §2.3.1.1.
_TYPE = "I"
_MEMBER = re.compile(b"\1")


def uid_array(uids: Iterable[int] = ()) -> Sequence[Uid]:
    """Return the UIDs as an array, or the argument itself if it is one."""
    if isinstance(uids, array) and uids.typecode == _TYPE:
        return cast(Sequence[Uid], uids)
    return cast(Sequence[Uid], array(_TYPE, uids))


def joined(first: Sequence[Uid], second: Iterable[Uid]) -> Sequence[Uid]:
    """Return a new array of both."""
    both = array(_TYPE, first)
    both.extend(second)
    return cast(Sequence[Uid], both)


def without(uids: Sequence[Uid], gone: Iterable[Uid]) -> Sequence[Uid]:
    """Return a new array that lacks some of the ascending UIDs."""
    doomed = set(gone)
    places = places_of(uids, doomed)
    if len(places) <= 8:  # each moves what is behind it, at the speed of memory
        left = array(_TYPE, uids)
        for place in reversed(places):
            del left[place]
    else:
        left = array(_TYPE, [uid for uid in uids if uid not in doomed])
    return cast(Sequence[Uid], left)


def places_of(uids: Sequence[Uid], wanted: AbstractSet[Uid]) -> list[int]:
    """Where those of the wanted stand that are among ascending UIDs, ascending."""
    if len(wanted) * _FEW < len(uids):
        found = (index_of(uids, uid) for uid in wanted)
        return sorted(place for place in found if place is not None)
    return [place for place, uid in enumerate(uids) if uid in wanted]


def index_of(uids: Sequence[Uid], uid: int) -> int | None:
    """Where a UID stands among ascending ones, None if it does not."""
    place = bisect_left(uids, uid)
    return place if place < len(uids) and uids[place] == uid else None


class Numbered(Sequence[tuple[Seq, Uid]]):
    """Messages with their numbers, ascending: two columns that look like pairs."""

    __slots__ = ("seqs", "uids")

    def __init__(self, seqs: Sequence[Seq], uids: Sequence[Uid]) -> None:
        """``seqs`` and ``uids`` are equally long; a run of numbers may be a range."""
        self.seqs = seqs
        self.uids = uids

    @classmethod
    def of(cls, pairs: Iterable[tuple[Seq, Uid]]) -> "Numbered":
        """Make columns of pairs."""
        known = list(pairs)
        return cls([seq for seq, _ in known], uid_array(uid for _, uid in known))

    @classmethod
    def of_runs(
        cls, uids: Sequence[Uid], runs: Sequence[tuple[int, int]]
    ) -> "Numbered":
        """Select from all of a session's UIDs: (first, last) of message numbers."""
        if len(runs) == 1:
            first, last = runs[0]
            seqs = cast(Sequence[Seq], range(first, last + 1))
            return cls(seqs, uids[first - 1 : last])
        numbers = array(_TYPE)
        chosen = array(_TYPE)
        for first, last in runs:
            numbers.extend(range(first, last + 1))
            chosen.extend(uids[first - 1 : last])
        return cls(cast(Sequence[Seq], numbers), cast(Sequence[Uid], chosen))

    def __len__(self) -> int:
        return len(self.uids)

    def __iter__(self) -> Iterator[tuple[Seq, Uid]]:
        return zip(self.seqs, self.uids, strict=True)

    @overload
    def __getitem__(self, at: int) -> tuple[Seq, Uid]: ...
    @overload
    def __getitem__(self, at: slice) -> "Numbered": ...
    def __getitem__(self, at: int | slice) -> "tuple[Seq, Uid] | Numbered":
        if isinstance(at, slice):
            return Numbered(self.seqs[at], self.uids[at])
        return self.seqs[at], self.uids[at]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


class Chosen(Numbered):
    """Messages of a view by a mask: a column is made when it is asked for.

    Most who search want one of the two, and each is a number for every message.
    """

    __slots__ = ("_all", "_mask", "_seqs", "_uids")

    def __init__(self, uids: Sequence[Uid], mask: bytes) -> None:
        """``mask`` has an octet for each of the UIDs: 1, or 0 for one left out."""
        self._all = uids
        self._mask = mask
        self._seqs: Sequence[Seq] | None = None
        self._uids: Sequence[Uid] | None = None

    def __len__(self) -> int:
        return self._mask.count(1)

    @property
    def seqs(self) -> Sequence[Seq]:  # type: ignore[override]
        """Their numbers."""
        if self._seqs is None:
            numbers = range(1, len(self._all) + 1)
            self._seqs = cast(Sequence[Seq], uid_array(_picked(numbers, self._mask)))
        return self._seqs

    @property
    def uids(self) -> Sequence[Uid]:  # type: ignore[override]
        """Their UIDs."""
        if self._uids is None:
            self._uids = uid_array(_picked(self._all, self._mask))
        return self._uids


def _picked(numbers: Sequence[int], mask: bytes) -> Iterable[int]:
    """Those whose octet is 1."""
    if 4 * mask.count(1) > len(mask):
        return compress(numbers, mask)
    # Few: those between them are not even looked at.
    return [numbers[one.start()] for one in _MEMBER.finditer(mask)]
