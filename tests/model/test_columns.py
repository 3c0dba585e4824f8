"""Codecs of what the cache has of each message."""

import unittest

from hypothesis import given
from hypothesis import strategies as st

from imapd.model import columns

_META = st.builds(
    columns.encode_meta,
    st.integers(-(1 << 62), 1 << 62),
    st.integers(0, (1 << 62)),
)


class MetaTests(unittest.TestCase):
    @given(st.lists(st.one_of(_META, st.none(), st.binary(max_size=40))))
    def test_many_are_what_each_is(self, values: list[bytes | None]) -> None:
        found = [columns.decode_meta(value or b"") or (0, 0) for value in values]
        dates, sizes = columns.decode_metas(values)
        self.assertEqual(list(zip(dates, sizes, strict=True)), [*map(tuple, found)])

    def test_lengths_that_make_up_for_each_other(self) -> None:
        one = columns.encode_meta(7, 9)
        dates, sizes = columns.decode_metas([one[:15], one + b"x", one])
        self.assertEqual((dates, sizes), ([0, 0, 7], [0, 0, 9]))
