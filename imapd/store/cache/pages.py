"""Many messages' values of one kind in one run of octets: a page of the cache.

::

    page = count *uid *end payload       ; each number 4 octets, little-endian
                                         ; end: where a value ends in the payload

UIDs ascend.  What is no page gives None: the row is as good as not there.
"""

import sys
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate, chain
from typing import Final

from imapd.model.columns import PAGE_UIDS

#: Four octets everywhere Python runs today; ``test_pages`` makes sure.
_NUMBERS: Final = "I"
_LARGEST_OCTETS: Final = (1 << 32) - 1


def block_of(uid: int) -> int:
    """Return the number of the page that a UID belongs to."""
    return uid // PAGE_UIDS


def pack(values: Mapping[int, bytes], *, compress: bool) -> bytes:
    """Make a page of values by UID."""
    uids = sorted(values)
    each = list(map(values.__getitem__, uids))
    ends = array(_NUMBERS, accumulate(map(len, each)))
    head = array(_NUMBERS, (len(uids), *uids)) + ends
    if sys.byteorder == "big":
        head.byteswap()
    page = head.tobytes() + b"".join(each)
    return zlib.compress(page, 1) if compress else page


def unpack(page: bytes, *, compressed: bool) -> "tuple[array[int], list[bytes]] | None":
    """Return the UIDs and their values; None if it is no page."""
    if compressed:
        try:
            page = zlib.decompress(page)
        except zlib.error:
            return None
    count = int.from_bytes(page[:4], "little")
    start = 4 + 8 * count
    if len(page) < max(start, 4) or count > PAGE_UIDS:
        return None
    numbers = array(_NUMBERS)
    numbers.frombytes(page[4:start])
    if sys.byteorder == "big":
        numbers.byteswap()
    uids, ends = numbers[:count], numbers[count:]
    if count and start + ends[-1] != len(page):
        return None
    payload = page[start:]
    begins = chain((0,), ends)  # one more than there are values
    return uids, [payload[begin:end] for begin, end in zip(begins, ends, strict=False)]


def groups(uids: Sequence[int]) -> list[tuple[int, int, int]]:
    """Part ascending UIDs by page: (block, first index, index after the last)."""
    found = []
    start = 0
    while start < len(uids):
        block = uids[start] // PAGE_UIDS
        beyond = (block + 1) * PAGE_UIDS
        stop = bisect_left(uids, beyond, start + 1)
        found.append((block, start, stop))
        start = stop
    return found
