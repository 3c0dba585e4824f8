"""One SEARCH from the key to the messages found, in steps that end.

First ``searchmask`` decides what it can for all messages at once; the rest is read,
a batch at a time, and each message is parsed at most once whatever the key.
"""

import time
from collections.abc import Iterator
from itertools import compress

from imapd.ids import Seq, Uid
from imapd.mailbox import searchheader
from imapd.mailbox.search import (
    BATCH_MESSAGES,
    Message,
    compile_key,
    cost,
    match_batch,
)
from imapd.mailbox.searchmask import Decider, Snapshot, members
from imapd.mailbox.source import SearchSource
from imapd.model import columns
from imapd.model.numbered import Chosen, Numbered
from imapd.model.search import Dated, DateField, Header, Numbers, SearchKey, walk

#: A step ends after so long, with the batch it is at.
STEP_SECONDS = 0.02
#: So many messages, and keys times messages, take a few milliseconds where all that
#: is asked is in memory.
_SMALL_COUNT = 1 << 16
_SMALL = 1 << 18
#: So many ranges of sets take as long: each is looked up by itself.
_SMALL_RANGES = 1 << 11
#: Headers that go into the cache together: the more, the cheaper.
_LEARNED_AT_ONCE = 512


class Search:
    """One SEARCH of a view as it was at one moment.

    Raises:
        IndexError: a message number beyond the mailbox.
        LimitReached: too many texts to look for.
    """

    def __init__(
        self, key: SearchKey, snapshot: Snapshot, source: SearchSource
    ) -> None:
        uids = snapshot.uids
        self._test = compile_key(
            key, largest_seq=len(uids), largest_uid=uids[-1] if len(uids) else 0
        )
        self._key = key
        self._snapshot = snapshot
        self._source = source
        self._found = 0
        self._keys = list(walk(key))
        self._learned: dict[Uid, dict[str, bytes]] = {}
        self._steps = self._run()

    @property
    def is_small(self) -> bool:
        """Whether all of it may be done where others wait: it takes no time."""
        count = len(self._snapshot.uids)
        if cost(self._key) or count > _SMALL_COUNT:
            return False
        sets = (key.numbers for key in self._keys if isinstance(key, Numbers))
        if sum(len(each.ranges) for each in sets) > _SMALL_RANGES:
            return False
        return len(self._keys) * count <= _SMALL

    def step(self) -> bool:
        """Do a part of it; return whether there is more.  Blocks."""
        until = time.monotonic() + STEP_SECONDS
        return any(time.monotonic() >= until for _ in self._steps)

    def finish(self) -> Numbered:
        """Do all of it.  Blocks."""
        for _ in self._steps:
            pass
        return self.result()

    def result(self) -> Numbered:
        """The messages found, ascending, when there is no more to do."""
        uids = self._snapshot.uids
        return Chosen(uids, members(self._found, len(uids)))

    def _run(self) -> Iterator[None]:
        decider = Decider(self._snapshot, self._source)
        yes, unknown = yield from decider.decide(self._key, self._snapshot.alive)
        self._found = yes & ~decider.gone
        if left := unknown & ~decider.gone:
            yield from self._read(left)

    def _read(self, unknown: int) -> Iterator[None]:
        """Look at the messages of whom it is not known."""
        uids, recent = self._snapshot.uids, self._snapshot.recent
        places = list(compress(range(len(uids)), members(unknown, len(uids))))
        found = bytearray(len(uids))
        learn = self._learn if any(map(_is_of_header, self._keys)) else None
        at = 0
        while at < len(places):
            batch = [
                Message(
                    self._source,
                    Seq(each + 1),
                    uids[each],
                    self._snapshot.flags(each),
                    uids[each] in recent,
                )
                for each in places[at : at + BATCH_MESSAGES]
            ]
            matched = match_batch(self._test, batch, learn)
            for seq, _ in matched.found:
                found[seq - 1] = 1
            at += matched.count
            if len(self._learned) >= _LEARNED_AT_ONCE or at >= len(places):
                learned, self._learned = self._learned, {}
                self._source.save_columns(searchheader.by_kind(learned))
            yield
        self._found |= int.from_bytes(found, "little")

    def _learn(self, message: Message) -> None:
        """Keep what was read for the next SEARCH."""
        if message.has_header:
            header = message.header
            self._learned[message.uid] = {
                columns.HEADER: header,
                **searchheader.derive(header),
            }


def _is_of_header(key: SearchKey) -> bool:
    return isinstance(key, Header) or (
        isinstance(key, Dated) and key.field is DateField.SENT
    )
