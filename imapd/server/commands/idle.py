"""IDLE.  RFC 2177."""

from imapd.errors import ImapError, SyntaxRejected
from imapd.model.requests import Nothing
from imapd.server.registry import NOT_YET, Completed, command
from imapd.server.session import Session
from imapd.server.states import LOGGED_IN
from imapd.wire import commands as grammar
from imapd.wire import response

#: Routers forget connections on which nothing moves.
KEEPALIVE_SECONDS = 120


async def end(session: Session, line: bytes | ImapError) -> bytes:
    """The client has spoken: IDLE is over, whatever it said."""
    session.stop_idling()
    if isinstance(line, ImapError):
        raise line
    if line.upper() != b"DONE":
        raise SyntaxRejected("IDLE ends with DONE")
    return b"IDLE completed"


@command(b"IDLE", LOGGED_IN, grammar=grammar.no_arguments, on_line=end)
async def idle(session: Session, arguments: Nothing) -> Completed:
    """Tell what changes, until the client says DONE."""
    session.connection.send(response.continuation(b"idling"))
    session.idling = True
    session.connection.remind(KEEPALIVE_SECONDS)
    try:
        if session.selected is not None:
            session.selected.watch(True)
            await session.refresh()
            session.tell_news(may_expunge=True)
    except BaseException:
        session.stop_idling()
        raise
    return NOT_YET
