"""What the floors above see of the cache when they fill it: Protocols.

As everything of the cache, none of this ever raises, and all of it may be lost at any
moment.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from imapd.ids import Uid
from imapd.model.texts import MessageWords
from imapd.store.api import MailboxStore


class DerivedStore(Protocol):
    """What the cache has, and lacks, of one mailbox that was synced."""

    @property
    def is_kept(self) -> bool:
        """Whether what is saved can still be there tomorrow."""

    @property
    def has_texts(self) -> bool:
        """Whether there is a text index too."""

    def uids(self) -> list[Uid]:
        """The messages of which something may be kept, ascending."""

    def asked_fields(self) -> list[str]:
        """Kinds of lists of fields that clients of this account asked for.

        Those of most mailboxes come first.
        """

    def gaps(self, kinds: Iterable[str]) -> list[list[Uid]]:
        """Return the messages of each page in which one lacks one of the kinds."""

    def prune(self) -> int:
        """Drop what is there of messages that are gone; how many pages had any."""

    def shrink(self) -> None:
        """Give back the room that nothing needs any more."""

    def is_complete(self, version: str) -> bool:
        """Whether all was there once, and no message came or went since.

        Reads one row.  ``version`` names what all is.
        """

    def complete(self, version: str, skipped: Iterable[Uid]) -> None:
        """Note that all is there now, but of messages that cannot be read."""

    def skipped(self, version: str) -> frozenset[Uid]:
        """Return the messages of which nothing could be made."""

    def claim(self, owner: str, seconds: float) -> bool:
        """Keep others from filling it at the same time; False: another does."""

    def release(self, owner: str) -> None:
        """Let others."""


class FilledMailbox(MailboxStore, Protocol):
    """A mailbox whose cache can be filled."""

    @property
    def derived(self) -> DerivedStore | None:
        """Its part of the cache; None: there is no cache."""

    def unindexed(self, uids: Iterable[Uid]) -> list[Uid]:
        """Return those of the messages that the text index is to be told of."""

    def index_texts(self, messages: Mapping[Uid, MessageWords]) -> None:
        """Tell the text index."""

    def tidy_texts(self) -> None:
        """Let the text index drop what was expunged."""
