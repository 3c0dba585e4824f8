"""The small rules that all commands share: strings, numbers, names, flags."""

import re
from collections.abc import Callable
from typing import TypeVar

from imapd.errors import Cannot, LimitReached, SyntaxRejected
from imapd.ids import LARGEST_NUMBER
from imapd.limits import DEFAULT_LIMITS, Limits
from imapd.model import utf7
from imapd.model.flags import RECENT, canonical
from imapd.wire.chars import (
    ASTRING_CHARS,
    ATOM_CHARS,
    DIGITS,
    LIST_CHARS,
    TAG_CHARS,
    WORD_CHARS,
)
from imapd.wire.cursor import Cursor

T = TypeVar("T")

#: What a LIST pattern that is not modified UTF-7 becomes: it matches no mailbox,
#: but the one that somebody might have named so.
UNREADABLE_PATTERN = "\ufffd"

# Names with these cannot be shown, logged or sent as they are: C0, DEL, C1.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f]")

_NUMBER_DIGITS = len(str(LARGEST_NUMBER))


#   tag = 1*<any ASTRING-CHAR except "+">                   ; RFC 3501 §9
def tag(cursor: Cursor) -> bytes:
    """Read the tag of a command.

    Raises:
        SyntaxRejected: there is none, or it is longer than ``tag_octets``.
    """
    octets = cursor.expect(TAG_CHARS, "a tag")
    if len(octets) > cursor.limits.tag_octets:
        raise SyntaxRejected("tag too long")
    return octets


def leading_tag(text: bytes, limits: Limits = DEFAULT_LIMITS) -> bytes | None:
    """The tag of a command that will not be read further; None: it has none."""
    found = TAG_CHARS.match(text)
    if found is None or found.end() > limits.tag_octets:
        return None
    return found.group() if text[found.end() : found.end() + 1] in (b" ", b"") else None


#   atom = 1*ATOM-CHAR                                      ; RFC 3501 §9
def atom(cursor: Cursor, what: str = "an atom") -> bytes:
    """Read one ``atom``."""
    return cursor.expect(ATOM_CHARS, what)


def word(cursor: Cursor, what: str) -> bytes:
    """Read the name of something defined by a standard, in upper case."""
    return cursor.expect(WORD_CHARS, what).upper()


#   string = quoted / literal                               ; RFC 3501 §9
def string(cursor: Cursor, what: str = "a string") -> bytes:
    """Read one ``string``: escapes undone, literal framing removed."""
    for form in (cursor.literal, cursor.quoted):
        octets = form()
        if octets is not None:  # b"" is a valid string
            return octets
    raise SyntaxRejected(f"expected {what}")


#   astring = 1*ASTRING-CHAR / string                       ; RFC 3501 §9
def astring(cursor: Cursor, what: str = "an astring") -> bytes:
    """Read one ``astring``: octets as sent, quotes and literal framing removed."""
    octets = cursor.match(ASTRING_CHARS)
    return string(cursor, what) if octets is None else octets


#   nstring = string / nil                                  ; RFC 3501 §9
def nstring(cursor: Cursor) -> bytes | None:
    """Read one ``nstring``; None is NIL."""
    return None if cursor.skip(b"NIL") else string(cursor, "a string or NIL")


#   number = 1*DIGIT            ; 0 <= n < 4,294,967,296    ; RFC 3501 §9
def number(cursor: Cursor, what: str = "a number") -> int:
    """Read one ``number``.  Leading zeros are allowed, but not more than ten digits.

    Raises:
        SyntaxRejected: no digit comes next, or it needs more than 32 bits.
    """
    digits = cursor.expect(DIGITS, what)
    # int() of unbounded digits is quadratic, hence the count first.
    if len(digits) > _NUMBER_DIGITS or int(digits) > LARGEST_NUMBER:
        raise SyntaxRejected("number out of range")
    return int(digits)


#   nz-number = digit-nz *DIGIT ; 0 < n < 4,294,967,296     ; RFC 3501 §9
def nz_number(cursor: Cursor, what: str = "a number above 0") -> int:
    """Read one ``nz-number``."""
    if cursor.peek() == b"0":
        raise SyntaxRejected(f"expected {what}")
    return number(cursor, what)


