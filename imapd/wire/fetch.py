"""``fetch-att``: what FETCH asks for.  RFC 3501 §6.4.5, §9."""

from imapd.errors import LimitReached, SyntaxRejected
from imapd.ids import LARGEST_NUMBER
from imapd.limits import Limits
from imapd.model.requests import FetchAtom, FetchItem, FetchSection
from imapd.model.structure import Partial, Section, SectionText
from imapd.wire.chars import WORD_CHARS
from imapd.wire.cursor import Cursor
from imapd.wire.strings import astring, number, nz_number, parenthesised, word

_FAST = (FetchAtom.FLAGS, FetchAtom.INTERNALDATE, FetchAtom.RFC822_SIZE)
_ALL = (*_FAST, FetchAtom.ENVELOPE)
_FULL = (*_ALL, FetchAtom.BODY)

#: RFC 3501 §6.4.5; a macro stands alone, never in a list.
MACROS: dict[bytes, tuple[FetchAtom, ...]] = {
    b"FAST": _FAST,
    b"ALL": _ALL,
    b"FULL": _FULL,
}

_ATOMS = {item.value.encode("ascii"): item for item in FetchAtom}
_SECTIONS = {b"BODY": False, b"BODY.PEEK": True}  # name: whether it peeks
_SECTION_TEXTS = {text.value.encode("ascii"): text for text in SectionText}
_WITH_FIELDS = (SectionText.HEADER_FIELDS, SectionText.HEADER_FIELDS_NOT)

_NUMBER_DIGITS = len(str(LARGEST_NUMBER))


#   fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att /
#           "(" fetch-att *(SP fetch-att) ")")              ; RFC 3501 §9
def fetch_items(cursor: Cursor) -> tuple[FetchItem, ...]:
    """Read what follows the set: macros expanded, in order, without repetition.

    Raises:
        SyntaxRejected: an item is malformed or unknown, or the list is empty.
        LimitReached: too many items, header fields or levels of a section.
    """
    if cursor.peek() == b"(":
        items = parenthesised(cursor, fetch_att)
        if not items:
            raise SyntaxRejected("expected an item to fetch")
        return tuple(dict.fromkeys(items))
    name = _item_name(cursor)
    return MACROS[name] if name in MACROS else (_item(cursor, name),)


#   fetch-att = "ENVELOPE" / "FLAGS" / "INTERNALDATE" /
#               "RFC822" [".HEADER" / ".SIZE" / ".TEXT"] /
#               "BODY" ["STRUCTURE"] / "UID" /
#               "BODY" section ["<" number "." nz-number ">"] /
#               "BODY.PEEK" section ["<" number "." nz-number ">"] /
#               "MODSEQ"                                    ; RFC 7162 §7
def fetch_att(cursor: Cursor) -> FetchItem:
    """Read one item."""
    return _item(cursor, _item_name(cursor))


def _item_name(cursor: Cursor) -> bytes:
    return word(cursor, "an item to fetch")


def _item(cursor: Cursor, name: bytes) -> FetchItem:
    """Read what belongs to an item after its name."""
    if name in _SECTIONS and cursor.skip(b"["):
        return FetchSection(_section(cursor), _SECTIONS[name], _partial(cursor))
    if name not in _ATOMS:
        raise SyntaxRejected("unknown item to fetch")
    return _ATOMS[name]


#   section         = "[" [section-spec] "]"                ; "[" was read
#   section-spec    = section-msgtext / (section-part ["." section-text])
#   section-msgtext = "HEADER" / "HEADER.FIELDS" [".NOT"] SP header-list / "TEXT"
#   section-text    = section-msgtext / "MIME"              ; RFC 3501 §9
def _section(cursor: Cursor) -> Section:
    if cursor.skip(b"]"):
        return Section()
    names = cursor.expect(WORD_CHARS, "a section").upper().split(b".")
    numbers = 0
    while numbers < len(names) and names[numbers].isdigit():
        numbers += 1
    path = _section_part(names[:numbers], cursor.limits)
    text: SectionText | None = None
    if numbers < len(names):
        text = _SECTION_TEXTS.get(b".".join(names[numbers:]))
        if text is None or (text is SectionText.MIME and not path):
            raise SyntaxRejected("unknown section")
    fields: tuple[bytes, ...] = ()
    if text in _WITH_FIELDS:
        cursor.space()
        fields = _header_list(cursor)
    if not cursor.skip(b"]"):
        raise SyntaxRejected("expected the end of the section")
    return Section(path, text, fields)


#   section-part = nz-number *("." nz-number)               ; RFC 3501 §9
def _section_part(names: list[bytes], limits: Limits) -> tuple[int, ...]:
    if len(names) > limits.mime_depth:
        raise LimitReached("section too deep")
    path: list[int] = []
    for name in names:
        if name.startswith(b"0") or len(name) > _NUMBER_DIGITS:
            raise SyntaxRejected("part number out of range")
        path.append(int(name))
    if any(part > LARGEST_NUMBER for part in path):
        raise SyntaxRejected("part number out of range")
    return tuple(path)


#   header-list = "(" header-fld-name *(SP header-fld-name) ")"
#   header-fld-name = astring                               ; RFC 3501 §9
def _header_list(cursor: Cursor) -> tuple[bytes, ...]:
    fields = parenthesised(cursor, astring)
    if not fields:
        raise SyntaxRejected("expected the name of a header field")
    return tuple(fields)


#   "<" number "." nz-number ">"                            ; RFC 3501 §9
def _partial(cursor: Cursor) -> Partial | None:
    if not cursor.skip(b"<"):
        return None
    first = number(cursor, "the first octet of a partial")
    if not cursor.skip(b"."):
        raise SyntaxRejected("expected a dot in the partial")
    count = nz_number(cursor, "the octet count of a partial")
    if not cursor.skip(b">"):
        raise SyntaxRejected("expected the end of the partial")
    return Partial(first, count)
