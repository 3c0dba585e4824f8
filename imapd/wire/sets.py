"""``sequence-set``: octets to ranges.  RFC 3501 §9, RFC 5182."""

from imapd.errors import SyntaxRejected
from imapd.ids import LARGEST_NUMBER
from imapd.model.sets import STAR, SequenceSet
from imapd.wire.chars import SEQUENCE_SET_CHARS
from imapd.wire.cursor import Cursor

_NUMBER_DIGITS = len(str(LARGEST_NUMBER))
_ZERO = ord("0")


#   seq-number = nz-number / "*"                            ; RFC 3501 §9
def _seq_number(octets: bytes) -> int:
    if octets == b"*":
        return STAR
    if not octets.isdigit() or octets[0] == _ZERO or len(octets) > _NUMBER_DIGITS:
        raise SyntaxRejected("expected a sequence set")
    number = int(octets)
    if number > LARGEST_NUMBER:
        raise SyntaxRejected("number out of range")
    return number


#   sequence-set = (seq-number / seq-range) *("," sequence-set)
#   seq-range    = seq-number ":" seq-number                ; RFC 3501 §9
#   sequence-set =/ seq-last-command                        ; RFC 5182 §3
#   seq-last-command = "$"
def sequence_set(cursor: Cursor) -> SequenceSet:
    """Read a set of message numbers or UIDs, in time linear in its octets.

    Raises:
        SyntaxRejected: it is malformed, or a number is 0 or above 2**32 - 1.
    """
    octets = cursor.expect(SEQUENCE_SET_CHARS, "a sequence set")
    if octets == b"$":
        return SequenceSet((), saved=True)
    ranges: list[tuple[int, int]] = []
    for item in octets.split(b","):
        first, colon, last = item.partition(b":")
        number = _seq_number(first)
        ranges.append((number, _seq_number(last) if colon else number))
    return SequenceSet(tuple(ranges))
