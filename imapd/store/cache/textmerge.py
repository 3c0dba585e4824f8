"""Which messages go into a segment of the text index, and which segments join.

Pure: no file is touched here.
"""

import secrets
from array import array
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from imapd.ids import Uid
from imapd.model.texts import MessageWords
from imapd.store.cache import textsegment
from imapd.store.cache.textsegment import Section

#: A segment costs no more than its messages' texts, and so much for itself.
SPARE_OCTETS: Final = 4096
#: Words of one segment: they are held in memory, and searched in one go.
LARGEST_WORDS_OCTETS: Final = 16 << 20
#: The sections of a segment, in this order.
BODY, HEADER = 0, 1

_MERGED_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class Segment:
    """``texts`` and ``words``: octets of its messages' texts, and of its words.

    No other segment ever has its ``id``, in no process: what was read of it is right
    for ever.
    """

    id: int
    texts: int
    words: int
    uids: "array[int]"


class Merger:
    """Joins segments, without the messages that are gone or came twice."""

    def __init__(self, alive: Container[Uid] | None) -> None:
        self._alive = alive
        self._uids: dict[int, None] = {}
        self._texts = 0
        self._parts: list[tuple[list[textsegment.Postings], list[int | None]]] = []

    def add(self, segment: Segment, postings: list[textsegment.Postings]) -> None:
        """Take one in; ``postings`` of its sections."""
        ordinals: list[int | None] = []
        for uid in segment.uids:
            dead = self._alive is not None and Uid(uid) not in self._alive
            if dead or uid in self._uids:
                ordinals.append(None)
            else:
                ordinals.append(len(self._uids))
                self._uids[uid] = None
        kept = len(ordinals) - ordinals.count(None)
        # Which texts are gone is not known, only how many.
        self._texts += segment.texts * kept // max(len(ordinals), 1)
        self._parts.append((postings, ordinals))

    def result(self) -> tuple[Segment, list[Section]]:
        """Return the segment that has what all of them had."""
        merged = [
            textsegment.merge(
                (postings[section], ordinals) for postings, ordinals in self._parts
            )
            for section in (BODY, HEADER)
        ]
        return _made(merged, array("I", self._uids), self._texts)


def _made(
    postings: Sequence[textsegment.Postings], uids: "array[int]", texts: int
) -> tuple[Segment, list[Section]]:
    words = sum(len(word) + 1 for each in postings for word in each)
    segment = Segment(secrets.randbits(62), texts, words, uids)
    return segment, [textsegment.encode(each, len(uids)) for each in postings]


def built(
    batch: list[tuple[Uid, MessageWords]], left_out: list[Uid]
) -> Iterator[tuple[Segment, list[Section]]]:
    """Make segments of messages; those that would cost too much are left out."""
    bodies = textsegment.collect([words.body for _, words in batch])
    headers = textsegment.collect([words.header for _, words in batch])
    uids = array("I", [uid for uid, _ in batch])
    texts = sum(words.octets for _, words in batch)
    segment, sections = _made((bodies, headers), uids, texts)
    if not costs_too_much(segment, sections):
        yield segment, sections
    elif len(batch) == 1:
        left_out.append(batch[0][0])
    else:  # one of them is to blame
        middle = len(batch) // 2
        yield from built(batch[:middle], left_out)
        yield from built(batch[middle:], left_out)


def batches(
    messages: Mapping[Uid, MessageWords],
) -> Iterator[list[tuple[Uid, MessageWords]]]:
    """Yield messages that fit into a segment together."""
    batch: list[tuple[Uid, MessageWords]] = []
    octets = 0
    for uid, words in messages.items():
        if words.too_many:
            continue
        octets += len(words.body) + len(words.header)
        if batch and octets > LARGEST_WORDS_OCTETS:
            yield batch
            batch, octets = [], len(words.body) + len(words.header)
        batch.append((uid, words))
        if len(batch) == textsegment.LARGEST_COUNT:
            yield batch
            batch, octets = [], 0
    if batch:
        yield batch


def costs_too_much(segment: Segment, sections: Iterable[Section]) -> bool:
    """Whether it would take more of the disk than the texts it is of."""
    octets = sum(each.octets for each in sections) + 4 * len(segment.uids)
    return octets > segment.texts + SPARE_OCTETS


def due(segments: Iterable[Segment]) -> list[Segment]:
    """Return those to be merged: eight whose sizes are within a factor of eight."""
    levels: dict[int, list[Segment]] = {}
    for segment in segments:
        level = (len(segment.uids).bit_length() - 1) // 3
        if 2 * len(segment.uids) <= textsegment.LARGEST_COUNT:
            levels.setdefault(level, []).append(segment)
    for level in sorted(levels):
        if len(levels[level]) < _MERGED_AT_ONCE:
            continue
        chosen, count, words = [], 0, 0
        for segment in sorted(levels[level], key=lambda each: each.words):
            count += len(segment.uids)
            words += segment.words
            if count > textsegment.LARGEST_COUNT or words > LARGEST_WORDS_OCTETS:
                break
            chosen.append(segment)
        if len(chosen) > 1:
            return chosen
    return []
