r"""SEARCH against an evaluator that takes the RFC at its word, one key at a time."""

import time
import unittest
from array import array
from datetime import UTC, date, datetime
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from imapd.errors import LimitReached, SyntaxRejected, Unavailable
from imapd.ids import Seq, Uid
from imapd.mailbox import search, searchheader
from imapd.mailbox.message import LazyMessage
from imapd.mailbox.searchindex import words
from imapd.mailbox.searchmask import Snapshot
from imapd.mailbox.searchrun import Search
from imapd.mime import scan
from imapd.model import columns
from imapd.model.flags import Flags
from imapd.model.search import (
    All,
    And,
    Body,
    Dated,
    DateField,
    DateTest,
    HasFlag,
    Header,
    ModSeqAtLeast,
    Not,
    Numbers,
    Or,
    SearchKey,
    Size,
    Text,
    Within,
)
from imapd.model.sets import STAR, SequenceSet
from tests.support.memory import MemoryMailbox, OpenMailbox

DAY = 86400
NOW = 1_700_000_000  # 2023-11-14 22:13:20 UTC

#: octets, flags, date in seconds, recent
MESSAGES: list[tuple[bytes, tuple[bytes, ...], int, bool]] = [
    (
        b"From: Alice <a@example.org>\r\nSubject: Hello\r\n"
        b"Date: Tue, 14 Nov 2023 23:59:00 -0500\r\n\r\nplain words\r\n",
        (rb"\Seen",),
        NOW,
        False,
    ),
    (
        b"From: bob@example.org\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n"
        b"To: x@example.org\nTo: alice@example.org\n\nwith bare line ends\n",
        (rb"\Seen", rb"\Answered", b"$Work"),
        NOW - DAY,
        False,
    ),
    (
        b'Subject: parts\r\nContent-Type: multipart/mixed; boundary="b"\r\n'
        b"Date: 1 Jan 2020 00:00 +0000\r\n\r\n--b\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n"
        b"R3LDvMOfZSBhdXMgZGVyIFRpZWZl\r\n--b\r\n"
        b"Content-Type: application/octet-stream\r\n"
        b"Content-Disposition: attachment; filename=words.bin\r\n\r\nxyz\r\n--b--\r\n",
        (rb"\Deleted", b"JUNK"),
        NOW - 40 * DAY,
        True,
    ),
    (b"", (), 0, True),
    (b"Subject:\r\nX-Empty:\r\n\r\n", (rb"\Flagged", rb"\Draft"), 253402343999, False),
    (b"no header at all\r\n", (b"$work",), -(10**14), True),
]

UIDS = [2, 3, 5, 8, 13, 21]


def mailbox() -> OpenMailbox:
    box = MemoryMailbox()
    for uid, (octets, flags, seconds, _) in zip(UIDS, MESSAGES, strict=True):
        box.uid_next = uid
        box.deliver(octets, *flags, date=seconds)
    return OpenMailbox(box)


def messages(source: OpenMailbox) -> list[search.Message]:
    return [
        search.Message(source, Seq(seq), Uid(uid), frozenset(flags), recent)
        for seq, (uid, (_, flags, _, recent)) in enumerate(
            zip(UIDS, MESSAGES, strict=True), 1
        )
    ]


def found(key: SearchKey, source: OpenMailbox | None = None) -> list[int]:
    with patch.object(time, "time", return_value=float(NOW)):
        test = search.compile_key(key, largest_seq=len(UIDS), largest_uid=UIDS[-1])
    return [seq for seq, _ in search.matching(test, messages(source or mailbox()))]


def found_at_once(key: SearchKey, source: OpenMailbox | None = None) -> list[int]:
    """The same, by way of masks, the cache and the text index."""
    sets = [frozenset(flags) for _, flags, _, _ in MESSAGES]
    snapshot = Snapshot(
        [Uid(uid) for uid in UIDS],
        array("I", range(len(UIDS))),
        sets,
        {Uid(uid) for uid, each in zip(UIDS, MESSAGES, strict=True) if each[3]},
    )
    with patch.object(time, "time", return_value=float(NOW)):
        running = Search(key, snapshot, source or mailbox())
        while running.step():
            pass
    return [seq for seq, _ in running.result()]


