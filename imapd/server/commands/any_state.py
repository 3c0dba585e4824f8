"""Commands of every state.  RFC 3501 §6.1, RFC 2971."""

from imapd.model.requests import Identify, Nothing
from imapd.server.registry import command
from imapd.server.session import Session
from imapd.server.states import ANY, State
from imapd.wire import commands as grammar
from imapd.wire import response


@command(b"CAPABILITY", ANY, grammar=grammar.no_arguments)
async def capability(session: Session, arguments: Nothing) -> bytes:
    """List what the server can, here and now.  RFC 3501 §6.1.1."""
    session.untagged(response.capability(session.connection.capability_names()))
    return b"CAPABILITY completed"


@command(b"NOOP", ANY, grammar=grammar.no_arguments)
async def noop(session: Session, arguments: Nothing) -> bytes:
    """Do nothing but tell what changed.  RFC 3501 §6.1.2."""
    return b"NOOP completed"


@command(b"LOGOUT", ANY, grammar=grammar.no_arguments)
async def logout(session: Session, arguments: Nothing) -> bytes:
    """End the session; nothing is expunged.  RFC 3501 §6.1.3."""
    await session.unselect()
    session.untagged(response.bye(b"Logging out"))
    session.state = State.LOGOUT
    return b"LOGOUT completed"


@command(b"ID", ANY, grammar=grammar.identify)
async def identify(session: Session, arguments: Identify) -> bytes:
    """Exchange names.  RFC 2971 §3.1."""
    session.identity = arguments.pairs
    session.untagged(response.id_response(dict(session.settings.identity)))
    return b"ID completed"
