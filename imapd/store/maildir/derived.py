"""What the cache has, and lacks, of one folder: for whoever fills it and tidies up.

Of made-up UIDs nothing is kept: another process made up others.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from imapd.ids import Uid
from imapd.store.cache.progress import Progress
from imapd.store.maildir.core import ColumnCache, MailboxCore


class FilledCache(ColumnCache, Protocol):
    """The cache as those see it who fill it; it never raises."""

    def gaps(
        self, mailbox: str, kinds: Iterable[str], alive: Sequence[Uid]
    ) -> list[tuple[int, int]]:
        """Return where messages lack a value, page by page, as indexes."""

    def asked_fields(self) -> list[str]:
        """Kinds of lists of fields in all mailboxes, those of most first."""

    def progress(self, mailbox: str) -> Progress | None:
        """Return how far a mailbox was filled."""

    def set_progress(self, mailbox: str, reached: Progress) -> None:
        """Keep how far a mailbox is filled."""

    def claim(self, mailbox: str, owner: str, seconds: float) -> bool:
        """Keep others from filling a mailbox at the same time."""

    def release(self, mailbox: str, owner: str) -> None:
        """Give back a claim."""

    def shrink(self) -> None:
        """Give back what is free."""

    @property
    def is_kept(self) -> bool:
        """Whether anything is kept at all."""


class FolderDerived:
    """The cache of one folder."""

    def __init__(self, core: MailboxCore, cache: FilledCache) -> None:
        self._core = core
        self._cache = cache

    @property
    def is_kept(self) -> bool:
        """Whether what is derived can be kept."""
        return self._cache.is_kept

    @property
    def has_texts(self) -> bool:
        """Whether there is a text index too."""
        return self._core.texts.is_on

    def uids(self) -> list[Uid]:
        """The messages of which something may be kept, ascending."""
        return alive(self._core)

    def asked_fields(self) -> list[str]:
        """Kinds of lists of fields that clients of this account asked for."""
        return self._cache.asked_fields()

    def gaps(self, kinds: Iterable[str]) -> list[list[Uid]]:
        """Return the messages of each page in which one lacks one of the kinds."""
        alive = self.uids()
        found = self._cache.gaps(self._core.numbering, kinds, alive)
        return [alive[start:stop] for start, stop in found]

    def prune(self) -> int:
        """Drop what the cache has of messages that are gone; how many pages."""
        return prune(self._core)

    def shrink(self) -> None:
        """Give back the room that nothing needs any more."""
        self._cache.shrink()

    def is_complete(self, version: str) -> bool:
        """Whether all was there once, and no message came or went since."""
        reached = self._cache.progress(self._core.numbering)
        if reached is None or reached.version != version:
            return False
        alive = self.uids()
        highest = alive[-1] if alive else 0
        return (reached.messages, reached.highest_uid) == (len(alive), highest)

    def complete(self, version: str, skipped: Iterable[Uid]) -> None:
        """Note that all is there now, but of messages that cannot be read."""
        alive = self.uids()
        self._cache.set_progress(
            self._core.numbering,
            Progress(
                version, len(alive), alive[-1] if alive else 0, frozenset(skipped)
            ),
        )

    def skipped(self, version: str) -> frozenset[Uid]:
        """Return the messages of which nothing could be made."""
        reached = self._cache.progress(self._core.numbering)
        if reached is None or reached.version != version:
            return frozenset()
        return reached.skipped

    def claim(self, owner: str, seconds: float) -> bool:
        """Keep others from filling it at the same time; False: another does."""
        return self._cache.claim(self._core.numbering, owner, seconds)

    def release(self, owner: str) -> None:
        """Let others."""
        self._cache.release(self._core.numbering, owner)


def alive(core: MailboxCore) -> list[Uid]:
    """The messages of which something may be kept, ascending."""
    uids = sorted(core.index)
    if not core.made_up:
        return uids
    made_up = set(core.made_up.values())
    return [uid for uid in uids if uid not in made_up]


def prune(core: MailboxCore) -> int:
    """Drop what the cache has of messages that are gone; how many pages."""
    core.unpruned = False
    if core.cache is None or not core.synced:
        return 0
    return core.cache.prune(core.numbering, alive(core), core.is_gone)
