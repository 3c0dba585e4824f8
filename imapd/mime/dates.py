"""The Date field.  RFC 5322 §3.3 and §4.3."""

import re
from datetime import UTC, datetime, timedelta, timezone

from imapd.mime.headers import unfold
from imapd.mime.lexical import without_comments

_MONTHS = (
    *(b"jan", b"feb", b"mar", b"apr", b"may", b"jun"),
    *(b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"),
)
_ZONE_HOURS = {b"ut": 0, b"gmt": 0, b"utc": 0, b"z": 0} | {
    b"edt": -4,
    b"est": -5,
    b"cdt": -5,
    b"cst": -6,
    b"mdt": -6,
    b"mst": -7,
    b"pdt": -7,
    b"pst": -8,
}
#: The longest value that is a date; a folded one with comments is far below.
_VALUE_OCTETS = 1000
_COLON = rb"\s*+[:.]\s*+"
_TIME = rb"(?P<hour>\d{1,2})%b(?P<minute>\d{1,2})(?:%b(?P<second>\d{1,2}))?" % (
    _COLON,
    _COLON,
)
_ZONE = rb"(?P<zone>[+-]\d{4}|[A-Za-z]++)?"
#   date-time = [day-of-week ","] date time [CFWS] ; date = day month year
_DATE_TIME = re.compile(
    rb"\s*+(?:[A-Za-z]++\s*+[.,]*+\s*+)?+(?P<day>\d{1,2})[\s-]++(?P<month>[A-Za-z]{3})"
    rb"[A-Za-z.]*+[\s,-]++(?P<year>\d{2,4})(?!\d)(?:[\s,]++%b\s*+%b)?" % (_TIME, _ZONE)
)
#: What ``ctime`` writes, and some mailers with it.
_CTIME = re.compile(
    rb"\s*+[A-Za-z]++,?+\s++(?P<month>[A-Za-z]{3})[a-z]*+\s++(?P<day>\d{1,2}),?+\s++"
    rb"(?:%b)\s++(?:%b\s++)?(?P<year>\d{4})(?!\d)" % (_TIME, _ZONE)
)


def parse_date(value: bytes) -> datetime | None:
    """Return the date of a Date field with its zone; None if there is no date.

    A zone that is missing, unknown or military is UTC (RFC 5322 §4.3: "-0000"), a
    year of two digits is 1950 to 2049, of three one from 1900 on.  The weekday is
    not compared, and a time out of range is midnight: SENTON compares dates only.

    The value may be folded, and have comments.
    """
    text = without_comments(unfold(value[:_VALUE_OCTETS]))
    match = _DATE_TIME.match(text) or _CTIME.match(text)
    if match is None or match["month"].lower() not in _MONTHS:
        return None
    month = 1 + _MONTHS.index(match["month"].lower())
    zone = _zone(match["zone"] or b"")
    hour, minute, second = (
        int(match[unit] or 0) for unit in ("hour", "minute", "second")
    )
    if hour > 23 or minute > 59 or second > 60:
        hour = minute = second = 0
    try:
        return datetime(
            _year(match["year"]),
            month,
            int(match["day"]),
            hour,
            minute,
            min(second, 59),  # 60 is a leap second, which datetime does not know
            tzinfo=zone,
        )
    except ValueError:  # the 30th of February, the year 0
        return None


#   obs-year = [CFWS] 2*DIGIT [CFWS]
def _year(digits: bytes) -> int:
    year = int(digits)
    if len(digits) == 2:
        return year + (2000 if year < 50 else 1900)
    return year + 1900 if len(digits) == 3 else year


#   zone = (FWS ( "+" / "-" ) 4DIGIT) / obs-zone
def _zone(text: bytes) -> timezone:
    if text[:1] in (b"+", b"-"):
        offset = timedelta(hours=int(text[1:3]), minutes=int(text[3:5]))
        if offset >= timedelta(hours=24):
            return UTC
        return timezone(-offset if text.startswith(b"-") else offset)
    return timezone(timedelta(hours=_ZONE_HOURS.get(text.lower(), 0)))
