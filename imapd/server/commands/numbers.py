"""What several handlers share: message numbers, flags, paths."""

from collections.abc import Iterable, Sequence

from imapd.errors import Cannot, NoSuchMailbox, SyntaxRejected
from imapd.ids import MailboxPath, Uid
from imapd.model.flags import SYSTEM_FLAGS, canonical, is_system
from imapd.model.numbered import Numbered
from imapd.model.search import ModSeqAtLeast, Numbers, Return, SearchKey, walk
from imapd.model.sets import SequenceSet
from imapd.server.session import Session


def messages(session: Session, numbers: SequenceSet, *, uid: bool) -> Numbered:
    """The messages a set names in the session's view.

    Raises:
        SyntaxRejected: a message number that is not there.  RFC 3501 §9, seq-number.
    """
    if numbers.saved:
        raise SyntaxRejected("No search result was saved")
    try:
        return session.mailbox.view.select(numbers, uid=uid)
    except IndexError:
        raise SyntaxRejected("No message has this number") from None


def any_gone(session: Session, numbers: SequenceSet) -> bool:
    """Whether one of the messages, by UID, is gone and the client not told yet."""
    view = session.mailbox.view
    return any(view.is_gone(uid) for _, uid in view.select(numbers, uid=True))


def storable(flags: Iterable[bytes]) -> list[bytes]:
    """The flags as the store keeps them.

    Raises:
        SyntaxRejected: a system flag that no client may set, or that is none.
    """
    wanted = [canonical(flag) for flag in flags]
    if any(is_system(flag) and flag not in SYSTEM_FLAGS for flag in wanted):
        raise SyntaxRejected("No such system flag to be set")
    return wanted


def existing_path(session: Session, name: str) -> MailboxPath:
    """The path of a name that must be there.

    A name that no mailbox can have is one that does not exist.
    """
    try:
        return session.account.namespace.path(name)
    except Cannot as error:
        raise NoSuchMailbox("No such mailbox") from error


async def prepare_search(session: Session, key: SearchKey) -> bool:
    """What every command with search keys begins with; whether it asks by MODSEQ.

    Raises:
        Cannot: MODSEQ was asked for, and the mailbox keeps none.
    """
    keys = list(walk(key))
    # RFC 7162 §3.2.10.2: not while the client counts by message numbers.
    session.holds_expunges = any(
        isinstance(one, Numbers) and not one.uid for one in keys
    )
    by_modseq = any(isinstance(one, ModSeqAtLeast) for one in keys)
    if by_modseq:
        await session.enable_condstore()
        session.require_modseqs()
    return by_modseq


def told_by(uids: Sequence[Uid], returns: frozenset[Return] | None) -> Sequence[Uid]:
    """The messages whose highest MODSEQ is told.  RFC 4731 §3.2.

    All of them, but if MIN or MAX or both are all that was asked for, these.
    """
    if not returns or not returns <= {Return.MIN, Return.MAX}:
        return uids
    ends = {Return.MIN: uids[0], Return.MAX: uids[-1]}
    return [ends[each] for each in returns]
