"""Folding case: what the first text outside ASCII costs, and which marks there are."""

import sys
import time
import unicodedata
import unittest

from imapd.mime import folding


class LongMarksTests(unittest.TestCase):
    def test_the_first_text_holds_nobody_up(self) -> None:
        costs = []
        for _ in range(5):
            folding._long_marks.cache_clear()
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
        pattern = folding._long_marks()
        self.assertGreater(len(marks), 800)
        for mark in marks:
            self.assertEqual(pattern.sub(r"\1", mark * 40), mark * 30, ascii(mark))
