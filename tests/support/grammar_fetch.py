"""``msg-att``: what a FETCH response holds.  RFC 3501 §7.4.2, §9."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from tests.support.grammar_cursor import Cursor

MONTHS = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".upper().split()
DATE_TIME = re.compile(
    rb'"( [1-9]|[0-3][0-9])-([A-Za-z]{3})-([0-9]{4})'
    rb' ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-5][0-9])"'
)
ITEM = re.compile(rb"[A-Z][A-Z0-9.]*", re.IGNORECASE)
SECTION_TEXT = (b"HEADER", b"HEADER.FIELDS", b"HEADER.FIELDS.NOT", b"TEXT", b"MIME")

Address = tuple[bytes | None, bytes | None, bytes | None, bytes | None]
Params = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class ParsedEnvelope:
    """``envelope``; lists of addresses are empty for NIL."""

    date: bytes | None
    subject: bytes | None
    from_: tuple[Address, ...]
    sender: tuple[Address, ...]
    reply_to: tuple[Address, ...]
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    in_reply_to: bytes | None
    message_id: bytes | None


@dataclass(frozen=True, slots=True)
class ParsedBody:
    """``body``; what a form does not have is None or empty."""

    type: bytes
    subtype: bytes
    params: Params = ()
    id: bytes | None = None
    description: bytes | None = None
    encoding: bytes | None = None
    octets: int | None = None
    lines: int | None = None
    md5: bytes | None = None
    disposition: tuple[bytes, Params] | None = None
    language: tuple[bytes, ...] = ()
    location: bytes | None = None
    parts: tuple["ParsedBody", ...] = ()
    envelope: ParsedEnvelope | None = None
    message: "ParsedBody | None" = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """``seq FETCH (items)``: names in upper case, sections as they were sent."""

    seq: int
    items: tuple[tuple[bytes, Any], ...]

    def __getitem__(self, name: bytes) -> Any:
        return dict(self.items)[name]

    def __contains__(self, name: bytes) -> bool:
        return name in dict(self.items)


def msg_att(
    cursor: Cursor, seq: int, flag_list: Callable[[Cursor, set[bytes]], Any]
) -> Fetched:
    """``"(" (msg-att-dynamic / msg-att-static) *(SP ...) ")"``."""

    def item(cursor: Cursor) -> tuple[bytes, Any]:
        start = cursor.position
        name = cursor.expect(ITEM, "a FETCH item").upper()
        if name == b"BODY" and cursor.at(b"["):
            return _section(cursor, start), _value(cursor, Cursor.nstring)
        if name == b"FLAGS":
            return name, _value(cursor, lambda at: flag_list(at, {rb"\RECENT"}))
        if name not in ITEMS:
            raise cursor.wrong("a FETCH item", start)
        return name, _value(cursor, ITEMS[name])

    return Fetched(seq, cursor.listed(item))


def _value(cursor: Cursor, rule: Callable[[Cursor], Any]) -> Any:
    cursor.skip(b" ")
    return rule(cursor)


def _section(cursor: Cursor, start: int) -> bytes:
    """``"BODY" section ["<" number ">"]``, as it stands."""
    cursor.skip(b"[")
    path = 0
    while not cursor.at(b"]") and cursor.at_digit():
        cursor.nz_number()
        path += 1
        if cursor.at(b"]"):
            break
        cursor.skip(b".")
        if cursor.at(b"]"):
            raise cursor.wrong("a section after the dot")
    if not cursor.at(b"]"):
        text = cursor.word(SECTION_TEXT, "a section")
        if text == b"MIME" and not path:
            raise cursor.wrong("a part before MIME")
        if text.startswith(b"HEADER.FIELDS"):
            cursor.skip(b" ")
            cursor.listed(Cursor.astring)
    cursor.skip(b"]")
    if cursor.at(b"<"):
        cursor.skip(b"<")
        cursor.number()
        cursor.skip(b">")
    return cursor.octets[start : cursor.position]


def date_time(cursor: Cursor) -> datetime:
    """``date-time``, a moment that exists."""
    start = cursor.position
    found = DATE_TIME.fullmatch(cursor.expect(DATE_TIME, "a date-time"))
    assert found is not None
    day, month, year, hour, minute, second, sign, ahead, minutes = found.groups()
    try:
        offset = timedelta(hours=int(ahead), minutes=int(minutes))
        return datetime(
            int(year),
            MONTHS.index(month.upper()) + 1,
            int(day),
            int(hour),
            int(minute),
            int(second),
            tzinfo=timezone(-offset if sign == b"-" else offset),
        )
    except ValueError as error:
        raise cursor.wrong(f"a moment that exists ({error})", start) from error


def address(cursor: Cursor) -> Address:
    """``"(" addr-name SP addr-adl SP addr-mailbox SP addr-host ")"``."""
    cursor.skip(b"(")
    name = cursor.nstring()
    adl = _value(cursor, Cursor.nstring)
    mailbox = _value(cursor, Cursor.nstring)
    host = _value(cursor, Cursor.nstring)
    if mailbox is None and host is not None:
        raise cursor.wrong("no host at the end of a group")
    cursor.skip(b")")
    return name, adl, mailbox, host


def _addresses(cursor: Cursor) -> tuple[Address, ...]:
    """``"(" 1*address ")" / nil``."""
    listed = cursor.nil_or(lambda cursor: cursor.listed(address, between=b""))
    return listed or ()


def envelope(cursor: Cursor) -> ParsedEnvelope:
    """``envelope``: ten fields."""
    cursor.skip(b"(")
    date = cursor.nstring()
    fields = [_value(cursor, rule) for rule in ENVELOPE_FIELDS]
    cursor.skip(b")")
    return ParsedEnvelope(date, *fields)


def _params(cursor: Cursor) -> Params:
    """``"(" string SP string *(SP string SP string) ")" / nil``."""

    def pair(cursor: Cursor) -> tuple[bytes, bytes]:
        name = cursor.string()
        cursor.skip(b" ")
        return name, cursor.string()

    return cursor.nil_or(lambda cursor: cursor.listed(pair)) or ()


def _disposition(cursor: Cursor) -> tuple[bytes, Params] | None:
    """``"(" string SP body-fld-param ")" / nil``."""

    def present(cursor: Cursor) -> tuple[bytes, Params]:
        cursor.skip(b"(")
        kind = cursor.string()
        cursor.skip(b" ")
        params = _params(cursor)
        cursor.skip(b")")
        return kind, params

    return cursor.nil_or(present)


def _language(cursor: Cursor) -> tuple[bytes, ...]:
    """``nstring / "(" string *(SP string) ")"``."""
    if cursor.at(b"("):
        return cursor.listed(Cursor.string)
    language = cursor.nstring()
    return () if language is None else (language,)


def _extension(cursor: Cursor, extended: bool, first: str) -> dict[str, Any]:
    """``SP first [SP dsp [SP lang [SP loc]]]``: nothing of it in BODY."""
    rules: list[tuple[str, Callable[[Cursor], Any]]] = [
        (first, _params if first == "params" else Cursor.nstring),
        ("disposition", _disposition),
        ("language", _language),
        ("location", Cursor.nstring),
    ]
    found: dict[str, Any] = {}
    for name, rule in rules if extended else ():
        if not cursor.at(b" "):
            break
        found[name] = _value(cursor, rule)
    return found


def body(cursor: Cursor, extended: bool) -> ParsedBody:
    """``"(" (body-type-1part / body-type-mpart) ")"``."""
    cursor.skip(b"(")
    parsed = (_multipart if cursor.at(b"(") else _single)(cursor, extended)
    cursor.skip(b")")
    return parsed


def _multipart(cursor: Cursor, extended: bool) -> ParsedBody:
    """``1*body SP media-subtype [SP body-ext-mpart]``."""
    parts = []
    while cursor.at(b"("):
        parts.append(body(cursor, extended))
    subtype = _value(cursor, Cursor.string)
    more = _extension(cursor, extended, "params")
    return ParsedBody(b"MULTIPART", subtype, parts=tuple(parts), **more)


def _single(cursor: Cursor, extended: bool) -> ParsedBody:
    """``body-type-basic``, ``body-type-msg`` or ``body-type-text``."""
    start = cursor.position
    type_ = cursor.string()
    fields: dict[str, Any] = {"subtype": _value(cursor, Cursor.string)}
    for name, rule in FIELDS.items():
        fields[name] = _value(cursor, rule)
    media = type_.upper(), fields["subtype"].upper()
    if media[0] == b"TEXT" or media == (b"MESSAGE", b"RFC822"):
        if cursor.octets[start : start + 1] != b'"':
            raise cursor.wrong("a quoted media type", start)
        if media[0] == b"MESSAGE":
            fields["envelope"] = _value(cursor, envelope)
            fields["message"] = _value(cursor, lambda at: body(at, extended))
        fields["lines"] = _value(cursor, Cursor.number)
    return ParsedBody(type_, **fields, **_extension(cursor, extended, "md5"))


def _modseq(cursor: Cursor) -> int:
    """``"(" permsg-modsequence ")"``.  RFC 7162 §7."""
    cursor.skip(b"(")
    modseq = cursor.number(1, 2**63 - 1)
    cursor.skip(b")")
    return modseq


ENVELOPE_FIELDS: tuple[Callable[[Cursor], Any], ...] = (
    Cursor.nstring,  # subject; the date is before it
    *[_addresses] * 6,
    Cursor.nstring,
    Cursor.nstring,
)
FIELDS: dict[str, Callable[[Cursor], Any]] = {
    "params": _params,
    "id": Cursor.nstring,
    "description": Cursor.nstring,
    "encoding": Cursor.string,
    "octets": Cursor.number,
}
ITEMS: dict[bytes, Callable[[Cursor], Any]] = {
    b"ENVELOPE": envelope,
    b"INTERNALDATE": date_time,
    b"RFC822": Cursor.nstring,
    b"RFC822.HEADER": Cursor.nstring,
    b"RFC822.TEXT": Cursor.nstring,
    b"RFC822.SIZE": Cursor.number,
    b"BODY": lambda cursor: body(cursor, extended=False),
    b"BODYSTRUCTURE": lambda cursor: body(cursor, extended=True),
    b"UID": Cursor.nz_number,
    b"MODSEQ": _modseq,
}