def learned(*parts: str) -> OpenMailbox:
    """A mailbox of which the cache knows some, or all: of every other message."""
    source = mailbox()
    for at, (uid, (octets, _, seconds, _)) in enumerate(
        zip(map(Uid, UIDS), MESSAGES, strict=True)
    ):
        message = LazyMessage(source, uid, whole=True)
        values = searchheader.derive(message.header)
        values[columns.HEADER] = message.header
        values[columns.META] = columns.encode_meta(seconds, len(scan.to_wire(octets)))
        values["texts"] = b""
        for kind, value in values.items():
            name = kind.partition("/")[0].partition(".")[0]
            if f"half {name}" in parts and at % 2:
                continue
            if name not in parts and f"half {name}" not in parts:
                continue
            if kind == "texts":
                source.index_texts({uid: words(message)})
            else:
                source.save_column(kind, {uid: value})
    source.box.reads.clear()
    return source


def sent(how: DateTest, day: date) -> Dated:
    return Dated(DateField.SENT, how, day)


def internal(how: DateTest, day: date) -> Dated:
    return Dated(DateField.INTERNAL, how, day)


def numbers(*ranges: tuple[int, int], uid: bool = False) -> Numbers:
    return Numbers(SequenceSet(ranges), uid)


class KeyTests(unittest.TestCase):
    def test_each_key(self) -> None:
        nov = date(2023, 11, 14)
        cases: dict[str, tuple[SearchKey, list[int]]] = {
            "ALL": (All(), [1, 2, 3, 4, 5, 6]),
            "SEEN": (HasFlag(rb"\Seen"), [1, 2]),
            "SEEN, spelled otherwise": (HasFlag(rb"\SEEN"), [1, 2]),
            "UNSEEN": (Not(HasFlag(rb"\Seen")), [3, 4, 5, 6]),
            "RECENT": (HasFlag(rb"\Recent"), [3, 4, 6]),
            "NEW": (And((HasFlag(rb"\Recent"), Not(HasFlag(rb"\Seen")))), [3, 4, 6]),
            "KEYWORD has no case": (HasFlag(b"$WORK"), [2, 6]),
            "KEYWORD that is none": (HasFlag(b"work"), []),
            "KEYWORD named like a flag": (HasFlag(b"Seen"), []),
            "a set": (numbers((2, 3), (STAR, STAR)), [2, 3, 6]),
            "a UID set": (numbers((4, 13), uid=True), [3, 4, 5]),
            "UIDs beyond": (numbers((99, STAR), uid=True), [6]),
            "LARGER": (Size(True, 24), [1, 2, 3]),
            "LARGER is strict": (Size(True, 18), [1, 2, 3, 5]),
            "SMALLER": (Size(False, 1), [4]),
            "SMALLER is strict": (Size(False, 18), [4]),
            "ON": (internal(DateTest.ON, nov), [1]),
            "BEFORE": (internal(DateTest.BEFORE, nov), [2, 3, 4, 6]),
            "SINCE": (internal(DateTest.SINCE, date(2023, 11, 13)), [1, 2, 5]),
            "SENTON, in its own zone": (sent(DateTest.ON, nov), [1]),
            "SENTBEFORE": (sent(DateTest.BEFORE, nov), [3]),
            "SENTSINCE": (sent(DateTest.SINCE, date(2020, 1, 1)), [1, 3]),
            "NOT SENTON": (Not(sent(DateTest.ON, nov)), [2, 3, 4, 5, 6]),
            "YOUNGER": (Within(True, DAY), [1, 2, 5]),
            "OLDER": (Within(False, DAY), [2, 3, 4, 6]),
            "FROM": (Header(b"From", "ALICE"), [1]),
            "TO, in the second field": (Header(b"to", "alice"), [2]),
            "SUBJECT, decoded": (Header(b"SUBJECT", "grüsse"), [2]),
            "HEADER, there": (Header(b"x-empty", ""), [5]),
            "HEADER, not there": (Header(b"x-none", ""), []),
            "BODY": (Body("WORDS"), [1]),
            "BODY, decoded": (Body("grüße aus"), [3]),
            "BODY is not the header": (Body("Hello"), []),
            "BODY of nothing": (Body(""), [1, 2, 3, 4, 5, 6]),
            "TEXT, in the header": (Text("hello"), [1]),
            "TEXT, in a part's header": (Text("words.bin"), [3]),
            "TEXT, in the body": (Text("tiefe"), [3]),
            "OR": (Or(HasFlag(rb"\Deleted"), numbers((1, 1))), [1, 3]),
            "all of nothing": (And(()), [1, 2, 3, 4, 5, 6]),
        }
        for name, (key, expected) in cases.items():
            self.assertEqual(found(key), expected, name)
            for cache in CACHES:
                at_once = found_at_once(key, learned(*cache))
                self.assertEqual(at_once, expected, f"{name}, {cache}")

    def test_bare_line_ends_count_as_sent(self) -> None:
        size = len(MESSAGES[1][0].replace(b"\n", b"\r\n"))
        self.assertIn(2, found(Size(True, size - 1)))
        self.assertNotIn(2, found(Size(True, size)))

    def test_refusals(self) -> None:
        for key in (numbers((7, 7)), numbers((1, 7)), Not(numbers((7, STAR)))):
            self.assertRaises(IndexError, found, key)
        self.assertRaises(SyntaxRejected, found, ModSeqAtLeast(1))
        self.assertRaises(LimitReached, found, And((Text("x"),) * 33))
        self.assertEqual(found(And((Text("x"),) * 32)), found(Text("x")))

    def test_all_of_an_empty_mailbox(self) -> None:
        for named in (numbers((STAR, STAR)), numbers((1, STAR))):
            search.compile_key(named, largest_seq=0, largest_uid=0)
        with self.assertRaises(IndexError):
            search.compile_key(numbers((1, 1)), largest_seq=0, largest_uid=0)

    def test_cheap_keys_spare_reading(self) -> None:
        source = mailbox()
        key = And((Body("words"), HasFlag(rb"\Seen"), Or(Text("x"), numbers((1, 1)))))
        self.assertEqual(found(key, source), [1])
        self.assertEqual(source.box.reads, [2, 3])
        self.assertEqual(search.cost(key), 3)
        self.assertEqual(search.cost(Not(HasFlag(b"x"))), 0)

    def test_what_is_gone_or_cannot_be_read_matches_nothing(self) -> None:
        source = mailbox()
        del source.box.disk[Uid(2)]
        self.assertEqual(found(Not(Body("zzz")), source), [2, 3, 4, 5, 6])
        self.assertEqual(found(Not(Size(True, 0)), source), [4])

        def broken(opened: object, uid: Uid, most_octets: int | None = None) -> bytes:
            if uid == 5:
                raise Unavailable("cannot be read")
            return MESSAGES[UIDS.index(uid)][0]

        source.box.read = broken  # type: ignore[method-assign]
        self.assertNotIn(3, found(Text("e"), source))
        self.assertNotIn(3, found(Not(Body("zzz")), source))

    def test_batches_end_at_octets(self) -> None:
        source = mailbox()
        test = search.compile_key(Body("zzz"), largest_seq=6, largest_uid=21)
        with patch.object(search, "BATCH_OCTETS", 1):
            batch = search.match_batch(test, messages(source))
        self.assertEqual((batch.found, batch.count), ([], 1))
        with patch.object(search, "BATCH_OCTETS", 1):
            self.assertEqual(len(search.matching(test, messages(source))), 0)
        self.assertEqual(len(source.box.reads), 7)

    def test_as_deep_as_the_grammar_lets_it(self) -> None:
        key: SearchKey = HasFlag(rb"\Seen")
        for _ in range(498):
            key = Not(key)
        self.assertEqual(found(key), [1, 2])
        key = HasFlag(rb"\Seen")
        for _ in range(249):
            key = Or(numbers((3, 3)), key)
        self.assertEqual(found(key), [1, 2, 3])


