"""What SEARCH sees of headers of any size: as much as ENVELOPE does."""

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from unittest import TestCase
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from imapd.limits import DEFAULT_LIMITS
from imapd.mime import headers, text
from imapd.mime.headers import field_finder, finder_of, values
from imapd.mime.scan import to_lines, to_wire
from imapd.mime.structure import parse
from imapd.mime.text import all_header_texts, header_text, part_header_texts

LIMITS = replace(DEFAULT_LIMITS, header_octets=65536, header_field_octets=8192)
MIXED = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"
NAMES = st.sampled_from([b"To", b"tO", b"Date", b"a.b", b"", b" To", b"To:", b"x\ry"])
LINES = st.lists(
    st.one_of(
        NAMES,
        st.sampled_from([b":", b": ", b" \t: ", b"\r\n", b"\n", b"\n ", b"\r\n\t"]),
        st.binary(max_size=3),
    ),
    max_size=30,
).map(b"".join)


def plainly(header: bytes, name: bytes) -> Iterator[bytes]:
    """The values of the fields of a name, by walking all fields."""
    for field in headers.fields(header):
        if field.name.lower() == name.lower():
            value = header[field.value_start : field.end].replace(b"\r\n", b"")
            yield value.lstrip(b" \t").rstrip(b"\r\n")


class ValueTests(TestCase):
    @given(LINES, NAMES, st.booleans())
    def test_as_the_fields_are(self, octets: bytes, name: bytes, long: bool) -> None:
        header = to_wire(octets)
        with patch.object(headers, "_USUAL_OCTETS", 1 if long else 1 << 16):
            found = list(values(header, finder_of(name.lower())))
        self.assertEqual({name for name, _ in found} - {name.lower()}, set())
        self.assertEqual(
            [value.rstrip(b"\r\n") for _, value in found], list(plainly(header, name))
        )

    def test_beyond_the_limits_nothing_is_found(self) -> None:
        # Hardening: P17.
        header = b"To: a\r\n" + b"x: y\r\n" * 11_000 + b"To: b\r\n\r\n"
        self.assertEqual(list(header_text(header, b"to", LIMITS)), ["a"])
        self.assertEqual(list(header_text(header, b"to")), ["a", "b"])
        header = b"To: " + b"x" * 9000 + b"\r\nTo: b\r\n\r\n"
        self.assertEqual(list(header_text(header, b"to", LIMITS)), ["x" * 8192, "b"])

    def test_fields_of_a_name_are_counted(self) -> None:
        # Hardening: P17.
        limits = replace(LIMITS, address_count=100)
        header = b"To: a\r\n" * 101 + b"Cc: b\r\n" * 101
        found = [name for name, _ in values(header, field_finder(("to", "cc")), limits)]
        self.assertEqual(found, [b"to"] * 100 + [b"cc"] * 100)
        self.assertEqual(list(header_text(header, b"cc", limits)), ["b"] * 100)

    def test_encoded_words_of_a_name_are_counted(self) -> None:
        # Hardening: P17.
        header = b"To: =?utf-8?q?a?= =?utf-8?q?b?=\r\n" * 3 + b"Cc: =?utf-8?q?c?=\r\n"
        with patch.object(text, "ENCODED_WORD_COUNT", 3):
            found = list(header_text(header, b"to"))
            self.assertEqual(list(header_text(header, b"cc")), ["c"])
        raw = "=?utf-8?q?a?= =?utf-8?q?b?="
        self.assertEqual(found, ["ab", "a" + raw[13:], raw])


class TextTests(TestCase):
    def test_the_rest_of_a_header_is_as_it_stands(self) -> None:
        # Hardening: P17.
        word = b"X: =?utf-8?q?a=62c?=\r\n"
        header = word + b"y: z\r\n" * 14_000 + b"\xfcber\r\n die Grenze\r\n" + word
        found = list(all_header_texts(header, LIMITS))
        self.assertEqual(found[0][:6], "X: abc")
        self.assertIn("über die Grenze\nX: =?utf-8?q?a=62c?=", found[-1])
        self.assertEqual(sum("abc" in each for each in found), 1)

    def test_what_is_across_the_limit_is_found(self) -> None:
        at = LIMITS.header_octets
        header = b"X: " + b"x" * (at - 8) + b"needle\r\n"
        found = list(all_header_texts(header, LIMITS))
        self.assertEqual(sum("needle" in each for each in found), 1)

    def test_the_limit_is_for_all_parts(self) -> None:
        # Hardening: P17.
        part = b"--x\r\nX: =?utf-8?q?a=62c?=\r\nY: " + b"y" * 40_000 + b"\r\n\r\n\r\n"
        message = MIXED + part * 4
        found = list(part_header_texts(message, parse(message), LIMITS))
        self.assertEqual(sum("abc" in each for each in found), 2)
        self.assertGreaterEqual(sum("a=62c" in each for each in found), 2)

    def test_words_are_counted(self) -> None:
        # Hardening: P17.
        header = b"X: =?utf-8?q?a=62c?=\r\n" * 100_000
        with patch.object(text, "_ENCODED_WORD", wraps=text._ENCODED_WORD) as asked:
            found = list(all_header_texts(header))
        self.assertLessEqual(asked.finditer.call_count, text.ENCODED_WORD_COUNT)
        decoded = sum(each.count("abc") for each in found)
        raw = sum(each.count("a=62c") for each in found)
        self.assertEqual(decoded + raw, 100_000)
        self.assertGreater(decoded, 10_000)

    def test_short_fields_cost_no_more_than_their_octets(self) -> None:
        # Hardening: P17.
        header = b"a:b\r\n" * 800_000
        octets = len(header)
        tracemalloc.start()
        try:
            for _ in all_header_texts(header):
                pass
            for _ in header_text(header, b"a"):
                pass
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        self.assertLess(peak, 4 * octets)

    @given(LINES)
    def test_of_any_length(self, octets: bytes) -> None:
        whole = "\n".join(all_header_texts(octets))
        with (
            patch.object(headers, "_USUAL_OCTETS", 1),
            patch.object(text, "_USUAL_OCTETS", 1),
        ):
            self.assertEqual("\n".join(all_header_texts(octets)), whole)
        self.assertEqual("\n".join(all_header_texts(to_wire(to_lines(octets)))), whole)
