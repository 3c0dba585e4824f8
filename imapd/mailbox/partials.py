"""A large message that a client fetches piece by piece is read and parsed once.

Clients ask for ``BODY[2]<0.65536>``, ``BODY[2]<65536.65536>`` and so on; without
this, a message of 50 MB would be read eight hundred times.
"""

from collections import OrderedDict
from typing import Final

from imapd.ids import Uid
from imapd.mailbox.message import LazyMessage

#: A smaller one is read again as fast as it is kept.
LEAST_OCTETS: Final = 128 << 10
#: Of all sessions of the process together; each keeps one message at the most.
MOST_OCTETS: Final = 128 << 20


class PartialCache:
    """The message that each session reads in pieces, until it does something else."""

    def __init__(self, most_octets: int = MOST_OCTETS) -> None:
        self._most_octets = most_octets
        self._octets = 0
        self._kept: OrderedDict[object, tuple[LazyMessage, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, owner: object, uid: Uid) -> LazyMessage | None:
        """The session's message, if it is that one."""
        kept = self._kept.get(owner)
        return kept[0] if kept is not None and kept[0].uid == uid else None

    def keep(self, owner: object, message: LazyMessage) -> None:
        """Keep a message for a session in place of its last; the oldest may go."""
        self.forget(owner)
        octets = message.held_octets
        if not LEAST_OCTETS <= octets <= self._most_octets:
            return
        self._kept[owner] = message, octets
        self._octets += octets
        while self._octets > self._most_octets:
            _, (_, dropped) = self._kept.popitem(last=False)
            self._octets -= dropped

    def forget(self, owner: object) -> None:
        """Keep nothing for a session; it may have nothing."""
        _, octets = self._kept.pop(owner, (None, 0))
        self._octets -= octets


#: One for the process: what bounds it is the memory of the process.
PARTIALS: Final = PartialCache()
