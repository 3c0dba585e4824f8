"""What a client that comes back must be told, and SEARCH by number.  RFC 7162."""

from collections.abc import Callable, Mapping, Sequence

from imapd.errors import LimitReached
from imapd.ids import Uid
from imapd.model.modseqs import ModSeqs
from imapd.model.requests import SequenceMatch
from imapd.model.search import (
    And,
    ModSeqAtLeast,
    Not,
    Numbers,
    Or,
    SearchKey,
    walk,
)
from imapd.model.sets import Ranges, SequenceSet, intersect, runs, subtract

#: Sequences to be compared with in one SEARCH.
MOST_MODSEQS = 8


def vanished(
    modseqs: ModSeqs,
    modseq: int,
    named: Ranges,
    present: Sequence[Uid],
    match: int,
) -> Ranges:
    """The UIDs named that were expunged after ``modseq``.  RFC 7162 §3.2.6.

    Where that is not known any more, it is all that are named and not there:
    what the client does not have it need not remove.

    ``named`` is sorted and disjoint; ``present`` are the UIDs that are there or have
    a number in the session; up to ``match`` the client knows of every expunge.
    """
    gone = modseqs.vanished(modseq, named)
    if gone is None:
        gone = intersect(named, [(match + 1, 1 << 32)])
    return subtract(gone, present)


def matched_uid(match: SequenceMatch | None, uids: Sequence[Uid]) -> int:
    """The highest UID that has the number the client knows; 0: none.

    All below it are then as the client knows them.  RFC 7162 §3.2.5.2.
    """
    highest = 0
    if match is not None:
        pairs = zip(match.numbers.numbers(), match.uids.numbers(), strict=False)
        for number, uid in pairs:
            if number > len(uids):
                break
            if uids[number - 1] == uid:
                highest = uid
    return highest


def without_modseqs(key: SearchKey, newer: Callable[[int], Sequence[Uid]]) -> SearchKey:
    """The same key, with the UIDs of the messages in place of MODSEQ.

    ``newer`` returns those above a modification sequence; the key asks for those
    at it too.  RFC 7162 §3.1.5.

    Raises:
        LimitReached: too many sequences, each of which is held against all messages.
    """
    asked = {one.modseq for one in walk(key) if isinstance(one, ModSeqAtLeast)}
    if len(asked) > MOST_MODSEQS:
        raise LimitReached(f"At most {MOST_MODSEQS} MODSEQ in one SEARCH")
    found = {
        modseq: Numbers(SequenceSet(tuple(runs(newer(modseq - 1)))), uid=True)
        for modseq in asked
    }
    return _replaced(key, found) if asked else key


def _replaced(key: SearchKey, found: Mapping[int, Numbers]) -> SearchKey:
    match key:
        case ModSeqAtLeast(modseq):
            return found[modseq]
        case Not(inner):
            return Not(_replaced(inner, found))
        case Or(left, right):
            return Or(_replaced(left, found), _replaced(right, found))
        case And(keys):
            return And(tuple(_replaced(each, found) for each in keys))
    return key
