"""The shared rules, and the cursor they read from."""

import unittest
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone

from imapd.errors import Cannot, ImapError, LimitReached, SyntaxRejected
from imapd.limits import Limits
from imapd.model.sets import STAR, SequenceSet
from imapd.wire import dates, sets, strings
from imapd.wire.cursor import Cursor

Parts = tuple[bytes, ...]
Rule = Callable[[Cursor], object]


def lit(octets: bytes) -> Parts:
    return (b"", octets, b"")


BAD = SyntaxRejected

# name: (rule, parts, value or error)
CASES: dict[str, tuple[Rule, Parts, object]] = {
    "atom": (strings.atom, (b"a$!]",), b"a$!"),
    "atom, none": (strings.atom, (b"(",), BAD),
    "astring, bracket": (strings.astring, (b"a]b",), b"a]b"),
    "astring, NIL is a word": (strings.astring, (b"NIL",), b"NIL"),
    "astring, plus": (strings.astring, (b"a+b",), b"a+b"),
    "astring, quoted": (strings.astring, (b'"a b"',), b"a b"),
    "astring, quoted empty": (strings.astring, (b'""',), b""),
    "astring, literal": (strings.astring, lit(b"a\r\nb"), b"a\r\nb"),
    "astring, literal empty": (strings.astring, lit(b""), b""),
    "astring, end": (strings.astring, (b"",), BAD),
    "astring, 8-bit atom": (strings.astring, (b"\xe4",), BAD),
    "quoted, escapes": (
        strings.string,
        (rb'"a\"b\\c"',),
        rb"a\"b\c".replace(b'\\"', b'"'),
    ),
    "quoted, other escape": (strings.string, (rb'"a\nb"',), BAD),
    "quoted, open": (strings.string, (b'"abc',), BAD),
    "quoted, open escape": (strings.string, (b'"abc\\',), BAD),
    "quoted, CR": (strings.string, (b'"a\rb"',), BAD),
    "quoted, NUL": (strings.string, (b'"a\0b"',), BAD),
    "quoted, TAB": (strings.string, (b'"a\tb"',), b"a\tb"),
    "quoted, UTF-8": (strings.string, (b'"\xc3\xa4"',), b"\xc3\xa4"),
    "quoted across a literal": (strings.string, (b'"a', b"b", b'"'), BAD),
    "literal, NUL": (strings.string, lit(b"a\0"), BAD),
    "string, atom": (strings.string, (b"abc",), BAD),
    "nstring, NIL": (strings.nstring, (b"nil",), None),
    "nstring, quoted NIL": (strings.nstring, (b'"NIL"',), b"NIL"),
    "nstring, atom": (strings.nstring, (b"abc",), BAD),
    "number, 0": (strings.number, (b"0",), 0),
    "number, leading zeros": (strings.number, (b"007",), 7),
    "number, largest": (strings.number, (b"4294967295",), 4294967295),
    "number, too large": (strings.number, (b"4294967296",), BAD),
    "number, 5000 digits": (strings.number, (b"9" * 5000,), BAD),
    "number, sign": (strings.number, (b"-1",), BAD),
    "nz-number": (strings.nz_number, (b"10",), 10),
    "nz-number, 0": (strings.nz_number, (b"0",), BAD),
    "nz-number, leading zero": (strings.nz_number, (b"01",), BAD),
    "tag": (strings.tag, (b"A1.]",), b"A1.]"),
    "tag, plus": (strings.tag, (b"+",), BAD),
    "tag, longest": (strings.tag, (b"a" * 64,), b"a" * 64),
    "tag, too long": (strings.tag, (b"a" * 65,), BAD),
    "mailbox, inbox": (strings.mailbox, (b"iNbOx",), "INBOX"),
    "mailbox, quoted inbox": (strings.mailbox, (b'"inbox"',), "INBOX"),
    "mailbox, below inbox": (strings.mailbox, (b"inbox.a",), "inbox.a"),
    "mailbox, inboxes": (strings.mailbox, (b"inboxes",), "inboxes"),
    "mailbox, decoded": (strings.mailbox, (b"Entw&APw-rfe",), "Entw\xfcrfe"),
    "mailbox, literal": (strings.mailbox, lit(b"a b"), "a b"),
    "mailbox, not canonical": (strings.mailbox, (b"R&D",), Cannot),
    "mailbox, UTF-8": (strings.mailbox, (b'"\xc3\xa4"',), BAD),
    "mailbox, line end": (strings.mailbox, lit(b"a\r\nb"), Cannot),
    "mailbox, shifted NUL": (strings.mailbox, (b"&AAA-",), Cannot),
    "mailbox, shifted C1": (strings.mailbox, (b"&AIU-",), Cannot),
    "mailbox, longest": (strings.mailbox, (b"a" * 1000,), "a" * 1000),
    "mailbox, too long": (strings.mailbox, (b"a" * 1001,), Cannot),
    "mailbox, wildcard": (strings.mailbox, (b"*",), BAD),
    "mailbox, quoted wildcard": (strings.mailbox, (b'"a*"',), "a*"),
    "pattern": (strings.list_mailbox, (b"a.%*]",), "a.%*]"),
    "pattern, decoded": (strings.list_mailbox, (b"&AOQ-*",), "\xe4*"),
    "pattern, quoted": (strings.list_mailbox, (b'"%"',), "%"),
    "pattern, empty": (strings.list_mailbox, (b'""',), ""),
    "pattern, not canonical": (strings.list_mailbox, (b"R&D*",), "\ufffd"),
    "pattern, shifted LF": (strings.list_mailbox, (b"a&AAo-*",), "\ufffd"),
    "pattern, 8-bit": (strings.list_mailbox, (b'"\xff"',), "\ufffd"),
    "pattern, too long": (strings.list_mailbox, (b"*" * 1001,), Cannot),
    "pattern, none": (strings.list_mailbox, (b"(",), BAD),
    "flag, system": (strings.flag, (rb"\sEEN",), rb"\Seen"),
    "flag, extension": (strings.flag, (rb"\Foo",), rb"\Foo"),
    "flag, Recent": (strings.flag, (rb"\recent",), BAD),
    "flag, star": (strings.flag, (rb"\*",), BAD),
    "flag, backslash": (strings.flag, (b"\\",), BAD),
    "flag, keyword": (strings.flag, (b"$Forwarded",), b"$Forwarded"),
    "flag, bracket": (strings.flag_list, (b"(a])",), BAD),
    "flag, quoted": (strings.flag, (b'"a"',), BAD),
    "flag, too long": (strings.flag, (b"a" * 65,), LimitReached),
    "flag list, empty": (strings.flag_list, (b"()",), ()),
    "flag list": (strings.flag_list, (rb"(\seen a)",), (rb"\Seen", b"a")),
    "flag list, two spaces": (strings.flag_list, (b"(a  b)",), BAD),
    "flag list, space at the end": (strings.flag_list, (b"(a )",), BAD),
    "flag list, open": (strings.flag_list, (b"(a",), BAD),
    "flag list, nested": (strings.flag_list, (b"((a))",), BAD),
    "flag list, too many": (
        strings.flag_list,
        (b"(" + b" ".join([b"a"] * 10001) + b")",),
        LimitReached,
    ),
    "set, number": (sets.sequence_set, (b"7",), SequenceSet(((7, 7),))),
    "set, range": (sets.sequence_set, (b"4:2",), SequenceSet(((4, 2),))),
    "set, star": (
        sets.sequence_set,
        (b"*,1:*",),
        SequenceSet(((STAR, STAR), (1, STAR))),
    ),
    "set, saved": (sets.sequence_set, (b"$",), SequenceSet((), saved=True)),
    "set, saved and more": (sets.sequence_set, (b"$,1",), BAD),
    "set, largest": (
        sets.sequence_set,
        (b"1:4294967295",),
        SequenceSet(((1, 4294967295),)),
    ),
    "set, too large": (sets.sequence_set, (b"4294967296",), BAD),
    "set, 0": (sets.sequence_set, (b"0",), BAD),
    "set, from 0": (sets.sequence_set, (b"0:1",), BAD),
    "set, leading zero": (sets.sequence_set, (b"01",), BAD),
    "set, 5000 digits": (sets.sequence_set, (b"9" * 5000,), BAD),
    "set, empty item": (sets.sequence_set, (b"1,,2",), BAD),
    "set, comma at the end": (sets.sequence_set, (b"1,",), BAD),
    "set, open range": (sets.sequence_set, (b"1:",), BAD),
    "set, range of three": (sets.sequence_set, (b"1:2:3",), BAD),
    "set, star and digit": (sets.sequence_set, (b"*1",), BAD),
    "set, none": (sets.sequence_set, (b"a",), BAD),
    "date": (dates.date, (b"1-Feb-2020",), date(2020, 2, 1)),
    "date, two digits": (dates.date, (b"01-FEB-2020",), date(2020, 2, 1)),
    "date, quoted": (dates.date, (b'"29-feb-2020"',), date(2020, 2, 29)),
    "date, half quoted": (dates.date, (b'"1-Feb-2020',), BAD),
    "date, no such day": (dates.date, (b"30-Feb-2020",), BAD),
    "date, no such month": (dates.date, (b"1-Foo-2020",), BAD),
    "date, year 0": (dates.date, (b"1-Feb-0000",), BAD),
    "date, numbers": (dates.date, (b"2020-02-01",), BAD),
    "date-time": (
        dates.date_time,
        (b'"17-Jul-1996 02:44:25 -0730"',),
        datetime(
            1996, 7, 17, 2, 44, 25, tzinfo=timezone(-timedelta(hours=7, minutes=30))
        ),
    ),
    "date-time, space": (
        dates.date_time,
        (b'" 7-Jul-1996 02:44:25 +0000"',),
        datetime(1996, 7, 7, 2, 44, 25, tzinfo=UTC),
    ),
    "date-time, one digit": (
        dates.date_time,
        (b'"7-Jul-1996 02:44:25 +0000"',),
        datetime(1996, 7, 7, 2, 44, 25, tzinfo=UTC),
    ),
    "date-time, hour 24": (dates.date_time, (b'"17-Jul-1996 24:00:00 +0000"',), BAD),
    "date-time, second 60": (dates.date_time, (b'"30-Jun-2015 23:59:60 +0000"',), BAD),
    "date-time, zone": (dates.date_time, (b'"17-Jul-1996 02:44:25 +2400"',), BAD),
    "date-time, zone minutes": (
        dates.date_time,
        (b'"17-Jul-1996 02:44:25 +0060"',),
        BAD,
    ),
    "date-time, no zone": (dates.date_time, (b'"17-Jul-1996 02:44:25"',), BAD),
    "date-time, not quoted": (dates.date_time, (b"17-Jul-1996 02:44:25 +0000",), BAD),
}


