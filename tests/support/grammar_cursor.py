"""A position in what a server sent, and the words responses are made of."""

import base64
import binascii
import re
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")

LARGEST = 2**32 - 1

SP = b" "
ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
ASTRING_CHARS = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\]+')
TEXT = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x7f]+")
QUOTED = re.compile(rb'"((?:[\x01-\x09\x0b\x0c\x0e-\x21\x23-\x5b\x5d-\x7f]|\\["\\])*)"')
DIGITS = re.compile(rb"[0-9]+")
LITERAL = re.compile(rb"\{([0-9]+)\}\r\n")
SHIFTED = re.compile(r"&([A-Za-z0-9+,]*)-")


class NotGrammatical(AssertionError):
    """What a server sent is not a response."""

    def __init__(self, offset: int, expected: str, found: bytes) -> None:
        super().__init__(f"at {offset}: expected {expected}, found {found[:60]!r}")
        self.offset = offset
        self.expected = expected


class Cursor:
    """One response; ``base`` is where it begins in all that was sent."""

    def __init__(self, octets: bytes, base: int = 0) -> None:
        self.octets = octets
        self.base = base
        self.position = 0

    def wrong(self, expected: str, at: int | None = None) -> NotGrammatical:
        at = self.position if at is None else at
        return NotGrammatical(self.base + at, expected, self.octets[at:])

    def at(self, octets: bytes) -> bool:
        return self.octets.startswith(octets, self.position)

    def at_digit(self) -> bool:
        return DIGITS.match(self.octets, self.position) is not None

    def skip(self, octets: bytes) -> None:
        end = self.position + len(octets)
        if self.octets[self.position : end].upper() != octets.upper():
            raise self.wrong(repr(octets))
        self.position = end

    def expect(self, pattern: re.Pattern[bytes], what: str) -> bytes:
        found = pattern.match(self.octets, self.position)
        if found is None:
            raise self.wrong(what)
        self.position = found.end()
        return found[0]

    def word(self, words: Iterable[bytes], what: str) -> bytes:
        """One of ``words``, in upper case."""
        start = self.position
        word = self.expect(ATOM, what).upper()
        if word not in words:
            raise self.wrong(what, start)
        return word

    def end(self) -> None:
        if self.position != len(self.octets):
            raise self.wrong("the end of the response")

    def listed(
        self,
        rule: Callable[["Cursor"], T],
        *,
        empty: bool = False,
        between: bytes = SP,
    ) -> tuple[T, ...]:
        """``"(" rule *(between rule) ")"``."""
        self.skip(b"(")
        values: list[T] = []
        while not self.at(b")"):
            if values:
                self.skip(between)
            values.append(rule(self))
        if not values and not empty:
            raise self.wrong("at least one item")
        self.skip(b")")
        return tuple(values)

    def number(self, least: int = 0, largest: int = LARGEST) -> int:
        start = self.position
        value = int(self.expect(DIGITS, "a number")[:40])
        if not least <= value <= largest:
            raise self.wrong(f"a number from {least} to {largest}", start)
        return value

    def nz_number(self) -> int:
        """``digit-nz *DIGIT``."""
        if self.at(b"0"):
            raise self.wrong("a digit from 1 to 9")
        return self.number(1)

    def quoted(self) -> bytes:
        found = QUOTED.match(self.octets, self.position)
        if found is None:
            raise self.wrong("a quoted string")
        self.position = found.end()
        return re.sub(rb'\\(["\\])', rb"\1", found[1])

    def literal(self) -> bytes:
        found = LITERAL.match(self.octets, self.position)
        if found is None:
            raise self.wrong("a literal")
        size = int(found[1][:40])
        octets = self.octets[found.end() : found.end() + size]
        if len(octets) < size:
            raise self.wrong(f"{size} octets")
        if b"\0" in octets:
            raise self.wrong("a literal without NUL")
        self.position = found.end() + size
        return octets

    def string(self) -> bytes:
        return self.literal() if self.at(b"{") else self.quoted()

    def nil_or(self, rule: Callable[["Cursor"], T]) -> T | None:
        if self.octets[self.position : self.position + 3].upper() == b"NIL":
            self.position += 3
            return None
        return rule(self)

    def nstring(self) -> bytes | None:
        return self.nil_or(Cursor.string)

    def astring(self) -> bytes:
        if self.at(b'"') or self.at(b"{"):
            return self.string()
        return self.expect(ASTRING_CHARS, "an astring")

    def mailbox(self) -> str:
        """An ``astring`` that is modified UTF-7, decoded.  RFC 3501 §5.1.3."""
        start = self.position
        octets = self.astring()
        try:
            name = octets.decode("ascii")
            decoded = SHIFTED.sub(_unshift, name)
        except (ValueError, binascii.Error) as error:
            raise self.wrong(f"modified UTF-7 ({error})", start) from error
        if not name.isprintable() or "&" in SHIFTED.sub("", name):
            raise self.wrong("modified UTF-7", start)
        return decoded


def _unshift(match: re.Match[str]) -> str:
    if not match[1]:
        return "&"
    octets = base64.b64decode(
        match[1].replace(",", "/") + "=" * (-len(match[1]) % 4), validate=True
    )
    text = octets.decode("utf-16-be")
    if any(" " <= character <= "~" for character in text) or not text:
        raise ValueError("printable ASCII stands for itself")
    return text
