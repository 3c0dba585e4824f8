"""Mailboxes that nobody has open just now, kept in memory for the next session.

A client that comes back, or another of the same user, finds its mailbox loaded.
What is kept is bounded by what it costs; the one unused for longest goes first.
Answers that are asked for again and again may have what the mailboxes leave.
"""

from collections import OrderedDict
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from imapd.mailbox.blocks import BlockCache
from imapd.mailbox.live import LiveMailbox

#: What the mailboxes of all accounts together may cost while nobody has them open,
#: and what is kept of answers.
KEPT_OCTETS = 128 << 20


class Keeper:
    """One for all accounts of a process."""

    def __init__(
        self, most_octets: int = KEPT_OCTETS, clock: IReactorTime | None = None
    ) -> None:
        """``clock``: for the one timer of all answers that are kept."""
        self._most_octets = most_octets
        self._octets = 0
        self._kept: OrderedDict[LiveMailbox, tuple[int, Callable[[], object]]] = (
            OrderedDict()
        )
        #: Of mailboxes that are kept, and of those in use.
        self.blocks = BlockCache(most_octets, clock)

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, live: LiveMailbox, drop: Callable[[], object]) -> None:
        """Hold a mailbox until it is taken or dropped; ``drop`` closes it.

        One that is too large to be kept is dropped before this returns.
        """
        octets = live.memory_octets
        self._kept[live] = octets, drop
        self._octets += octets
        while self._octets > self._most_octets and self._kept:
            _, (octets, drop_oldest) = self._kept.popitem(last=False)
            self._octets -= octets
            drop_oldest()
        self._leave_the_rest()

    def take(self, live: LiveMailbox) -> bool:
        """Hold it no longer, without a word to it; whether it was held."""
        kept = self._kept.pop(live, None)
        if kept is None:
            return False
        self._octets -= kept[0]
        self._leave_the_rest()
        return True

    def _leave_the_rest(self) -> None:
        self.blocks.bound(self._most_octets - self._octets)
