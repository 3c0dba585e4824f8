"""Modification sequences of one mailbox, and what was expunged when.  RFC 7162.

Of 100,000 messages that never changed there is one number here: ``base``.  Those
that have another are in two arrays, which copies share, and what changed lately is
in a dictionary.
"""

from array import array
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from imapd.ids import ModSeq, Uid
from imapd.model.mailbox import Changes
from imapd.model.sets import Ranges, intersect, merge, runs

#: Expunges remembered, each a range of UIDs; half is forgotten when there are more.
HISTORY_RANGES = 4096
#: The dictionary is turned into arrays when it has so many, or a quarter of them.
FRESH_MESSAGES = 4096

#: (modification sequence, first UID, last UID) of an expunge.
Expunged = tuple[int, int, int]


class ModSeqs:
    """The numbers of all messages that are there.

    ``floor``: what was expunged at it or before is not known any more.
    """

    __slots__ = ("_expunged", "_fresh", "_uids", "_values", "base", "floor", "highest")

    def __init__(
        self,
        base: int,
        values: Mapping[int, int] | None = None,
        *,
        highest: int | None = None,
        floor: int | None = None,
        expunged: Iterable[Expunged] = (),
    ) -> None:
        """Start with ``base`` for all messages, or with ``values`` for all."""
        self.base = base
        self.highest = max(base, highest or 0)
        self.floor = base if floor is None else floor
        self._uids = array("I")
        self._values = array("Q")
        self._fresh: dict[int, int] = {}
        self._expunged = sorted(expunged)
        self._keep_bounded()
        if values:
            self._freeze(dict(values))

    def copy(self) -> "ModSeqs":
        """The same numbers; what is recorded in one is not in the other."""
        twin = ModSeqs(
            self.base,
            highest=self.highest,
            floor=self.floor,
            expunged=self._expunged,
        )
        twin._uids, twin._values = self._uids, self._values
        twin._fresh = dict(self._fresh)
        return twin

    def _freeze(self, values: dict[int, int]) -> None:
        """Put everything into arrays, with the commonest number as the base."""
        counts = Counter(values.values())
        commonest, count = counts.most_common(1)[0]
        if count > len(values) // 2 and not self._uids and not self._fresh:
            self.base = commonest
        kept = sorted(item for item in values.items() if item[1] != self.base)
        # New ones: a copy may have the old.
        self._uids = array("I", [uid for uid, _ in kept])
        self._values = array("Q", [value for _, value in kept])
        self._fresh = {}

    # What is asked.

    def of(self, uid: int) -> ModSeq:
        """The number of a message that is there."""
        found = self._fresh.get(uid)
        if found is None:
            at = bisect_left(self._uids, uid)
            found = self.base
            if at < len(self._uids) and self._uids[at] == uid:
                found = self._values[at]
        return ModSeq(found)

    def newer(self, uids: Sequence[Uid], modseq: int) -> list[Uid]:
        """Those of the messages, ascending, whose number is above ``modseq``."""
        older = self.base > modseq  # of most messages, and these are the others
        others = {
            uid
            for uid, value in zip(self._uids, self._values, strict=True)
            if (value > modseq) != older
        }
        for uid, value in self._fresh.items():
            if (value > modseq) != older:
                others.add(uid)
            else:
                others.discard(uid)
        if not others:
            return list(uids) if older else []
        return [uid for uid in uids if (uid in others) != older]

    def vanished(self, modseq: int, named: Ranges) -> Ranges | None:
        """Which of the UIDs named were expunged after ``modseq``.

        None: it is not known any more.  RFC 7162 §3.2.6.
        """
        if modseq < self.floor or modseq > self.highest:
            return None
        at = bisect_right(self._expunged, (modseq, 1 << 63, 0))
        gone = merge((first, last) for _, first, last in self._expunged[at:])
        return intersect(gone, named)

    @property
    def history(self) -> Sequence[Expunged]:
        """The expunges that are remembered, the oldest first."""
        return self._expunged

    @property
    def memory_octets(self) -> int:
        """About what it costs in memory."""
        return 12 * len(self._uids) + 120 * (len(self._fresh) + len(self._expunged))

    # What happens.

    def record(self, changes: Changes) -> None:
        """Give everything in ``changes`` the number it has there."""
        modseq, fresh = changes.modseq, self._fresh
        self.highest = max(self.highest, modseq)
        for state in changes.added:
            fresh[state.uid] = modseq
        for uid in changes.flags:
            fresh[uid] = modseq
        if changes.expunged:
            for uid in changes.expunged:
                fresh.pop(uid, None)
            self.forget(runs(sorted(changes.expunged)), modseq)
        if len(self._fresh) > max(FRESH_MESSAGES, len(self._uids) // 4):
            self._freeze(self._all())

    def set(self, values: Mapping[int, int]) -> None:
        """Give messages numbers that were found elsewhere."""
        self._fresh.update(values)
        self.highest = max(self.highest, max(values.values(), default=0))
        if len(self._fresh) > max(FRESH_MESSAGES, len(self._uids) // 4):
            self._freeze(self._all())

    def forget(self, ranges: Iterable[tuple[int, int]], modseq: int) -> None:
        """Remember that these UIDs are gone since ``modseq``."""
        for first, last in ranges:
            entry = (modseq, first, last)
            at = bisect_left(self._expunged, entry)
            if self._expunged[at : at + 1] != [entry]:
                insort(self._expunged, entry)
            self.highest = max(self.highest, modseq)
        self._keep_bounded()

    def raise_to(self, highest: int, floor: int) -> None:
        """Take over what another process knows of the mailbox as a whole."""
        self.highest = max(self.highest, highest)
        self.floor = max(self.floor, floor)
        self._expunged = [one for one in self._expunged if one[0] > self.floor]

    def _all(self) -> dict[int, int]:
        return dict(zip(self._uids, self._values, strict=True)) | self._fresh

    def _keep_bounded(self) -> None:
        if len(self._expunged) > HISTORY_RANGES:
            cut = self._expunged[: -HISTORY_RANGES // 2]
            # All of one number or nothing: the floor says what is not known.
            self.floor = max(self.floor, cut[-1][0])
            self._expunged = [one for one in self._expunged if one[0] > self.floor]
