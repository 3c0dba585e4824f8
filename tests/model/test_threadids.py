"""The column of Message IDs, and many values of it side by side."""

import unittest

from hypothesis import given
from hypothesis import strategies as st

from imapd.model.threadids import (
    REFERENCE_COUNT,
    IdTable,
    ThreadIds,
    is_thread_ids,
    pack_thread_ids,
)

AN_ID = st.integers(1, 2**64 - 1)
IDS = st.builds(
    ThreadIds,
    st.just(0) | AN_ID,
    st.lists(AN_ID, max_size=REFERENCE_COUNT).map(tuple),
    st.booleans(),
)


def unpacked(*columns: bytes) -> list[ThreadIds]:
    table = IdTable()
    for at in range(0, len(columns), 2):  # piece by piece
        table.extend(columns[at : at + 2])
    return [
        ThreadIds(table.own(at), tuple(table.references(at)), bool(table.answers[at]))
        for at in range(len(table))
    ]


class ThreadIdTests(unittest.TestCase):
    @given(st.lists(IDS, max_size=5))
    def test_what_goes_in_comes_out(self, ids: list[ThreadIds]) -> None:
        columns = [pack_thread_ids(each) for each in ids]
        self.assertTrue(all(map(is_thread_ids, columns)))
        self.assertEqual(unpacked(*columns), ids)

    def test_what_is_no_value(self) -> None:
        for broken in (b"", b"x", b"1234567", b"1234567890", b"x" * (1 + (1 << 20))):
            self.assertFalse(is_thread_ids(broken), broken[:20])

    def test_the_first_and_the_nearest_references_are_kept(self) -> None:
        (kept,) = unpacked(pack_thread_ids(ThreadIds(1, tuple(range(1, 1001)))))
        self.assertEqual(kept.references, (1, *range(902, 1001)))
        self.assertEqual(len(kept.references), REFERENCE_COUNT)
