"""What one FETCH is cut into."""

import unittest
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from imapd.ids import Uid
from imapd.mailbox.planning import whole_pages
from imapd.model.columns import PAGE_UIDS

_UIDS = st.sets(st.integers(1, 9 * PAGE_UIDS), min_size=1).map(
    lambda uids: [Uid(uid) for uid in sorted(uids)]
)


class WholePagesTests(unittest.TestCase):
    @given(_UIDS)
    def test_at_least_half_and_up_to_a_page(self, uids: list[Uid]) -> None:
        count = whole_pages(uids)
        self.assertTrue(len(uids) <= 2 * count <= 2 * len(uids))
        if count < len(uids):
            self.assertNotEqual(
                uids[count - 1] // PAGE_UIDS, uids[count] // PAGE_UIDS, "one page"
            )
            self.assertEqual(uids[count] // PAGE_UIDS, uids[-1] // PAGE_UIDS)

    def test_a_mailbox_without_gaps_is_read_page_by_page(self) -> None:
        left = [Uid(uid) for uid in range(1, 2000)]
        pages = []
        while len(left) > 512:
            count = whole_pages(left[:512])
            pages.append({uid // PAGE_UIDS for uid in left[:count]})
            left = left[count:]
        for one, other in pairwise(pages):
            self.assertFalse(one & other, "read twice")
