"""The criteria of SORT, the order they make, and the columns behind them.

RFC 5256 §3, RFC 5957.
"""

import random
import struct
from bisect import bisect_left
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from imapd.model import columns

#: So many messages are sorted in one go: two milliseconds.
RUN_MESSAGES = 4096
#: Messages that are looked at for one place where the mailbox is parted.
_SAMPLES = 8

_SECONDS = struct.Struct(">q")
SECONDS_OCTETS = _SECONDS.size


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


class ThreadAlgorithm(Enum):
    """``thread-alg``; the value is its spelling on the wire."""

    ORDEREDSUBJECT = "ORDEREDSUBJECT"
    REFERENCES = "REFERENCES"
    REFS = "REFS"  # draft-ietf-morg-inthread


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


Steps = Generator[None, None, list[int]]


def ordered(
    count: int, criteria: Sequence[Criterion], values: Sequence[Sequence[Any]]
) -> Steps:
    """Sort the messages 0 to ``count`` - 1; yield now and then.

    ``values`` has for each criterion the value of every message.  What is equal by
    all criteria stays in the order of the mailbox, also where a criterion is
    reversed.  RFC 5256 §3, REVERSE.
    """
    order = list(range(count))
    for criterion, column in zip(reversed(criteria), reversed(values), strict=True):
        order = yield from _sorted_by(order, column, criterion.reverse)
    return order


def _sorted_by(order: list[int], column: Sequence[Any], reverse: bool) -> Steps:
    """Sort, part by part: one sort of a large mailbox would keep all others waiting.

    The parts are what lies between two values of a sample, and what equals one of
    them, which needs no sorting.
    """
    yield
    value = column.__getitem__
    if len(order) <= RUN_MESSAGES:
        return sorted(order, key=value, reverse=reverse)
    size = _SAMPLES * (1 + len(order) // RUN_MESSAGES)
    borders = sorted(set(map(value, random.choices(order, k=size))))  # noqa: S311
    parts: list[list[int]] = [[] for _ in range(2 * len(borders) + 1)]
    for start in range(0, len(order), RUN_MESSAGES):
        yield
        for message in order[start : start + RUN_MESSAGES]:
            own = column[message]
            at = bisect_left(borders, own)
            equal = at < len(borders) and borders[at] == own
            parts[2 * at + equal].append(message)
    result: list[int] = []
    for at in range(len(parts) - 1, -1, -1) if reverse else range(len(parts)):
        yield
        if not at % 2:
            parts[at].sort(key=value, reverse=reverse)
        result += parts[at]
    return result
