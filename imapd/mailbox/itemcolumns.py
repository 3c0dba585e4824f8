"""The values of an item of FETCH, of a batch of messages, as a column of octets."""

from collections.abc import Sequence
from typing import Any, Final

from imapd.model import columns
from imapd.model.requests import FetchAtom, FetchItem, FetchSection
from imapd.model.structure import Section, SectionText
from imapd.wire import msgatt, rows

#: What may change while we read, and is filled in when it is sent.
DYNAMIC: Final = {FetchAtom.FLAGS, FetchAtom.MODSEQ}
#: Where a value stands in what the cache has as META.
META: Final = {FetchAtom.INTERNALDATE: 0, FetchAtom.RFC822_SIZE: 1}
#: Older names of sections.  RFC 3501 §6.4.5.
RFC822_SECTIONS: Final = {
    FetchAtom.RFC822: Section(),
    FetchAtom.RFC822_HEADER: Section(text=SectionText.HEADER),
    FetchAtom.RFC822_TEXT: Section(text=SectionText.TEXT),
}

#: Of each message: octets, a number, or None for a part that there is not.
Values = list[Any]


def decoded(item: FetchItem, values: Sequence[bytes | None]) -> Values:
    """What the cache has of an item, as ``column`` takes it."""
    if isinstance(item, FetchSection):
        return [cut(item, value) for value in values] if item.partial else [*values]
    if item not in META:
        return [*values]
    return columns.decode_metas(values)[META[item]]


def cut(item: FetchSection, octets: bytes | None) -> bytes | None:
    """The part of a section that was asked for.  RFC 3501 §6.4.5, partial."""
    if octets is None or item.partial is None:
        return octets
    return octets[item.partial.first : item.partial.first + item.partial.count]


def columns_of(
    items: Sequence[FetchItem], values: Sequence[Sequence[Any]]
) -> list[rows.Column | None]:
    """A column for each item, None for one that is filled in later."""
    return [column(item, each) for item, each in zip(items, values, strict=True)]


def column(item: FetchItem, values: Sequence[Any]) -> rows.Column | None:
    """The column of one item, None for one that is filled in later."""
    if isinstance(item, FetchSection):
        name = msgatt.section_name(item.section, item.partial)
        return rows.literal_column(name, values)
    if item in DYNAMIC:
        return None
    if item is FetchAtom.UID:
        return rows.uid_column(values)
    if item is FetchAtom.INTERNALDATE:
        return rows.internaldate_column(values)
    if item is FetchAtom.RFC822_SIZE:
        return rows.size_column(values)
    if item in RFC822_SECTIONS:
        return rows.literal_column(item.value.encode("ascii"), values)
    return rows.rendered_column(item, values)
