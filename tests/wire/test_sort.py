"""SORT and THREAD on the wire: RFC 5256, section 5, and RFC 5267, section 5."""

import unittest
from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from imapd.errors import LimitReached, SyntaxRejected
from imapd.model.requests import Sort, Thread
from imapd.model.search import All, Return
from imapd.model.sort import Criterion, SortKey, ThreadAlgorithm
from imapd.model.threads import NONE, Threads
from imapd.wire import sort as grammar
from imapd.wire.cursor import Cursor
from imapd.wire.sorted import (
    PIECE_NUMBERS,
    esort_data,
    search_data,
    sort_data,
    thread_data,
)
from tests.support.grammar import Untagged, parse_responses
from tests.support.grammar_threads import Thread as Parsed


def said(pieces: Iterable[bytes]) -> Untagged:
    """What the tests' own grammar reads."""
    (response,) = parse_responses(b"".join(pieces))
    assert isinstance(response, Untagged)
    return response


def tree(count: int, roots: list[int], children: dict[int, list[int]]) -> Threads:
    first, following = [NONE] * (count + 1), [NONE] * (count + 1)
    for node, below in children.items():
        first[node] = below[0]
        for one, other in pairwise(below):
            following[one] = other
    return Threads(count, roots, first, following)


class RequestTests(unittest.TestCase):
    def test_every_key_and_algorithm(self) -> None:
        for key in SortKey:
            for reverse in (b"", b"REVERSE "):
                text = b" (%b%b) UTF-8 ALL" % (reverse, key.value.encode())
                wanted = Sort((Criterion(key, bool(reverse)),), All())
                self.assertEqual(grammar.sort(Cursor((text,))), wanted, text)
        for each in ThreadAlgorithm:
            text = b" %b UTF-8 ALL" % each.value.lower().encode()
            wanted_thread = Thread(each, All(), uid=True)
            self.assertEqual(grammar.uid_thread(Cursor((text,))), wanted_thread, text)

    def test_return_options(self) -> None:
        for options, returns, partial in (
            (b"", {Return.ALL}, None),
            (b"MIN count", {Return.MIN, Return.COUNT}, None),
            (b"PARTIAL 3:1", set(), (1, 3)),
            (b"PARTIAL 1:1 MAX", {Return.MAX}, (1, 1)),
        ):
            text = b" RETURN (%b) (DATE) UTF-8 ALL" % options
            request = grammar.uid_sort(Cursor((text,)))
            self.assertEqual((request.returns, request.partial), (returns, partial))
            self.assertTrue(request.uid)

    def test_repeated_criteria_are_dropped_and_bounded(self) -> None:
        text = b" (" + b" ".join([b"DATE", b"REVERSE SIZE"] * 400) + b") UTF-8 ALL"
        criteria = grammar.sort(Cursor((text,))).criteria
        wanted = (Criterion(SortKey.DATE), Criterion(SortKey.SIZE, reverse=True))
        self.assertEqual(criteria, wanted)
        text = b" (" + b" ".join([b"DATE"] * 10_001) + b") UTF-8 ALL"
        with self.assertRaises(LimitReached):
            grammar.sort(Cursor((text,)))

    @settings(max_examples=200)
    @given(
        st.lists(
            st.sampled_from(
                b"( ) RETURN PARTIAL 1:2 REVERSE DATE UTF-8 ALL REFS 7 NOT".split()
            ),
            max_size=12,
        )
    )
    def test_rubbish_is_refused_in_our_words(self, words: list[bytes]) -> None:
        for rule in (grammar.sort, grammar.thread):
            for text in (b" ".join(words), b"".join(words)):
                try:
                    rule(Cursor((b" " + text,)))
                except Exception as error:
                    self.assertTrue(hasattr(error, "condition"), repr(error))

    def test_no_charset(self) -> None:
        with self.assertRaises(SyntaxRejected):
            grammar.sort(Cursor((b" (DATE) ALL",)))


