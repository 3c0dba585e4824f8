"""RFC 5256, section 3: the order that criteria make; and what the cache holds."""

import struct
import unittest
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from imapd.model import sort
from imapd.model.sort import (
    Criterion,
    SortKey,
    Steps,
    effective,
    ordered,
    pack_seconds,
    unpack_seconds,
)


def finish(steps: Steps) -> list[int]:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: list[int] = end.value
            return found


ROWS = st.lists(st.tuples(st.integers(0, 5), st.binary(max_size=1)), max_size=60)


class OrderTests(unittest.TestCase):
    @settings(max_examples=200, deadline=None)
    @given(ROWS, st.booleans(), st.booleans(), st.sampled_from((1, 3, 8, 4096)))
    def test_order(
        self, rows: list[tuple[int, bytes]], first: bool, second: bool, run: int
    ) -> None:
        """Sorted by the criteria and then by number, in parts of any size."""
        criteria = [Criterion(SortKey.SIZE, first), Criterion(SortKey.FROM, second)]
        columns: list[list[Any]] = [[one[at] for one in rows] for at in (0, 1)]
        with mock.patch.object(sort, "RUN_MESSAGES", run):
            order = finish(ordered(len(rows), criteria, columns))
        wanted = sorted(range(len(rows)), key=lambda n: rows[n][1], reverse=second)
        wanted.sort(key=lambda n: rows[n][0], reverse=first)
        self.assertEqual(order, wanted)

    def test_equal_messages_keep_their_order_in_reverse(self) -> None:
        criteria = [Criterion(SortKey.SIZE, reverse=True)]
        for count in (5, 3 * sort.RUN_MESSAGES):
            self.assertEqual(
                finish(ordered(count, criteria, [[7] * count])), list(range(count))
            )

    def test_no_part_of_a_large_mailbox_is_large(self) -> None:
        count = 20 * sort.RUN_MESSAGES
        for column in (
            list(range(count)),
            [-n for n in range(count)],
            [n * 7919 % count for n in range(count)],
            [n % 7 for n in range(count)],
            [0] * (count - 1) + [1],
        ):
            steps = ordered(count, [Criterion(SortKey.SIZE)], [column])
            self.assertGreater(sum(1 for _ in steps), 20)

    def test_a_key_that_was_there_before_has_no_effect(self) -> None:
        date, subject = Criterion(SortKey.DATE, True), Criterion(SortKey.SUBJECT)
        again = Criterion(SortKey.DATE)
        self.assertEqual(effective([date, subject, again] * 100), (date, subject))


class ColumnTests(unittest.TestCase):
    def test_seconds(self) -> None:
        for seconds in (0, 1, -1, 2**40, -(2**40)):
            self.assertEqual(unpack_seconds(pack_seconds(seconds)), seconds)
        for broken in (b"", b"1234567", b"123456789"):
            with self.assertRaises(struct.error):
                unpack_seconds(broken)
        self.assertGreater(unpack_seconds(pack_seconds(10**30)), 2**60)
