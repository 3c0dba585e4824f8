"""SEARCH.  RFC 3501 §6.4.4, RFC 4731."""

from collections.abc import Sequence

from imapd.errors import SyntaxRejected
from imapd.model.requests import Search
from imapd.model.search import Return
from imapd.server.commands.searching import highest_modseq, searching, send, told_of
from imapd.server.registry import command
from imapd.server.session import Session
from imapd.server.states import SELECTED
from imapd.wire import commands as grammar
from imapd.wire import response
from imapd.wire.sorted import search_data


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
    async with searching(session, arguments.key) as by_modseq:
        found = await session.mailbox.search(arguments.key)
    numbers: Sequence[int] = found.uids if arguments.uid else found.seqs
    modseq = None
    if by_modseq and found:
        modseq = highest_modseq(session, found.uids, returns)
    if returns is None:
        await send(session, search_data(numbers, modseq))
        return
    # RETURN () means ALL.  RFC 4731 §3.1.
    wants_all = Return.ALL in returns or not returns
    wanted = numbers if wants_all else None
    pairs = told_of(numbers, returns)
    session.untagged(
        response.esearch(session.tag, arguments.uid, pairs, wanted, modseq)
    )