#: What the cache knows: see ``learned``.
CACHES: list[tuple[str, ...]] = [
    (),
    ("meta", "header"),
    ("meta", "search", "texts"),
    ("half meta", "half search", "half texts"),
    ("half header", "texts"),
]

LEAVES = st.one_of(
    st.builds(All),
    st.builds(
        HasFlag,
        st.sampled_from([rb"\Seen", rb"\recent", b"$work", b"junk", rb"\Draft"]),
    ),
    st.builds(
        Dated,
        st.sampled_from(DateField),
        st.sampled_from(DateTest),
        st.sampled_from([date(2023, 11, 14), date(2020, 1, 1), date(9999, 12, 31)]),
    ),
    st.builds(Within, st.booleans(), st.sampled_from([1, DAY, 10**9])),
    st.builds(Size, st.booleans(), st.integers(0, 200)),
    st.builds(
        Header,
        st.sampled_from([b"from", b"SUBJECT", b"To", b"x-empty"]),
        st.sampled_from(["", "alice", "GRÜSSE", "o"]),
    ),
    st.builds(Body, st.sampled_from(["", "words", "zzz"])),
    st.builds(
        Numbers,
        st.lists(
            st.tuples(st.integers(1, 6), st.one_of(st.integers(1, 6), st.just(STAR))),
            min_size=1,
            max_size=3,
        ).map(lambda ranges: SequenceSet(tuple(ranges))),
        st.booleans(),
    ),
)
KEYS: st.SearchStrategy[SearchKey] = st.recursive(
    LEAVES,
    lambda keys: st.one_of(
        st.builds(Not, keys),
        st.builds(Or, keys, keys),
        st.builds(And, st.lists(keys, min_size=1, max_size=3).map(tuple)),
    ),
    max_leaves=8,
)


