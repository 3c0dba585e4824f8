"""The arguments that RFC 7162 adds to SELECT, FETCH and STORE.

A modifier stands at most once; one that we do not know is BAD.  RFC 4466 §2.
"""

from collections.abc import Callable

from imapd.errors import SyntaxRejected
from imapd.model.requests import Resync, Select, SequenceMatch
from imapd.model.sets import SequenceSet
from imapd.wire.chars import DIGITS
from imapd.wire.cursor import Cursor
from imapd.wire.sets import sequence_set
from imapd.wire.strings import mailbox, nz_number, word

_LARGEST_MODSEQ = 2**63 - 1  # RFC 7162 §7
_MODSEQ_DIGITS = len(str(_LARGEST_MODSEQ))


#   mod-sequence-valzer = "0" / mod-sequence-value
#   mod-sequence-value  = 1*DIGIT    ; 1 <= n <= 2**63 - 1  ; RFC 7162 §7
def mod_sequence(cursor: Cursor, *, least: int = 0) -> int:
    """Read one modification sequence.

    Raises:
        SyntaxRejected: it is none, below ``least``, or needs more than 63 bits.
    """
    digits = cursor.expect(DIGITS, "a modification sequence")
    # int() of unbounded digits is quadratic, hence the count first.
    if len(digits) > _MODSEQ_DIGITS or not least <= int(digits) <= _LARGEST_MODSEQ:
        raise SyntaxRejected("modification sequence out of range")
    return int(digits)


Rule = Callable[[Cursor], object]


def _modifiers(cursor: Cursor, rules: dict[bytes, Rule]) -> dict[bytes, object]:
    """Read ``"(" modifier *(SP modifier) ")"``: what each rule made of its own."""
    cursor.open_paren()
    found: dict[bytes, object] = {}
    while True:
        name = word(cursor, "a modifier")
        if name not in rules or name in found:
            raise SyntaxRejected("unknown modifier, or twice the same")
        found[name] = rules[name](cursor)
        if cursor.skip(b")"):
            return found
        cursor.space()


def _nothing(cursor: Cursor) -> None:
    """Read nothing: the name was all."""


#   fetch-modifier      = chgsince-fetch-mod / rexpunges-fetch-mod
#   chgsince-fetch-mod  = "CHANGEDSINCE" SP mod-sequence-value
#   rexpunges-fetch-mod = "VANISHED"                        ; RFC 7162 §7
def fetch_modifiers(cursor: Cursor, *, uid: bool) -> tuple[int | None, bool]:
    """Read the rest of FETCH: (CHANGEDSINCE, VANISHED); None: all messages.

    The grammar has no CHANGEDSINCE 0, and yet clients that know nothing send it.

    Raises:
        SyntaxRejected: VANISHED without CHANGEDSINCE or UID.  RFC 7162 §3.2.6.
    """
    if cursor.at_end:
        return None, False
    cursor.space()
    rules: dict[bytes, Rule] = {b"CHANGEDSINCE": _spaced, b"VANISHED": _nothing}
    found = _modifiers(cursor, rules)
    since = found.get(b"CHANGEDSINCE")
    vanished = b"VANISHED" in found
    if vanished and (since is None or not uid):
        raise SyntaxRejected("VANISHED needs UID FETCH and CHANGEDSINCE")
    return since if isinstance(since, int) else None, vanished


def _spaced(cursor: Cursor) -> int:
    cursor.space()
    return mod_sequence(cursor)


#   store-modifier = "UNCHANGEDSINCE" SP mod-sequence-valzer  ; RFC 7162 §7
def store_modifiers(cursor: Cursor) -> int | None:
    """Read ``(UNCHANGEDSINCE n)`` and the SP behind it, if it comes next."""
    if cursor.peek() != b"(":
        return None
    since = _modifiers(cursor, {b"UNCHANGEDSINCE": _spaced})[b"UNCHANGEDSINCE"]
    cursor.space()
    return since if isinstance(since, int) else None


#   select        = "SELECT" SP mailbox [select-params]
#   select-params = SP "(" select-param *(SP select-param) ")"  ; RFC 4466 §3
#   select-param  = "CONDSTORE" / "QRESYNC" SP "(" uidvalidity SP
#                   mod-sequence-value [SP known-uids] [SP seq-match-data] ")"
def select(cursor: Cursor) -> Select:
    """Read a mailbox and what is known of it: SELECT and EXAMINE."""
    cursor.space()
    name = mailbox(cursor)
    if cursor.at_end:
        return Select(name)
    cursor.space()
    rules: dict[bytes, Rule] = {b"CONDSTORE": _nothing, b"QRESYNC": _resync}
    found = _modifiers(cursor, rules)
    cursor.end()
    resync = found.get(b"QRESYNC")
    return Select(
        name,
        condstore=bool(found),
        resync=resync if isinstance(resync, Resync) else None,
    )


def _resync(cursor: Cursor) -> Resync:
    cursor.space()
    cursor.open_paren()
    uid_validity = nz_number(cursor, "a UIDVALIDITY")
    cursor.space()
    modseq = mod_sequence(cursor, least=1)
    known: SequenceSet | None = None
    match: SequenceMatch | None = None
    if cursor.skip(b" "):
        if cursor.peek() != b"(":
            known = _starless(cursor)
        if known is None or cursor.skip(b" "):
            match = _sequence_match(cursor)
    cursor.close_paren()
    return Resync(uid_validity, modseq, known, match)


#   seq-match-data = "(" known-sequence-set SP known-uid-set ")"  ; RFC 7162 §7
def _sequence_match(cursor: Cursor) -> SequenceMatch:
    """Read message numbers and their UIDs.

    Raises:
        SyntaxRejected: not ascending, or not as many of one as of the other.
            RFC 7162 §3.2.5.2.
    """
    cursor.open_paren()
    numbers = _starless(cursor)
    cursor.space()
    uids = _starless(cursor)
    cursor.close_paren()
    if not (numbers.ascends and uids.ascends):
        raise SyntaxRejected("expected ascending numbers")
    if numbers.count != uids.count:
        raise SyntaxRejected("expected as many UIDs as message numbers")
    return SequenceMatch(numbers, uids)


#   known-uids = sequence-set          ; "*" is not allowed  ; RFC 7162 §7
def _starless(cursor: Cursor) -> SequenceSet:
    numbers = sequence_set(cursor)
    if numbers.has_star or numbers.saved:
        raise SyntaxRejected("expected numbers only")
    return numbers
