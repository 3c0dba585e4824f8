import unittest

from imapd.auth.kept import Kept


class KeptTests(unittest.TestCase):
    # Hardening: A01.

    def fill(self, kept: Kept[int], name: bytes, count: int, matters: bool) -> None:
        for number in range(count):
            kept.keep(name + b"%d" % number, number, matters)

    def test_drops_what_was_changed_longest_ago(self) -> None:
        kept = Kept[int](4)
        self.fill(kept, b"a", 4, False)
        kept.keep(b"a0", 9, False)
        kept.keep(b"b", 5, False)
        self.assertEqual([kept.get(b"a%d" % n) for n in range(4)], [9, None, 2, 3])
        self.assertEqual(len(kept), 4)

    def test_none_that_matters_for_those_that_do_not(self) -> None:
        kept = Kept[int](10)
        kept.keep(b"x", 1, False)
        kept.keep(b"x", 7, True)
        self.fill(kept, b"light", 1000, False)
        self.assertEqual(kept.get(b"x"), 7)
        self.assertEqual(len(kept), 10)

    def test_those_that_matter_have_half_of_it(self) -> None:
        kept = Kept[int](10)
        self.fill(kept, b"heavy", 1000, True)
        self.assertEqual(len(kept), 10)
        self.fill(kept, b"light", 3, False)
        left = [number for number in range(1000) if kept.get(b"heavy%d" % number)]
        self.assertEqual(left, list(range(993, 1000)))

    def test_a_row_is_in_one_place(self) -> None:
        kept = Kept[int](10)
        for number in range(7):
            kept.keep(b"x", number, number % 2 == 0)
            self.assertEqual((kept.get(b"x"), len(kept)), (number, 1))
        self.assertIsNone(kept.get(b"y"))
