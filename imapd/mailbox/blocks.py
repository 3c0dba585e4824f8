"""Answers to FETCH that are asked for again and again, as they were sent.

A client that shows a list of messages asks for the same items of the same messages
each time, and mostly nothing has changed: neither the messages nor their flags.
What is asked for once is not kept.
"""

from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from imapd.ids import Uid
from imapd.mailbox.api import Messages
from imapd.mailbox.planning import Plan
from imapd.model.flags import Flags
from imapd.model.requests import FetchAtom, FetchItem, FetchSection
from imapd.model.table import MessageTable

#: Of all mailboxes of the process together, where nobody says how many.
MOST_OCTETS: Final = 16 << 20
#: Fewer messages are answered as fast without.
LEAST_MESSAGES: Final = 64
#: What is not asked for again in so long is forgotten, within as long again.
KEEP_SECONDS: Final = 300.0

#: About what it costs to remember that a block was asked for.
_ASKED_OCTETS: Final = 120
#: About what a question costs, and a section and a name of a field in one: clients
#: make up sections, and names thousands at a time.
_QUESTION_OCTETS: Final = 500
_SECTION_OCTETS: Final = 300
_FIELD_OCTETS: Final = 50

_Items = tuple[FetchItem, ...]
#: What a block was made of: the UIDs, and the codes of their flags.
_Stamp = tuple[bytes, bytes]


class _Answer:
    """The blocks of one question: the same items, of the messages of one mailbox."""

    __slots__ = ("asked", "blocks", "is_fresh", "items", "octets", "owner")

    def __init__(self, owner: "MailboxBlocks", items: _Items) -> None:
        self.owner = owner
        self.items = items
        self.octets = 0
        #: By the first message number: the hash of what was asked for last.
        self.asked: dict[int, int] = {}
        self.blocks: dict[int, tuple[_Stamp, bytes]] = {}
        #: Asked for since old ones were forgotten.
        self.is_fresh = True


class BlockCache:
    """The blocks of all mailboxes of one process; what was asked longest ago goes."""

    def __init__(
        self, most_octets: int = MOST_OCTETS, clock: IReactorTime | None = None
    ) -> None:
        """Without a clock nothing is forgotten for its age."""
        self._most_octets = most_octets
        self._clock = clock
        #: What is held.
        self.octets = 0
        #: Asked for longest ago first.
        self._answers: OrderedDict[_Answer, None] = OrderedDict()
        self._tick: IDelayedCall | None = None

    def bound(self, most_octets: int) -> None:
        """Take no more than that from now on; what is there more goes with the old.

        Whoever opens a mailbox again has left it a moment before.
        """
        self._most_octets = most_octets

    def add(self, answer: _Answer) -> bool:
        """Make a place for a question that is asked now; False: there is no room."""
        if not self.take(answer, question_octets(answer.items)):
            return False
        self._answers[answer] = None
        answer.owner.answers[answer.items] = answer
        if self._tick is None and self._clock is not None:
            self._tick = self._clock.callLater(KEEP_SECONDS, self._forget_old)
        return True

    def touch(self, answer: _Answer) -> None:
        """It is asked for now."""
        answer.is_fresh = True
        self._answers.move_to_end(answer)

    def take(self, answer: _Answer, octets: int) -> bool:
        """Let an answer have so many octets more; False: there is no room for them."""
        if octets > 0 and not self._make_room(octets, answer):
            return False
        answer.octets += octets
        self.octets += octets
        return True

    def forget(self, answer: _Answer) -> None:
        """Drop an answer."""
        del self._answers[answer]
        del answer.owner.answers[answer.items]
        self.octets -= answer.octets

    def _make_room(self, octets: int, wanting: _Answer | None) -> bool:
        """Drop what was asked for longest ago; whether there is room then."""
        if octets > self._most_octets:
            return False
        while self._answers and self.octets + octets > self._most_octets:
            oldest = next(iter(self._answers))
            if oldest is wanting:
                # Its beginning is what will be asked for first, when all is again.
                return False
            self.forget(oldest)
        return True

    def _forget_old(self) -> None:
        """Drop what was not asked for since the last time, and what is too much."""
        self._tick = None
        for answer in list(self._answers):
            if not answer.is_fresh:
                self.forget(answer)
            answer.is_fresh = False
        self._make_room(0, None)
        if self._answers and self._clock is not None:
            self._tick = self._clock.callLater(KEEP_SECONDS, self._forget_old)

    def close(self) -> None:
        """Forget all, and wait for nothing."""
        for answer in list(self._answers):
            self.forget(answer)
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None


