"""Entering and leaving a mailbox.  RFC 3501 §6.3.1, §6.3.2, §6.4.1, §6.4.2."""

from imapd.mailbox.api import SelectedMailbox
from imapd.model.requests import MailboxName, Nothing, UidExpunge
from imapd.server import updates
from imapd.server.commands.numbers import existing_path, messages
from imapd.server.registry import Completed, command
from imapd.server.session import Session
from imapd.server.states import LOGGED_IN, SELECTED
from imapd.wire import commands as grammar
from imapd.wire import response


@command(b"SELECT", LOGGED_IN, grammar=grammar.mailbox_name)
async def select(session: Session, arguments: MailboxName) -> Completed:
    """Open a mailbox for reading and writing.  RFC 3501 §6.3.1."""
    mailbox = await _open(session, arguments.name, read_only=False)
    if mailbox.read_only:
        return Completed(
            b"SELECT completed; the mailbox cannot be written", response.READ_ONLY
        )
    return Completed(b"SELECT completed", response.READ_WRITE)


@command(b"EXAMINE", LOGGED_IN, grammar=grammar.mailbox_name)
async def examine(session: Session, arguments: MailboxName) -> Completed:
    r"""Open a mailbox for reading; messages stay ``\Recent``.  RFC 3501 §6.3.2."""
    await _open(session, arguments.name, read_only=True)
    return Completed(b"EXAMINE completed", response.READ_ONLY)


async def _open(session: Session, name: str, *, read_only: bool) -> SelectedMailbox:
    # The old mailbox is left even if the new one cannot be opened.
    await session.unselect()
    path = existing_path(session, name)
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
    return mailbox


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
async def expunge(session: Session, arguments: Nothing) -> bytes:
    r"""Remove the ``\Deleted`` messages.  RFC 3501 §6.4.3."""
    await session.mailbox.expunge()
    return b"EXPUNGE completed"


@command(b"UID EXPUNGE", SELECTED, grammar=grammar.uid_expunge)
async def uid_expunge(session: Session, arguments: UidExpunge) -> bytes:
    r"""Remove those of the messages that are ``\Deleted``.  RFC 4315 §2.1."""
    named = messages(session, arguments.numbers, uid=True)
    await session.mailbox.expunge([uid for _, uid in named])
    return b"UID EXPUNGE completed"
