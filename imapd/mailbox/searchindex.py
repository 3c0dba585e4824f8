"""What the text index is told of a message, and telling it of a whole mailbox.

Nothing depends on it: what is not indexed is read by SEARCH, with the same result.
So it is for whoever has time, in a worker and at low priority::

    indexing = TextIndexing(store, store.unindexed(uids))
    while indexing.step():
        ...  # others have their turn
"""

from collections.abc import Iterable, Iterator, Sequence

from twisted.logger import Logger

from imapd.errors import ImapError, MessageGone
from imapd.ids import Uid
from imapd.mailbox.message import LazyMessage
from imapd.mime import headers, text
from imapd.model.texts import MessageWords, message_words
from imapd.store.api import MailboxStore
from imapd.store.quiet import is_due

_log = Logger()

#: So many messages, or octets of words, go into the index at once: a message costs
#: less in a larger lot, and the lot is in memory.
LOT_MESSAGES = 1024
LOT_OCTETS = 8 << 20
#: A step ends at so many messages or octets read.
STEP_MESSAGES = 32
STEP_OCTETS = 1 << 20
_FOLDED_CHARS = 1 << 16


def words(message: LazyMessage) -> MessageWords:
    """Return the words of a message, as BODY and TEXT of SEARCH see it.  Blocks.

    Raises:
        MessageGone: it was expunged.
        Unavailable: it cannot be read.
    """
    octets = message.octets
    return message_words(
        map(text.fold, text.body_texts(octets, message.root)),
        _header_texts(octets, message),
    )


def _header_texts(octets: bytes, message: LazyMessage) -> Iterator[str]:
    header = octets[: headers.header_end(octets)]
    yield from _folded(text.all_header_texts(header))
    yield from _folded(text.part_header_texts(octets, message.root))


def _folded(texts: Iterable[str]) -> Iterator[str]:
    # Many are folded in one go, which is faster: nothing in a text joins with a line
    # feed.
    some: list[str] = []
    count = 0
    for each in texts:
        some.append(each)
        count += len(each)
        if count >= _FOLDED_CHARS or len(some) >= _FOLDED_CHARS:
            yield text.fold("\n".join(some))
            some, count = [], 0
    yield text.fold("\n".join(some))


class TextIndexing:
    """Indexes messages of one mailbox, in steps.  Blocks."""

    def __init__(self, store: MailboxStore, uids: Sequence[Uid]) -> None:
        self._store = store
        self._uids = uids
        self._lot: dict[Uid, MessageWords] = {}
        self._lot_octets = 0
        self.done_count = 0

    def step(self) -> bool:
        """Do a part of it; return whether there is more."""
        octets = 0
        for uid in self._uids[self.done_count : self.done_count + STEP_MESSAGES]:
            octets += self._read(uid)
            self.done_count += 1
            if octets >= STEP_OCTETS:
                break
        more = self.done_count < len(self._uids)
        full = len(self._lot) >= LOT_MESSAGES or self._lot_octets >= LOT_OCTETS
        if self._lot and (full or not more):
            lot, self._lot, self._lot_octets = self._lot, {}, 0
            self._store.index_texts(lot)
        return more

    def _read(self, uid: Uid) -> int:
        message = LazyMessage(self._store, uid, whole=True)
        try:
            found = words(message)
        except MessageGone:
            return 0
        except ImapError as error:
            if is_due("indexing words", str(error)):  # the store names the place
                _log.warn("cannot index {uid}: {error}", uid=uid, error=str(error))
            return 0
        self._lot[uid] = found
        self._lot_octets += len(found.body) + len(found.header)
        return message.forget()
