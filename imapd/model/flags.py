"""System flags, keywords, and the arithmetic of STORE.  RFC 3501 §2.3.2."""

from collections.abc import Iterable
from enum import Enum

SEEN = rb"\Seen"
ANSWERED = rb"\Answered"
FLAGGED = rb"\Flagged"
DELETED = rb"\Deleted"
DRAFT = rb"\Draft"
RECENT = rb"\Recent"

#: The flags a client may store.  ``\Recent`` belongs to the session, not here.
SYSTEM_FLAGS = (ANSWERED, FLAGGED, DELETED, SEEN, DRAFT)

#: The flags of one message, without ``\Recent``: system flags as spelled above,
#: keywords as the mailbox first saw them.
Flags = frozenset[bytes]

NO_FLAGS: Flags = frozenset()

_CANONICAL = {flag.lower(): flag for flag in SYSTEM_FLAGS}


class StoreMode(Enum):
    """How STORE combines its flags with those of the message.  RFC 3501 §6.4.6."""

    REPLACE = "FLAGS"
    ADD = "+FLAGS"
    REMOVE = "-FLAGS"


def canonical(flag: bytes) -> bytes:
    r"""Spell a system flag as the RFC does (``\SEEN`` is ``\Seen``); leave keywords."""
    return _CANONICAL.get(flag.lower(), flag) if flag.startswith(b"\\") else flag


def is_system(flag: bytes) -> bool:
    r"""Whether the name is a system flag, of ours or of a later standard."""
    return flag.startswith(b"\\")


def combine(old: Flags, mode: StoreMode, new: Iterable[bytes]) -> Flags:
    """Return what STORE leaves; keywords are compared without regard to case."""
    given = {flag.lower(): flag for flag in new}
    if mode is StoreMode.REMOVE:
        return frozenset(flag for flag in old if flag.lower() not in given)
    kept = {flag.lower(): flag for flag in old}
    if mode is StoreMode.ADD:
        return frozenset((given | kept).values())
    return frozenset(kept.get(lower, flag) for lower, flag in given.items())
