"""What one session has been told about its mailbox: its own message numbers.

The mailbox reports every change at once; the view keeps it back until the
session may be told, so that a message number never means two messages.
RFC 3501 §5.5, §7.4.1; RFC 2180.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from imapd.ids import Seq, Uid
from imapd.model.sets import SequenceSet


@dataclass(slots=True)
class Updates:
    """What to tell the session now, in this order.

    ``expunged`` descends, so that each number is right when it is sent.
    """

    expunged: list[Seq] = field(default_factory=list)
    exists: int | None = None
    recent: int | None = None
    flags: list[tuple[Seq, Uid]] = field(default_factory=list)


class SessionView:
    """The ascending UIDs a session knows; message number n is ``uids[n - 1]``."""

    __slots__ = ("_arrived", "_changed", "_gone", "recent", "uids")

    def __init__(self, uids: Iterable[Uid] = (), recent: Iterable[Uid] = ()) -> None:
        self.uids: list[Uid] = list(uids)
        self.recent: set[Uid] = set(recent)
        self._arrived: list[Uid] = []
        self._changed: set[Uid] = set()
        self._gone: set[Uid] = set()

    def __len__(self) -> int:
        """How many messages the session knows of."""
        return len(self.uids)

    # What the mailbox reports.

    def arrived(self, uids: Iterable[Uid], recent: Iterable[Uid] = ()) -> None:
        """New messages, ascending; some of them recent.

        One that comes back below a UID reported before (a file restored from a
        backup) has no number free in this session: it waits for the next SELECT.
        """
        known = (self._arrived or self.uids)[-1:]
        last = known[0] if known else 0
        fresh = [uid for uid in uids if uid > last]
        self._arrived.extend(fresh)
        self.recent.update(set(recent).intersection(fresh))

    def expunged(self, uids: Iterable[Uid]) -> None:
        """Messages that are no more; those never told of are forgotten at once."""
        gone = set(uids)
        if self._arrived and not gone.isdisjoint(self._arrived):
            never_told = gone.intersection(self._arrived)
            self._arrived = [uid for uid in self._arrived if uid not in never_told]
            self.recent -= never_told
            gone -= never_told
        # Only those that have a number: another may come back under its UID.
        self._gone.update(uid for uid in gone if self.seq(uid) is not None)
        self._changed -= gone

    def flags_changed(self, uids: Iterable[Uid]) -> None:
        """Messages whose flags are not what the session last saw."""
        self._changed.update(uids)

    def told_flags(self, uids: Iterable[Uid]) -> None:
        """The session got these flags by other means: no need to repeat them."""
        self._changed.difference_update(uids)

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
        index = bisect_left(self.uids, uid)
        if index < len(self.uids) and self.uids[index] == uid:
            return Seq(index + 1)
        return None

    def select(self, numbers: SequenceSet, *, uid: bool) -> list[tuple[Seq, Uid]]:
        """The messages a set names, ascending.

        Raises:
            IndexError: a message number is larger than the number of messages;
                a UID that is not there is no error (RFC 3501 §6.4.8).
        """
        if uid:
            return self._select_uids(numbers)
        largest = len(self.uids)
        if numbers.largest_named > largest or (numbers.has_star and not largest):
            raise IndexError(numbers.largest_named)
        return [
            (Seq(n), self.uids[n - 1])
            for first, last in numbers.resolve(largest)
            for n in range(first, last + 1)
        ]

    def _select_uids(self, numbers: SequenceSet) -> list[tuple[Seq, Uid]]:
        found: list[tuple[Seq, Uid]] = []
        uids: Sequence[Uid] = self.uids
        for first, last in numbers.resolve(uids[-1] if uids else 0):
            index = bisect_left(uids, first)
            while index < len(uids) and uids[index] <= last:
                found.append((Seq(index + 1), uids[index]))
                index += 1
        return found

    def drain(self, *, may_expunge: bool) -> Updates:
        """Take what the session is told now; what may not be told yet stays."""
        updates = Updates()
        if may_expunge and self._gone:
            self._drop(updates)
        if self._arrived:
            self.uids.extend(self._arrived)
            self._arrived = []
            updates.exists = len(self.uids)
            updates.recent = len(self.recent)
        if self._changed:
            changed, self._changed = self._changed, set()
            for uid in sorted(changed - self._gone):
                seq = self.seq(uid)
                if seq is not None:
                    updates.flags.append((seq, uid))
        return updates

    def _drop(self, updates: Updates) -> None:
        gone, self._gone = self._gone, set()
        told = [(self.seq(uid), uid) for uid in sorted(gone, reverse=True)]
        updates.expunged = [seq for seq, _ in told if seq is not None]
        if updates.expunged:
            self.uids = [uid for uid in self.uids if uid not in gone]
        if not gone.isdisjoint(self.recent):
            # EXPUNGE says nothing of \Recent: RECENT must be said again.
            self.recent -= gone
            updates.recent = len(self.recent)
