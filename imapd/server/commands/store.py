"""STORE.  RFC 3501 §6.4.6."""

from imapd.errors import MessageGone
from imapd.model.flags import StoreMode, combine
from imapd.model.requests import Store
from imapd.server.commands.numbers import messages, storable
from imapd.server.registry import command
from imapd.server.session import Session
from imapd.server.states import SELECTED
from imapd.wire import commands as grammar


@command(b"STORE", SELECTED, grammar=grammar.store, may_expunge=False)
async def store(session: Session, arguments: Store) -> bytes:
    """Change flags; the new flags are told unless ``.SILENT`` was asked for."""
    await _store(session, arguments)
    return b"STORE completed"


@command(b"UID STORE", SELECTED, grammar=grammar.uid_store)
async def uid_store(session: Session, arguments: Store) -> bytes:
    """STORE by UID; UIDs that are not there are passed over."""
    await _store(session, arguments)
    return b"UID STORE completed"


async def _store(session: Session, arguments: Store) -> None:
    mailbox, view = session.mailbox, session.mailbox.view
    flags = storable(arguments.flags)
    uids = [uid for _, uid in messages(session, arguments.numbers, uid=arguments.uid)]
    if not uids:
        return
    # Flags that the client was not told of, it cannot work with.
    untold = set() if arguments.mode is StoreMode.REPLACE else view.untold_flags()
    before = {uid: mailbox.flags(uid) for uid in uids}
    await mailbox.store(uids, arguments.mode, flags)
    if arguments.silent:
        # What the client can work out itself; a change that crossed ours is told.
        view.told_flags(
            uid
            for uid in uids
            if uid not in untold
            and mailbox.flags(uid) == combine(before[uid], arguments.mode, flags)
        )
    else:
        view.flags_changed(uids)
    if not arguments.uid and any(view.is_gone(uid) for uid in uids):
        raise MessageGone("Some of the messages were expunged")
