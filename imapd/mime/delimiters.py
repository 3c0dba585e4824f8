"""What finds the lines that may begin with one of several boundaries.  RFC 2046 §5.1.1.

One expression for all of them: what they have in common is looked at once, however
many begin with it, so that a line that begins with none costs no Python at all.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import groupby

#: Of a boundary no more is looked at: a line that has so much is long enough to be
#: judged one by one.  It bounds, too, how far the making of an expression recurses.
LOOKED_AT_OCTETS = 32


def finder(line_end: bytes, boundaries: Iterable[bytes]) -> re.Pattern[bytes]:
    """Return what matches where a line, its end before it, may begin a delimiter.

    It finds every line that begins with ``--`` and a boundary; of those it finds some
    do not, but have as much of one as is looked at.  It takes some microseconds for
    each octet of them, and what it matches is ``finder_reach`` octets at the most.
    """
    looked_at = sorted({boundary[:LOOKED_AT_OCTETS] for boundary in boundaries})
    return re.compile(re.escape(line_end + b"--") + _any_of(looked_at, 0))


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
    return branches[0] if len(branches) == 1 else b"(?:%b)" % b"|".join(branches)


def _branches(words: list[bytes], at: int) -> Iterator[bytes]:
    for octet, some in groupby(words, key=lambda word: word[at : at + 1]):
        yield re.escape(octet) + _any_of(list(some), at + 1)
