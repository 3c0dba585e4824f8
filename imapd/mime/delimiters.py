"""Where the next line is that begins with one of the boundaries open.  RFC 2046 §5.1.1.

Three ways, each for what the one before it is slow at:

1. What all open boundaries begin with is looked for; a line that has it is looked up
   in a table of them.  So nearly all messages are read.
2. Where many lines have it and are not in the table, one expression is made for all
   the boundaries: a line that begins with none of them costs no Python at all.
3. To make an expression takes as long as to look at some thousand lines, and a sender
   may open and close a boundary every few hundred.  So the expression stays: what it
   has of boundaries that are closed is passed over, and each that has been opened
   since is looked for by itself.  It is made anew where that has cost more.
"""

import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final

#: A longer boundary is none: 70 octets are allowed, RFC 2046 §5.1.1.
BOUNDARY_OCTETS: Final = 1000
#: Of a boundary no more is looked at: a line that has so much is long enough to be
#: judged one by one.  It bounds, too, how far the making of an expression recurses.
LOOKED_AT_OCTETS: Final = 64
#: So many lines in vain for each octet that an expression is made of: to make it may
#: not take more than a part of the time that it spares.
_LINES_AN_OCTET: Final = 16
#: And so many octets that were looked at for single boundaries.
_SINGLE_OCTETS_AN_OCTET: Final = 4000
#: What one search takes beside its octets, in octets.
_SEARCH_OCTETS: Final = 1000
#: So much is searched for one after the other, at first and at the most: which has the
#: nearest line is not known before, and to search behind that was in vain.
_FIRST_WINDOW_OCTETS: Final = 256
_WINDOW_OCTETS: Final = 8192
#: So many branches are worth a look at whether it is any of them.
_FEW_BRANCHES: Final = 4
_CR: Final = 13


