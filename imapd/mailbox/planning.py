"""What the items of one FETCH need, worked out once for all of its messages."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from imapd.ids import Uid
from imapd.mailbox.itemcolumns import DYNAMIC, META
from imapd.model import columns
from imapd.model.requests import FetchAtom, FetchItem, FetchSection
from imapd.model.structure import Section, SectionText

#: A batch of what the cache may have ends at so many messages.
BATCH_MESSAGES = 512
#: One command names thousands of partials; each may be as large as the message.
MOST_TIMES = 4
#: One for which messages are read ends at so many messages.
READ_MESSAGES = 128
#: A client asks for the same few items again and again; longer lists are not kept.
_KEPT_ITEMS = 16

_RENDERED = {
    FetchAtom.ENVELOPE: columns.ENVELOPE,
    FetchAtom.BODY: columns.BODY,
    FetchAtom.BODYSTRUCTURE: columns.BODYSTRUCTURE,
}
_WHOLE = {
    *(FetchAtom.BODY, FetchAtom.BODYSTRUCTURE),
    *(FetchAtom.RFC822, FetchAtom.RFC822_TEXT),
}
_IN_MEMORY = {FetchAtom.UID, *DYNAMIC}


@dataclass(frozen=True, slots=True)
class Plan:
    """What the items of one FETCH need."""

    items: tuple[FetchItem, ...]
    kinds: tuple[str | None, ...]  # of each item: its column, None: it has none
    reads: bool  # some item has no column: every message must be read
    whole: bool  # if a message is read, it takes more than its header
    in_memory: bool  # nothing needs the disk
    sets_seen: bool
    #: Where the whole message stands, if nothing else is read; None: not so.  It is a
    #: matter of a moment: nothing is asked of the cache, and nothing is parsed,
    #: however often a client names a part.
    whole_at: int | None

    @property
    def streamed(self) -> int | None:
        """Where the one item stands that may be sent in pieces; None: there is none.

        Of a large message nothing else must need more than the header.
        """
        wide = [
            at for at, item in enumerate(self.items) if _takes_more_than_header(item)
        ]
        if len(wide) != 1 or not _is_whole(self.items[wide[0]]):
            return None
        return wide[0]

    @property
    def in_pieces(self) -> bool:
        """Whether large messages are fetched piece by piece."""
        return self.whole and any(
            isinstance(item, FetchSection) and item.partial is not None
            for item in self.items
        )

    @property
    def is_lean(self) -> bool:
        """Whether its columns cannot make more of a message than ``MOST_TIMES`` it."""
        made = [kind for kind in self.kinds if kind not in (None, columns.META)]
        return len(made) <= MOST_TIMES

    @property
    def fields(self) -> dict[str, Sequence[bytes]]:
        """The names of each column that is a list of fields."""
        return {
            kind: item.section.fields
            for item, kind in zip(self.items, self.kinds, strict=True)
            if isinstance(item, FetchSection)
            and kind is not None
            and columns.family_of(kind) is not None
        }

    @property
    def batch_messages(self) -> int:
        """How many messages to ask for at once."""
        return READ_MESSAGES if self.reads else BATCH_MESSAGES


def whole_pages(uids: Sequence[Uid]) -> int:
    """How many of the first of these to take, where more follow.

    Up to where a page of the cache begins, which is read for the next ones anyway.
    """
    border = uids[-1] // columns.PAGE_UIDS * columns.PAGE_UIDS
    count = bisect_left(uids, border)
    return count if 2 * count > len(uids) else len(uids)


def plan(items: Sequence[FetchItem]) -> Plan:
    """Read the items once for all messages."""
    if len(items) <= _KEPT_ITEMS:
        return _kept_plan(tuple(items))
    return _plan(items)


@lru_cache(maxsize=32)
def _kept_plan(items: tuple[FetchItem, ...]) -> Plan:
    return _plan(items)


def _plan(items: Sequence[FetchItem]) -> Plan:
    kinds = tuple(map(_kind, items))
    reading = [
        at
        for at, kind in enumerate(kinds)
        if kind is not None or items[at] not in _IN_MEMORY
    ]
    alone = len(reading) == 1 and _is_whole(items[reading[0]])
    return Plan(
        items=tuple(items),
        kinds=kinds,
        reads=any(kinds[at] is None for at in reading),
        whole=any(_takes_more_than_header(items[at]) for at in reading),
        in_memory=not reading,
        sets_seen=any(_sets_seen(items[at]) for at in reading),
        whole_at=reading[0] if alone else None,
    )


def _sets_seen(item: FetchItem) -> bool:
    if isinstance(item, FetchSection):
        return not item.peek
    return item in (FetchAtom.RFC822, FetchAtom.RFC822_TEXT)


def _is_whole(item: FetchItem) -> bool:
    """Whether the item is all of the message."""
    if isinstance(item, FetchSection):
        return item.section == Section() and item.partial is None
    return item is FetchAtom.RFC822


def _takes_more_than_header(item: FetchItem) -> bool:
    if isinstance(item, FetchSection):
        text = item.section.text
        return bool(item.section.path) or text in (None, SectionText.TEXT)
    return item in _WHOLE


def _kind(item: FetchItem) -> str | None:
    if isinstance(item, FetchAtom):
        if item in META:
            return columns.META
        if item is FetchAtom.RFC822_HEADER:
            return columns.HEADER
        return _RENDERED.get(item)
    if item.section.path:
        return None
    if item.section.text is SectionText.HEADER:
        return columns.HEADER
    if item.section.text is SectionText.HEADER_FIELDS:
        return columns.fields_kind(item.section.fields)
    return None
