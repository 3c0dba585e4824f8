"""Messages that are small and at hand, read where we are: on the reactor."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from imapd.ids import Uid
from imapd.model.mailbox import MessageMeta
from imapd.store.api import MessageStream, WouldBlock

#: A larger message is a matter of milliseconds: reading, line ends, copies.
LARGEST_OCTETS: Final = 512 << 10


class Reading(Protocol):
    """What is needed of the store."""

    def try_read(self, uid: Uid, largest_octets: int) -> bytes:
        """Return the octets, or raise WouldBlock."""


class QuickSource:
    """A ``MessageSource`` that raises ``WouldBlock`` for all but a small message."""

    def __init__(self, store: Reading) -> None:
        self._store = store

    def read(self, uid: Uid, most_octets: int | None = None) -> bytes:
        """Return the message."""
        return self._store.try_read(uid, LARGEST_OCTETS)[:most_octets]

    def meta(self, uids: Iterable[Uid]) -> dict[Uid, MessageMeta]:
        """Asking the cache may take its time."""
        raise WouldBlock

    def read_dated(
        self, uid: Uid, most_octets: int | None = None
    ) -> tuple[bytes, MessageMeta]:
        """The date is not asked for where a message is at hand."""
        raise WouldBlock

    def stream(self, uid: Uid) -> MessageStream:
        """What is large takes its time."""
        raise WouldBlock

    def load_column(self, kind: str, uids: Sequence[Uid]) -> list[bytes | None]:
        """Asking the cache may take its time."""
        raise WouldBlock

    def save_column(self, kind: str, values: Mapping[Uid, bytes]) -> None:
        """Asking the cache may take its time."""
        raise WouldBlock

    def save_columns(self, columns: Mapping[str, Mapping[Uid, bytes]]) -> None:
        """Asking the cache may take its time."""
        raise WouldBlock