def parenthesised(cursor: Cursor, rule: Callable[[Cursor], T]) -> list[T]:
    """Read ``"(" [rule *(SP rule)] ")"``.

    Raises:
        LimitReached: it has more than ``list_item_count`` items.
    """
    cursor.open_paren()
    items: list[T] = []
    if cursor.skip(b")"):
        return items
    while True:
        if len(items) >= cursor.limits.list_item_count:
            raise LimitReached("too many items in a list")
        items.append(rule(cursor))
        if cursor.skip(b")"):
            return items
        cursor.space()


#   mailbox = "INBOX" / astring                             ; RFC 3501 §9, §5.1.3
def mailbox(cursor: Cursor) -> str:
    """Read a mailbox name; INBOX in any case becomes ``INBOX``.

    Prefix and separator are the namespace's affair, as is INBOX as the first of
    several components.

    Raises:
        SyntaxRejected: 8-bit octets, which need UTF8=ACCEPT.  RFC 6855.
        Cannot: not canonical modified UTF-7, a control character, or too long.
    """
    octets = astring(cursor, "a mailbox name")
    if not octets.isascii():
        raise SyntaxRejected("8-bit mailbox name")
    if len(octets) > cursor.limits.mailbox_name_octets:
        raise Cannot("mailbox name too long")
    try:
        name = utf7.decode(octets)
    except ValueError as error:
        raise Cannot("mailbox name is not modified UTF-7") from error
    if _CONTROLS.search(name):
        raise Cannot("control character in a mailbox name")
    return "INBOX" if octets.upper() == b"INBOX" else name


#   list-mailbox = 1*list-char / string                     ; RFC 3501 §9
def list_mailbox(cursor: Cursor) -> str:
    """Read a LIST pattern, decoded, with its ``*`` and ``%``.

    A pattern that no mailbox name can match is no error (RFC 5258 §3): it becomes
    ``UNREADABLE_PATTERN``.

    Raises:
        Cannot: it is longer than any name may be.
    """
    octets = cursor.match(LIST_CHARS)
    if octets is None:
        octets = string(cursor, "a mailbox pattern")
    return _pattern(octets, cursor.limits)


def reference(cursor: Cursor) -> str:
    """Read the reference of LIST or LSUB: a name, but unreadable ones match nothing."""
    return _pattern(astring(cursor, "a mailbox name"), cursor.limits)


def _pattern(octets: bytes, limits: Limits) -> str:
    if len(octets) > limits.mailbox_name_octets:
        raise Cannot("mailbox pattern too long")
    try:
        pattern = utf7.decode(octets)
    except ValueError:
        return UNREADABLE_PATTERN
    return UNREADABLE_PATTERN if _CONTROLS.search(pattern) else pattern


#   flag-keyword = atom                                     ; RFC 3501 §9
def flag_keyword(cursor: Cursor) -> bytes:
    """Read one keyword.

    Raises:
        LimitReached: it is longer than ``keyword_octets``.
    """
    octets = atom(cursor, "a keyword")
    if len(octets) > cursor.limits.keyword_octets:
        raise LimitReached("keyword too long")
    return octets


#   flag           = "\Answered" / "\Flagged" / "\Deleted" / "\Seen" / "\Draft" /
#                    flag-keyword / flag-extension
#                      ; Does not include "\Recent"
#   flag-extension = "\" atom                               ; RFC 3501 §9
def flag(cursor: Cursor) -> bytes:
    r"""Read one flag; system flags are spelled as the RFC does, whatever the case."""
    if not cursor.skip(b"\\"):
        return flag_keyword(cursor)
    name = canonical(b"\\" + flag_keyword(cursor))
    if name.lower() == RECENT.lower():
        raise SyntaxRejected("the Recent flag cannot be set")
    return name


#   flag-list = "(" [flag *(SP flag)] ")"                   ; RFC 3501 §9
def flag_list(cursor: Cursor) -> tuple[bytes, ...]:
    """Read flags in parentheses, maybe none."""
    return tuple(parenthesised(cursor, flag))
