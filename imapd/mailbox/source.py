"""Where the octets and the fixed facts of messages come from."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from imapd.ids import Uid
from imapd.model.mailbox import MessageMeta
from imapd.model.texts import TextFound
from imapd.store.api import MessageStream


class MessageSource(Protocol):
    """The reading half of ``MailboxStore``; blocks."""

    def read(self, uid: Uid, most_octets: int | None = None) -> bytes:
        """Return the message, or its first octets; raises MessageGone."""

    def meta(self, uids: Iterable[Uid]) -> dict[Uid, MessageMeta]:
        """Size and date; messages that are gone are left out."""

    def read_dated(
        self, uid: Uid, most_octets: int | None = None
    ) -> tuple[bytes, MessageMeta]:
        """Return what both do, or more octets; raises as ``read`` does."""

    def stream(self, uid: Uid) -> MessageStream:
        """Open a message that is too large to be held; raises as ``read`` does."""

    def load_column(self, kind: str, uids: Sequence[Uid]) -> list[bytes | None]:
        """Return what the cache has of one kind, in the order of ascending UIDs."""

    def save_column(self, kind: str, values: Mapping[Uid, bytes]) -> None:
        """Offer values to the cache."""

    def save_columns(self, columns: Mapping[str, Mapping[Uid, bytes]]) -> None:
        """Offer values of several kinds at once."""


class SearchSource(MessageSource, Protocol):
    """What SEARCH asks in addition; blocks."""

    def find_text(self, needle: str, *, in_header: bool) -> TextFound:
        """Return what the text index knows of a folded search string, not empty."""
