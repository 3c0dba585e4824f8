"""``date`` and ``date-time``.  RFC 3501 §9."""

import datetime
import re

from imapd.errors import SyntaxRejected
from imapd.wire.cursor import Cursor

_MONTHS = (
    b"JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()  # never from the locale
)

# Fixed widths: nothing to backtrack over.
_DATE_TEXT = re.compile(rb"[0-9]{1,2}-[A-Za-z]{3}-[0-9]{4}")
_DATE_TIME = re.compile(
    rb'"( [0-9]|[0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})'
    rb" ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})\""
)


def _month(octets: bytes) -> int:
    try:
        return _MONTHS.index(octets.upper()) + 1
    except ValueError as error:
        raise SyntaxRejected("expected the name of a month") from error


#   date      = date-text / DQUOTE date-text DQUOTE         ; RFC 3501 §9
#   date-text = date-day "-" date-month "-" date-year
def date(cursor: Cursor) -> datetime.date:
    """Read the date of a search key.

    Raises:
        SyntaxRejected: it is malformed, or no day of the calendar.
    """
    quoted = cursor.skip(b'"')
    text = cursor.expect(_DATE_TEXT, "a date")
    if quoted and not cursor.skip(b'"'):
        raise SyntaxRejected("expected the end of the quoted date")
    day, month, year = text.split(b"-")
    try:
        return datetime.date(int(year), _month(month), int(day))
    except ValueError as error:
        raise SyntaxRejected("date out of range") from error


#   date-time      = DQUOTE date-day-fixed "-" date-month "-" date-year
#                    SP time SP zone DQUOTE
#   date-day-fixed = (SP DIGIT) / 2DIGIT
#   time           = 2DIGIT ":" 2DIGIT ":" 2DIGIT
#   zone           = ("+" / "-") 4DIGIT                     ; RFC 3501 §9
def date_time(cursor: Cursor) -> datetime.datetime:
    """Read the internal date of APPEND, with its zone.

    A day of one digit without the space before it is taken too.

    Raises:
        SyntaxRejected: it is malformed, or out of range.
    """
    found = _DATE_TIME.fullmatch(cursor.expect(_DATE_TIME, "a date-time"))
    if found is None:  # cannot be: the same pattern has just matched
        raise SyntaxRejected("expected a date-time")
    day, month, year, hour, minute, second, sign, hours, minutes = found.groups()
    if int(minutes) > 59:
        raise SyntaxRejected("zone out of range")
    east = datetime.timedelta(hours=int(hours), minutes=int(minutes))
    try:
        return datetime.datetime(
            int(year),
            _month(month),
            int(day),
            int(hour),
            int(minute),
            int(second),
            tzinfo=datetime.timezone(-east if sign == b"-" else east),
        )
    except ValueError as error:
        raise SyntaxRejected("date-time out of range") from error
