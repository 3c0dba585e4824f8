"""How our mailboxes answer callers of Twisted's mail interfaces.

Those interfaces allow a value or a ``Deferred`` almost everywhere, and report
trouble with the ``MailboxException`` family.
"""

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.mail.imap4 import (
    MailboxCollision,
    MailboxException,
    NoSuchMailbox,
    ReadOnlyMailbox,
)
from twisted.python.failure import Failure

from imapd import errors

T = TypeVar("T")


class Refused(MailboxException):
    """It cannot be done; the words are those our own server would say."""


class Collided(MailboxCollision):
    """A mailbox of that name is there.  Unlike its base it does not repeat the name.

    The stock server sends ``str`` of an exception, and fails if it is not ASCII.
    """

    __str__ = Exception.__str__


class Missing(NoSuchMailbox):
    """No such mailbox; does not repeat the name either."""

    __str__ = Exception.__str__


class NotWritable(ReadOnlyMailbox):
    """The mailbox, or this opening of it, is read-only."""

    __str__ = Exception.__str__


_CLASSES: dict[type[errors.ImapError], type[MailboxException]] = {
    errors.AlreadyExists: Collided,
    errors.NoSuchMailbox: Missing,
    errors.NoDestination: Missing,
    errors.ReadOnly: NotWritable,
}


def mailbox_exception(error: errors.ImapError) -> MailboxException:
    """The exception that Twisted's interfaces have for an error of ours."""
    return _CLASSES.get(type(error), Refused)(str(error))


async def translated(work: Coroutine[Any, Any, T]) -> T:
    """Do the work, and raise what goes wrong as a ``MailboxException``."""
    try:
        return await work
    except errors.ImapError as error:
        raise mailbox_exception(error) from error


def deferred(work: Coroutine[Any, Any, T]) -> "Deferred[T]":
    """Begin the work; its result or its ``MailboxException`` comes later."""
    return Deferred.fromCoroutine(translated(work))


def soonest(work: Coroutine[Any, Any, T]) -> "T | Deferred[T]":
    """Begin the work; return or raise at once if that was all, else a Deferred.

    For what the stock server asks without waiting for an answer.
    """
    pending = deferred(work)
    done: list[T | Failure] = []
    if not pending.called:
        return pending
    pending.addBoth(done.append)
    (result,) = done
    if isinstance(result, Failure):
        result.raiseException()
    return result
