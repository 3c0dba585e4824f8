"""A mailbox of somebody else's, which keeps no modification sequences.

RFC 7162 §3.1.2.2: the client is told NOMODSEQ, and asks for none.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from imapd.ids import Uid
from imapd.model.flags import StoreMode
from imapd.model.requests import SequenceMatch
from imapd.model.sets import Ranges, SequenceSet


class FlagStore(Protocol):
    """A mailbox that changes flags, whatever they were."""

    async def store_flags(
        self, uids: Sequence[Uid], mode: StoreMode, flags: Iterable[bytes]
    ) -> None:
        """Change flags; the view learns of every change."""


class NoModSeqs:
    """What ``mailbox.api.SelectedMailbox`` asks about them."""

    condstore = False
    highest_modseq = 0

    async def store(
        self: FlagStore,
        uids: Sequence[Uid],
        mode: StoreMode,
        flags: Iterable[bytes],
        unchanged_since: int | None = None,
    ) -> list[Uid]:
        """Change flags, whatever has changed since."""
        await self.store_flags(uids, mode, flags)
        return []

    async def track(self) -> None:
        """Nothing can be kept."""

    def modseq(self, uid: Uid) -> int:
        """No message has one."""
        return 0

    def newer(self, uids: Sequence[Uid], modseq: int) -> list[Uid]:
        """Nobody knows."""
        return []

    def vanished_since(
        self,
        modseq: int,
        known: SequenceSet | None,
        match: SequenceMatch | None = None,
    ) -> Ranges:
        """Nobody knows."""
        return []
