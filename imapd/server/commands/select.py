"""Entering and leaving a mailbox.  RFC 3501 §6.3.1, §6.3.2, §6.4.1, §6.4.2."""

from contextlib import suppress

from imapd.errors import MessageGone, SyntaxRejected
from imapd.mailbox.api import SelectedMailbox
from imapd.model.numbered import Numbered
from imapd.model.requests import FetchAtom, Nothing, Resync, Select, UidExpunge
from imapd.server import updates
from imapd.server.commands.numbers import existing_path, messages
from imapd.server.registry import Completed, command
from imapd.server.session import Session
from imapd.server.states import LOGGED_IN, SELECTED
from imapd.wire import commands as grammar
from imapd.wire import condstore, response


@command(b"SELECT", LOGGED_IN, grammar=condstore.select)
async def select(session: Session, arguments: Select) -> Completed:
    """Open a mailbox for reading and writing.  RFC 3501 §6.3.1."""
    mailbox = await _open(session, arguments, read_only=False)
    if mailbox.read_only:
        return Completed(
            b"SELECT completed; the mailbox cannot be written", response.READ_ONLY
        )
    return Completed(b"SELECT completed", response.READ_WRITE)


@command(b"EXAMINE", LOGGED_IN, grammar=condstore.select)
async def examine(session: Session, arguments: Select) -> Completed:
    r"""Open a mailbox for reading; messages stay ``\Recent``.  RFC 3501 §6.3.2."""
    await _open(session, arguments, read_only=True)
    return Completed(b"EXAMINE completed", response.READ_ONLY)


async def _open(
    session: Session, arguments: Select, *, read_only: bool
) -> SelectedMailbox:
    if arguments.resync is not None and b"QRESYNC" not in session.enabled:
        raise SyntaxRejected("QRESYNC must be enabled first")
    # The old mailbox is left even if the new one cannot be opened.
    if session.selected is not None:
        await session.unselect()
        session.untagged_ok(b"The mailbox selected before is left", response.CLOSED)
    if arguments.condstore:
        await session.enable_condstore()
    path = existing_path(session, arguments.name)
    mailbox = await session.select(path, read_only=read_only)
    view = mailbox.view
    session.told_keywords = tuple(mailbox.keywords)
    session.connection.send(updates.flag_lines(mailbox))
    session.untagged(response.exists(len(view)))
    session.untagged(response.recent(len(view.recent)))
    unseen = mailbox.first_unseen()
    if unseen is not None:
        session.untagged_ok(b"First unseen message", response.unseen(unseen))
    session.untagged_ok(b"UIDs are valid", response.uidvalidity(mailbox.uid_validity))
    session.untagged_ok(b"Predicted next UID", response.uidnext(mailbox.uid_next))
    if session.condstore:
        session.tell_highest_modseq()
    if arguments.resync is not None:
        await _tell_since(session, arguments.resync)
    return mailbox


async def _tell_since(session: Session, resync: Resync) -> None:
    """Tell what changed since the client was here.  RFC 7162 §3.2.5.

    Nothing where its UIDs name other messages now, or no sequences are kept.  A
    sequence higher than all of ours is not from here: then all may have changed.
    """
    mailbox, known = session.mailbox, resync.known
    if mailbox.uid_validity != resync.uid_validity or not mailbox.highest_modseq:
        return
    gone = mailbox.vanished_since(resync.modseq, known, resync.match)
    for line in updates.vanished(gone, earlier=True):
        session.connection.send(line)
    uids = mailbox.view.uids
    if known is not None:
        uids = mailbox.view.select(known, uid=True).uids
    since = resync.modseq if resync.modseq <= mailbox.highest_modseq else 0
    changed = mailbox.newer(uids, since)
    numbered = [(mailbox.view.seq(uid), uid) for uid in changed]
    named = Numbered.of((seq, uid) for seq, uid in numbered if seq is not None)
    with suppress(MessageGone):  # it is told at the end of the command
        async for batch in mailbox.fetch(named, _FLAGS, with_uid=True):
            session.connection.send(batch)
            await session.connection.ready()


_FLAGS = (FetchAtom.FLAGS, FetchAtom.MODSEQ)


@command(b"CHECK", SELECTED, grammar=grammar.no_arguments)
async def check(session: Session, arguments: Nothing) -> bytes:
    """What is acknowledged is on disk already.  RFC 3501 §6.4.1."""
    return b"CHECK completed"


@command(b"CLOSE", SELECTED, grammar=grammar.no_arguments)
async def close(session: Session, arguments: Nothing) -> bytes:
    r"""Remove ``\Deleted`` messages without a word, then leave the mailbox.

    Unlike EXPUNGE: no untagged EXPUNGE is sent, and a mailbox opened with
    EXAMINE loses nothing and is not an error.  RFC 3501 §6.4.2.
    """
    if not session.mailbox.read_only:
        await session.mailbox.expunge()
    await session.unselect()
    return b"CLOSE completed"


@command(b"UNSELECT", SELECTED, grammar=grammar.no_arguments)
async def unselect(session: Session, arguments: Nothing) -> bytes:
    """Leave the mailbox, removing nothing.  RFC 3691 §2."""
    await session.unselect()
    return b"UNSELECT completed"


@command(b"EXPUNGE", SELECTED, grammar=grammar.no_arguments)
async def expunge(session: Session, arguments: Nothing) -> Completed:
    r"""Remove the ``\Deleted`` messages.  RFC 3501 §6.4.3."""
    await session.mailbox.expunge()
    return Completed(b"EXPUNGE completed", await session.tell_expunged())


@command(b"UID EXPUNGE", SELECTED, grammar=grammar.uid_expunge)
async def uid_expunge(session: Session, arguments: UidExpunge) -> Completed:
    r"""Remove those of the messages that are ``\Deleted``.  RFC 4315 §2.1."""
    named = messages(session, arguments.numbers, uid=True)
    await session.mailbox.expunge([uid for _, uid in named])
    return Completed(b"UID EXPUNGE completed", await session.tell_expunged())
