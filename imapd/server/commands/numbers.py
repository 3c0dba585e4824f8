"""What several handlers share: message numbers, flags, paths."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from imapd.errors import Cannot, NoSuchMailbox, SyntaxRejected
from imapd.ids import MailboxPath
from imapd.model.flags import SYSTEM_FLAGS, canonical, is_system
from imapd.model.numbered import Numbered
from imapd.model.sets import SequenceSet
from imapd.server.session import Session

#: ``$`` needs SEARCHRES, RFC 5182, which is not offered.
NOTHING_SAVED = "No search result was saved"


@contextmanager
def numbers_there() -> Iterator[None]:
    """Say of a message number that is not there that it is the client's error.

    Raises:
        SyntaxRejected: the view has no such message.  RFC 3501 §9, seq-number.
    """
    try:
        yield
    except IndexError:
        raise SyntaxRejected("No message has this number") from None


def messages(session: Session, numbers: SequenceSet, *, uid: bool) -> Numbered:
    """The messages a set names in the session's view.

    Raises:
        SyntaxRejected: a message number that is not there (RFC 3501 §9, seq-number),
            or the result of a SEARCH.
    """
    if numbers.saved:
        raise SyntaxRejected(NOTHING_SAVED)
    with numbers_there():
        return session.mailbox.view.select(numbers, uid=uid)


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
