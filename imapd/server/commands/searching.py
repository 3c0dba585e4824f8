"""What SEARCH, SORT and THREAD share: keys that are prepared, answers in numbers."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

from imapd.errors import SyntaxRejected
from imapd.ids import Uid
from imapd.model.search import ModSeqAtLeast, Numbers, Return, SearchKey, walk
from imapd.server.commands.numbers import NOTHING_SAVED, numbers_there
from imapd.server.session import Session


@asynccontextmanager
async def searching(session: Session, key: SearchKey) -> AsyncIterator[bool]:
    """What every command with search keys runs in; whether it asks by MODSEQ.

    Raises:
        Cannot: MODSEQ was asked for, and the mailbox keeps none.
        SyntaxRejected: a message number that is not there (RFC 3501 §9, seq-number),
            or the result of another SEARCH.
    """
    keys = list(walk(key))
    if any(isinstance(one, Numbers) and one.numbers.saved for one in keys):
        raise SyntaxRejected(NOTHING_SAVED)  # and NOT of it would be every message
    # RFC 7162 §3.2.10.2: not while the client counts by message numbers.
    session.holds_expunges = any(
        isinstance(one, Numbers) and not one.uid for one in keys
    )
    by_modseq = any(isinstance(one, ModSeqAtLeast) for one in keys)
    if by_modseq:
        await session.enable_condstore()
        session.require_modseqs()
    session.searching = True
    try:
        with numbers_there():
            yield by_modseq
    finally:
        session.searching = False


def highest_modseq(
    session: Session, uids: Sequence[Uid], returns: frozenset[Return] | None
) -> int:
    """The highest MODSEQ of the messages that are told.  RFC 4731 §3.2.

    Of all that were found, but if MIN or MAX or both are all that was asked for, of
    these.
    """
    told = uids
    if returns and returns <= {Return.MIN, Return.MAX}:
        ends = {Return.MIN: uids[0], Return.MAX: uids[-1]}
        told = [ends[each] for each in returns]
    return max(map(session.mailbox.modseq, told))


def told_of(
    numbers: Sequence[int], returns: frozenset[Return]
) -> list[tuple[bytes, int]]:
    """MIN, MAX and COUNT, as far as they were asked for.  RFC 4731 §3.1.

    After SORT the first and the last in the order of the criteria.  RFC 5267 §3.1.
    """
    pairs: list[tuple[bytes, int]] = []
    if numbers and Return.MIN in returns:
        pairs.append((b"MIN", numbers[0]))
    if numbers and Return.MAX in returns:
        pairs.append((b"MAX", numbers[-1]))
    if Return.COUNT in returns:
        pairs.append((b"COUNT", len(numbers)))
    return pairs


async def send(session: Session, pieces: Iterable[bytes]) -> None:
    """Send a line as fast as the client reads."""
    for piece in pieces:
        session.connection.send(piece)
        await session.connection.ready()
