"""LIST patterns: ``*`` and ``%`` against mailbox names.  RFC 3501 §6.3.8."""

from collections.abc import Iterator

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
    """One pattern, made ready for many names.

    All positions that the pattern can be at are the bits of one number, advanced
    together: a name costs its length times the pattern's length in machine words,
    whatever the pattern.  No position is ever tried again.
    """

    __slots__ = ("_accepting", "_any", "_level", "_literals", "_separator", "_start")

    def __init__(self, pattern: str, separator: str) -> None:
        """Take a pattern, decoded, and the hierarchy separator, one character.

        Case counts; INBOX is the namespace's affair.
        """
        self._separator = separator
        self._any = self._level = 0
        self._literals: dict[str, int] = {}
        bit = 1  # bit i: the first i characters of the pattern are matched
        for character in _collapse(pattern):
            if character == ANY:
                self._any |= bit
            elif character == LEVEL:
                self._level |= bit
            else:
                self._literals[character] = self._literals.get(character, 0) | bit
            bit <<= 1
        self._accepting = bit
        self._start = self._closed(1)

    def _closed(self, states: int) -> int:
        """Add the positions behind a wildcard that matches nothing more."""
        return states | ((states & (self._any | self._level)) << 1)

    def matches(self, name: str) -> bool:
        """Whether the pattern matches the whole name."""
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
