"""SORT and THREAD.  RFC 5256, RFC 5957, RFC 5267 §3."""

from imapd.ids import Uid
from imapd.model.requests import Sort, Thread
from imapd.model.search import Return
from imapd.server.commands.searching import highest_modseq, searching, send, told_of
from imapd.server.registry import command
from imapd.server.session import Session
from imapd.server.states import SELECTED
from imapd.wire import sort as grammar
from imapd.wire.sorted import esort_data, sort_data, thread_data


@command(b"SORT", SELECTED, grammar=grammar.sort, may_expunge=False)
async def sort(session: Session, arguments: Sort) -> bytes:
    """Answer with message numbers."""
    await _sort(session, arguments)
    return b"SORT completed"


@command(b"UID SORT", SELECTED, grammar=grammar.uid_sort)
async def uid_sort(session: Session, arguments: Sort) -> bytes:
    """Answer with UIDs; unlike after SORT, others' EXPUNGE may be told."""
    await _sort(session, arguments)
    return b"UID SORT completed"


@command(b"THREAD", SELECTED, grammar=grammar.thread, may_expunge=False)
async def thread(session: Session, arguments: Thread) -> bytes:
    """Answer with message numbers."""
    await _thread(session, arguments)
    return b"THREAD completed"


@command(b"UID THREAD", SELECTED, grammar=grammar.uid_thread)
async def uid_thread(session: Session, arguments: Thread) -> bytes:
    """Answer with UIDs; unlike after THREAD, others' EXPUNGE may be told."""
    await _thread(session, arguments)
    return b"UID THREAD completed"


async def _sort(session: Session, arguments: Sort) -> None:
    async with searching(session, arguments.key) as by_modseq:
        numbers = await session.mailbox.sort(
            arguments.criteria,
            arguments.key,
            uid=arguments.uid,
            pause=session.connection.ready,
        )
    returns, partial = arguments.returns, arguments.partial
    modseq = None
    if by_modseq and numbers:
        view = session.mailbox.view
        uids = numbers if arguments.uid else [view.uids[n - 1] for n in numbers]
        modseq = highest_modseq(session, [Uid(uid) for uid in uids], returns)
    if returns is None:
        await send(session, sort_data(numbers, modseq))
        return
    pairs = told_of(numbers, returns)
    if partial is not None:
        numbers = numbers[partial[0] - 1 : partial[1]]
    wanted = numbers if partial is not None or Return.ALL in returns else None
    line = esort_data(
        session.tag, arguments.uid, pairs, wanted, partial=partial, modseq=modseq
    )
    await send(session, line)


async def _thread(session: Session, arguments: Thread) -> None:
    async with searching(session, arguments.key):
        threads, numbers = await session.mailbox.thread(
            arguments.algorithm,
            arguments.key,
            uid=arguments.uid,
            pause=session.connection.ready,
        )
    await send(session, thread_data(threads, numbers))
