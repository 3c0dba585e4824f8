"""STORE.  RFC 3501 §6.4.6."""

from imapd.errors import MessageGone
from imapd.ids import Uid
from imapd.model.flags import StoreMode, combine
from imapd.model.requests import Store
from imapd.server import updates
from imapd.server.commands.numbers import messages, storable
from imapd.server.registry import Completed, command
from imapd.server.session import Session
from imapd.server.states import SELECTED
from imapd.wire import commands as grammar
from imapd.wire import response


@command(b"STORE", SELECTED, grammar=grammar.store, may_expunge=False)
async def store(session: Session, arguments: Store) -> Completed:
    """Change flags; the new flags are told unless ``.SILENT`` was asked for."""
    return Completed(b"STORE completed", await _store(session, arguments))


@command(b"UID STORE", SELECTED, grammar=grammar.uid_store)
async def uid_store(session: Session, arguments: Store) -> Completed:
    """STORE by UID; UIDs that are not there are passed over."""
    return Completed(b"UID STORE completed", await _store(session, arguments))


async def _store(session: Session, arguments: Store) -> bytes | None:
    """Return MODIFIED, if some messages were left alone."""
    mailbox, view = session.mailbox, session.mailbox.view
    flags = storable(arguments.flags)
    since = arguments.unchanged_since
    if since is not None:
        await session.enable_condstore()
        session.require_modseqs()
    named = messages(session, arguments.numbers, uid=arguments.uid)
    uids = list(named.uids)
    if not uids:
        return None
    # Flags that the client was not told of, it cannot work with.
    untold = set() if arguments.mode is StoreMode.REPLACE else view.untold_flags()
    before = mailbox.flags_of(uids)
    highest = mailbox.highest_modseq
    modified = set(await mailbox.store(uids, arguments.mode, flags, since))
    if arguments.silent:
        # What the client can work out itself; a change that crossed ours is told.
        changes = list(zip(before, mailbox.flags_of(uids), strict=True))
        expected = {  # of few: most messages have the same flags
            (old, new)
            for old, new in set(changes)
            if new == combine(old, arguments.mode, flags)
        }
        silent = [
            uid
            for uid, change in zip(uids, changes, strict=True)
            if change in expected and uid not in untold and uid not in modified
        ]
        view.told_flags(silent)
        if mailbox.condstore and highest:
            told = silent if since is not None else mailbox.newer(silent, highest)
            await _tell_modseqs(session, told)
    else:
        view.flags_changed(uids)
    view.flags_changed(modified)  # so that the client need not ask why
    numbers = [
        uid if arguments.uid else seq
        for seq, uid in (named if modified else ())
        if uid in modified
    ]
    code = response.modified(numbers)
    if not arguments.uid and not (view.gone - modified).isdisjoint(uids):
        gone = MessageGone("Some of the messages were expunged")
        gone.code = code or gone.code
        raise gone
    return code


async def _tell_modseqs(session: Session, uids: list[Uid]) -> None:
    """The client knows the flags, and not their new number.  RFC 7162 §3.1.3."""
    for start in range(0, len(uids), updates.PIECE_MESSAGES):
        piece = uids[start : start + updates.PIECE_MESSAGES]
        session.connection.send(updates.modseqs(session.mailbox, piece))
        await session.connection.ready()
