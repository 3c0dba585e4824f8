"""What a process knows of modification sequences, and what others wrote, made one.

Of each message the greater number stays, of expunges all are remembered, as many as
there may be.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from imapd.model.modseqs import Expunged, ModSeqs
from imapd.model.sets import Ranges
from imapd.store.maildir.numberclock import NumberClock
from imapd.store.modseqtable import Head, Rows, Saved

Merge = Callable[[Saved | None, Mapping[int, Rows]], tuple[Head, dict[int, Rows]]]


_CLOCK: Final = NumberClock()


def now_microseconds() -> int:
    """Since 1970, by the clock that others of us have too."""
    return _CLOCK.microseconds()


class StateLost(Exception):
    """There is nothing to which some chunks could be added."""


@dataclass(frozen=True, slots=True)
class Unsaved:
    """What changed since the last writing."""

    mailbox: str
    whole: bool
    rows: dict[int, Rows]
    highest_uid: int
    uid_next: int
    modseqs: ModSeqs
    recent: set[int]  # messages, and UIDs that are gone, since the last writing
    recent_gone: Ranges

    def is_behind(self, saved: Saved | None) -> bool:
        """Whether others have told numbers above ours that the clock is not at.

        What we have numbered since must be above them: time does not see to it.
        """
        there = 0 if saved is None else saved.head.highest
        return there > self.modseqs.highest and there >= now_microseconds()


def merged(
    unsaved: Unsaved, saved: Saved | None, there: Mapping[int, Rows]
) -> tuple[Head, dict[int, Rows]]:
    """What we know and what others have written: the greater number of each."""
    ours = unsaved.modseqs
    nothing = Head(0, 0, 0, 0)
    head = nothing if saved is None else saved.head
    again = head.highest + 1 if unsaved.is_behind(saved) else 0
    chunks: dict[int, Rows] = {}
    for chunk, rows in unsaved.rows.items():
        theirs = there.get(chunk, {})
        # Of messages that came after our last look only they know.
        chunks[chunk] = {
            uid: row for uid, row in theirs.items() if uid > unsaved.highest_uid
        }
        for uid, (value, signature) in rows.items():
            other = theirs.get(uid, (0, 0))[0]
            least = again if uid in unsaved.recent else 0
            chunks[chunk][uid] = (max(value, other, least), signature)
    history: set[Expunged] = {*ours.history, *map(_as_expunged, head.expunged)}
    if again:
        history.update((again, first, last) for first, last in unsaved.recent_gone)
    floor = max(ours.floor, head.floor)
    bounded = ModSeqs(
        1,
        highest=ours.highest,
        floor=floor,
        expunged=(e for e in history if e[0] > floor),
    )
    gone = {chunk for chunk, rows in chunks.items() if not rows}
    return (
        Head(
            head.version + 1,
            max(ours.highest, head.highest, again),
            bounded.floor,
            max(unsaved.uid_next, head.uid_next),
            (head.chunks | chunks.keys()) - gone,
            bounded.history,
        ),
        chunks,
    )


def _as_expunged(entry: Sequence[int]) -> Expunged:
    modseq, first, last = entry
    return modseq, first, last
