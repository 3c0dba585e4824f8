"""SORT and THREAD: octets to requests.  RFC 5256 §5, RFC 5957 §5, RFC 5267 §5."""

from imapd.errors import SyntaxRejected
from imapd.model.requests import Sort, Thread
from imapd.model.search import Return
from imapd.model.sort import Criterion, SortKey, ThreadAlgorithm, effective
from imapd.wire.cursor import Cursor
from imapd.wire.search import search_criteria
from imapd.wire.strings import atom, nz_number, parenthesised, word

_KEYS = {key.value.encode("ascii"): key for key in SortKey}
_ALGORITHMS = {each.value.encode("ascii"): each for each in ThreadAlgorithm}
_RETURNS = {
    each.value.encode("ascii"): each
    for each in (Return.MIN, Return.MAX, Return.ALL, Return.COUNT)
}


#   sort          = ["UID" SP] "SORT" SP sort-criteria SP search-criteria
#   extended-sort = ["UID" SP] "SORT" search-return-opts
#                   SP sort-criteria SP search-criteria     ; RFC 5267 §5
def sort(cursor: Cursor) -> Sort:
    """Read SORT; ``RETURN ()`` is ``RETURN (ALL)``.  RFC 5267 §3.3.

    Raises:
        SyntaxRejected: malformed, or a criterion or option that we do not know.
        BadCharset, LimitReached: as for SEARCH.
    """
    return _sort(cursor, uid=False)


def uid_sort(cursor: Cursor) -> Sort:
    """Read ``UID SORT``: like SORT, the answer is of UIDs."""
    return _sort(cursor, uid=True)


def _sort(cursor: Cursor, *, uid: bool) -> Sort:
    cursor.space()
    returns: frozenset[Return] | None = None
    partial: tuple[int, int] | None = None
    if cursor.skip(b"RETURN "):
        returns, partial = _return_options(cursor)
        cursor.space()
    criteria = effective(parenthesised(cursor, _criterion))
    if not criteria:
        raise SyntaxRejected("expected a sort criterion")
    cursor.space()
    return Sort(criteria, search_criteria(cursor), returns, partial, uid)


#   sort-criterion = ["REVERSE" SP] sort-key
#   sort-key       = "ARRIVAL" / "CC" / "DATE" / "FROM" / "SIZE" / "SUBJECT" / "TO"
#   sort-key       =/ "DISPLAYFROM" / "DISPLAYTO"           ; RFC 5957 §5
def _criterion(cursor: Cursor) -> Criterion:
    name = word(cursor, "a sort criterion")
    reverse = name == b"REVERSE"
    if reverse:
        cursor.space()
        name = word(cursor, "a sort criterion after REVERSE")
    if name not in _KEYS:
        raise SyntaxRejected("unknown sort criterion")
    return Criterion(_KEYS[name], reverse)


#   search-return-opt = "MIN" / "MAX" / "ALL" / "COUNT"     ; RFC 4731 §4
#   modifier-partial  = "PARTIAL" SP partial-range          ; RFC 5267 §5
def _return_options(
    cursor: Cursor,
) -> tuple[frozenset[Return], tuple[int, int] | None]:
    options = parenthesised(cursor, _return_option)
    partials = [each for each in options if isinstance(each, tuple)]
    returns = frozenset(each for each in options if isinstance(each, Return))
    # "either one PARTIAL, one ALL, or neither PARTIAL nor ALL is allowed"
    if len(partials) > 1 or (partials and Return.ALL in returns):
        raise SyntaxRejected("one PARTIAL, or ALL, or neither")
    if not options:
        returns = frozenset((Return.ALL,))
    return returns, partials[0] if partials else None


#   partial-range = nz-number ":" nz-number   ; 500:400 is the same as 400:500
def _return_option(cursor: Cursor) -> Return | tuple[int, int]:
    name = word(cursor, "a return option")
    if name == b"PARTIAL":
        cursor.space()
        first = nz_number(cursor, "a range of results")
        if not cursor.skip(b":"):
            raise SyntaxRejected("expected a range of results")
        last = nz_number(cursor, "a range of results")
        return min(first, last), max(first, last)
    if name not in _RETURNS:
        raise SyntaxRejected("unknown return option")
    return _RETURNS[name]


#   thread = ["UID" SP] "THREAD" SP thread-alg SP search-criteria
def thread(cursor: Cursor) -> Thread:
    """Read THREAD.

    Raises:
        SyntaxRejected: malformed, or an algorithm that we do not know.
        BadCharset, LimitReached: as for SEARCH.
    """
    return _thread(cursor, uid=False)


def uid_thread(cursor: Cursor) -> Thread:
    """Read ``UID THREAD``: like THREAD, the answer is of UIDs."""
    return _thread(cursor, uid=True)


def _thread(cursor: Cursor, *, uid: bool) -> Thread:
    cursor.space()
    name = atom(cursor, "a threading algorithm").upper()
    if name not in _ALGORITHMS:
        raise SyntaxRejected("unknown threading algorithm")
    cursor.space()
    return Thread(_ALGORITHMS[name], search_criteria(cursor), uid)
