"""The text index of a Maildir and SEARCH: the same answers, with fewer readings."""

import base64
import quopri
import unittest
from array import array
from collections.abc import Mapping, Sequence
from datetime import date
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from imapd.errors import MessageGone, Unavailable
from imapd.ids import Seq, Uid
from imapd.limits import DEFAULT_LIMITS
from imapd.mailbox import search, searchindex
from imapd.mailbox.searchindex import TextIndexing
from imapd.mailbox.searchmask import Snapshot
from imapd.mailbox.searchrun import Search
from imapd.model import columns
from imapd.model.flags import NO_FLAGS
from imapd.model.search import (
    And,
    Body,
    Dated,
    DateField,
    DateTest,
    HasFlag,
    Header,
    Not,
    Or,
    SearchKey,
    Text,
)
from imapd.model.texts import MessageWords, TextFound
from imapd.store.cache.textindex import TextDatabase
from tests.support.memory import MemoryMailbox, OpenMailbox

BOX = "the box"
CHARSETS = ("utf-8", "iso-8859-1", "koi8-r", "iso-2022-jp", "utf-16", "x-none")
ENCODINGS = ("7bit", "8bit", "base64", "quoted-printable")


def snapshot(uids: Sequence[Uid]) -> Snapshot:
    return Snapshot(uids, array("I", [0]) * len(uids), (NO_FLAGS,), frozenset())


def by_scan(key: SearchKey, box: OpenMailbox, uids: Sequence[Uid]) -> list[Uid]:
    """The linear scan, message after message."""
    test = search.compile_key(key, largest_seq=len(uids), largest_uid=uids[-1])
    messages = [
        search.Message(box, Seq(seq), uid, NO_FLAGS, False)
        for seq, uid in enumerate(uids, 1)
    ]
    return [uid for _, uid in search.matching(test, messages)]


def part(text: str, charset: str, encoding: str) -> bytes:
    octets = text.encode("utf-8" if charset == "x-none" else charset, "replace")
    if encoding == "base64":
        octets = base64.encodebytes(octets)
    elif encoding == "quoted-printable":
        octets = quopri.encodestring(octets)
    head = f"Content-Type: text/plain; charset={charset}; name={charset}.txt\r\n"
    return (head + f"Content-Transfer-Encoding: {encoding}\r\n\r\n").encode() + octets


def message(subject: str, parts: list[tuple[str, str, str]]) -> bytes:
    encoded = base64.b64encode(subject.encode()).decode()
    head = f"Subject: =?utf-8?b?{encoded}?=\r\nX-Raw: {subject!a}\r\n".encode()
    if len(parts) == 1:
        return head + part(*parts[0])
    head += b'Content-Type: multipart/mixed; boundary="=_b"\r\n\r\npreamble words\r\n'
    return (
        head
        + b"".join(b"--=_b\r\n" + part(*each) + b"\r\n" for each in parts)
        + b"--=_b--\r\nepilogue words\r\n"
    )


WORDS = st.sampled_from(
    ["the", "quick", "Brown", "föx", "ﬁne", "STRASSE", "straße", "漢字", "カナ", "a.b"]
)
BODIES = st.lists(
    st.one_of(WORDS, st.sampled_from([" ", "  ", "\r\n", "\t", "=", "\0", ">"])),
    max_size=12,
).map("".join)
PARTS = st.lists(
    st.tuples(BODIES, st.sampled_from(CHARSETS), st.sampled_from(ENCODINGS)),
    min_size=1,
    max_size=3,
)
NEEDLES = st.one_of(
    BODIES.map(lambda text: text[:9]),
    WORDS,
    st.tuples(WORDS, WORDS).map(" ".join),
    st.tuples(WORDS, WORDS).map(lambda two: two[0][-2:] + " " + two[1][:2]),
    st.sampled_from(
        ["", " ", "q", "字", "subject: the", ".txt", "words", "ss", "\r\n"]
    ),
)


