"""LIST and LSUB.  RFC 3501 §6.3.8, §6.3.9, RFC 5258, RFC 5819, RFC 6154."""

from imapd.errors import ImapError
from imapd.mailbox.listing import Tree
from imapd.model.requests import ListMailboxes
from imapd.server.commands.folders import send_status
from imapd.server.registry import command
from imapd.server.session import Session
from imapd.server.states import LOGGED_IN
from imapd.wire import commands as grammar
from imapd.wire import response


@command(b"LIST", LOGGED_IN, grammar=grammar.list_mailboxes)
async def list_mailboxes(session: Session, arguments: ListMailboxes) -> bytes:
    """Name the mailboxes that match.  RFC 3501 §6.3.8."""
    separator = session.account.namespace.separator
    if not arguments.extended and arguments.patterns == ("",):
        # Only the separator is asked for, and the root of the reference.
        session.untagged(response.list_response((rb"\Noselect",), separator, ""))
        return b"LIST completed"
    account = session.account
    asks_subscriptions = b"SUBSCRIBED" in arguments.selection | arguments.returns
    tree = Tree(
        account.namespace,
        await account.folders(),
        await account.subscriptions() if asks_subscriptions else (),
    )
    for each in tree.listed(arguments):
        session.untagged(
            response.list_response(
                each.attributes, separator, each.name, each.child_info
            )
        )
        if arguments.status and each.path is not None:
            await _status(session, each.path, arguments.status)
        await session.connection.ready()
    return b"LIST completed"


async def _status(
    session: Session, path: tuple[str, ...], items: tuple[bytes, ...]
) -> None:
    try:
        await send_status(session, path, items)
    except ImapError as error:
        # RFC 5819 §2: a mailbox that cannot be counted has no STATUS line.
        session.untagged(response.status_line(b"NO", str(error), error.code))


@command(b"LSUB", LOGGED_IN, grammar=grammar.lsub)
async def lsub(session: Session, arguments: ListMailboxes) -> bytes:
    """Name the subscribed names that match.  RFC 3501 §6.3.9."""
    account = session.account
    separator = account.namespace.separator
    tree = Tree(account.namespace, (), await account.subscriptions())
    for each in tree.subscriptions(arguments):
        session.untagged(response.lsub(each.attributes, separator, each.name))
    return b"LSUB completed"
