"""IDLE.  RFC 2177."""

from imapd.errors import SyntaxRejected
from imapd.model.requests import Nothing
from imapd.server.registry import command
from imapd.server.session import Session
from imapd.server.states import LOGGED_IN
from imapd.wire import commands as grammar
from imapd.wire import response

#: Routers forget connections on which nothing moves.
KEEPALIVE_SECONDS = 120


@command(b"IDLE", LOGGED_IN, grammar=grammar.no_arguments)
async def idle(session: Session, arguments: Nothing) -> bytes:
    """Tell what changes, until the client says DONE."""
    session.connection.send(response.continuation(b"idling"))
    selected = session.selected
    session.idling = True
    session.connection.remind(KEEPALIVE_SECONDS)
    try:
        if selected is not None:
            selected.watch(True)
            await session.refresh()
            session.tell_news(may_expunge=True)
        line = await session.connection.read_line()
    finally:
        session.idling = False
        session.connection.remind(None)
        if selected is not None:
            selected.watch(False)
    if line.upper() != b"DONE":
        raise SyntaxRejected("IDLE ends with DONE")
    return b"IDLE completed"
