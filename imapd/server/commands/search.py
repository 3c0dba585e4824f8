"""SEARCH.  RFC 3501 §6.4.4, RFC 4731."""

from collections.abc import Sequence

from imapd.errors import SyntaxRejected
from imapd.ids import Uid
from imapd.model.numbered import Numbered
from imapd.model.requests import Search
from imapd.model.search import ModSeqAtLeast, Numbers, Return, walk
from imapd.server.registry import command
from imapd.server.session import Session
from imapd.server.states import SELECTED
from imapd.wire import commands as grammar
from imapd.wire import response


@command(b"SEARCH", SELECTED, grammar=grammar.search, may_expunge=False)
async def search(session: Session, arguments: Search) -> bytes:
    """Answer with message numbers."""
    await _search(session, arguments)
    return b"SEARCH completed"


@command(b"UID SEARCH", SELECTED, grammar=grammar.uid_search)
async def uid_search(session: Session, arguments: Search) -> bytes:
    """Answer with UIDs."""
    await _search(session, arguments)
    return b"UID SEARCH completed"


async def _search(session: Session, arguments: Search) -> None:
    returns = arguments.returns
    if returns is not None and Return.SAVE in returns:
        raise SyntaxRejected("SAVE is not offered here")
    keys = list(walk(arguments.key))
    # RFC 7162 §3.2.10.2: not while the client counts by message numbers.
    session.holds_expunges = any(
        isinstance(key, Numbers) and not key.uid for key in keys
    )
    by_modseq = any(isinstance(key, ModSeqAtLeast) for key in keys)
    if by_modseq:
        await session.enable_condstore()
        session.require_modseqs()
    try:
        found = await session.mailbox.search(arguments.key)
    except IndexError:
        raise SyntaxRejected("No message has this number") from None
    numbers: Sequence[int] = found.uids if arguments.uid else found.seqs
    modseq = None
    if by_modseq and found:
        modseq = max(map(session.mailbox.modseq, _told(found, returns)))
    if returns is None:
        session.untagged(response.search(numbers, modseq))
        return
    pairs: list[tuple[bytes, int]] = []
    if numbers and Return.MIN in returns:
        pairs.append((b"MIN", numbers[0]))
    if numbers and Return.MAX in returns:
        pairs.append((b"MAX", numbers[-1]))
    if Return.COUNT in returns:
        pairs.append((b"COUNT", len(numbers)))
    # RETURN () means ALL.  RFC 4731 §3.1.
    wants_all = Return.ALL in returns or not returns
    session.untagged(
        response.esearch(
            session.tag, arguments.uid, pairs, numbers if wants_all else None, modseq
        )
    )


def _told(found: Numbered, returns: frozenset[Return] | None) -> Sequence[Uid]:
    """The messages whose highest MODSEQ is told.  RFC 4731 §3.2.

    All of them, but if MIN or MAX or both are all that was asked for, these.
    """
    uids = found.uids
    if not returns or not returns <= {Return.MIN, Return.MAX}:
        return uids
    ends = {Return.MIN: uids[0], Return.MAX: uids[-1]}
    return [ends[each] for each in returns]
