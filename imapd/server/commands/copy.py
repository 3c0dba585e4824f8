"""COPY and MOVE.  RFC 3501 §6.4.7, RFC 4315 §3, RFC 6851."""

from imapd.errors import Cannot, NoDestination
from imapd.ids import Uid
from imapd.model.requests import Copy
from imapd.server.commands.numbers import messages
from imapd.server.registry import Completed, command
from imapd.server.session import Session
from imapd.server.states import SELECTED
from imapd.wire import commands as grammar
from imapd.wire import response

Result = tuple[int, list[tuple[Uid, Uid]]] | None


@command(b"COPY", SELECTED, grammar=grammar.copy)
async def copy(session: Session, arguments: Copy) -> Completed:
    """Copy all of the messages or none.  RFC 3501 §6.4.7."""
    copied = await _transfer(session, arguments, move=False)
    return Completed(b"COPY completed", _code(copied))


@command(b"UID COPY", SELECTED, grammar=grammar.uid_copy)
async def uid_copy(session: Session, arguments: Copy) -> Completed:
    """COPY by UID."""
    copied = await _transfer(session, arguments, move=False)
    return Completed(b"UID COPY completed", _code(copied))


@command(b"MOVE", SELECTED, grammar=grammar.copy)
async def move(session: Session, arguments: Copy) -> Completed:
    """Move messages: each is here or there at every moment.  RFC 6851 §3.1."""
    _announce(session, await _transfer(session, arguments, move=True))
    return Completed(b"MOVE completed", await session.tell_expunged())


@command(b"UID MOVE", SELECTED, grammar=grammar.uid_copy)
async def uid_move(session: Session, arguments: Copy) -> Completed:
    """MOVE by UID.  RFC 6851 §3.2."""
    _announce(session, await _transfer(session, arguments, move=True))
    return Completed(b"UID MOVE completed", await session.tell_expunged())


async def _transfer(session: Session, arguments: Copy, *, move: bool) -> Result:
    uids = [uid for _, uid in messages(session, arguments.numbers, uid=arguments.uid)]
    if arguments.uid:  # a UID that is not there is passed over.  RFC 3501 §6.4.8
        uids = [uid for uid in uids if not session.mailbox.view.is_gone(uid)]
    try:
        path = session.account.namespace.path(arguments.name)
    except Cannot as error:
        raise NoDestination("No such mailbox") from error
    if not uids:
        return None
    return await session.mailbox.copy(uids, path, move=move)


def _code(copied: Result) -> bytes | None:
    return response.copyuid(*copied) if copied is not None else None


def _announce(session: Session, copied: Result) -> None:
    # Before the EXPUNGE responses, and so not in the tagged one: RFC 6851 §4.3.
    code = _code(copied)
    if code is not None:
        session.untagged_ok(b"Moved", code)
