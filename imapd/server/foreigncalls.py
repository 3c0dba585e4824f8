"""Calls of other people's accounts and mailboxes: how they answer, how they fail."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.logger import Logger
from twisted.mail import imap4

from imapd import errors
from imapd.ids import LARGEST_NUMBER, Uid
from imapd.model.flags import RECENT, Flags, canonical

_log = Logger()

#: The first that fits.  The words are ours: theirs may name files and hosts.
_ERRORS: tuple[tuple[type[Exception], type[errors.ImapError], str], ...] = (
    (
        imap4.MailboxCollision,
        errors.AlreadyExists,
        "A mailbox of that name exists already",
    ),
    (imap4.NoSuchMailbox, errors.NoSuchMailbox, "No such mailbox"),
    (imap4.ReadOnlyMailbox, errors.ReadOnly, "The mailbox cannot be written"),
    (imap4.MailboxException, errors.Cannot, "The mail store refuses to do that"),
    (imap4.IllegalMailboxEncoding, errors.Cannot, "The mail store refuses that name"),
    (imap4.IllegalOperation, errors.Cannot, "The mail store refuses to do that"),
)

#   flag = "\" atom / atom                                  ; RFC 3501 §9
_FLAG = re.compile(rb'\\?[^\x00-\x20\x7f-\xff(){%*"\\\]]+')


@contextmanager
def foreign_code() -> Iterator[None]:
    """Around code that is not ours.

    Raises:
        ImapError: what the interfaces allow to go wrong; Unavailable for anything
            else, which is logged.
    """
    try:
        yield
    except errors.ImapError:
        raise
    except Exception as error:
        for theirs, ours, words in _ERRORS:
            if isinstance(error, theirs):
                raise ours(words) from error
        _log.failure("a foreign account or mailbox failed")
        raise errors.Unavailable("The mail store does not work just now") from error


async def ask(target: Any, method: str, *args: Any, **kwargs: Any) -> Any:
    """Call a method that may answer at once or with a Deferred.

    Raises:
        ImapError: as ``foreign_code`` does.
    """
    with foreign_code():
        return await maybeDeferred(getattr(target, method), *args, **kwargs)


async def ask_number(target: Any, method: str) -> int:
    """Call a method that answers with a number of 32 bits.

    Raises:
        Unavailable: it does not.
    """
    answer = await ask(target, method)
    with foreign_code():
        return number(answer)


def number(value: Any) -> int:
    """Take a count or a UID; a foreign one can be anything.

    Raises:
        ValueError, TypeError: it is no number of 32 bits.
    """
    counted = int(value)
    if not 0 <= counted <= LARGEST_NUMBER:
        raise ValueError(f"not a number of 32 bits: {counted}")
    return counted


async def fetch_messages(
    box: Any, ranges: Iterable[tuple[int, int]], *, uid: bool
) -> dict[Uid, Any]:
    """The messages of a foreign mailbox in some ranges, by UID, ascending.

    Raises:
        Unavailable: it fails, or gives UIDs that are none.
    """
    wanted = list(ranges)
    if not wanted:
        return {}
    # The ranges all at once: each ``add`` to a MessageSet sorts it anew.
    answer = await ask(box, "fetch", imap4.MessageSet(wanted), uid=uid)
    with foreign_code():
        found = {number(message.getUID()): message for _, message in answer}
        if 0 in found:
            raise ValueError("a message has the UID 0")
    return {Uid(uid): found[uid] for uid in sorted(found)}


def text(name: str | bytes) -> str:
    """A name or a flag in either form that implementations use."""
    return name.decode("latin-1") if isinstance(name, bytes) else str(name)


def split_flags(flags: Iterable[str | bytes]) -> tuple[Flags, bool]:
    r"""The flags of a message, and whether it is ``\Recent``.

    What is no flag by the grammar is left out: it cannot be told.  Of two that
    differ in case only, one is left out, always the same.
    """
    octets = {text(flag).encode("utf-8") for flag in flags}
    known = set(
        one_spelling(canonical(flag) for flag in octets if _FLAG.fullmatch(flag))
    )
    recent = {flag for flag in known if flag.lower() == RECENT.lower()}
    return frozenset(known - recent), bool(recent)


def one_spelling(flags: Iterable[bytes]) -> list[bytes]:
    """Sort flags; those that differ in case only are one.  RFC 3501 §2.3.2."""
    return sorted({flag.lower(): flag for flag in sorted(flags, reverse=True)}.values())


def flag_names(flags: Iterable[bytes]) -> list[str]:
    """Flags as the stock server hands them over."""
    return [flag.decode("ascii") for flag in flags]