class RuleTests(unittest.TestCase):
    def test_cases(self) -> None:
        for name, (rule, parts, expected) in CASES.items():
            cursor = Cursor(parts)
            if isinstance(expected, type) and issubclass(expected, ImapError):
                with self.assertRaises(expected, msg=name):
                    rule(cursor)
                    cursor.end()
            else:
                self.assertEqual(rule(cursor), expected, name)

    def test_dates_at_the_edges_have_a_time(self) -> None:
        for text in (b'"01-Jan-0001 00:00:00 +2359"', b'"31-Dec-9999 23:59:59 -2359"'):
            dates.date_time(Cursor((text,))).timestamp()

    def test_messages_are_ours(self) -> None:
        for name, (rule, parts, expected) in CASES.items():
            if not (isinstance(expected, type) and issubclass(expected, ImapError)):
                continue
            try:
                rule(cursor := Cursor(parts))
                cursor.end()
            except ImapError as error:
                self.assertRegex(str(error), r"\A[ -~]+\Z", name)

    def test_leading_tag(self) -> None:
        table = {
            b"a1 NOOP": b"a1",
            b"a1": b"a1",
            b"": None,
            b" a": None,
            b"+ x": None,
            b"a\r": None,
            b'a"b c': None,
            b"a" * 65: None,
        }
        for text, expected in table.items():
            self.assertEqual(strings.leading_tag(text), expected, text)

    def test_limits_are_those_given(self) -> None:
        limits = Limits(tag_octets=16, keyword_octets=16, mailbox_name_octets=100)
        for rule, octets in (
            (strings.tag, b"a" * 17),
            (strings.flag, b"a" * 17),
            (strings.mailbox, b"a" * 101),
        ):
            rule(Cursor((octets[1:],), limits))
            with self.assertRaises(ImapError):
                rule(Cursor((octets,), limits))


class CursorTests(unittest.TestCase):
    def test_ends(self) -> None:
        cursor = Cursor((b"a", b"l", b" b"))
        self.assertEqual(strings.atom(cursor), b"a")
        self.assertTrue(cursor.at_text_end)
        self.assertFalse(cursor.at_end)
        self.assertRaises(SyntaxRejected, cursor.end)
        self.assertEqual(cursor.peek(), b"")
        self.assertEqual(cursor.literal(), b"l")
        cursor.space()
        self.assertIsNone(cursor.literal())
        self.assertEqual(cursor.peek(), b"b")
        self.assertTrue(cursor.skip(b"B"))
        self.assertTrue(cursor.at_end)
        cursor.end()
        self.assertIsNone(cursor.literal())

    def test_spaces(self) -> None:
        for name, text in {"none": b"a", "TAB": b"\t", "end": b""}.items():
            with self.assertRaises(SyntaxRejected, msg=name):
                Cursor((text,)).space()
