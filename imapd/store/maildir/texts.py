"""The text index of one folder: the account's, by the folder's numbering."""

from collections.abc import Container, Iterable, Mapping
from typing import Protocol

from imapd.ids import Uid
from imapd.model.texts import MessageWords, TextFound
from imapd.store.maildir.index import FileIndex


class TextIndex(Protocol):
    """Where words are kept; it never raises, and may forget all at any time."""

    def search(self, mailbox: str, needle: str, *, in_header: bool) -> TextFound:
        """Say who has a search string."""

    def missing(self, mailbox: str, uids: Iterable[Uid]) -> list[Uid]:
        """Return those of the messages that are not there, and are to be."""

    def add(
        self,
        mailbox: str,
        messages: Mapping[Uid, MessageWords],
        alive: Container[Uid] | None = None,
    ) -> None:
        """Keep the words of messages."""

    def tidy(self, mailbox: str, alive: Container[Uid]) -> None:
        """Drop what is not alive."""


class Folder(Protocol):
    """What has to be known of a folder: ``MailboxCore``."""

    index: FileIndex
    synced: bool
    made_up: dict[bytes, Uid]  # UIDs of this process only, by base

    @property
    def numbering(self) -> str:
        """The name of its UIDs."""


class FolderTexts:
    """What a folder asks of the index; without one it answers that it knows nothing.

    Of made-up UIDs nothing is kept: another process made up others.
    """

    def __init__(self, folder: Folder, index: TextIndex | None) -> None:
        self._folder = folder
        self._index = index

    @property
    def is_on(self) -> bool:
        """Whether there is an index."""
        return self._index is not None

    def search(self, needle: str, *, in_header: bool) -> TextFound:
        """Say who has a folded search string, which is not empty."""
        folder = self._folder
        if self._index is None:
            return TextFound()
        found = self._index.search(folder.numbering, needle, in_header=in_header)
        if folder.made_up:
            for each in (found.found, found.candidates, found.indexed):
                each.difference_update(folder.made_up.values())
        return found

    def missing(self, uids: Iterable[Uid]) -> list[Uid]:
        """Return those of the messages that are to be indexed."""
        if self._index is None:
            return []
        made_up = set(self._folder.made_up.values())
        wanted = [uid for uid in uids if uid not in made_up]
        return self._index.missing(self._folder.numbering, wanted)

    def add(self, messages: Mapping[Uid, MessageWords]) -> None:
        """Index messages."""
        folder = self._folder
        made_up = set(folder.made_up.values())
        kept = {
            uid: words
            for uid, words in messages.items()
            if uid in folder.index and uid not in made_up
        }
        if self._index is not None and kept:
            self._index.add(folder.numbering, kept, folder.index)

    def tidy(self) -> None:
        """Drop what was expunged."""
        if self._index is not None and self._folder.synced:
            self._index.tidy(self._folder.numbering, self._folder.index)
