"""Answers to FETCH that are asked for again and again, as they were sent.

A client that shows a list of messages asks for the same items of the same messages
each time, and mostly nothing has changed: neither the messages nor their flags.
What is asked for once is not kept.
"""

from array import array
from collections.abc import Callable, Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

from imapd.ids import Uid
from imapd.mailbox.api import Messages
from imapd.mailbox.planning import Plan
from imapd.model.flags import Flags
from imapd.model.requests import FetchAtom, FetchItem
from imapd.model.table import MessageTable

#: Of all mailboxes of the process together.
MOST_OCTETS: Final = 16 << 20
#: So many questions of a mailbox are remembered to have been asked once.
MOST_ASKED: Final = 128
#: Fewer messages are answered as fast without.
LEAST_MESSAGES: Final = 64

#: Which items, and from which message number on.
_Place = tuple[tuple[FetchItem, ...], int]
#: What a block was made of: the UIDs, and the codes of their flags.
_Stamp = tuple[bytes, bytes]


class MailboxBlocks:
    """The blocks of one mailbox; of a place there is one at the most."""

    def __init__(self) -> None:
        self.octets = 0
        self._blocks: dict[_Place, tuple[_Stamp, bytes]] = {}
        self._asked: set[int] = set()
        self._sets: list[Flags] = []  # what the codes are indexes of

    def know(self, sets: list[Flags]) -> None:
        """Forget all if the codes of flags have other meanings now."""
        if sets is not self._sets:
            self.octets = 0
            self._blocks.clear()
            self._asked.clear()
            self._sets = sets

    def find(self, place: _Place, stamp: _Stamp) -> bytes | None:
        """Return what was sent of it, if it is still that."""
        kept = self._blocks.get(place)
        return kept[1] if kept is not None and kept[0] == stamp else None

    def offer(self, place: _Place, stamp: _Stamp, octets: bytes, most: int) -> bool:
        """Keep what is sent for the second time; whether it was kept."""
        asked = hash((place, stamp))
        if asked not in self._asked:
            if len(self._asked) >= MOST_ASKED:
                self._asked.clear()
            self._asked.add(asked)
            return False
        _, before = self._blocks.pop(place, (None, b""))
        self.octets -= len(before)
        if self.octets + len(octets) > most:
            return False
        self._blocks[place] = stamp, octets
        self.octets += len(octets)
        return True


class BlockCache:
    """The blocks of the mailboxes of one process; those of a mailbox go with it."""

    def __init__(self, most_octets: int = MOST_OCTETS) -> None:
        self._most_octets = most_octets
        self._mailboxes: WeakKeyDictionary[Any, MailboxBlocks] = WeakKeyDictionary()
        self._at_most = 0  # octets held, those of mailboxes that are gone included

    @property
    def octets(self) -> int:
        """What is held."""
        return sum(each.octets for each in self._mailboxes.values())

    def of(self, mailbox: object, sets: list[Flags]) -> MailboxBlocks:
        """The blocks of a mailbox that is open; an empty place for a new one."""
        blocks = self._mailboxes.pop(mailbox, None)
        if blocks is None:
            blocks = MailboxBlocks()
        self._mailboxes[mailbox] = blocks  # the last of all
        blocks.know(sets)
        return blocks

    def keep(
        self, blocks: MailboxBlocks, place: _Place, stamp: _Stamp, octets: bytes
    ) -> None:
        """Offer a block; those of mailboxes not asked for longest may go."""
        if not blocks.offer(place, stamp, octets, self._most_octets):
            return
        self._at_most += len(octets)
        if self._at_most <= self._most_octets:
            return
        total = self.octets
        for mailbox, each in list(self._mailboxes.items()):
            if total <= self._most_octets:
                break
            if each is not blocks:
                total -= each.octets
                self._mailboxes.pop(mailbox, None)
        self._at_most = total


#: One for the process: what bounds it is the memory of the process.
BLOCKS: Final = BlockCache()


class BlockSource:
    """The blocks of one mailbox, as one session may be sent them."""

    def __init__(
        self,
        mailbox: object,
        table: MessageTable,
        has_recent: Callable[[Sequence[Uid]], bool],
        cache: BlockCache = BLOCKS,
    ) -> None:
        """``has_recent``: whether one of the messages is so for this session."""
        self._mailbox = mailbox
        self._table = table
        self._has_recent = has_recent
        self._cache = cache

    def find(self, plan: Plan, asked: Messages) -> bytes | None:
        """Return the responses to these messages, if they were kept and still hold."""
        found = self._found(plan, asked)
        return None if found is None else found[0].find(*found[1:])

    def keep(self, plan: Plan, asked: Messages, octets: bytes) -> None:
        """Offer responses that were made at this moment, of all these messages."""
        found = self._found(plan, asked)
        if found is not None:
            self._cache.keep(*found, octets)

    def _found(
        self, plan: Plan, asked: Messages
    ) -> tuple[MailboxBlocks, _Place, _Stamp] | None:
        """Where a block belongs now; None: there cannot be one."""
        uids, seqs = asked.uids, asked.seqs
        if len(uids) < LEAST_MESSAGES or not is_repeatable(plan):
            return None
        codes = self._table.codes_of(uids)
        if not isinstance(codes, array) or not isinstance(uids, array):
            return None  # one of them is gone
        if seqs[-1] - seqs[0] + 1 != len(seqs) or self._has_recent(uids):
            return None
        blocks = self._cache.of(self._mailbox, self._table.sets)
        return blocks, (plan.items, seqs[0]), (uids.tobytes(), codes.tobytes())


def is_repeatable(plan: Plan) -> bool:
    """Whether the answer changes nothing, and is made of the cache and of flags."""
    return not (
        plan.reads or plan.in_memory or plan.sets_seen or FetchAtom.MODSEQ in plan.items
    )
