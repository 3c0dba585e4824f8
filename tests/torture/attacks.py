"""What goes over a limit: at each argument of a command, and beside them all.

An attack is the pieces of a command with one of them replaced, and the limit that it
goes over.  All are made for the limits given, so that a rule that holds arguments to
others than those is found out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from imapd.limits import Limits
from tests.torture.pieces import (
    Argument,
    Command,
    Kind,
    Listed,
    Message,
    Piece,
    Pieces,
    arguments,
    piece_at,
    replaced,
)

#: Commands of which the last argument is search keys.
SEARCHING: Final = frozenset(
    head + name for head in (b"", b"UID ") for name in (b"SEARCH", b"SORT", b"THREAD")
)
_HUGE: Final = (b"4294967296", b"9" * 5000, b"18446744073709551617")


@dataclass(frozen=True, slots=True)
class Attack:
    """A command over one limit.  ``stops``: nothing follows unless ``+`` is said."""

    limit: str
    pieces: Pieces
    tag: bytes = b"t"
    stops: bool = False


def attacks(wanted: Command, limits: Limits, *, known: bool) -> Iterator[Attack]:
    """Yield every attack on a command; ``known``: it is sent after the login."""
    pieces = wanted.pieces
    for at in arguments(pieces):
        piece = piece_at(pieces, at)
        for limit, octets in _of_any(piece, limits, known=known):
            yield Attack(limit, replaced(pieces, at, octets))
        for limit, new in _of_kind(wanted.name, piece, limits):
            yield Attack(limit, replaced(pieces, at, new))
        yield _announced(pieces, at, piece, limits, known=known)
    yield Attack("tag_octets", pieces, tag=b"t" * (limits.tag_octets + 1))
    line = limits.command_octets if known else limits.preauth_line_octets
    yield Attack(_line_limit(known), (*pieces, b" " + b"x" * line))
    yield Attack(_count_limit(known), (*pieces, _literals(limits, known)))
    if wanted.name in SEARCHING:
        depth = limits.nesting_depth + 1
        group = b" " + b"(" * depth + b"ALL" + b")" * depth
        yield Attack("nesting_depth", (*pieces, group))
        keys = limits.search_key_count
        for key in (b" NOT", b" ALL", b" OR ALL"):
            yield Attack("search_key_count", (*pieces, key * keys, b" ALL"))


def _line_limit(known: bool) -> str:
    return "command_octets" if known else "preauth_line_octets"


def _count_limit(known: bool) -> str:
    return "literal_count" if known else "preauth_literal_count"


def _literal_limit(known: bool) -> str:
    return "literal_octets" if known else "preauth_literal_octets"


def _literals(limits: Limits, known: bool) -> bytes:
    """One literal more than a command may have; they are empty."""
    count = limits.literal_count if known else limits.preauth_literal_count
    return b" {0+}\r\n" * (count + limits.append_message_count + 1)


def _announced(
    pieces: Pieces, at: tuple[int, ...], piece: Piece, limits: Limits, *, known: bool
) -> Attack:
    """A literal that is too big is announced, and the client waits."""
    size = _size_over(piece, limits, known=known)
    limit = "append_octets" if isinstance(piece, Message) else _literal_limit(known)
    new = b"{%d}\r\n" % size
    return Attack(limit, replaced(pieces, at, new), stops=True)


def _size_over(piece: Piece, limits: Limits, *, known: bool) -> int:
    if isinstance(piece, Message):
        return limits.append_octets + 1
    return (limits.literal_octets if known else limits.preauth_literal_octets) + 1


def _of_any(
    piece: Piece, limits: Limits, *, known: bool
) -> Iterator[tuple[str, bytes]]:
    """Yield what any argument can be replaced by."""
    line = limits.command_octets if known else limits.preauth_line_octets
    yield _line_limit(known), b"x" * (line + 1)
    yield _line_limit(known), b'"%b"' % (b"x" * (line + 1))
    yield _count_limit(known), _literals(limits, known)
    size = _size_over(piece, limits, known=known)
    limit = "append_octets" if isinstance(piece, Message) else _literal_limit(known)
    yield limit, b"{%d+}\r\n%b" % (size, b"x" * size)
    if known and not isinstance(piece, Message):
        each = limits.literal_octets // 2
        count = limits.literals_octets // each + 1
        literal = b"{%d+}\r\n%b" % (each, b"x" * each)
        yield "literals_octets", b" ".join([literal] * count)
    # None is a limit with a name, and yet nothing may be over it.
    yield "", b"{3+}\r\na\0b" if not isinstance(piece, Message) else b"{-1}\r\n"
    yield "", b"a\0b"


def _of_kind(name: bytes, piece: Piece, limits: Limits) -> Iterator[tuple[str, Piece]]:
    """Yield what is too much for this kind of argument."""
    match piece:
        case Listed(items):
            item: Pieces = items[0] if items else (b"x",)
            count = limits.list_item_count + 1
            yield "list_item_count", Listed((item,) * count)
            if name == b"ID":
                pairs = limits.id_pair_count + 1
                yield "id_pair_count", Listed(((b'"a" "b"',),) * pairs)
        case Message():
            half = limits.append_octets // 2
            more = b" {%d+}\r\n%b" % (half, b"x" * half)
            count = limits.append_total_octets // half + 1
            yield "append_total_octets", (more * count)[1:]
            count = limits.append_message_count + 1
            yield "append_message_count", b" ".join([b"{1+}\r\nx"] * count)
        case Argument():
            yield from _of_argument(name, piece, limits)


def _of_argument(
    name: bytes, piece: Argument, limits: Limits
) -> Iterator[tuple[str, Piece]]:
    match piece.kind:
        case Kind.MAILBOX:
            yield "mailbox_name_octets", b"x" * (limits.mailbox_name_octets + 1)
            part = b"x" * (limits.mailbox_component_octets + 1)
            if name in (b"CREATE", b"RENAME", b"APPEND"):
                yield "mailbox_component_octets", part
                deep = b"/".join([b"x"] * (limits.mailbox_depth + 1))
                yield "mailbox_depth", deep
        case Kind.PATTERN:
            yield "mailbox_name_octets", b"%" * (limits.mailbox_name_octets + 1)
        case Kind.FLAG:
            long = b"k" * (limits.keyword_octets + 1)
            yield "keyword_octets", long
            yield "keyword_octets", b"\\" + long
        case Kind.SECTION:
            yield "mime_depth", b".".join([b"1"] * (limits.mime_depth + 1))
        case Kind.SET | Kind.NUMBER:
            for digits in _HUGE:
                yield "", digits
        case Kind.ATOM:
            yield "", b"x" * 65 if name == b"AUTHENTICATE" else b"\0"
