"""FETCH.  RFC 3501 §6.4.5, §6.4.8."""

from imapd.errors import ClientGone, MessageGone, SyntaxRejected
from imapd.mailbox.streams import BrokenLiteral
from imapd.model.numbered import Numbered
from imapd.model.requests import Fetch, FetchAtom
from imapd.server import updates
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
    mailbox = session.mailbox
    if arguments.vanished and b"QRESYNC" not in session.enabled:
        raise SyntaxRejected("QRESYNC must be enabled first")
    if FetchAtom.MODSEQ in arguments.items:
        await session.enable_condstore()
        session.require_modseqs()
    named = messages(session, arguments.numbers, uid=arguments.uid)
    since = arguments.changed_since
    if since is not None:
        if arguments.vanished:
            gone = mailbox.vanished_since(since, arguments.numbers)
            for line in updates.vanished(gone, earlier=True):
                session.connection.send(line)
        changed = set(mailbox.newer(named.uids, since))
        named = Numbered.of(each for each in named if each[1] in changed)
    session.tell_keywords()  # before a message that shows them.  RFC 3501 §7.2.6
    batches = mailbox.fetch(named, arguments.items, with_uid=arguments.uid)
    try:
        async for batch in batches:
            session.connection.send(batch)
            del batch  # the connection has what the client does not read yet
            await session.connection.ready()
    except BrokenLiteral as error:
        # The client waits for octets that there are not: no answer can be told
        # from them.
        session.connection.abort(f"a message changed while it was sent: {error}")
        raise ClientGone("a literal was cut off") from error
    finally:
        await batches.aclose()  # the client may have left in the midst of it
