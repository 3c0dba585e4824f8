"""Odd commands made of good ones: one or more changes to their octets."""

from collections.abc import Callable
from random import Random
from typing import Final

_LITERALS: Final = (
    *(
        b"{0}",
        b"{00}",
        b"{1}",
        b"{5}",
        b"{5+}",
        b"{0+}",
        b"{-1}",
        b"{+}",
        b"{}",
        b"{ 5}",
    ),
    *(b"{5 }", b"{5-}", b"{1e3}", b"{4294967295}", b"{4294967296}", b"{99999999999}"),
    *(b"{9223372036854775808+}", b"{4294967295+}", b"{102401}", b"{1025+}", b"~{5}"),
    *(b"{9" + b"9" * 5000 + b"}", b'"{5}"', b"{5}}", b"{{5}", b"{0x5}", b"{5+}+"),
)
_OCTETS: Final = (
    *(b"\0", b"\r", b"\n", b"\r\n", b"\x80", b"\xff", b'"', b"\\", b"(", b")", b"{"),
    *(b"}", b"*", b"%", b" ", b"  ", b"\t", b"\x7f", b"[", b"]", b"<", b"$", b"+"),
    *(b"\xc3\xa4", b"\r\r\n", b"\n\r", b"\x1a", b"\xe2\x80\xa8"),
)
_TOKENS: Final = (
    *(b"NIL", b"UID", b"(", b"()", b"(((((", b'""', b"RETURN", b"1:*", b"BODY[", b"]"),
    *(b"NOT", b"OR", b"CHARSET", b"*", b"+FLAGS", b"\\Seen", b"\\Recent", b"INBOX"),
    *(b"4294967296", b"0", b"-1", b"18446744073709551616", b"DONE", b"STARTTLS"),
)

Mutator = Callable[[bytes, Random], bytes]


def _place(octets: bytes, chance: Random) -> int:
    return chance.randint(0, len(octets))


def flip(octets: bytes, chance: Random) -> bytes:
    """Change one bit."""
    changed = bytearray(octets)
    changed[chance.randrange(len(octets))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def cut(octets: bytes, chance: Random) -> bytes:
    """Leave out all behind a place, or some octets at one."""
    first = _place(octets, chance)
    last = len(octets) if chance.random() < 0.5 else first + chance.randint(1, 9)
    return octets[:first] + octets[last:]


def double(octets: bytes, chance: Random) -> bytes:
    """Say a part twice, or many times."""
    first, last = sorted((_place(octets, chance), _place(octets, chance)))
    times = chance.choice((1, 1, 1, 20))
    return octets[:last] + octets[first:last] * times + octets[last:]


def _put(octets: bytes, new: bytes, chance: Random) -> bytes:
    first = _place(octets, chance)
    last = first + (0 if chance.random() < 0.5 else len(new))
    return octets[:first] + new + octets[last:]


def put_octet(octets: bytes, chance: Random) -> bytes:
    """Put in one that means something, or replace by it."""
    return _put(octets, chance.choice(_OCTETS), chance)


def put_token(octets: bytes, chance: Random) -> bytes:
    """Put a word of the grammar where it does not belong."""
    return _put(octets, b" " + chance.choice(_TOKENS) + b" ", chance)


def put_literal(octets: bytes, chance: Random) -> bytes:
    """Announce a literal, well or badly, mostly at the end of a line."""
    end = b"\r\n" if chance.random() < 0.8 else b""
    return _put(octets, chance.choice(_LITERALS) + end, chance)


def swell(octets: bytes, chance: Random) -> bytes:
    """Make it long: one octet or word again and again."""
    what: bytes = chance.choice(
        (b"x", b"(", b")", b"1,", b" a", b"\\\\", b"NOT ", b'"')
    )
    return _put(octets, what * chance.choice((50, 500, 9000, 70000)), chance)


def join(octets: bytes, chance: Random) -> bytes:
    """Put random octets in."""
    return _put(octets, chance.randbytes(chance.randint(1, 40)), chance)


_MUTATORS: Final[tuple[Mutator, ...]] = (
    *(flip, flip, cut, cut, double, put_octet, put_octet, put_octet),
    *(put_token, put_token, put_literal, put_literal, join),
)


def mutated(octets: bytes, chance: Random) -> bytes:
    """Change octets in one to four ways; they may come out as they were."""
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        if not octets:
            return chance.randbytes(5)
        way = swell if chance.random() < 0.004 else chance.choice(_MUTATORS)
        octets = way(octets, chance)
    return octets