class ResponseTests(unittest.TestCase):
    def test_search(self) -> None:
        cases: list[tuple[list[int], int | None, bytes]] = [
            ([2, 3, 6], None, b"* SEARCH 2 3 6\r\n"),
            ([], None, b"* SEARCH\r\n"),
            ([2, 3], 917, b"* SEARCH 2 3 (MODSEQ 917)\r\n"),
        ]
        for numbers, modseq, line in cases:
            self.assertEqual(b"".join(search_data(numbers, modseq)), line)

    def test_a_line_of_many_numbers(self) -> None:
        for count in (PIECE_NUMBERS, PIECE_NUMBERS + 1, 100_000):
            for data in (search_data, sort_data):
                pieces = list(data(range(1, count + 1), 9))
                self.assertEqual(len(pieces), -(-count // PIECE_NUMBERS))
                self.assertLess(max(map(len, pieces)), 64 << 10)
                line = b"".join(pieces)
                self.assertEqual(line.count(b" "), 1 + count + 2)
                self.assertTrue(line.endswith(b" %d (MODSEQ 9)\r\n" % count))

    def test_sort(self) -> None:
        self.assertEqual(b"".join(sort_data([])), b"* SORT\r\n")
        self.assertEqual(b"".join(sort_data([2, 84, 882])), b"* SORT 2 84 882\r\n")
        many = list(range(20_000, 0, -1))
        pieces = list(sort_data(many))
        self.assertGreater(len(pieces), 2)
        self.assertEqual(said(pieces), Untagged(b"SORT", many))

    def test_esort(self) -> None:
        for pieces, wanted in (
            (
                esort_data(b"a1", True, [(b"COUNT", 3)], [9, 4, 5]),
                b'* ESEARCH (TAG "a1") UID COUNT 3 ALL 9,4:5\r\n',
            ),
            (esort_data(b"a", False, [], []), b'* ESEARCH (TAG "a")\r\n'),
            (esort_data(b"a", False, [], None), b'* ESEARCH (TAG "a")\r\n'),
            (
                esort_data(b"a", False, [], [], partial=(2, 9)),
                b'* ESEARCH (TAG "a") PARTIAL (2:9 NIL)\r\n',
            ),
            (
                esort_data(b"a", False, [(b"MIN", 1)], [3, 2, 1], partial=(1, 3)),
                b'* ESEARCH (TAG "a") MIN 1 PARTIAL (1:3 3,2,1)\r\n',
            ),
        ):
            self.assertEqual(b"".join(pieces), wanted)

    def test_esort_of_many(self) -> None:
        many = [*range(30_000, 40_000), *range(10_000, 0, -1)]
        _, _, results = said(esort_data(b"a", True, [], many)).data
        ranges = results[b"ALL"]
        self.assertEqual(
            [n for first, last in ranges for n in range(first, last + 1)], many
        )

    def test_thread(self) -> None:
        """The examples of RFC 5256, BASE.7.2.THREAD."""
        numbers = [2, 3, 6, 4, 23, 44, 7, 96, 5]
        found = tree(9, [0, 1], {1: [2], 2: [3, 5], 3: [4], 5: [6], 6: [7]})
        self.assertEqual(
            b"".join(thread_data(found, numbers)),
            b"* THREAD (2)(3 6 (4 23)(44 7 96))\r\n",
        )
        found = tree(9, [9], {9: [1, 8]})
        self.assertEqual(
            b"".join(thread_data(found, numbers)), b"* THREAD ((3)(5))\r\n"
        )
        self.assertEqual(b"".join(thread_data(Threads(0), [])), b"* THREAD\r\n")

    def test_deep_and_wide_threads(self) -> None:
        count = 100_001
        numbers = range(1, count + 1)
        chain = tree(count, [0], {n: [n + 1] for n in range(count - 1)})
        wide = tree(count, [0], {0: list(range(1, count))})
        ladder = tree(count, [0], {n: [n + 1, n + 2] for n in range(0, count - 2, 2)})
        many = tree(count, list(range(count)), {})
        for name, threads in {
            "chain": chain,
            "wide": wide,
            "ladder": ladder,
            "many": many,
        }.items():
            pieces = list(thread_data(threads, numbers))
            self.assertLess(max(map(len, pieces)), 100_000, name)
            line = b"".join(pieces)
            self.assertEqual(line.count(b"("), line.count(b")"), name)
            self.assertEqual(members(said(pieces).data), count, name)


def members(threads: list[Parsed]) -> int:
    stack, count = list(threads), 0
    while stack:
        thread = stack.pop()
        count += sum(isinstance(each, int) for each in thread)
        stack += [each for each in thread if isinstance(each, list)]
    return count
