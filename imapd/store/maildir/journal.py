"""Give changes of one folder their modification sequences, and write them down.

A change gets its number when this process learns of it, whoever made it: the time in
microseconds, or one more than the last where the clock does not say more.  So numbers
rise over all processes of a host, and start above all that were given out when the
state is lost, without a reserve.  Where the clock was set back, a process goes on by
the time that it had (``numberclock.py``); one that begins then takes each number
through the state, for the time keeps it and the others apart no longer.  What a crash
lost meanwhile is above no time of modification that the folder itself shows.

Nothing is kept until somebody asks (``read`` and ``settle``): what changed until then
shows itself by the signatures of the flags.  Writing is behind: a crash loses the
numbers of the last seconds, and what they were given to is found changed again, and
gets greater ones.  Only a flag that was set and cleared again within these seconds
leaves no trace.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from threading import Lock
from typing import Final, Protocol
from zlib import crc32

from imapd.errors import ImapError
from imapd.model.flags import Flags
from imapd.model.mailbox import Changes
from imapd.model.modseqs import ModSeqs
from imapd.model.sets import Ranges, runs, subtract
from imapd.store import fsops
from imapd.store.maildir import modseqmerge
from imapd.store.maildir.core import MailboxCore
from imapd.store.maildir.lately import Lately
from imapd.store.maildir.modseqmerge import (
    Merge,
    StateLost,
    Unsaved,
    merged,
)
from imapd.store.modseqtable import CHUNK_UIDS, Head, Rows, Saved, chunk_of

#: How long after the last time of modification a number may have been given out.
_OPERATION_MICROSECONDS: Final = 10_000_000
#: A time of modification further ahead is nobody's clock, but a ``touch``.
_AHEAD_MICROSECONDS: Final = 366 * 86400 * 1_000_000


class ModSeqState(Protocol):
    """Where the numbers are kept, for all processes."""

    def load_modseqs(self, mailbox: str, since: int = -1) -> Saved | None:
        """Return what was kept, of chunks those written after a version."""

    def merge_modseqs(self, mailbox: str, merge: Merge, chunks: Sequence[int]) -> None:
        """Replace the head and chunks by what ``merge`` makes of those there are.

        Raises:
            Unavailable, OverQuota
        """


class Journal:
    """The modification sequences of one folder in this process."""

    def __init__(
        self,
        core: MailboxCore,
        state: ModSeqState | None,
    ) -> None:
        self.modseqs: ModSeqs | None = None
        self._core = core
        self._state = state
        self._lock = Lock()  # of ``_dirty`` and ``_whole``: ``_save`` runs beside
        self._signatures: dict[Flags, int] = {}
        self.forget()

    def forget(self) -> None:
        """Keep nothing any more: the mailbox is closed, or has other numbers."""
        self.modseqs = None
        self._mailbox = ""
        self._version = -1  # of the state, as last read or written
        self._found: Saved | None = None
        self._last = 0
        self._whole = False  # all is to be written
        self._dirty: set[int] = set()  # chunks to be written
        self._lately = Lately()

    # -- learning --

    def read(self) -> None:
        """Read what is kept; then look at the disk, then ``settle``.

        In this order: what others had given numbers to is there when we look.
        """
        if self._state is None or self._core.read_only or not self._core.synced:
            return
        if self._mailbox != self._core.numbering:
            self.forget()
            self._mailbox = self._core.numbering
        since = -1 if self.modseqs is None else self._version
        self._found = self._state.load_modseqs(self._mailbox, since)

    def settle(self) -> None:
        """Compare what was read with what is there now."""
        found, self._found = self._found, None
        if not self._mailbox or self._mailbox != self._core.numbering:
            return
        if self.modseqs is None:
            self._start(found)
        elif found is None:
            self._whole = True
        elif found.head.version != self._version:
            self._merge(found)
        if found is not None:
            self._version = found.head.version

    def note(self, changes: Changes) -> None:
        """Give changes that were just found their number."""
        if changes.renumbered:
            self.forget()
        if self.modseqs is None or not changes or changes.modseq:
            return
        changes.modseq = self._next()
        self.modseqs.record(changes)
        self._lately.add(changes.flags, changes.expunged)
        self._lately.add([state.uid for state in changes.added], ())

    @property
    def is_slow(self) -> bool:
        """Whether the next number must be written down before it is given."""
        return self.modseqs is not None and modseqmerge.now_microseconds() <= self._last

    def _next(self) -> int:
        now, last = modseqmerge.now_microseconds(), self._last
        self._last = now if now > last else self._reserve()
        if now <= last and self._last > last + 1:
            self._number_again(self._last)
        return self._last

    def _reserve(self) -> int:
        """Take a number where the clock is behind the last: through the state."""
        taken = self._last + 1

        def take(
            saved: Saved | None, there: Mapping[int, Rows]
        ) -> tuple[Head, dict[int, Rows]]:
            nonlocal taken
            if saved is None:
                raise StateLost
            head = saved.head
            taken = max(taken, head.highest + 1)
            return (
                Head(
                    head.version,
                    taken,
                    head.floor,
                    head.uid_next,
                    head.chunks,
                    head.expunged,
                ),
                {},
            )

        if self._state is not None:
            with suppress(StateLost, ImapError):  # nobody else can have read any
                self._state.merge_modseqs(self._mailbox, take, ())
        return taken

    # -- beginning --

    def _start(self, found: Saved | None) -> None:
        self._last = self._least(found)
        if found is None:
            self.modseqs = ModSeqs(self._next())
            self._whole = True
            return
        head = found.head
        values: dict[int, int] = {}
        changed: list[int] = []
        gone: Ranges = []
        present = sorted(self._core.index)
        for uid, row in self._rows(found, present):
            if row is not None and row[1] == self._signature(uid):
                values[uid] = row[0]
            else:
                changed.append(uid)
        for chunk, ranges in self._known(found):
            if missing := subtract(ranges, present):
                gone += missing
                self._dirty.add(chunk)
        modseqs = ModSeqs(
            head.highest,
            values,
            highest=head.highest,
            floor=head.floor,
            expunged=head.expunged,
        )
        if changed or gone:
            number = self._next()
            modseqs.set(dict.fromkeys(changed, number))
            modseqs.forget(gone, number)
            self._dirty.update(map(chunk_of, changed))
        self.modseqs = modseqs

    def _least(self, found: Saved | None) -> int:
        """Return a number that none given out is above, as far as can be known."""
        now = modseqmerge.now_microseconds()
        last = 0 if found is None else found.head.highest
        for directory in (self._core.cur.path, self._core.new.path):
            try:
                status = fsops.status_or_none(directory)
                moved = 0 if status is None else status.st_mtime_ns // 1000
            except OSError:  # what is known of the folder is there to be told
                moved = now
            if moved < now + _AHEAD_MICROSECONDS:
                last = max(last, moved)
        return last if last < now else last + _OPERATION_MICROSECONDS

    @staticmethod
    def _rows(
        found: Saved, present: Iterable[int]
    ) -> Iterator[tuple[int, tuple[int, int] | None]]:
        """Each message that is there with what was kept of it."""
        nothing: Rows = {}
        at, rows = -1, nothing
        for uid in present:
            if chunk_of(uid) != at:
                at = chunk_of(uid)
                rows = found.chunks.get(at) or nothing
            yield uid, rows.get(uid)

    def _known(self, found: Saved) -> Iterator[tuple[int, Ranges]]:
        """UIDs that were there when it was written, or came since, by chunk.

        Of those that came since it is one chunk that stands for all.
        """
        head = found.head
        for chunk, rows in sorted(found.chunks.items()):
            first = chunk * CHUNK_UIDS
            last = min(first + CHUNK_UIDS, head.uid_next) - 1
            if rows is not None:
                yield chunk, list(runs(sorted(rows)))
            elif first <= last:  # damaged: whatever there may have been
                yield chunk, [(max(first, 1), last)]
        first, last = max(head.uid_next, 1), self._core.uid_next - 1
        if first <= last:
            yield chunk_of(last), [(first, last)]

    # -- beside other processes --

    def _merge(self, found: Saved) -> None:
        """Take over what another process has written since we last looked."""
        modseqs, head = self.modseqs, found.head
        if modseqs is None:
            return
        index = self._core.index
        modseqs.set(
            {
                uid: value
                for rows in found.chunks.values()
                for uid, (value, _) in (rows or {}).items()
                if uid in index and value > modseqs.of(uid)
            }
        )
        for modseq, first, last in head.expunged:
            modseqs.forget([(first, last)], modseq)
        modseqs.raise_to(head.highest, head.floor)
        if self._last < head.highest:
            self._last = head.highest
            if head.highest >= modseqmerge.now_microseconds():
                self._number_again(self._next())

    def _number_again(self, number: int) -> None:
        """What we told lately must be above what others told, and is not by time."""
        self._lately.recall()
        if self.modseqs is not None:
            present = [uid for uid in self._lately.changed if uid in self._core.index]
            self.modseqs.set(dict.fromkeys(present, number))
            self.modseqs.forget(self._lately.gone, number)

    # -- writing --

    def unsaved(self) -> Callable[[], None] | None:
        """Collect what is to be written; the function returned writes it.

        That one may run beside other operations; it never raises.
        """
        modseqs = self.modseqs
        if modseqs is None or not (self._lately or self._dirty or self._whole):
            return None
        recent, gone = self._lately.take()
        with self._lock:
            dirty, self._dirty = self._dirty, set()
            whole, self._whole = self._whole, False
        dirty.update(map(chunk_of, recent), _chunks_of(gone))
        if whole:
            dirty |= set(map(chunk_of, self._core.index))
        index = self._core.index
        rows: dict[int, Rows] = {}
        for chunk in dirty:
            first = chunk * CHUNK_UIDS
            rows[chunk] = {
                uid: (modseqs.of(uid), self._signature(uid))
                for uid in range(first, first + CHUNK_UIDS)
                if uid in index
            }
        unsaved = Unsaved(
            self._mailbox,
            whole,
            rows,
            index.highest,
            self._core.uid_next,
            modseqs.copy(),
            recent,
            gone,
        )
        return lambda: self._save(unsaved)

    def _save(self, unsaved: Unsaved) -> None:
        before = after = -1

        def merge(
            saved: Saved | None, there: Mapping[int, Rows]
        ) -> tuple[Head, dict[int, Rows]]:
            nonlocal before, after
            if saved is None and not unsaved.whole:
                raise StateLost
            before = -1 if saved is None else saved.head.version
            one = merged(unsaved, saved, there)
            after = one[0].version
            if unsaved.is_behind(saved):
                before = -2  # to be read again: it is not what we know
            return one

        if self._state is None:
            return
        try:
            self._state.merge_modseqs(unsaved.mailbox, merge, list(unsaved.rows))
        except StateLost:
            self._whole = True
        except ImapError:  # it is in the log; the next change tries again
            with self._lock:
                self._dirty.update(unsaved.rows)
                self._whole |= unsaved.whole
        else:
            if before == self._version:  # else others wrote what we have not read
                self._version = after

    def _signature(self, uid: int) -> int:
        """32 bits that say which flags a message has, as last told."""
        flags = self._core.index.flags.get(uid)  # type: ignore[call-overload]
        found = self._signatures.get(flags)
        if found is None:
            if len(self._signatures) > CHUNK_UIDS:
                self._signatures.clear()
            words = sorted(flag.lower() for flag in flags or ())
            found = self._signatures[flags] = crc32(b" ".join(words))
        return found


def _chunks_of(ranges: Ranges) -> Iterator[int]:
    for first, last in ranges:
        yield from range(chunk_of(first), chunk_of(last) + 1)
