"""Header keys of SEARCH from columns of the cache.  RFC 3501 §6.4.4.

``imapd.model.columns`` says what the values look like.  Of a message without a
value, and of a search string that a value cannot answer, nothing is known here.
"""

from collections.abc import Mapping
from datetime import date

from imapd.ids import Uid
from imapd.mime import dates, headers, text
from imapd.model import columns

#: The fields that have a column of their own.
KINDS: dict[bytes, str] = {
    b"from": columns.SEARCH_FROM,
    b"to": columns.SEARCH_TO,
    b"cc": columns.SEARCH_CC,
    b"subject": columns.SEARCH_SUBJECT,
}
_SEPARATOR = "\n"
_find = headers.field_finder(("from", "to", "cc", "subject", "date"))


def derive(header: bytes) -> dict[str, bytes]:
    """Return the values of all columns that are made of a header for SEARCH."""
    values: dict[str, list[str]] = {kind: [] for kind in KINDS.values()}
    decoder = text.FieldDecoder()
    sent: bytes | None = None
    for name, value in headers.values(header, _find):
        if name != b"date":
            values[KINDS[name]].append(decoder.decode(name, value))
        elif sent is None:
            sent = value
    day = _day(sent)
    return {
        columns.SEARCH_SENT: b"" if day is None else day.toordinal().to_bytes(4),
        **{kind: _joined(each) for kind, each in values.items()},
    }


def sent_day(header: bytes) -> date | None:
    """Return the day of the first Date field, without its time and zone."""
    found = headers.values(header, headers.finder_of(b"date"))
    return _day(next((value for _, value in found), None))


def _day(value: bytes | None) -> date | None:
    when = None if value is None else dates.parse_date(value)
    return None if when is None else when.date()


def by_kind(values: Mapping[Uid, Mapping[str, bytes]]) -> dict[str, dict[Uid, bytes]]:
    """Turn values by message into values by kind."""
    kinds: dict[str, dict[Uid, bytes]] = {}
    for uid, each in values.items():
        for kind, value in each.items():
            kinds.setdefault(kind, {})[uid] = value
    return kinds


def value_of(header: bytes, name: bytes) -> bytes:
    """Return what all fields of a name say, as such a column has it.

    ``name`` is in lower case.
    """
    if name not in header.lower():  # most fields that are asked for are rare
        return b""
    return _joined(list(text.header_text(header, name)))


def wanted(needle: str) -> bytes | None:
    """Return a folded search string as it is in a value; None: values cannot tell.

    An empty one is found wherever there is such a field.
    """
    if _SEPARATOR in needle:  # it would be found between two fields
        return None
    return _octets(needle) or _octets(_SEPARATOR)


def sent_ordinal(value: bytes) -> int:
    """Return the day of a value of ``SEARCH_SENT``, 0 if it says none."""
    return int.from_bytes(value)


def _joined(values: list[str]) -> bytes:
    # None of a string's characters joins with a line feed, so all fold at once.
    return _octets(text.fold("".join(_SEPARATOR + each for each in values)))


def _octets(folded: str) -> bytes:
    return folded.encode("utf-8", "surrogatepass")