class IndexedMailbox(MemoryMailbox):
    """A mailbox with the real index."""

    def __init__(self, index: TextDatabase) -> None:
        super().__init__()
        self.index = index

    def find_text(
        self, opened: OpenMailbox, needle: str, *, in_header: bool
    ) -> TextFound:
        return self.index.search(BOX, needle, in_header=in_header)

    def index_texts(
        self, opened: OpenMailbox, messages: Mapping[Uid, MessageWords]
    ) -> None:
        self.index.add(BOX, messages)


class SameAnswersTests(unittest.TestCase):
    def setUp(self) -> None:
        # It cannot be made there, and is in memory.
        self.index = TextDatabase(b"/nowhere/index")
        self.addCleanup(self.index.close)

    @settings(max_examples=120, deadline=None)
    @given(
        st.lists(st.builds(message, BODIES, PARTS), min_size=1, max_size=6),
        st.lists(NEEDLES, min_size=1, max_size=4),
        st.integers(0, 6),
    )
    def test_indexed_or_not(
        self, messages: list[bytes], needles: list[str], indexed: int
    ) -> None:
        self.index.forget(BOX)
        box = IndexedMailbox(self.index)
        uids = [box.deliver(octets) for octets in messages]
        opened = OpenMailbox(box)
        indexing = TextIndexing(opened, uids[:indexed])
        with mock.patch.object(searchindex, "LOT_MESSAGES", 2):
            while indexing.step():
                pass
        for needle in needles:
            keys: list[SearchKey] = [
                *(Body(needle), Text(needle), Not(Body(needle))),
                And((Text(needles[0]), Or(Body(needle), Not(Text(needle))))),
            ]
            for key in keys:
                found = Search(key, snapshot(uids), opened).finish().uids
                self.assertEqual(list(found), by_scan(key, opened, uids), str(key))

    def test_a_header_of_any_size(self) -> None:
        # Hardening: P17.
        limits = DEFAULT_LIMITS
        fill = b"a:b\r\n" * (limits.header_octets // 5)
        box = IndexedMailbox(self.index)
        last = b"Subject: needle\r\nDate: 1 Jul 2020\r\nOdd: needle\r\n\r\n"
        uids = [
            box.deliver(fill + last),
            box.deliver(last + fill),
            box.deliver(b"Subject: x\r\n" * limits.address_count + last),
        ]
        opened = OpenMailbox(box)
        sent = Dated(DateField.SENT, DateTest.ON, date(2020, 7, 1))
        keys: dict[SearchKey, list[int]] = {
            Header(b"subject", "needle"): [2],
            Header(b"odd", "needle"): [2, 3],
            sent: [2, 3],
            Text("Needle"): [1, 2, 3],
            Text("neeedle"): [],
        }
        for indexed in (False, True):
            if indexed:
                indexing = TextIndexing(opened, uids)
                while indexing.step():
                    pass
            for key, expected in keys.items():
                found = Search(key, snapshot(uids), opened).finish().uids
                self.assertEqual(list(found), expected, (key, indexed))
                if not indexed:
                    self.assertEqual(by_scan(key, opened, uids), expected, key)


class ReadingTests(unittest.TestCase):
    def setUp(self) -> None:
        self.box = MemoryMailbox()
        self.opened = OpenMailbox(self.box)
        self.uids = [
            self.box.deliver(
                b"From: f%d@x\r\nX-Odd: o%d\r\nDate: %d Jan 2020 00:00 +0000\r\n"
                b"Subject: s%d\r\n\r\nbody number %d\r\n" % ((number + 1,) * 5)
            )
            for number in range(20)
        ]

    def index(self, uids: Sequence[Uid]) -> None:
        indexing = TextIndexing(self.opened, uids)
        while indexing.step():
            pass
        self.box.reads.clear()

    def search(self, key: SearchKey) -> list[int]:
        return list(Search(key, snapshot(self.uids), self.opened).finish().uids)

    def test_what_is_indexed_is_not_read(self) -> None:
        self.index(self.uids[:15])
        self.assertEqual(self.search(Body("NUMBER")), self.uids)
        self.assertEqual(self.box.reads, self.uids[15:])
        self.box.reads.clear()
        self.assertEqual(self.search(Text("s7")), [7])
        self.assertEqual(self.search(And((Text("s7"), Body("7")))), [7])
        self.assertEqual(set(self.box.reads), set(self.uids[15:]))

    def test_blanks_are_looked_for_only_where_the_words_are(self) -> None:
        self.index(self.uids)
        self.assertEqual(self.search(Body("number 7")), [7])
        self.assertLessEqual(len(self.box.reads), len(self.uids))
        self.assertEqual(self.search(And((Body("number 7"), HasFlag(b"x")))), [])

    def test_a_message_is_read_once_whatever_the_key(self) -> None:
        key = Or(Body("number 7"), Or(Text("o8"), And((Text("f9"), Body("numb")))))
        self.assertEqual(self.search(key), [7, 8, 9])
        self.assertEqual(self.box.reads, self.uids)

    def test_a_header_that_was_read_is_known_the_next_time(self) -> None:
        sent = Dated(DateField.SENT, DateTest.ON, self.day(7))
        self.assertEqual(self.search(Header(b"FROM", "f7@")), [7])
        self.assertEqual(self.box.reads, self.uids)
        self.box.reads.clear()
        for key in (Header(b"subject", "S7"), Header(b"X-odd", "o7"), sent):
            self.assertEqual(self.search(key), [7], str(key))
        self.assertEqual(self.search(Not(Header(b"cc", ""))), self.uids)
        self.assertEqual(self.box.reads, [])
        # What stands between two fields is in neither: the message is asked.
        self.assertEqual(self.search(Header(b"from", "\n")), [])
        self.assertEqual(self.box.reads, self.uids)

    @staticmethod
    def day(number: int) -> date:
        return date(2020, 1, number)

    def test_columns_are_made_of_the_headers_that_are_kept(self) -> None:
        for uid in self.uids[:19]:
            header = self.box.disk[uid].octets.partition(b"body")[0]
            self.opened.save_column(columns.HEADER, {uid: header})
        self.assertEqual(self.search(Header(b"from", "f3@")), [3])
        self.assertEqual(self.box.reads, [20])
        self.assertEqual(len(self.box.columns[columns.SEARCH_SUBJECT]), 20)

    def test_one_that_cannot_be_looked_at_does_not_hide_the_others(self) -> None:
        meta = self.box.meta

        def broken(opened: OpenMailbox, uids: Sequence[Uid]) -> object:
            if Uid(5) in uids:
                raise Unavailable("cannot be looked at")
            return meta(opened, uids)

        self.box.meta = broken  # type: ignore[method-assign, assignment]
        key = Dated(DateField.INTERNAL, DateTest.BEFORE, self.day(1))
        self.assertEqual(self.search(key), [uid for uid in self.uids if uid != 5])
        self.assertEqual(self.search(Not(key)), [])

    def test_lots_and_steps(self) -> None:
        lots: list[int] = []
        self.box.index_texts = lambda _, lot: lots.append(len(lot))  # type: ignore[method-assign, assignment]
        del self.box.disk[Uid(3)]
        indexing = TextIndexing(self.opened, self.uids)
        with (
            mock.patch.object(searchindex, "LOT_MESSAGES", 8),
            mock.patch.object(searchindex, "STEP_MESSAGES", 5),
        ):
            done = [indexing.done_count]
            while indexing.step():
                done.append(indexing.done_count)
        self.assertEqual(done, [0, 5, 10, 15])
        self.assertEqual(lots, [9, 10])
        indexing = TextIndexing(self.opened, self.uids)
        with mock.patch.object(searchindex, "STEP_OCTETS", 1):
            self.assertTrue(indexing.step())
        self.assertEqual(indexing.done_count, 1)

    def test_what_cannot_be_read_is_not_indexed(self) -> None:
        def broken(opened: object, uid: Uid, most_octets: int | None = None) -> bytes:
            if uid == 2:
                raise MessageGone("gone")
            if uid == 3:
                raise Unavailable("cannot be read")
            return b"\r\nx"

        self.box.read = broken  # type: ignore[method-assign]
        self.index(self.uids[:4])
        self.assertEqual(set(self.box.indexed), {1, 4})
        self.assertFalse(TextIndexing(self.opened, []).step())
