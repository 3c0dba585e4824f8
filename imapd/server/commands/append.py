"""APPEND, with its messages taken as they arrive.  RFC 3501 §6.3.11, RFC 3502."""

from typing import NoReturn

from imapd.errors import (
    Cannot,
    ImapError,
    LimitReached,
    NoDestination,
    SyntaxRejected,
    TooBig,
)
from imapd.mailbox.api import Appending
from imapd.model.requests import AppendMessage
from imapd.server.commands.numbers import storable
from imapd.server.registry import Completed, command
from imapd.server.session import LiteralStream, Session
from imapd.server.states import LOGGED_IN
from imapd.wire import commands as grammar
from imapd.wire import response
from imapd.wire.cursor import Cursor


class Cancelled(ImapError):
    """The client sent an empty message: nothing is stored.  RFC 3502 §6.3.11."""


def _needs_a_message(cursor: Cursor) -> NoReturn:
    """A whole APPEND without a message literal: with one, it streams."""
    raise SyntaxRejected("APPEND ends with a message literal")


@command(b"APPEND", LOGGED_IN, grammar=_needs_a_message, streams=True)
async def append(session: Session, arguments: grammar.AppendPrefix) -> Completed:
    """Store all of the messages or none.

    The mailbox, the flags and the size are looked at before the client is asked
    for a single octet.
    """
    stream = session.stream
    if stream is None:
        raise RuntimeError("APPEND without its literals")
    _check(session, arguments.message, stream.size)
    try:
        path = session.account.namespace.path(arguments.mailbox)
    except Cannot as error:
        raise NoDestination("No such mailbox") from error
    appending = await session.account.begin_append(path)
    try:
        await _take_all(session, stream, appending, arguments.message)
        appended = await appending.commit()
    finally:
        await appending.abort()
    code = (
        response.appenduid(appended.uid_validity, appended.uids) if appended else None
    )
    return Completed(b"APPEND completed", code)


def _check(session: Session, message: AppendMessage, size: int) -> None:
    storable(message.flags)
    limit = session.settings.limits.append_octets
    if size > limit:
        raise TooBig(f"A message may have {limit} octets")


async def _take_all(
    session: Session,
    stream: LiteralStream,
    appending: Appending,
    message: AppendMessage,
) -> None:
    limits = session.settings.limits
    total = 0
    for _ in range(limits.append_message_count):
        total += stream.size
        if total > limits.append_total_octets:
            raise TooBig(
                f"The messages may have {limits.append_total_octets} octets in all"
            )
        await _take(stream, appending, message)
        if not await stream.following():
            grammar.append_end(stream.text)
            return
        await appending.end()
        message = grammar.append_next(stream.text, limits)
        _check(session, message, stream.size)
    raise LimitReached("Too many messages in one APPEND")


async def _take(
    stream: LiteralStream, appending: Appending, message: AppendMessage
) -> None:
    if not stream.size:
        raise Cancelled("A message of no octets is not stored")
    date = message.internal_date
    seconds = None if date is None else int(date.timestamp())
    appending.begin(storable(message.flags), seconds)
    await stream.accept()
    while (octets := await stream.chunk()) is not None:
        await appending.write(octets)
