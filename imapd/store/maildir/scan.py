"""Listing ``cur`` and ``new`` without a ``stat`` per file, and when to do it again.

A listing that runs while another program renames files misses some and shows others
twice; on busy folders every one does.  And a change within the same tick of the
clock leaves a directory's mtime as it is.  So a listing counts as exact only if the
mtime was old enough when it began and is the same after it.

What we change ourselves moves the mtime too, and need not be listed again.  But a
change of another program may hide beside ours, in the same tick: so what we took
for ours alone is confirmed by a listing, a little later, once for all that we did
meanwhile.
"""

import stat
import time
from dataclasses import dataclass
from typing import Final

from imapd.store import fsops

#: How old an mtime must be before a listing can be exact: the tick of the kernel's
#: clock is at most 10 ms; file systems without fractions of seconds need two.
FINE_SECONDS: Final = 0.03
COARSE_SECONDS: Final = 2.0

#: After a change of our own a listing confirms that it was ours alone, so much
#: later, and so many times later as a listing takes: it costs a few per cent.
CONFIRM_SECONDS: Final = 0.1
CONFIRM_TIMES: Final = 25

_NANOSECONDS: Final = 1_000_000_000
_MILLISECOND: Final = 1_000_000
_MISSING: Final = -1  # the mtime of what is not there


@dataclass(frozen=True, slots=True)
class Listing:
    """The names of one directory at one time."""

    names: frozenset[bytes]
    exact: bool  # every file that was there is listed
    odd: frozenset[bytes] = frozenset()  # those names that may be no regular files


@dataclass(frozen=True, slots=True)
class Start:
    """What a directory was like before a listing, and before what goes with it."""

    mtime_ns: int
    settled: bool  # no further change can hide behind this mtime


class Directory:
    """``cur`` or ``new`` of one folder."""

    def __init__(self, path: bytes) -> None:
        self.path = path
        #: Where we may not make it, one that is missing is empty.
        self.may_be_missing = False
        self._mtime_ns: int | None = None
        self._seen_at = 0.0  # when this mtime was first seen, by the steady clock
        self._clean = False
        self._confirm_at: float | None = None  # by the steady clock
        self._own_mtime_ns: int | None = None  # as our last change left it
        self._list_seconds = 0.0  # what the last listing took
        self._list_count = 0

    def changed(self) -> bool:
        """Whether a new listing may show something else; one ``stat``."""
        self._look()
        if self._clean and self._confirm_at is not None:
            return time.monotonic() >= self._confirm_at
        return not self._clean

    @property
    def known_mtime_ns(self) -> int | None:
        """The mtime of what is known of it; None: a listing is due."""
        return self._mtime_ns if self._clean else None

    @property
    def is_confirmed(self) -> bool:
        """Whether nothing of another program may hide behind what we did."""
        return self._confirm_at is None

    def resume(self, mtime_ns: int, *, confirmed: bool) -> None:
        """Take what is known for a listing at that mtime, if it is still the same."""
        self._mtime_ns = mtime_ns
        self._seen_at = time.monotonic()
        self._clean = True
        self._confirm_at = None if confirmed else self._seen_at
        self._list_count += 1

    def mark(self) -> int | None:
        """Say that we are about to change it; None: it is to be listed anyway."""
        self._look()
        return self._list_count if self._clean else None

    def adopt(self, mark: int | None) -> None:
        """Take what happened since ``mark`` for our own, until a listing confirms it.

        Nothing is taken for ours if a listing was due, or the directory was listed
        meanwhile; but the next listing need not wait until this change is old.  A
        directory that cannot be looked at is listed anew: what was done to it is done.
        """
        try:
            self._own_mtime_ns = self._look()
        except OSError:
            self._clean = False
            return
        if mark is None or mark != self._list_count:
            return
        self._clean = True
        if self._confirm_at is None:
            self._confirm_later()

    def _confirm_later(self) -> None:
        wait = max(CONFIRM_SECONDS, CONFIRM_TIMES * self._list_seconds)
        self._confirm_at = time.monotonic() + wait

    def doubt(self) -> None:
        """Take nothing for our own that no listing has confirmed."""
        if self._confirm_at is not None:
            self._clean = False

    def start(self) -> Start:
        """Note how it is now, for a listing that is exact only if it stays so.

        Raises:
            NotADirectoryError: it is a link or a file.
        """
        mtime_ns = self._look()
        settled = self._age_seconds(mtime_ns) >= settle_seconds(mtime_ns)
        return Start(mtime_ns, settled)

    def list(self, start: Start | None = None) -> Listing:
        """List the directory; exact if it did not change since ``start``, or now.

        Raises:
            NotADirectoryError: it is a link or a file.
        """
        start = start or self.start()
        self._list_count += 1
        began = time.monotonic()
        there = self._mtime_ns != _MISSING
        names, odd = fsops.entries(self.path) if there else ([], [])
        steady = self._look() == start.mtime_ns
        self._list_seconds = time.monotonic() - began
        # Without a pause in what we do it would never be old enough.
        own = start.mtime_ns == self._own_mtime_ns
        self._clean = steady and (start.settled or own)
        self._confirm_at = None
        if self._clean and not start.settled:
            self._confirm_later()
        return Listing(frozenset(names), steady and start.settled, frozenset(odd))

    def _look(self) -> int:
        if self.may_be_missing and not fsops.exists(self.path):
            mtime_ns = _MISSING
        else:
            status = fsops.status(self.path)
            if not stat.S_ISDIR(status.st_mode):
                raise NotADirectoryError(20, "not a directory", self.path)
            mtime_ns = status.st_mtime_ns
        if mtime_ns != self._mtime_ns:
            self._mtime_ns = mtime_ns
            self._seen_at = time.monotonic()
            self._clean = False
        return mtime_ns

    def _age_seconds(self, mtime_ns: int) -> float:
        """How long the mtime has been what it is, at least.

        The steady clock serves where the other was set back, and the mtime lies
        in the future.
        """
        by_clock = (time.time_ns() - mtime_ns) / _NANOSECONDS
        return max(by_clock, time.monotonic() - self._seen_at)


def settle_seconds(mtime_ns: int) -> float:
    """How old this mtime must be until no further change can hide behind it."""
    return FINE_SECONDS if mtime_ns % _MILLISECOND else COARSE_SECONDS
