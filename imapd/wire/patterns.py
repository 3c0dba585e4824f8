"""LIST patterns: ``*`` and ``%`` against mailbox names.  RFC 3501 §6.3.8."""

from collections.abc import Iterable, Iterator

ANY = "*"  # matches everything, the separator too
LEVEL = "%"  # matches everything but the separator


def _collapse(pattern: str) -> Iterator[str]:
    """Yield the pattern's characters with each run of wildcards as one of them."""
    wildcard = ""
    for character in pattern:
        if character in (ANY, LEVEL):
            # ** is *, %% is %, and a run with both matches what * does.
            wildcard = ANY if ANY in (character, wildcard) else LEVEL
            continue
        if wildcard:
            yield wildcard
            wildcard = ""
        yield character
    if wildcard:
        yield wildcard


class PatternMatcher:
    """One pattern, or several at once, made ready for many names.

    All positions that the patterns can be at are the bits of one number, advanced
    together: a name costs its length times the patterns' length in machine words,
    whatever they are.  No position is ever tried again.
    """

    __slots__ = ("_accepting", "_any", "_level", "_literals", "_separator", "_start")

    def __init__(self, patterns: str | Iterable[str], separator: str) -> None:
        """Take patterns, decoded, and the hierarchy separator, one character.

        Case counts; INBOX is the namespace's affair.
        """
        self._separator = separator
        self._any = self._level = self._accepting = 0
        self._literals: dict[str, int] = {}
        starts = 0
        bit = 1  # the i-th bit of a pattern: its first i characters are matched
        for pattern in (patterns,) if isinstance(patterns, str) else patterns:
            starts |= bit
            bit = self._add(pattern, bit)
        self._start = self._closed(starts)

    def _add(self, pattern: str, bit: int) -> int:
        """Give the pattern the bits from this one on; return the next free bit."""
        for character in _collapse(pattern):
            if character == ANY:
                self._any |= bit
            elif character == LEVEL:
                self._level |= bit
            else:
                self._literals[character] = self._literals.get(character, 0) | bit
            bit <<= 1
        self._accepting |= bit
        return bit << 1

    def _closed(self, states: int) -> int:
        """Add the positions behind a wildcard that matches nothing more."""
        return states | ((states & (self._any | self._level)) << 1)

    def matches(self, name: str) -> bool:
        """Whether one of the patterns matches the whole name."""
        states = self._start
        for character in name:
            stay = self._any
            if character != self._separator:
                stay |= self._level
            advanced = (states & self._literals.get(character, 0)) << 1
            states = self._closed(advanced | (states & stay))
            if not states:
                return False
        return bool(states & self._accepting)


def matches(pattern: str, name: str, separator: str) -> bool:
    """Whether a LIST pattern matches a name; for many names use ``PatternMatcher``."""
    return PatternMatcher(pattern, separator).matches(name)
