"""The criteria of SORT, and the columns of the cache behind them.

RFC 5256 §3, RFC 5957.  A column holds one value a message, which never changes.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from imapd.model import columns

#: Message IDs of one message that are kept: the first reference, which is the
#: beginning of the thread, and the last, which are the nearest.
REFERENCE_COUNT = 100

_SECONDS = struct.Struct(">q")
_IDS = [struct.Struct(f">?{count}Q") for count in range(REFERENCE_COUNT + 2)]


class SortKey(Enum):
    """``sort-key``; the value is its spelling on the wire."""

    ARRIVAL = "ARRIVAL"
    CC = "CC"
    DATE = "DATE"
    FROM = "FROM"
    SIZE = "SIZE"
    SUBJECT = "SUBJECT"
    TO = "TO"
    DISPLAYFROM = "DISPLAYFROM"
    DISPLAYTO = "DISPLAYTO"


#: Where the values of a key come from; the other two are in ``columns.META``.
COLUMN_OF = {
    SortKey.CC: columns.SORT_CC,
    SortKey.DATE: columns.SORT_DATE,
    SortKey.FROM: columns.SORT_FROM,
    SortKey.SUBJECT: columns.SORT_SUBJECT,
    SortKey.TO: columns.SORT_TO,
    SortKey.DISPLAYFROM: columns.SORT_DISPLAYFROM,
    SortKey.DISPLAYTO: columns.SORT_DISPLAYTO,
}


@dataclass(frozen=True, slots=True)
class Criterion:
    """``sort-criterion``: one key, ascending unless ``reverse``."""

    key: SortKey
    reverse: bool = False


def effective(criteria: Iterable[Criterion]) -> tuple[Criterion, ...]:
    """Leave out what cannot change the order: a key that was there before."""
    seen: dict[SortKey, Criterion] = {}
    for each in criteria:
        seen.setdefault(each.key, each)
    return tuple(seen.values())


def pack_seconds(seconds: int) -> bytes:
    """Eight octets for a time since 1970, which may be negative."""
    return _SECONDS.pack(min(max(seconds, -(2**62)), 2**62))


def unpack_seconds(column: bytes) -> int:
    """Undo it.

    Raises:
        struct.error: no such value.
    """
    return int(_SECONDS.unpack(column)[0])


@dataclass(frozen=True, slots=True)
class ThreadIds:
    """What THREAD knows a message by, beside subject and date.

    An id is a hash of 64 bits, above 0; ``own`` 0: the message has no Message ID.
    """

    own: int
    references: tuple[int, ...] = ()
    answers: bool = False  # a reply or forward, by its subject; RFC 5256 §3


def pack_thread_ids(ids: ThreadIds) -> bytes:
    """One octet for ``answers``, eight for each id."""
    references = ids.references
    if len(references) > REFERENCE_COUNT:
        references = references[:1] + references[1 - REFERENCE_COUNT :]
    return _IDS[1 + len(references)].pack(ids.answers, ids.own, *references)


def unpack_thread_ids(column: bytes) -> ThreadIds:
    """Undo it.

    Raises:
        struct.error, IndexError: no such value.
    """
    answers, own, *references = _IDS[len(column) >> 3].unpack(column)
    return ThreadIds(own, tuple(references), answers)
