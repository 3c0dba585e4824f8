"""The tree of mailboxes, and STATUS.  RFC 3501 §6.3."""

from imapd.errors import AlreadyExists, Cannot, ImapError
from imapd.ids import INBOX, MailboxPath
from imapd.model.mailbox import SPECIAL_USES, MailboxStatus
from imapd.model.requests import Create, MailboxName, Nothing, Rename, Status
from imapd.server.commands.numbers import existing_path
from imapd.server.registry import command
from imapd.server.session import Session
from imapd.server.states import LOGGED_IN
from imapd.wire import commands as grammar
from imapd.wire import response


class UnknownUse(ImapError):
    """CREATE asks for a special use that we do not have.  RFC 6154 §3."""

    code = b"USEATTR"


@command(b"CREATE", LOGGED_IN, grammar=grammar.create)
async def create(session: Session, arguments: Create) -> bytes:
    """Make a mailbox.  RFC 3501 §6.3.3, RFC 6154 §3."""
    path = session.account.namespace.path(arguments.name)
    if path == INBOX:
        raise AlreadyExists("INBOX is always there")
    uses = {use.lower(): use for use in SPECIAL_USES}
    wanted = [uses.get(use.lower()) for use in arguments.special_use]
    if None in wanted or len(wanted) > 1:
        raise UnknownUse("One of the special uses of RFC 6154, please")
    await session.account.create(path, wanted[0] if wanted else None)
    return b"CREATE completed"


@command(b"DELETE", LOGGED_IN, grammar=grammar.mailbox_name)
async def delete(session: Session, arguments: MailboxName) -> bytes:
    """Remove a mailbox and its messages.  RFC 3501 §6.3.4."""
    path = existing_path(session, arguments.name)
    if path == INBOX:
        raise Cannot("INBOX cannot be deleted")
    await session.account.delete(path)
    await _leave(session, path, below=False)
    return b"DELETE completed"


@command(b"RENAME", LOGGED_IN, grammar=grammar.rename)
async def rename(session: Session, arguments: Rename) -> bytes:
    """Give a mailbox, and all below it, another name.  RFC 3501 §6.3.5.

    Subscriptions stay as they are: the RFC has RENAME change none, and clients
    that rename a mailbox subscribe the new name and unsubscribe the old.
    """
    old = existing_path(session, arguments.old)
    new = session.account.namespace.path(arguments.new)
    if new == INBOX:
        raise AlreadyExists("INBOX is always there")
    if old != INBOX and len(new) > len(old) and new[: len(old)] == old:
        raise Cannot("A mailbox cannot be moved below itself")
    await session.account.rename(old, new)
    if old != INBOX:
        await _leave(session, old, below=True)
    return b"RENAME completed"


async def _leave(session: Session, path: MailboxPath, *, below: bool) -> None:
    """The selected mailbox is gone by our own doing: say so and go on."""
    selected = session.selected_path
    if selected is None:
        return
    if selected == path or (below and selected[: len(path)] == path):
        await session.unselect()
        session.untagged_ok(b"The selected mailbox is closed", b"CLOSED")


@command(b"SUBSCRIBE", LOGGED_IN, grammar=grammar.mailbox_name)
async def subscribe(session: Session, arguments: MailboxName) -> bytes:
    """Add a name, there or not: it may come back.  RFC 3501 §6.3.6."""
    await session.account.subscribe(session.account.namespace.path(arguments.name))
    return b"SUBSCRIBE completed"


@command(b"UNSUBSCRIBE", LOGGED_IN, grammar=grammar.mailbox_name)
async def unsubscribe(session: Session, arguments: MailboxName) -> bytes:
    """Remove a name.  RFC 3501 §6.3.7."""
    await session.account.unsubscribe(session.account.namespace.path(arguments.name))
    return b"UNSUBSCRIBE completed"


@command(b"NAMESPACE", LOGGED_IN, grammar=grammar.no_arguments)
async def namespace(session: Session, arguments: Nothing) -> bytes:
    """The personal namespace is the only one.  RFC 2342 §5."""
    own = session.account.namespace
    session.untagged(response.namespace(own.prefix, own.separator))
    return b"NAMESPACE completed"


@command(b"STATUS", LOGGED_IN, grammar=grammar.status)
async def status(session: Session, arguments: Status) -> bytes:
    """Count without selecting.  RFC 3501 §6.3.10."""
    path = existing_path(session, arguments.name)
    await send_status(session, path, arguments.items)
    return b"STATUS completed"


#: STATUS items of RFC 3501 §6.3.10, RFC 7162, 8438, 9051, but for APPENDLIMIT.
_ITEMS = {
    b"MESSAGES": "messages",
    b"RECENT": "recent",
    b"UIDNEXT": "uid_next",
    b"UIDVALIDITY": "uid_validity",
    b"UNSEEN": "unseen",
    b"DELETED": "deleted",
    b"SIZE": "size_octets",
    b"HIGHESTMODSEQ": "highest_modseq",
}


async def send_status(
    session: Session, path: MailboxPath, items: tuple[bytes, ...]
) -> None:
    """Send one STATUS response; the grammar has refused items that we do not have."""
    with_modseq = b"HIGHESTMODSEQ" in items
    if with_modseq:
        await session.enable_condstore(may_expunge=True)
    counts = await session.account.status(
        path,
        with_size=b"SIZE" in items,
        with_deleted=b"DELETED" in items,
        with_modseq=with_modseq,
    )
    pairs = [(item, _value(session, item, counts)) for item in items]
    session.untagged(response.status(session.account.namespace.name(path), pairs))


def _value(session: Session, item: bytes, counts: MailboxStatus) -> int:
    if item == b"APPENDLIMIT":  # RFC 7889 §3.2
        return session.settings.limits.append_octets
    return int(getattr(counts, _ITEMS[item]) or 0)
