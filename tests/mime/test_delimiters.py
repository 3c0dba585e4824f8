"""Delimiters in each of the ways to find them: always what the plain way gives."""

import re
import unittest
from collections.abc import Callable
from contextlib import ExitStack
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from imapd.mime import delimiters
from imapd.mime.scan import to_wire
from imapd.mime.structure import parse, parse_stored
from tests.mime import plain

_LOOKED_AT = delimiters.LOOKED_AT_OCTETS
#: Such as begin each other, are longer than what is looked at, or mean something in an
#: expression.
_BOUNDARIES = (
    *(b"a", b"ab", b"aba", b"abab", b"b", b"a.b", b"(a", b"a|b", b"a*", b"[", b"a\\"),
    *(b"^a", b"]", b"-", b"0", b"1", b"~", b"a\r", b"x\ry"),
    *(b"x" * (_LOOKED_AT + more) for more in (-1, 0, 1)),
    *(b"x" * (_LOOKED_AT + 8) + last for last in (b"y", b"z")),
)
_boundaries = st.sampled_from(_BOUNDARIES)


def _level(boundary: bytes) -> bytes:
    quoted = boundary.replace(b"\\", b"\\\\")
    return b'Content-Type: multipart/mixed; boundary="%b"\n\n--%b' % (quoted, boundary)


def _lines(boundaries: list[bytes]) -> st.SearchStrategy[bytes]:
    """Lines of a message that has these boundaries, most of them of one."""
    one_of = st.sampled_from(boundaries)
    return st.one_of(
        one_of.map(_level),
        one_of.map(lambda one: b"--" + one),
        one_of.map(lambda one: b"--" + one + b"--"),
        one_of.map(lambda one: b"--" + one[:-1]),
        one_of.map(lambda one: b"--" + one[:1]),
        one_of.map(lambda one: b"--" + one + b"more"),
        st.sampled_from([b"", b"text", b"--", b"Content-Type: message/rfc822\n\n"]),
    )


_line_ends = st.sampled_from([b"\n", b"\r\n"])


def _messages(boundaries: list[bytes]) -> st.SearchStrategy[bytes]:
    """Messages of one line end or of both, which have some of these open."""
    lines = _lines(boundaries)
    one_end = _line_ends.flatmap(
        lambda end: st.lists(lines, max_size=30).map(
            lambda some: b"\n".join(some).replace(b"\n", end)
        )
    )
    ends = st.tuples(lines, _line_ends).map(b"".join)
    begin = st.integers(0, len(boundaries)).map(
        lambda count: b"\n".join((*map(_level, boundaries[:count]), b""))
    )
    rest = st.one_of(one_end, st.lists(ends, max_size=30).map(b"".join))
    return st.tuples(begin, rest).map(b"".join)


#: The boundaries of one message: some are opened before all else.
_some_boundaries = st.one_of(
    st.lists(_boundaries, min_size=1, max_size=5),
    st.lists(
        st.text("ab\r", min_size=1, max_size=4).map(str.encode), min_size=1, max_size=5
    ),
)
#: How long each way is borne with: for ever, not at all, and until in the midst.
_patience = st.sampled_from([1 << 30, 0, 0.05, 0.2, 1])


class SameTests(unittest.TestCase):
    @settings(max_examples=600, deadline=None)
    @given(
        _some_boundaries.flatmap(_messages),
        _patience,
        _patience,
        st.sampled_from([1 << 13, 1, 2, 5, 11, 100]),
    )
    def test_each_way_gives_what_the_plain_way_does(
        self,
        octets: bytes,
        lines: float,
        single_octets: float,
        window_octets: int,
    ) -> None:
        with ExitStack() as stack:
            for name, value in (
                ("_LINES_AN_OCTET", lines),
                ("_SINGLE_OCTETS_AN_OCTET", 100 * single_octets),
                ("_WINDOW_OCTETS", window_octets),
                ("_FIRST_WINDOW_OCTETS", window_octets),
            ):
                stack.enter_context(mock.patch.object(delimiters, name, value))
            stored, sent = parse_stored(octets), parse(to_wire(octets))
        expected = plain.structure(octets)
        self.assertEqual(stored, expected)
        self.assertEqual(sent, expected)

    def test_a_single_one_is_nearer_than_one_of_the_expression(self) -> None:
        lines = [_level(b"a"), _level(b"b"), b"--", b"--b", _level(b"c"), b"text"]
        for last in (b"--c", b"--c--"):
            octets = b"\n".join((*lines, last, b"--b", b"--a"))
            with mock.patch.object(delimiters, "_LINES_AN_OCTET", 0.5):
                self.assertEqual(parse_stored(octets), plain.structure(octets))


def _changing(
    outer: list[bytes], inner: Callable[[int], bytes], rest: bytes, count: int
) -> bytes:
    """So many parts, each with a boundary of its own, and the same lines in it."""
    parts = (
        b"%b\n\n%b--%b\n" % (_level(inner(at)), rest, outer[-1]) for at in range(count)
    )
    return b"\n".join((*map(_level, outer), b"".join(parts)))


class WorkTests(unittest.TestCase):
    # Hardening: P16.

    def test_an_expression_outlives_the_boundaries(self) -> None:
        firsts = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        outer = [b"%c%032d" % (first, first) for first in firsts]
        message = _changing(outer, lambda at: b"%032d" % at, b"--\n" * 800, 400)
        with mock.patch.object(
            delimiters, "finder", side_effect=delimiters.finder
        ) as finder:
            part = parse_stored(message)
        self.assertEqual(finder.call_count, 1)
        for _ in outer[:-1]:
            (part,) = part.parts
        self.assertEqual(len(part.parts), 401)

    def test_single_boundaries_become_part_of_it(self) -> None:
        outer = [b"%c%032d" % (first, first) for first in b"ABCDEFGH"]
        message = _changing(outer, lambda at: b"%032d" % at, b"--\n" * 8_000, 1)
        message += b"\n".join(_level(b"x%d" % at) for at in range(9))
        with mock.patch.object(
            delimiters, "finder", side_effect=delimiters.finder
        ) as finder:
            parse_stored(message + b"\n--\n" * 1_000_000)
        self.assertEqual(finder.call_count, 2)

    def test_what_is_closed_is_passed_over_only_so_often(self) -> None:
        outer = [b"%c%032d" % (first, first) for first in b"ABCDEFGH"]
        message = _changing(outer, lambda at: b"x%d" % at, b"--\n" * 8_000, 1)
        with mock.patch.object(
            delimiters, "finder", side_effect=delimiters.finder
        ) as finder:
            parse_stored(message + b"\n--x0\n" * 100_000)
        self.assertEqual(finder.call_count, 2)


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
        some = [one for one in _BOUNDARIES if len(one) > 2 and b"\r" not in one]
        finder = delimiters.finder(b"\n", some)
        self.assertIsInstance(finder, re.Pattern)
        for line in (b"c", b"a", b"a_b", b"aab", b"x" * 62, b"|", b"X" * 70):
            self.assertIsNone(finder.search(b"\n--" + line + b"\n"), line)

    def test_words_that_branch_at_every_octet(self) -> None:
        boundaries = [b"a" * at + b"b" for at in range(2 * _LOOKED_AT)]
        finder = delimiters.finder(b"\n", boundaries)
        for one in boundaries:
            self.assertIsNotNone(finder.match(b"\n--" + one))
        self.assertIsNone(finder.search(b"\n--" + b"a" * (_LOOKED_AT - 1) + b"\n"))
