"""A reading position in one command: text, then a literal, then text, ..."""

import re

from imapd.errors import SyntaxRejected
from imapd.limits import DEFAULT_LIMITS, Limits
from imapd.wire.chars import QUOTED_CHARS


class Cursor:
    """Reads forward through the parts of a ``Frame``; never backward.

    Every method that reads takes at least one octet, returns None or False, or
    raises, so that no rule built on them can stand still.
    """

    __slots__ = ("_at", "_parts", "_text", "_text_index", "limits")

    def __init__(
        self, parts: tuple[bytes, ...], limits: Limits = DEFAULT_LIMITS
    ) -> None:
        """Start at the first octet.

        Args:
            parts: text, literal, text, ..., text, as the framer delivers them.
            limits: what the rules hold counts and sizes to.
        """
        self.limits = limits
        self._parts = parts
        self._text_index = 0
        self._text = parts[0]
        self._at = 0

    @property
    def at_end(self) -> bool:
        """Whether all of the command was read."""
        return self._at == len(self._text) and self._text_index == len(self._parts) - 1

    @property
    def at_text_end(self) -> bool:
        """Whether no text is left before the next literal, or at all."""
        return self._at == len(self._text)

    def peek(self) -> bytes:
        """The next octet, not read; empty if a literal or the end comes next."""
        return self._text[self._at : self._at + 1]

    def match(self, pattern: re.Pattern[bytes]) -> bytes | None:
        """Read what the pattern matches here; None: nothing was read."""
        found = pattern.match(self._text, self._at)
        if found is None or found.end() == self._at:
            return None
        self._at = found.end()
        return found.group()

    def start(self, pattern: re.Pattern[bytes]) -> tuple[bytes, ...] | None:
        """Read what the pattern matches here, in its groups; None: nothing was read."""
        found = pattern.match(self._text, self._at)
        if found is None:
            return None
        self._at = found.end()
        return found.groups()

    def expect(self, pattern: re.Pattern[bytes], what: str) -> bytes:
        """Read what the pattern matches here.

        Raises:
            SyntaxRejected: it matches nothing; the message asks for ``what``.
        """
        octets = self.match(pattern)
        if octets is None:
            raise SyntaxRejected(f"expected {what}")
        return octets

    def skip(self, octets: bytes) -> bool:
        """Read exactly these octets, in any case, if they come next."""
        end = self._at + len(octets)
        if self._text[self._at : end].upper() != octets.upper():
            return False
        self._at = end
        return True

    def space(self) -> None:
        """Read one SP: not two, not a TAB.  RFC 3501 §9 (2)."""
        if not self._text.startswith(b" ", self._at):
            raise SyntaxRejected("expected a single space")
        self._at += 1

    def open_paren(self) -> None:
        """Read ``(``."""
        if not self.skip(b"("):
            raise SyntaxRejected("expected an opening parenthesis")

    def close_paren(self) -> None:
        """Read ``)``."""
        if not self.skip(b")"):
            raise SyntaxRejected("expected a closing parenthesis")

    def end(self) -> None:
        """Make sure that nothing follows.

        Raises:
            SyntaxRejected: octets or a literal are left.
        """
        if not self.at_end:
            raise SyntaxRejected("expected the end of the command")

    #   literal = "{" number ["+"] "}" CRLF *CHAR8          ; RFC 7888 §8
    def literal(self) -> bytes | None:
        """Read a literal, if it comes next; b"" is a literal too.

        Raises:
            SyntaxRejected: it holds a NUL, which is no CHAR8.
        """
        if not self.at_text_end or self.at_end:
            return None
        octets = self._parts[self._text_index + 1]
        if b"\0" in octets:
            raise SyntaxRejected("NUL is not allowed")
        self._text_index += 2
        self._text = self._parts[self._text_index]
        self._at = 0
        return octets

    #   quoted = DQUOTE *QUOTED-CHAR DQUOTE                 ; RFC 3501 §9
    def quoted(self) -> bytes | None:
        r"""Read a quoted string, if one comes next, and undo its escapes.

        Raises:
            SyntaxRejected: it does not end, or ``\`` precedes something other
                than ``"`` and ``\``, or it holds a NUL or a CR.
        """
        if not self.skip(b'"'):
            return None
        pieces: list[bytes] = []
        while not self.skip(b'"'):
            if self.skip(b"\\"):
                escaped = self.peek()
                if escaped not in (b'"', b"\\"):
                    raise SyntaxRejected(
                        "expected a quote or backslash after backslash"
                    )
                self._at += 1
                pieces.append(escaped)
            else:
                pieces.append(self.expect(QUOTED_CHARS, "the end of the quoted string"))
        return b"".join(pieces)
