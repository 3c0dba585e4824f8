"""``resp-text`` with its codes, flags, capabilities and sets of numbers.

RFC 3501 §9, RFC 4315 §4, RFC 5530, RFC 6154 §6, RFC 7162 §7.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.support.grammar_cursor import ATOM, TEXT, Cursor

SYSTEM_FLAGS = {rb"\ANSWERED", rb"\FLAGGED", rb"\DELETED", rb"\SEEN", rb"\DRAFT"}
BARE_CODES = set(
    b"ALERT PARSE READ-ONLY READ-WRITE TRYCREATE UIDNOTSTICKY UNAVAILABLE "
    b"AUTHENTICATIONFAILED AUTHORIZATIONFAILED EXPIRED PRIVACYREQUIRED CONTACTADMIN "
    b"NOPERM INUSE EXPUNGEISSUED CORRUPTION SERVERBUG CLIENTBUG CANNOT LIMIT "
    b"OVERQUOTA ALREADYEXISTS NONEXISTENT TOOBIG HASCHILDREN CLOSED NOTSAVED "
    b"USEATTR NOMODSEQ".split()
)


@dataclass(frozen=True, slots=True)
class Code:
    """``[name arguments]``; the arguments' type depends on the name."""

    name: bytes
    arguments: Any = None


def resp_text(cursor: Cursor) -> tuple[Code | None, bytes]:
    """``["[" resp-text-code "]" SP] text``; the text is never empty."""
    code = None
    if cursor.at(b"["):
        cursor.skip(b"[")
        code = resp_text_code(cursor)
        cursor.skip(b"] ")
    return code, cursor.expect(TEXT, "text")


def resp_text_code(cursor: Cursor) -> Code:
    start = cursor.position
    name = cursor.expect(ATOM, "a response code").upper()
    if name in BARE_CODES:
        return Code(name)
    rule = CODES.get(name)
    if rule is None:
        raise cursor.wrong("a response code in use", start)
    return Code(name, rule(cursor))


def _badcharset(cursor: Cursor) -> tuple[bytes, ...]:
    if cursor.at(b"]"):
        return ()
    cursor.skip(b" ")
    return cursor.listed(Cursor.astring)


def _code_number(cursor: Cursor) -> int:
    cursor.skip(b" ")
    return cursor.nz_number()


def _appenduid(cursor: Cursor) -> tuple[int, list[tuple[int, int]]]:
    validity = _code_number(cursor)
    cursor.skip(b" ")
    return validity, number_set(cursor)


def _copyuid(
    cursor: Cursor,
) -> tuple[int, list[tuple[int, int]], list[tuple[int, int]]]:
    validity, source = _appenduid(cursor)
    cursor.skip(b" ")
    target = number_set(cursor)
    if _count(source) != _count(target):
        raise cursor.wrong("as many target as source UIDs")
    return validity, source, target


def _count(ranges: list[tuple[int, int]]) -> int:
    return sum(abs(last - first) + 1 for first, last in ranges)


def number_set(cursor: Cursor) -> list[tuple[int, int]]:
    """``uid-set``, and ``sequence-set`` without the star."""
    ranges = []
    while True:
        first = last = cursor.nz_number()
        if cursor.at(b":"):
            cursor.skip(b":")
            last = cursor.nz_number()
        ranges.append((first, last))
        if not cursor.at(b","):
            return ranges
        cursor.skip(b",")


def _modified(cursor: Cursor) -> list[tuple[int, int]]:
    cursor.skip(b" ")
    return number_set(cursor)


def mod_sequence(cursor: Cursor, least: int = 1) -> int:
    """``mod-sequence-value``, or with ``least`` 0 ``mod-sequence-valzer``."""
    return cursor.number(least, 2**63 - 1)


def _highestmodseq(cursor: Cursor) -> int:
    cursor.skip(b" ")
    return mod_sequence(cursor)


def _permanentflags(cursor: Cursor) -> tuple[bytes, ...]:
    cursor.skip(b" ")
    return flag_list(cursor, {rb"\*"})


def capability_data(cursor: Cursor) -> tuple[bytes, ...]:
    """``*(SP capability)``, IMAP4rev1 among them."""
    names = capabilities(cursor)
    if b"IMAP4REV1" not in (name.upper() for name in names):
        raise cursor.wrong("IMAP4rev1 among the capabilities")
    return names


def capabilities(cursor: Cursor) -> tuple[bytes, ...]:
    names: list[bytes] = []
    while cursor.at(b" "):
        cursor.skip(b" ")
        name = cursor.expect(ATOM, "a capability")
        if name.upper() in (other.upper() for other in names):
            raise cursor.wrong(f"{name!r} once only")
        names.append(name)
    return tuple(names)


CODES: dict[bytes, Callable[[Cursor], Any]] = {
    b"BADCHARSET": _badcharset,
    b"CAPABILITY": capability_data,
    b"PERMANENTFLAGS": _permanentflags,
    b"UIDNEXT": _code_number,
    b"UIDVALIDITY": _code_number,
    b"UNSEEN": _code_number,
    b"APPENDUID": _appenduid,
    b"COPYUID": _copyuid,
    b"HIGHESTMODSEQ": _highestmodseq,
    b"MODIFIED": _modified,
}


def flag_list(cursor: Cursor, also: set[bytes]) -> tuple[bytes, ...]:
    r"""``"(" [flag *(SP flag)] ")"``, ``also`` being ``\Recent`` or ``\*``."""

    def flag(cursor: Cursor) -> bytes:
        start = cursor.position
        name = cursor.expect(FLAG, "a flag")
        if name.startswith(b"\\") and name.upper() not in SYSTEM_FLAGS | also:
            raise cursor.wrong("a system flag of RFC 3501", start)
        return name

    flags = cursor.listed(flag, empty=True)
    if len({name.upper() for name in flags}) < len(flags):
        raise cursor.wrong("each flag once")
    return flags


FLAG = re.compile(rb"\\\*|\\?" + ATOM.pattern)
