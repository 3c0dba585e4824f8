"""The tree of a SEARCH.  RFC 3501 §6.4.4, RFC 5032, RFC 4731."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import Enum

from imapd.model.sets import SequenceSet


class DateField(Enum):
    """Which date a key compares."""

    INTERNAL = "INTERNALDATE"  # BEFORE, ON, SINCE
    SENT = "Date"  # SENTBEFORE, SENTON, SENTSINCE


class DateTest(Enum):
    """How; dates are compared without time and zone."""

    BEFORE = "BEFORE"
    ON = "ON"
    SINCE = "SINCE"


@dataclass(frozen=True, slots=True)
class All:
    """``ALL``."""


@dataclass(frozen=True, slots=True)
class HasFlag:
    r"""``SEEN``, ``KEYWORD x``, ``RECENT``; ``UNSEEN`` is Not(HasFlag)."""

    flag: bytes


@dataclass(frozen=True, slots=True)
class Dated:
    """``SENTSINCE 1-Feb-2020``."""

    field: DateField
    test: DateTest
    day: date


@dataclass(frozen=True, slots=True)
class Within:
    """``YOUNGER n`` (True) and ``OLDER n``, in seconds.  RFC 5032."""

    younger: bool
    seconds: int


@dataclass(frozen=True, slots=True)
class Size:
    """``LARGER n`` (True) and ``SMALLER n``; RFC822.SIZE, strictly."""

    larger: bool
    octets: int


@dataclass(frozen=True, slots=True)
class Header:
    """``HEADER name text``, ``FROM text``; with ``text`` empty: the field is there.

    ``name`` as written by the client; ``text`` decoded from the charset.
    """

    name: bytes
    text: str


@dataclass(frozen=True, slots=True)
class Body:
    """``BODY text``: in the decoded texts of the body."""

    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """``TEXT text``: in the header or the body."""

    text: str


@dataclass(frozen=True, slots=True)
class Numbers:
    """A sequence set, of message numbers or (``UID set``) of UIDs."""

    numbers: SequenceSet
    uid: bool


@dataclass(frozen=True, slots=True)
class ModSeqAtLeast:
    """``MODSEQ n``.  RFC 7162 §3.1.5."""

    modseq: int


@dataclass(frozen=True, slots=True)
class Not:
    """``NOT key``."""

    key: "SearchKey"


@dataclass(frozen=True, slots=True)
class Or:
    """``OR key key``."""

    left: "SearchKey"
    right: "SearchKey"


@dataclass(frozen=True, slots=True)
class And:
    """``(key key)``, and the keys of the whole command."""

    keys: tuple["SearchKey", ...]


SearchKey = (
    All
    | HasFlag
    | Dated
    | Within
    | Size
    | Header
    | Body
    | Text
    | Numbers
    | ModSeqAtLeast
    | Not
    | Or
    | And
)


def walk(key: SearchKey) -> Iterator[SearchKey]:
    """Yield the key and all within it; as deep as it may be."""
    stack = [key]
    while stack:
        one = stack.pop()
        yield one
        if isinstance(one, Not):
            stack.append(one.key)
        elif isinstance(one, Or):
            stack += (one.left, one.right)
        elif isinstance(one, And):
            stack += one.keys


class Return(Enum):
    """``RETURN (...)``.  RFC 4731 §3.1, RFC 5182."""

    MIN = "MIN"
    MAX = "MAX"
    ALL = "ALL"
    COUNT = "COUNT"
    SAVE = "SAVE"
