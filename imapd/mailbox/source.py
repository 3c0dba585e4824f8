"""Where the octets and the fixed facts of messages come from."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from imapd.ids import Uid
from imapd.model.mailbox import Derived, MessageMeta


class MessageSource(Protocol):
    """The reading half of ``MailboxStore``; blocks."""

    def read(self, uid: Uid) -> bytes:
        """Return the message; raises MessageGone."""

    def meta(self, uids: Iterable[Uid]) -> dict[Uid, MessageMeta]:
        """Size and date; messages that are gone are left out."""

    def load_derived(self, uids: Iterable[Uid]) -> dict[Uid, Derived]:
        """Return what the cache has."""

    def save_derived(self, derived: Mapping[Uid, Derived]) -> None:
        """Offer results to the cache."""
