"""Folding case: what the first text outside ASCII costs, and which marks there are."""

import random
import sys
import time
import unicodedata
import unittest
from unittest import mock

from imapd.mime import folding


class LongMarksTests(unittest.TestCase):
    def test_the_first_text_holds_nobody_up(self) -> None:
        costs = []
        for _ in range(5):
            for made in (folding._long_marks, folding._marks, folding._mark_ranges):
                made.cache_clear()
            began = time.thread_time()
            folding.fold("Grüße")
            costs.append(time.thread_time() - began)
        self.assertLess(min(costs), 0.05)

    def test_no_mark_is_left_out(self) -> None:
        marks = [
            chr(code)
            for code in range(0x300, sys.maxunicode + 1)
            if unicodedata.combining(unicodedata.normalize("NFKD", chr(code))[0])
        ]
        self.assertGreater(len(marks), 800)
        for mark in marks:
            for count in (30, 31, 40, 100):
                for before in ("", "a", "ab" * 20):
                    # Decomposed: some marks are two, of which the first is no mark.
                    text = before + mark * count
                    most = unicodedata.normalize("NFKD", before + mark * 30)
                    told = unicodedata.normalize(
                        "NFKD", folding._without_long_marks(text)
                    )
                    self.assertEqual(told, most, ascii(text))

    def test_runs_of_any_length_anywhere(self) -> None:
        chance = random.Random(17)
        for _ in range(5_000):
            runs = [chance.choice((0, 1, 29, 30, 31, 32, 61, 62)) for _ in range(4)]
            letters = [chance.choice(("a", "éb", "\U0001f600")) for _ in runs]
            mark = chance.choice(("\u0301", "\U0001e000"))
            text, most = (
                "".join(
                    letter + mark * min(run, limit)
                    for letter, run in zip(letters, runs, strict=True)
                )
                for limit in (1000, 30)
            )
            self.assertEqual(folding._without_long_marks(text), most)

    def test_text_without_marks_is_not_searched_for_long_ones(self) -> None:
        with mock.patch.object(folding, "_long_marks") as long_marks:
            for letter in ("é", "ж", "漢", "\ufffd", "각"):
                folding.fold(letter * 1000)
        long_marks.assert_not_called()
