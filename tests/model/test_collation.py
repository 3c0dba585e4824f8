"""RFC 5051: i;unicode-casemap."""

import unittest

from hypothesis import given
from hypothesis import strategies as st

from imapd.model.collation import KEY_OCTETS, sort_key


class SortKeyTests(unittest.TestCase):
    def test_keys(self) -> None:
        for text, key in {
            "": b"",
            "a_Z": b"A_Z",
            "\u01c4": b"DZ\xcc\x8c",  # the example of the RFC: D z with caron
            "ä": b"A\xcc\x88",
            "Ä": b"A\xcc\x88",
            "ß": "ß".encode(),  # UnicodeData.txt has no title case for it
            "ı": b"I",
            "ﬁ": b"fi",  # no title case, and decomposed after that
            "ａ": b"A",
        }.items():
            wanted = key.replace(b"DZ", b"Dz") if text == "\u01c4" else key
            self.assertEqual(sort_key(text), wanted, repr(text))

    def test_order(self) -> None:
        # An underscore is above the capital letters and below the small ones.
        texts = ["", "1", "Apfel", "apfel", "äpfel", "zebra", "_", "я"]
        self.assertEqual(sorted(texts, key=sort_key), texts)
        self.assertEqual(sort_key("Apfel"), sort_key("aPFEL"))

    def test_long_texts_stay_different(self) -> None:
        one, other = ("x" * 5000 + end for end in "ab")
        self.assertNotEqual(sort_key(one), sort_key(other))
        self.assertEqual(sort_key(one), sort_key(one.upper()))
        self.assertLess(len(sort_key(one)), KEY_OCTETS + 50)

    def test_many_marks(self) -> None:
        marks = "\u0301\u0316" * 100_000
        self.assertLess(len(sort_key("a" + marks)), 200)

    @given(st.text())
    def test_case_makes_no_difference(self, text: str) -> None:
        lower = "".join(
            each.lower() if len(each.lower()) == 1 else each for each in text
        )
        if all(each.lower().title() == each.title() for each in text):
            self.assertEqual(sort_key(lower), sort_key(text))
