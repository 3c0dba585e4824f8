"""The Date field, as senders write it."""

from datetime import datetime, timedelta, timezone
from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from imapd.mime.dates import parse_date

SENT = datetime(2003, 7, 1, 10, 52, 37)


def zoned(hours: float, when: datetime = SENT) -> datetime:
    return when.replace(tzinfo=timezone(timedelta(hours=hours)))


MINUTES = SENT.replace(second=0)
DAY = datetime(2003, 7, 1)
CASES = {
    "usual": (b" Tue, 1 Jul 2003 10:52:37 +0200\r\n", zoned(2)),
    "no weekday": (b"1 Jul 2003 10:52:37 +0200", zoned(2)),
    "no seconds": (b"1 Jul 2003 10:52 +0200", zoned(2, MINUTES)),
    "west": (b"Tue, 01 Jul 2003 10:52:37 -0330", zoned(-3.5)),
    "unknown zone": (b"Tue, 1 Jul 2003 10:52:37 -0000", zoned(0)),
    "no zone": (b"Tue, 1 Jul 2003 10:52:37", zoned(0)),
    "GMT": (b"Tue, 1 Jul 2003 10:52:37 GMT", zoned(0)),
    "EST": (b"Tue, 1 Jul 2003 10:52:37 EST", zoned(-5)),
    "military": (b"Tue, 1 Jul 2003 10:52:37 A", zoned(0)),
    "word for a zone": (b"Tue, 1 Jul 2003 10:52:37 CEST", zoned(0)),
    "zone and comment": (b"Tue, 1 Jul 2003 10:52:37 +0200 (CEST)", zoned(2)),
    "wild zone": (b"Tue, 1 Jul 2003 10:52:37 +9999", zoned(0)),
    "two digits": (b"1 Jul 03 10:52:37 +0000", zoned(0)),
    "two digits, old": (b"1 Jul 97 10:52:37 Z", zoned(0, SENT.replace(year=1997))),
    "three digits": (b"1 Jul 103 10:52:37 Z", zoned(0)),
    "folded": (b" Tue,\r\n 1 Jul\r\n\t2003 10:52:37 +0200\r\n", zoned(2)),
    "comments": (
        b"Tue (a(b)) , 1 (\\) c) Jul 2003 10(x) : 52 :37 +0200",
        zoned(2),
    ),
    "unclosed comment": (b"1 Jul 2003 (10:52", zoned(0, DAY)),
    "hyphens": (b"01-Jul-2003 10:52:37 +0200", zoned(2)),
    "no time": (b"Tue, 1 Jul 2003", zoned(0, DAY)),
    "long names": (b"Tuesday, 1 July 2003 10:52:37 +0200", zoned(2)),
    "case": (b"TUE, 1 JUL 2003 10:52:37 gmt", zoned(0)),
    "leap second": (b"1 Jul 2003 10:52:60 Z", zoned(0, SENT.replace(second=59))),
    "time out of range": (b"1 Jul 2003 99:99:99 +0200", zoned(2, DAY)),
    "ctime": (b"Tue Jul  1 10:52:37 2003", zoned(0)),
    "ctime with zone": (b"Tue Jul  1 10:52:37 PST 2003", zoned(-8)),
    "empty": (b"", None),
    "words": (b"yesterday", None),
    "30 February": (b"30 Feb 2003 10:52:37 Z", None),
    "year 0": (b"1 Jan 0000 00:00 Z", None),
    "unknown month": (b"1 Foo 2003 10:52:37 Z", None),
    "five digits": (b"1 Jul 20031", None),
}


class DateTests(TestCase):
    def test_cases(self) -> None:
        for name, (value, expected) in CASES.items():
            found = parse_date(value)
            self.assertEqual(found, expected, name)
            if found is not None and expected is not None:
                self.assertEqual(found.date(), expected.date(), name)
                self.assertEqual(found.utcoffset(), expected.utcoffset(), name)

    @given(
        st.binary(max_size=80) | st.text("0123456789 :,+-()JulMonZ\r\n").map(str.encode)
    )
    def test_anything_is_a_date_or_none(self, value: bytes) -> None:
        found = parse_date(value)
        self.assertTrue(found is None or found.utcoffset() is not None, value)