class MailboxBlocks:
    """The blocks of one mailbox, until it is closed; of a place one at the most."""

    def __init__(self, cache: BlockCache | None = None) -> None:
        """Without a cache nothing is kept."""
        self._cache = cache
        #: By what was asked for; the cache adds them, and takes them away.
        self.answers: dict[_Items, _Answer] = {}
        self._sets: list[Flags] = []  # what the codes are indexes of

    def know(self, sets: list[Flags]) -> None:
        """Forget all if the codes of flags have other meanings now."""
        if sets is not self._sets:
            self._forget()
            self._sets = sets

    def find(self, items: _Items, first: int, stamp: _Stamp) -> bytes | None:
        """Return what was sent of it, if it is still that."""
        answer = self.answers.get(items)
        kept = None if answer is None else answer.blocks.get(first)
        if kept is None or kept[0] != stamp:
            return None
        if self._cache is not None and answer is not None:
            self._cache.touch(answer)
        return kept[1]

    def keep(self, items: _Items, first: int, stamp: _Stamp, octets: bytes) -> None:
        """Keep what is sent for the second time, if there is room."""
        cache = self._cache
        if cache is None:  # the FETCH has outlived its mailbox
            return
        answer, asked = self.answers.get(items), hash(stamp)
        if answer is None:
            answer = _Answer(self, items)
            if not cache.add(answer):
                return
        cache.touch(answer)
        if answer.asked.get(first) != asked:
            if first in answer.asked or cache.take(answer, _ASKED_OCTETS):
                answer.asked[first] = asked
            return
        before = answer.blocks.pop(first, None)
        if before is not None:
            cache.take(answer, -_octets(before))
        block = stamp, octets
        if cache.take(answer, _octets(block)):
            answer.blocks[first] = block

    def _forget(self) -> None:
        if self._cache is not None:
            for answer in list(self.answers.values()):
                self._cache.forget(answer)

    def close(self) -> None:
        """Forget all, and keep nothing any more."""
        self._forget()
        self._cache = None


def _octets(block: tuple[_Stamp, bytes]) -> int:
    (uids, codes), octets = block
    return len(uids) + len(codes) + len(octets)


def question_octets(items: _Items) -> int:
    """About what it costs to remember what was asked for."""
    return _QUESTION_OCTETS + sum(
        _SECTION_OCTETS + sum(_FIELD_OCTETS + len(name) for name in each.section.fields)
        for each in items
        if isinstance(each, FetchSection)
    )


class BlockSource:
    """The blocks of one mailbox, as one session may be sent them."""

    def __init__(
        self,
        blocks: MailboxBlocks,
        table: MessageTable,
        has_recent: Callable[[Sequence[Uid]], bool],
    ) -> None:
        """``has_recent``: whether one of the messages is so for this session."""
        self._blocks = blocks
        self._table = table
        self._has_recent = has_recent

    def find(self, plan: Plan, asked: Messages) -> bytes | None:
        """Return the responses to these messages, if they were kept and still hold."""
        place = self._place(plan, asked)
        return None if place is None else self._blocks.find(*place)

    def keep(self, plan: Plan, asked: Messages, octets: bytes) -> None:
        """Offer responses that were made at this moment, of all these messages."""
        place = self._place(plan, asked)
        if place is not None:
            self._blocks.keep(*place, octets)

    def _place(self, plan: Plan, asked: Messages) -> tuple[_Items, int, _Stamp] | None:
        """Where a block belongs now; None: there cannot be one."""
        uids, seqs = asked.uids, asked.seqs
        if len(uids) < LEAST_MESSAGES or not is_repeatable(plan):
            return None
        codes = self._table.codes_of(uids)
        if not isinstance(codes, array) or not isinstance(uids, array):
            return None  # one of them is gone
        if seqs[-1] - seqs[0] + 1 != len(seqs) or self._has_recent(uids):
            return None
        self._blocks.know(self._table.sets)
        return plan.items, seqs[0], (uids.tobytes(), codes.tobytes())


def is_repeatable(plan: Plan) -> bool:
    """Whether the answer changes nothing, and is made of the cache and of flags."""
    return not (
        plan.reads or plan.in_memory or plan.sets_seen or FetchAtom.MODSEQ in plan.items
    )
