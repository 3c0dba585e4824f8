"""What is kept of each message in the cache: the kinds, and the smallest codecs.

A kind is a column: one value of octets for each message.  Its name ends in the
version of its format: a change of format is a new name, and the old values are
never read again.  Rule: a value is derived from the octets of its message and from
nothing else, so that it is right as long as the message has its UID.
"""

import hashlib
import re
import struct
import sys
from array import array
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

#: The cache keeps the values of so many neighbouring UIDs together, from a multiple
#: of it on: enough that a mailbox is read in few rows, and few enough that one new
#: message does not rewrite much.
PAGE_UIDS: Final = 128

#: What FETCH sends after these words, ready to send.
ENVELOPE: Final = "envelope/1"
BODY: Final = "body/1"
BODYSTRUCTURE: Final = "bodystructure/1"
#: INTERNALDATE and RFC822.SIZE, as ``encode_meta`` packs them.
META: Final = "meta/1"
#: The header with its empty line, in the form that is sent.
HEADER: Final = "header/1"
#: For SEARCH: what all fields of a name say, decoded and folded, each after a line
#: feed, in UTF-8; so nothing at all where there is no such field.
SEARCH_FROM: Final = "search.from/1"
SEARCH_TO: Final = "search.to/1"
SEARCH_CC: Final = "search.cc/1"
SEARCH_SUBJECT: Final = "search.subject/1"
#: For SENTSINCE: the day of the first Date field without time and zone, counted as
#: ``date.toordinal``, 4 octets, most significant first; b"" if it says none.
SEARCH_SENT: Final = "search.sent/1"
#: What SORT and THREAD compare, all of it derived together: see ``model/sort.py``.
SORT_DATE: Final = "sort.date/1"
SORT_SUBJECT: Final = "sort.subject/1"
SORT_FROM: Final = "sort.from/1"
SORT_TO: Final = "sort.to/1"
SORT_CC: Final = "sort.cc/1"
SORT_DISPLAYFROM: Final = "sort.displayfrom/1"
SORT_DISPLAYTO: Final = "sort.displayto/1"
THREAD_IDS: Final = "thread.ids/1"

#: Every kind there is, and whether its values are worth compressing on disk.
KINDS: Final[dict[str, bool]] = {
    ENVELOPE: False,
    BODY: False,
    BODYSTRUCTURE: False,
    META: False,
    HEADER: True,
    SEARCH_FROM: False,
    SEARCH_TO: False,
    SEARCH_CC: False,
    SEARCH_SUBJECT: False,
    SEARCH_SENT: False,
    SORT_DATE: False,
    SORT_SUBJECT: False,
    SORT_FROM: False,
    SORT_TO: False,
    SORT_CC: False,
    SORT_DISPLAYFROM: False,
    SORT_DISPLAYTO: False,
    THREAD_IDS: False,
}
#: HEADER.FIELDS of one list of names: the names themselves, in lower case, sorted,
#: with spaces between them; so it can be derived for other messages unasked.
FIELDS: Final = "fields/2:"
#: The same for a list that is long, or has names that no field has: a hash of it.
ODD_FIELDS: Final = "fields/1:"

#: Kinds of which there may be any number: the name goes on with what was asked for.
FAMILIES: Final[dict[str, bool]] = {FIELDS: False, ODD_FIELDS: False}

#: So long may names of fields be together.
FIELDS_CHARACTERS: Final = 512
#   ftext = %d33-57 / %d59-126                                  ; RFC 5322 §3.6.8
_FIELD_NAME: Final = re.compile(rb"[!-9;-~]+")

#: The lists of names that clients ask for in every mailbox: Thunderbird's.
USUAL_FIELDS: Final = (
    b"From To Cc Bcc Resent-Message-ID Subject Date Message-ID Priority X-Priority "
    b"References Newsgroups In-Reply-To Content-Type Reply-To",
)

_META = struct.Struct("<qQ")


def is_compressed(kind: str) -> bool:
    """Whether pages of this kind are compressed.

    Raises:
        KeyError: there is no such kind.
    """
    family = family_of(kind)
    return KINDS[kind] if family is None else FAMILIES[family]


def family_of(kind: str) -> str | None:
    """The family that a kind belongs to; None: it stands alone."""
    head, colon, _ = kind.partition(":")
    return head + colon if colon else None


def fields_kind(names: Iterable[bytes]) -> str:
    """The column of HEADER.FIELDS with these names, in any order and spelling."""
    ordered = sorted({name.lower() for name in names})
    if all(map(_FIELD_NAME.fullmatch, ordered)):
        kind = FIELDS + b" ".join(ordered).decode("ascii")
        if len(kind) <= FIELDS_CHARACTERS:
            return kind
    apart = b"".join(b"%d:%b" % (len(name), name) for name in ordered)
    return ODD_FIELDS + hashlib.blake2b(apart, digest_size=12).hexdigest()


def field_names(kind: str) -> frozenset[bytes] | None:
    """The names, in lower case, that a kind has in its name; None: it has none."""
    if not kind.startswith(FIELDS) or len(kind) == len(FIELDS):
        return None
    return frozenset(kind[len(FIELDS) :].encode("utf-8").split(b" "))


class Meta(NamedTuple):
    """What a message has beside its flags, and never changes."""

    internal_date_seconds: int  # since 1970, UTC
    rfc822_size: int  # octets, in the CRLF form


def encode_meta(internal_date_seconds: int, rfc822_size: int) -> bytes:
    """Pack a value of ``META``."""
    return _META.pack(internal_date_seconds, rfc822_size)


def decode_meta(octets: bytes) -> Meta | None:
    """Unpack a value of ``META``; None for what is none."""
    if len(octets) != _META.size:
        return None
    return Meta(*_META.unpack(octets))


def decode_metas(values: Sequence[bytes | None]) -> tuple[list[int], list[int]]:
    """Unpack many values of ``META``: seconds since 1970, and octets; 0 for none.

    A whole mailbox is unpacked in a tenth of the time that it takes one by one.
    """
    try:
        octets = b"".join(values)  # type: ignore[arg-type]  # a None is a TypeError
    except TypeError:
        octets = b""
    if len(octets) != _META.size * len(values) or {*map(len, values)} != {_META.size}:  # type: ignore[arg-type]
        none = bytes(_META.size)
        whole = [each if len(each or b"") == _META.size else none for each in values]
        octets = b"".join(each or none for each in whole)
    numbers = array("q", octets)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers[::2].tolist(), numbers[1::2].tolist()
