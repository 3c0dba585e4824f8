"""Octets, names and sets as IMAP strings: what every response is made of.

Rule for this file: whatever is put in, what comes out is one ``string``,
``astring``, ``nstring`` or ``uid-set`` of RFC 3501 §9, so that nothing stored in
a message, a file name or a keyword list can end a response and begin another.
"""

import re
from collections.abc import Iterable

from imapd.ids import LARGEST_NUMBER
from imapd.model import utf7
from imapd.model.sets import runs
from imapd.wire.chars import ASTRING_CHARS, ATOM_CHARS

NIL = b"NIL"

#: Longer strings go as literals: clients keep a line in a buffer.  RFC 2683 §3.2.1.5.
QUOTED_OCTETS = 1000

# TEXT-CHAR without quoted-specials and without controls other than TAB, which the
# grammar allows but which is more than clients are ready for.
_PLAIN_OCTETS = bytes({0x09, *range(0x20, 0x7F)} - set(b'"\\'))
_QUOTABLE = re.compile(rb"[\t\x20-\x7e]*")
_SPECIALS = re.compile(rb'(["\\])')

#   flag = "\" atom / atom                                   ; RFC 3501 §9
_FLAG = re.compile(rb"\\?" + ATOM_CHARS.pattern)


def without_nul(octets: bytes) -> bytes:
    r"""``b"a\x80b"`` for ``b"a\0b"``: NUL is the one octet no literal may hold.

    The length stays, so sizes and partial fetches stay right.  RFC 3501 §4.3.
    """
    return octets.replace(b"\0", b"\x80") if b"\0" in octets else octets


#   quoted = DQUOTE *QUOTED-CHAR DQUOTE                      ; RFC 3501 §9
def quoted(octets: bytes) -> bytes:
    r"""``"a \"b\""``.  The octets must be printable ASCII or TAB.

    Raises:
        ValueError: an octet that no quoted string may hold.
    """
    if not octets.translate(None, _PLAIN_OCTETS):
        return b'"%b"' % octets
    if not _QUOTABLE.fullmatch(octets):
        raise ValueError("not quotable")
    return b'"%b"' % _SPECIALS.sub(rb"\\\1", octets)


#   literal = "{" number "}" CRLF *CHAR8                     ; RFC 3501 §9
def literal(octets: bytes) -> bytes:
    """``{3}`` CRLF ``abc``; NUL becomes 0x80."""
    return b"{%d}\r\n%b" % (len(octets), without_nul(octets))


#   string = quoted / literal                                ; RFC 3501 §9
def quoted_or_literal(octets: bytes) -> bytes:
    """``"abc"``, or a literal if it is long or holds what quotes may not."""
    if len(octets) <= QUOTED_OCTETS:
        if not octets.translate(None, _PLAIN_OCTETS):  # ten times as fast as a match
            return b'"%b"' % octets
        if _QUOTABLE.fullmatch(octets):
            return b'"%b"' % _SPECIALS.sub(rb"\\\1", octets)
    return literal(octets)


def are_plain(strings: Iterable[bytes]) -> bool:
    r"""Whether each is its own ``quoted`` once a DQUOTE stands on both sides.

    Asked of many strings at once, because most are: no escape, no literal.  False
    is also the answer for what is together as long as a literal.
    """
    octets = b"".join(strings)
    return len(octets) <= QUOTED_OCTETS and not octets.translate(None, _PLAIN_OCTETS)


#   nstring = string / nil                                   ; RFC 3501 §9
def nstring(octets: bytes | None) -> bytes:
    """``"abc"``, a literal, or ``NIL`` for None."""
    return NIL if octets is None else quoted_or_literal(octets)


#   astring = 1*ASTRING-CHAR / string                        ; RFC 3501 §9
def atom_or_string(octets: bytes) -> bytes:
    """``abc``, ``"a b"`` or a literal: the shortest form of an ``astring``.

    The word NIL is quoted, lest a client takes it for nothing.
    """
    if ASTRING_CHARS.fullmatch(octets) and len(octets) <= QUOTED_OCTETS:
        return octets if octets.upper() != NIL else quoted(octets)
    return quoted_or_literal(octets)


#   mailbox = "INBOX" / astring                              ; RFC 3501 §9, §5.1.3
def mailbox(name: str) -> bytes:
    """``Entw&APw-rfe`` for ``Entwürfe``; any spelling of INBOX is ``INBOX``.

    Raises:
        ValueError: the name has a lone surrogate.
    """
    octets = utf7.encode(name)  # first: outside ASCII other letters become an "I"
    return b"INBOX" if octets.upper() == b"INBOX" else atom_or_string(octets)


#   flag-list = "(" [flag *(SP flag)] ")"                    ; RFC 3501 §9
def flag_list(flags: Iterable[bytes]) -> bytes:
    r"""``(\Seen $Forwarded)``, in the order given.

    What is not a ``flag`` is left out: keyword files are written by others, and
    a space or a line end in one must not become part of our answer.
    """
    return b"(%b)" % b" ".join(flag for flag in flags if is_flag(flag))


def is_flag(octets: bytes) -> bool:
    r"""Whether the octets are a ``flag`` of the grammar: ``\Seen``, ``$Junk``."""
    return _FLAG.fullmatch(octets) is not None


#   uid-set = (uniqueid / uid-range) *("," uid-set)          ; RFC 4315 §4
def uid_set(numbers: Iterable[int]) -> bytes:
    """``1:3,7`` for 1, 2, 3, 7, in the order given; also a ``sequence-set``.

    Only steps of plus one become a range, so the set reads back in the same
    order, which COPYUID needs.
    """
    return range_set(runs(numbers))


def range_set(ranges: Iterable[tuple[int, int]]) -> bytes:
    """``1:3,7`` for (1, 3), (7, 7): each (first, last), in the order given."""
    return b",".join(
        b"%d" % first if first == last else b"%d:%d" % (first, last)
        for first, last in ranges
    )


def number(value: int) -> bytes:
    """``42``; what 32 bits do not hold becomes the nearest they do.

    RFC 3501 §9: ``number``.
    """
    return b"%d" % min(max(value, 0), LARGEST_NUMBER)
