"""Mailboxes as the store and the server speak of them: plain data."""

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from imapd.ids import MailboxPath, Octets, Uid
from imapd.model.flags import Flags

#: Attributes of RFC 6154 that we recognise, by their wire spelling.
SPECIAL_USES = (rb"\Archive", rb"\Drafts", rb"\Junk", rb"\Sent", rb"\Trash")


class NamespaceStyle(Enum):
    """How names look on the wire."""

    COURIER = "courier"  # prefix "INBOX.", separator "."
    DOVECOT = "dovecot"  # no prefix, separator "."
    SLASH = "slash"  # no prefix, separator "/"


@dataclass(frozen=True, slots=True)
class Folder:
    """One mailbox that is there."""

    path: MailboxPath
    special_use: bytes | None = None


class MessageState(NamedTuple):
    """What one message is to every session.

    A tuple, because a mailbox that is opened makes as many as it has messages.
    """

    uid: Uid
    flags: Flags
    recent: bool = False  # nobody was told of it before


@dataclass(slots=True)
class Changes:
    """What a sync with the store found, against what it had returned before.

    The first sync of a mailbox returns every message as added.  UIDs ascend.
    """

    added: list[MessageState] = field(default_factory=list)
    expunged: list[Uid] = field(default_factory=list)
    flags: dict[Uid, Flags] = field(default_factory=dict)
    #: True: the store lost its numbers and made new ones; sessions must leave.
    renumbered: bool = False
    #: The modification sequence of all of it; 0: none are kept just now.
    modseq: int = 0

    def __bool__(self) -> bool:
        """Whether anything changed."""
        return bool(self.added or self.expunged or self.flags or self.renumbered)


class MessageMeta(NamedTuple):
    """What a message has beside its flags, and never changes."""

    uid: Uid
    internal_date_seconds: int  # since 1970, UTC
    rfc822_size: Octets


@dataclass(frozen=True, slots=True)
class MailboxStatus:
    """Counts for STATUS.  Sizes only where they were asked for.  RFC 3501 §6.3.10."""

    messages: int
    recent: int
    uid_next: int
    uid_validity: int
    unseen: int
    deleted: int = 0
    size_octets: int | None = None
    highest_modseq: int = 0  # 0: none are kept; RFC 7162 §3.1.7


@dataclass(frozen=True, slots=True)
class Copied:
    """What COPY or MOVE did: COPYUID and the changes of both mailboxes.

    ``pairs`` are (source UID, target UID) in ascending order of the source.
    """

    uid_validity: int
    pairs: list[tuple[Uid, Uid]]
    target: Changes
    source: Changes


@dataclass(frozen=True, slots=True)
class Appended:
    """What APPEND did: APPENDUID and the changes of the mailbox."""

    uid_validity: int
    uids: list[Uid]
    target: Changes
