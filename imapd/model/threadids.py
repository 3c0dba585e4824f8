"""What THREAD knows messages by, beside subject and date: hashes of Message IDs.

``column = answers *id`` : one octet, then eight for each id, little-endian; the first
is the message's own, 0 if it has none, and the others are its references.
"""

import sys
from array import array
from collections.abc import Sequence
from typing import NamedTuple

#: Message IDs of one message that are kept: the first reference, which is the
#: beginning of the thread, and the last, which are the nearest.
REFERENCE_COUNT = 100

_ID = "Q"
_ID_OCTETS = 8


class ThreadIds(NamedTuple):
    """The ids of one message: 64 bits each, above 0."""

    own: int  # 0: it has none
    references: tuple[int, ...] = ()
    answers: bool = False  # a reply or forward, by its subject; RFC 5256 §3


def pack_thread_ids(ids: ThreadIds) -> bytes:
    """Make a value of the column; of too many references only some are kept."""
    references = ids.references
    if len(references) > REFERENCE_COUNT:
        references = references[:1] + references[1 - REFERENCE_COUNT :]
    packed = b"".join(
        each.to_bytes(_ID_OCTETS, "little") for each in (ids.own, *references)
    )
    return bytes((ids.answers,)) + packed


def is_thread_ids(column: bytes) -> bool:
    """Whether it is a value of the column."""
    ids, rest = divmod(len(column) - 1, _ID_OCTETS)
    return not rest and 1 <= ids <= REFERENCE_COUNT + 1


class IdTable:
    """The ids of many messages in order, without an object for each.

    A mailbox is a hundred thousand objects else, and Python's garbage collector
    stops everything to look at them.
    """

    __slots__ = ("answers", "ids", "starts")

    def __init__(self) -> None:
        self.answers = bytearray()
        #: Own id and references of one message after the other.
        self.ids: array[int] = array(_ID)
        #: Where in ``ids`` each begins, and at last where all end.
        self.starts: array[int] = array("L", (0,))

    def __len__(self) -> int:
        return len(self.answers)

    def extend(self, columns: Sequence[bytes]) -> None:
        """Add messages; each is a value that ``is_thread_ids``."""
        self.answers += bytes([column[0] for column in columns])
        packed = array(_ID, b"".join([column[1:] for column in columns]))
        if sys.byteorder == "big":
            packed.byteswap()
        end = len(self.ids)
        self.ids += packed
        for column in columns:
            end += len(column) // _ID_OCTETS
            self.starts.append(end)

    def own(self, message: int) -> int:
        """The id of a message, 0 if it has none."""
        return self.ids[self.starts[message]]

    def references(self, message: int) -> Sequence[int]:
        """The ids that a message refers to, its parent last."""
        return self.ids[self.starts[message] + 1 : self.starts[message + 1]]
