"""FETCH.  RFC 3501 §6.4.5, §6.4.8."""

from imapd.errors import MessageGone
from imapd.mailbox.streams import BrokenLiteral
from imapd.model.requests import Fetch
from imapd.server.commands.numbers import any_gone, messages
from imapd.server.registry import command
from imapd.server.session import Session
from imapd.server.states import SELECTED
from imapd.wire import commands as grammar


@command(b"FETCH", SELECTED, grammar=grammar.fetch, may_expunge=False)
async def fetch(session: Session, arguments: Fetch) -> bytes:
    r"""Send what was asked for, batch by batch, as fast as the client reads.

    Setting ``\Seen`` is told in the same response.
    """
    await _fetch(session, arguments)
    return b"FETCH completed"


@command(b"UID FETCH", SELECTED, grammar=grammar.uid_fetch)
async def uid_fetch(session: Session, arguments: Fetch) -> bytes:
    """FETCH by UID; UIDs that are not there are passed over.  RFC 3501 §6.4.8.

    So are messages that others expunged: unlike FETCH, this command may tell of
    them before it ends, and clients take a NO for the end of their work.
    """
    try:
        await _fetch(session, arguments)
    except MessageGone:
        await session.refresh()
        if not any_gone(session, arguments.numbers):
            raise
    return b"UID FETCH completed"


async def _fetch(session: Session, arguments: Fetch) -> None:
    named = messages(session, arguments.numbers, uid=arguments.uid)
    session.tell_keywords()  # before a message that shows them.  RFC 3501 §7.2.6
    batches = session.mailbox.fetch(named, arguments.items, with_uid=arguments.uid)
    try:
        async for batch in batches:
            session.connection.send(batch)
            await session.connection.ready()
    except BrokenLiteral as error:
        # The client waits for octets that there are not: no answer can be told
        # from them.
        session.connection.abort(f"a message changed while it was sent: {error}")
        raise ConnectionAbortedError("a literal was cut off") from error
    finally:
        await batches.aclose()  # the client may have left in the midst of it