class Delimiters:
    """The boundaries of a message that are open, and a position that moves forward.

    The message has no line end but ``line_end``: CRLF, or LF and no CR at all.
    """

    __slots__ = (
        "_alone",
        "_changed",
        "_covered",
        "_finder",
        "_indexes",
        "_line_end",
        "_live",
        "_message",
        "_most_scanned",
        "_most_vain",
        "_needle",
        "_octets",
        "_ordered",
        "_outer",
        "_reach",
        "_scanned",
        "_singles",
        "_skipped",
        "_vain",
        "position",
    )

    def __init__(self, message: bytes, line_end: bytes) -> None:
        self._message = message
        self._line_end = line_end
        self.position = 0  # no line end before it begins a delimiter
        self._indexes: dict[bytes, list[int]] = {}  # of each boundary, innermost last
        self._ordered: list[bytes] = []  # the boundaries, without repetition
        self._octets = 0  # as many of them as are looked at
        self._changed = False  # since what follows was made of them
        self._alone = False  # there is one only, and the needle is all of it
        self._needle = b""  # line end, "--", and what all the boundaries begin with
        #: The longest of the others that begins it, and the shortest or itself.
        self._outer: dict[bytes, tuple[bytes | None, bytes]] | None = None
        self._skipped = len(line_end) + 2
        self._reach = finder_reach(line_end)
        self._finder: re.Pattern[bytes] | None = None  # where the needle is not enough
        self._covered: dict[bytes, bytes] = {}  # what it matches of each boundary
        self._live: frozenset[bytes] = frozenset()  # what it matches of open ones
        self._singles: list[bytes] = []  # needles of those it does not know
        self._vain = 0  # lines that were passed over since a finder was made
        self._most_vain = 0
        self._scanned = 0  # octets that were searched for single ones since
        self._most_scanned = 0

    def add(self, boundary: bytes, index: int, start: int) -> None:
        """Open a boundary; the next line end that may begin one is at ``start``.

        ``index`` is told where it is found: that of the one opened last, where several
        are equal.
        """
        indexes = self._indexes.setdefault(boundary, [])
        if not indexes:
            insort(self._ordered, boundary)
            self._octets += min(len(boundary), LOOKED_AT_OCTETS)
        indexes.append(index)
        self._changed = True
        self.position = max(self.position, start)

    def drop(self, boundary: bytes) -> None:
        """Close it: of several equal ones that which was opened last."""
        indexes = self._indexes[boundary]
        indexes.pop()
        if not indexes:
            del self._indexes[boundary]
            del self._ordered[bisect_left(self._ordered, boundary)]
            self._octets -= min(len(boundary), LOOKED_AT_OCTETS)
        self._changed = True

    #   delimiter := CRLF "--" boundary
    def find(self, before: int) -> tuple[int, int, int] | None:
        """Find the next line whose line end before it lies before an offset.

        Returns:
            Index of its boundary, offset of that line end, offset after the boundary.
        """
        if not self._ordered:
            return None
        if self._changed:
            self._arrange()
        at = self._next(self.position, before)
        if at < 0:
            self.position = max(self.position, before)
            return None
        self.position = at
        line = at + self._skipped
        longest = self._ordered[0] if self._alone else self._longest(line)
        assert longest is not None  # it was asked for already
        return self._indexes[longest][-1], at, line + len(longest)

    def _arrange(self) -> None:
        """Make what is looked for of the boundaries."""
        self._changed = False
        first, last = self._ordered[0], self._ordered[-1]
        shared = first[:LOOKED_AT_OCTETS]
        self._alone = first is last and shared == first and b"\r" not in first
        while not last.startswith(shared):  # then neither do those between
            shared = shared[:-1]
        self._needle = self._line_end + b"--" + shared
        self._outer = None
        self._most_vain = _LINES_AN_OCTET * self._octets
        self._most_scanned = _SINGLE_OCTETS_AN_OCTET * self._octets
        if self._finder is not None and not self._alone:
            self._arrange_finder()

    def _arrange_finder(self) -> None:
        covered, before = self._covered, self._line_end + b"--"
        self._singles = [before + one for one in self._ordered if one not in covered]
        self._live = frozenset(covered[one] for one in self._ordered if one in covered)

    def _make_finder(self) -> None:
        self._finder = finder(self._line_end, self._ordered)
        self._covered = {
            one: match[0]
            for one in self._ordered
            if (match := self._finder.match(self._line_end + b"--" + one))
        }
        self._vain = self._scanned = 0
        self._arrange_finder()

    def _next(self, start: int, before: int) -> int:
        """Return where the next line end is that begins a delimiter; -1: none."""
        needle = self._needle
        last = before - 1 + len(needle)
        if self._alone:
            return self._message.find(needle, start, last)
        while self._finder is None:
            at = self._message.find(needle, start, last)
            if at < 0 or self._longest(at + self._skipped) is not None:
                return at
            start = at + self._skipped
            self._vain += 1
            if self._vain >= self._most_vain:
                self._make_finder()
        octets = _FIRST_WINDOW_OCTETS
        while start < before:
            if self._vain >= self._most_vain or self._scanned >= self._most_scanned:
                self._make_finder()
            stop = min(start + octets, before)
            at = self._next_in_window(self._finder, start, stop)
            if at < stop:
                return at
            start = stop
            octets = min(2 * octets, _WINDOW_OCTETS)
        return -1

    def _next_in_window(self, made: re.Pattern[bytes], start: int, stop: int) -> int:
        """Return where a delimiter has its line end, or stop."""
        message, live, skipped = self._message, self._live, self._skipped
        at = stop
        for needle in self._singles:
            self._scanned += at - start + _SEARCH_OCTETS
            found = message.find(needle, start, at - 1 + len(needle))
            while found >= 0 and self._longest(found + skipped) is None:
                found = message.find(needle, found + 1, at - 1 + len(needle))
            if found >= 0:
                at = found
        vain = 0
        for match in made.finditer(message, start, at - 1 + self._reach):
            if match[0] not in live:
                vain += 1
            elif self._longest(match.start() + skipped) is not None:
                at = min(at, match.start())
                break
        self._vain += vain
        return at

    def _longest(self, line: int) -> bytes | None:
        """Return the longest boundary that the line begins with."""
        text = self._message[line : line + BOUNDARY_OCTETS]
        at = bisect_right(self._ordered, text)
        if not at:
            return None
        last = self._ordered[at - 1]
        longest: bytes | None = last
        if not text.startswith(last):
            # What begins the text sorts before it, and begins what sorts between.
            longest, shortest = self._outers()[last]
            if not text.startswith(shortest):
                return None
            while longest is not None and not text.startswith(longest):
                longest = self._outers()[longest][0]
        if longest is not None and longest[-1] == _CR:
            after = line + len(longest)
            if self._message.startswith(b"\n", after):  # the CR is the line end's
                longest = self._outers()[longest][0]
        return longest

    def _outers(self) -> dict[bytes, tuple[bytes | None, bytes]]:
        if self._outer is None:
            self._outer = outer = {}
            begun: list[bytes] = []  # each begins the next
            for one in self._ordered:
                while begun and not one.startswith(begun[-1]):
                    begun.pop()
                outer[one] = (begun[-1], begun[0]) if begun else (None, one)
                begun.append(one)
        return self._outer


def finder(line_end: bytes, boundaries: Iterable[bytes]) -> re.Pattern[bytes]:
    """Return what matches where a line, its end before it, may begin a delimiter.

    It finds every line that begins with ``--`` and a boundary; of those it finds some
    do not, but have as much of one as is looked at, and is before a CR: a match may
    not hold what begins the next one.  It takes a microsecond or two for each octet of
    them, and what it matches is ``finder_reach`` octets at the most.
    """
    looked_at = {one[:LOOKED_AT_OCTETS].partition(b"\r")[0] for one in boundaries}
    return re.compile(re.escape(line_end + b"--") + _any_of(sorted(looked_at), 0))


def finder_reach(line_end: bytes) -> int:
    """Return how much a match may take."""
    return len(line_end) + 2 + LOOKED_AT_OCTETS


def _any_of(words: list[bytes], at: int) -> bytes:
    """Return an expression for what any of the words has from ``at`` on.

    They are sorted, none twice, and have the octets before in common.
    """
    if len(words[0]) == at:  # the others begin with this one
        return b""
    if len(words) == 1:
        return re.escape(words[0][at:])
    branches = list(_branches(words, at))
    if len(branches) == 1:
        return branches[0]
    any_branch = b"(?:%b)" % b"|".join(branches)
    if len(branches) <= _FEW_BRANCHES:
        return any_branch
    # They are tried one by one: most lines that begin with none are found out at once.
    first = {word[at : at + 1] for word in words}
    return b"(?=[%b])%b" % (b"".join(map(re.escape, sorted(first))), any_branch)


def _branches(words: list[bytes], at: int) -> Iterator[bytes]:
    for octet, some in groupby(words, key=lambda word: word[at : at + 1]):
        yield re.escape(octet) + _any_of(list(some), at + 1)
