"""What one session has been told about its mailbox: its own message numbers.

The mailbox reports every change at once; the view keeps it back until the
session may be told, so that a message number never means two messages.
RFC 3501 §5.5, §7.4.1; RFC 2180.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

from imapd.ids import Seq, Uid
from imapd.model.numbered import (
    Numbered,
    index_of,
    joined,
    places_of,
    uid_array,
    without,
)
from imapd.model.sets import SequenceSet


@dataclass(slots=True)
class Updates:
    """What to tell the session now, in this order.

    ``expunged`` descends, so that each number is right when it is sent;
    ``vanished`` are the same by UID, ascending.
    """

    expunged: list[Seq] = field(default_factory=list)
    vanished: list[Uid] = field(default_factory=list)
    exists: int | None = None
    recent: int | None = None
    flags: list[tuple[Seq, Uid]] = field(default_factory=list)


#: Most sessions have none of what is to be told: an empty set each is 216 octets.
_NONE: Final[frozenset[Uid]] = frozenset()


def _more(known: AbstractSet[Uid], uids: Iterable[Uid]) -> AbstractSet[Uid]:
    """Add to a set of one's own; it is made with the first that comes."""
    own = known if isinstance(known, set) else set(known)
    own.update(uids)
    return own or _NONE


def _less(known: AbstractSet[Uid], uids: Iterable[Uid]) -> AbstractSet[Uid]:
    """Take from a set of one's own."""
    if isinstance(known, set):
        known.difference_update(uids)
    return known or _NONE


class SessionView:
    """The ascending UIDs a session knows; message number n is ``uids[n - 1]``.

    Arrays of UIDs are shared: with ``now``, all that are in the mailbox at the time
    of a report, a session that was told everything holds no UIDs of its own.
    """

    __slots__ = ("_arrived", "_changed", "_gone", "_hidden", "_now", "recent", "uids")

    def __init__(self, uids: Iterable[Uid] = (), recent: Iterable[Uid] = ()) -> None:
        self.uids = uid_array(uids)
        self.recent = _more(_NONE, recent)
        self._arrived: list[Uid] = []
        self._changed: AbstractSet[Uid] = _NONE
        self._gone: AbstractSet[Uid] = _NONE
        self._now: Sequence[Uid] | None = None
        self._hidden = False  # the mailbox has messages that this session never sees

    def __len__(self) -> int:
        """How many messages the session knows of."""
        return len(self.uids)

    # What the mailbox reports.

    def arrived(
        self,
        uids: Iterable[Uid],
        recent: Iterable[Uid] = (),
        now: Sequence[Uid] | None = None,
    ) -> None:
        """New messages, ascending; some of them recent.

        One that comes back below a UID reported before (a file restored from a
        backup) has no number free in this session: it waits for the next SELECT.
        """
        known: Sequence[Uid] = self._arrived or self.uids
        last = known[-1] if len(known) else 0
        reported = list(uids)
        fresh = [uid for uid in reported if uid > last]
        self._now = now
        self._hidden = self._hidden or len(fresh) < len(reported)
        self._arrived.extend(fresh)
        self.recent = _more(self.recent, set(recent).intersection(fresh))

    def expunged(self, uids: Iterable[Uid], now: Sequence[Uid] | None = None) -> None:
        """Messages that are no more; those never told of are forgotten at once."""
        self._now = now
        gone = set(uids)
        if self._arrived and not gone.isdisjoint(self._arrived):
            never_told = gone.intersection(self._arrived)
            self._arrived = [uid for uid in self._arrived if uid not in never_told]
            self.recent = _less(self.recent, never_told)
            gone -= never_told
        # Only those that have a number: another may come back under its UID.
        numbered = (self.uids[place] for place in places_of(self.uids, gone))
        self._gone = _more(self._gone, numbered)
        self._changed = _less(self._changed, gone)

    def flags_changed(self, uids: Iterable[Uid]) -> None:
        """Messages whose flags are not what the session last saw."""
        self._changed = _more(self._changed, uids)

    def told_flags(self, uids: Iterable[Uid]) -> None:
        """The session got these flags by other means: no need to repeat them."""
        self._changed = _less(self._changed, uids)

    def untold_flags(self) -> set[Uid]:
        """Messages whose flags are not what the session last saw."""
        return set(self._changed)

    # What the session asks.

    @property
    def has_news(self) -> bool:
        """Whether ``drain`` would return anything if all were allowed."""
        return bool(self._arrived or self._gone or self._changed)

    def is_gone(self, uid: Uid) -> bool:
        """Whether the message was expunged, and the session not told yet."""
        return uid in self._gone

    @property
    def gone(self) -> frozenset[Uid]:
        """The messages expunged that the session still has numbers for."""
        return frozenset(self._gone)

    def seq(self, uid: Uid) -> Seq | None:
        """The message number of a UID, None if the session does not know it."""
        index = index_of(self.uids, uid)
        return None if index is None else Seq(index + 1)

    def select(self, numbers: SequenceSet, *, uid: bool) -> Numbered:
        """The messages a set names, ascending.

        Raises:
            IndexError: a message number is larger than the number of messages;
                a UID that is not there is no error (RFC 3501 §6.4.8).
        """
        uids = self.uids
        if uid:
            return Numbered.of_runs(uids, self._runs_of_uids(numbers))
        largest = len(uids)
        if numbers.largest_named > largest or (numbers.has_star and not largest):
            raise IndexError(numbers.largest_named)
        return Numbered.of_runs(uids, numbers.resolve(largest))

    def _runs_of_uids(self, numbers: SequenceSet) -> list[tuple[int, int]]:
        """Message numbers of the UIDs in a set, as (first, last)."""
        found: list[tuple[int, int]] = []
        uids = self.uids
        for first, last in numbers.resolve(uids[-1] if len(uids) else 0):
            start = bisect_left(uids, first)
            stop = bisect_right(uids, last, start)
            if start < stop:
                found.append((start + 1, stop))
        return found

    def drain(self, *, may_expunge: bool) -> Updates:
        """Take what the session is told now; what may not be told yet stays."""
        updates = Updates()
        if may_expunge and self._gone:
            self._drop(updates)
        if self._arrived:
            self.uids = joined(self.uids, self._arrived)
            self._arrived = []
            updates.exists = len(self.uids)
            updates.recent = len(self.recent)
        if self._changed:
            changed, self._changed = self._changed, _NONE
            for uid in sorted(changed - self._gone):
                seq = self.seq(uid)
                if seq is not None:
                    updates.flags.append((seq, uid))
        if self._now is not None and not self._gone:
            if not self._hidden:
                self.uids = self._now  # equal, and everybody's
            self._now = None
        return updates

    def _drop(self, updates: Updates) -> None:
        gone, self._gone = self._gone, _NONE
        places = places_of(self.uids, gone)
        updates.expunged = [Seq(place + 1) for place in reversed(places)]
        updates.vanished = [self.uids[place] for place in places]
        if updates.expunged:
            self.uids = without(self.uids, gone)
        if not gone.isdisjoint(self.recent):
            # EXPUNGE says nothing of \Recent: RECENT must be said again.
            self.recent = _less(self.recent, gone)
            updates.recent = len(self.recent)