DAYS: dict[DateField, list[date | None]] = {
    DateField.SENT: [date(2023, 11, 14), None, date(2020, 1, 1)],
    DateField.INTERNAL: [
        date(2023, 11, 14),
        date(2023, 11, 13),
        datetime.fromtimestamp(NOW - 40 * DAY, UTC).date(),
        date(1970, 1, 1),
        date.max,
        date.min,
    ],
}
VALUES: dict[bytes, list[list[str]]] = {
    b"from": [["alice <a@example.org>"], ["bob@example.org"]],
    b"subject": [["hello"], ["grüsse"], ["parts"], [], [""]],
    b"to": [[], ["x@example.org", "alice@example.org"]],
    b"x-empty": [[], [], [], [], [""]],
}


def naive(key: SearchKey, index: int) -> bool:
    """The key for one message, as RFC 3501 §6.4.4 words it."""
    octets, flags, seconds, recent = MESSAGES[index]
    lower: Flags = frozenset(flag.lower() for flag in flags)
    match key:
        case All():
            return True
        case Not(one):
            return not naive(one, index)
        case Or(left, right):
            return naive(left, index) | naive(right, index)
        case And(keys):
            return min(naive(each, index) for each in keys)
        case HasFlag(flag):
            return flag.lower() in lower or (recent and flag.lower() == rb"\recent")
        case Size(larger, size):
            have = len(octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
            return have > size if larger else have < size
        case Within(younger, interval):
            age = NOW - seconds
            return age <= interval if younger else age >= interval
        case Numbers(named, uid):
            number = UIDS[index] if uid else index + 1
            largest = UIDS[-1] if uid else len(UIDS)
            pairs = [
                sorted(largest if n == STAR else n for n in pair)
                for pair in named.ranges
            ]
            return any(low <= number <= high for low, high in pairs)
        case Dated():
            return naive_date(key, index)
        case Header():
            return naive_header(key, index)
        case Body(text):
            return not text or (text == "words" and index == 0)
    raise AssertionError(key)


def naive_date(key: Dated, index: int) -> bool:
    have_day: list[date | None] = list(DAYS[key.field])
    one_day = have_day[index] if index < len(have_day) else None
    if one_day is None:
        return False
    return {
        DateTest.ON: one_day == key.day,
        DateTest.BEFORE: one_day < key.day,
        DateTest.SINCE: one_day >= key.day,
    }[key.test]


def naive_header(key: Header, index: int) -> bool:
    values = VALUES[key.name.lower()]
    mine = values[index] if index < len(values) else []
    return any(key.text.casefold() in value.casefold() for value in mine)


class EvaluatorTests(unittest.TestCase):
    @settings(max_examples=200, deadline=None)
    @given(KEYS)
    def test_agrees_with_the_naive_one(self, key: SearchKey) -> None:
        expected = [index + 1 for index in range(len(UIDS)) if naive(key, index)]
        self.assertEqual(found(key), expected)
        for cache in CACHES:
            self.assertEqual(found_at_once(key, learned(*cache)), expected, cache)
