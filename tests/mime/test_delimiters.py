"""Delimiters by the table, and by what is made where that is slow: always the same."""

import re
import unittest
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from imapd.mime import delimiters, structure
from imapd.mime.structure import parse, parse_stored
from imapd.model.structure import BodyPart

#: Such as begin each other, are longer than what is looked at, or mean something in an
#: expression.
_BOUNDARIES = (
    *(b"a", b"ab", b"aba", b"abab", b"b", b"a.b", b"(a", b"a|b", b"a*", b"[", b"a\\"),
    *(b"x" * 31, b"x" * 32, b"x" * 33, b"x" * 40 + b"y", b"x" * 40 + b"z"),
)
_boundaries = st.sampled_from(_BOUNDARIES)
_lines = st.one_of(
    st.just(b""),
    _boundaries.map(lambda one: b"--" + one),
    _boundaries.map(lambda one: b"--" + one + b"--"),
    _boundaries.map(lambda one: b"--" + one[:-1]),
    _boundaries.map(lambda one: b"--" + one + b"more"),
    _boundaries.map(
        lambda one: (
            b'Content-Type: multipart/mixed; boundary="%b"\n\n'
            % one.replace(b"\\", b"\\\\")
        )
    ),
    st.sampled_from((b"text", b"--", b"Content-Type: message/rfc822\n\n", b"a: b\n")),
)


def _told(part: BodyPart) -> tuple[object, ...]:
    inner = part.message
    return (
        *(part.type, part.subtype, part.params, part.lines),
        *(part.header_start, part.body_start, part.end),
        tuple(map(_told, part.parts)),
        None if inner is None else _told(inner),
    )


class SameTests(unittest.TestCase):
    @given(st.lists(_lines, max_size=40))
    def test_at_once_never_and_in_the_midst(self, lines: list[bytes]) -> None:
        octets = b"\n".join(lines)
        trees = []
        for patience in (1 << 30, 0, 0.05):
            with mock.patch.object(structure, "_LINES_AN_OCTET", patience):
                trees.append(_told(parse_stored(octets)))
                trees.append(_told(parse(octets.replace(b"\n", b"\r\n"))))
        self.assertEqual([tree for tree in trees if tree != trees[0]], [])


class FinderTests(unittest.TestCase):
    @given(st.sets(_boundaries, min_size=1), st.sampled_from((b"\n", b"\r\n")))
    def test_every_line_of_a_boundary_is_found(
        self, boundaries: set[bytes], line_end: bytes
    ) -> None:
        finder = delimiters.finder(line_end, boundaries)
        for one in boundaries:
            for rest in (b"", b"--", b"z", line_end):
                found = finder.search(b"--" + one[:-1] + line_end + b"--" + one + rest)
                assert found is not None
                self.assertLessEqual(len(found[0]), delimiters.finder_reach(line_end))
        self.assertIsNone(finder.search(line_end + b"-" + min(boundaries)))

    def test_what_is_found_begins_one(self) -> None:
        finder = delimiters.finder(b"\n", _BOUNDARIES[4:])
        self.assertIsInstance(finder, re.Pattern)
        for line in (b"c", b"a", b"a_b", b"aab", b"x" * 30, b"|", b"X" * 40):
            self.assertIsNone(finder.search(b"\n--" + line + b"\n"), line)
