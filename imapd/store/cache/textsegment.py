"""A segment of the text index: the words of many messages, and who has them.

A segment never changes.  It has two sections, of bodies and of headers.  The words
of a section stand in one octet string, so that looking for a search string in all
words of all messages is one ``bytes.find``; each word has a *posting*, the ordinals
of the messages it is in.  Where that is shorter, a posting is a bit map; those words
come first, so that a search string that is nearly everywhere is soon found.

Pure: no file is touched here.
"""

import sys
import zlib
from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, compress
from typing import Final

from imapd.model.sets import runs

#: Messages in one segment at most; an ordinal has 16 bits.
LARGEST_COUNT: Final = 8192
#: Postings are kept in pieces of so many octets, and only those needed are read.
CHUNK_OCTETS: Final = 1 << 16

_LEVEL: Final = 6  # of zlib
_DIGITS: Final = bytes.maketrans(b"\0\1", b"01")
_OCTETS: Final = bytes.maketrans(b"01", b"\0\1")
_ORDINALS: Final = "H"
_LARGE: Final = "I"

#: Which message, by ordinal, has a word.
Postings = dict[bytes, "array[int]"]
#: Returns a piece of the postings, by number.
ReadChunk = Callable[[int], bytes]


class Damaged(Exception):
    """What is kept is not what was written."""


class Gone(Damaged):
    """It was there a moment ago: another process merged it into a larger one."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words of a section, ready to be searched.

    Word n stands between the line feeds at ``starts[n]`` and ``starts[n + 1]`` of
    ``words``; its posting is from octet ``places[n]`` to ``places[n + 1]``.  The
    first ``dense_count`` are bit maps.
    """

    words: bytes
    starts: "array[int]"
    places: "array[int]"
    dense_count: int
    message_count: int

    @property
    def octets(self) -> int:
        """About what it takes in memory."""
        return len(self.words) + 4 * (len(self.starts) + len(self.places))

    def matching(self, needle: bytes) -> Iterator[int]:
        """Yield the words in which the needle is.

        A line feed before it or behind it asks for the beginning or the end.
        """
        words, starts = self.words, self.starts
        at = words.find(needle)
        while at >= 0:
            # A needle may begin with the line feed before the word.
            word = bisect_right(starts, at) - 1
            if word >= len(starts) - 1:
                return
            yield word
            at = words.find(needle, starts[word + 1])


@dataclass(frozen=True, slots=True)
class Section:
    """A section as it is kept."""

    vocabulary: bytes
    chunks: list[bytes]

    @property
    def octets(self) -> int:
        """What it costs on disk."""
        return len(self.vocabulary) + sum(map(len, self.chunks))


def collect(word_lists: Sequence[bytes]) -> Postings:
    """Turn the words of messages (``MessageWords``), by ordinal, into postings."""
    lists: defaultdict[bytes, list[int]] = defaultdict(list)
    for ordinal, words in enumerate(word_lists):
        for word in words.split(b"\n"):
            lists[word].append(ordinal)
    lists.pop(b"", None)
    return {word: array(_ORDINALS, have) for word, have in lists.items()}


def encode(postings: Mapping[bytes, "array[int]"], message_count: int) -> Section:
    """Write a section."""
    least = message_count // 16 + 1  # from here on a bit map is shorter
    dense = sorted(word for word, have in postings.items() if len(have) >= least)
    sparse = sorted(word for word, have in postings.items() if len(have) < least)
    counts = array(_ORDINALS, map(len, map(postings.__getitem__, sparse)))
    lists = array(_ORDINALS)
    for word in sparse:
        lists += postings[word]
    stream = b"".join(
        [_bit_map(postings[word], message_count) for word in dense]
        + [little(lists).tobytes()]
    )
    words = b"\n".join([*dense, *sparse])
    head = array(_LARGE, (message_count, len(dense), len(sparse)))
    raw = little(head).tobytes() + little(counts).tobytes() + words
    chunks = [
        stream[start : start + CHUNK_OCTETS]
        for start in range(0, len(stream), CHUNK_OCTETS)
    ]
    return Section(zlib.compress(raw, _LEVEL), chunks)


def decode(vocabulary: bytes, largest_octets: int) -> Vocabulary:
    """Read what ``encode`` wrote.

    Raises:
        Damaged: it is something else.
    """
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(vocabulary, largest_octets)
    except zlib.error as error:
        raise Damaged(str(error)) from error
    head = _read(_LARGE, raw[:12])
    if not inflater.eof or len(head) != 3:
        raise Damaged("cut off")
    message_count, dense_count, sparse_count = head
    counts_end = 12 + 2 * sparse_count
    counts = _read(_ORDINALS, raw[12:counts_end])
    words = b"\n%b\n" % raw[counts_end:]
    total = dense_count + sparse_count
    lengths = map(len, words[1:-1].split(b"\n")) if total else iter(())
    starts = array(_LARGE, accumulate((each + 1 for each in lengths), initial=0))
    if len(counts) != sparse_count or len(starts) != total + 1:
        raise Damaged("counts differ")
    width = (message_count + 7) // 8
    octets = [width] * dense_count + [2 * each for each in counts]
    places = array(_LARGE, accumulate(octets, initial=0))
    return Vocabulary(words, starts, places, dense_count, message_count)


def union(
    vocabulary: Vocabulary, words: Iterable[int], read: ReadChunk, have: int = 0
) -> int:
    """Return which messages have one of the words: bit n is the message n.

    ``have`` are known already; what everybody has is not looked for any further.
    """
    everybody = (1 << vocabulary.message_count) - 1
    stream = _Stream(read)
    places, sparse = vocabulary.places, array(_LARGE)
    for word in words:
        if word >= vocabulary.dense_count:
            sparse.append(word)
            continue
        have |= int.from_bytes(stream.slice(places[word], places[word + 1]), "little")
        if have == everybody:
            return have
    ordinals: set[int] = set()
    for first, last in runs(sparse):  # words side by side have postings side by side
        ordinals.update(_read(_ORDINALS, stream.slice(places[first], places[last + 1])))
    if ordinals and max(ordinals) >= vocabulary.message_count:
        raise Damaged("no such message")
    return have | _bits(ordinals, vocabulary.message_count)


def postings_of(vocabulary: Vocabulary, chunks: Iterable[bytes]) -> Postings:
    """Read a whole section again, to merge it."""
    stream = b"".join(chunks)
    words = vocabulary.words[1:-1].split(b"\n") if len(vocabulary.starts) > 1 else []
    places, dense_count = vocabulary.places, vocabulary.dense_count
    if len(stream) != places[-1]:
        raise Damaged("postings are missing")
    found: Postings = {}
    for word, start, end in zip(words[:dense_count], places, places[1:], strict=False):
        bits = int.from_bytes(stream[start:end], "little")
        found[word] = array(_ORDINALS, ordinals_of(bits))
    begin = places[dense_count]
    lists = _read(_ORDINALS, stream[begin:])
    at = 0
    for word, end in zip(words[dense_count:], places[dense_count + 1 :], strict=True):
        stop = (end - begin) >> 1
        found[word] = lists[at:stop]
        at = stop
    return found


def merge(parts: Iterable[tuple[Postings, Sequence[int | None]]]) -> Postings:
    """Join postings; each part comes with its messages' new ordinals, None for gone.

    New ordinals ascend from part to part.  Words that nobody has any more go.
    """
    merged: Postings = {}
    for postings, ordinals in parts:
        renumber = _renumbering(ordinals)
        for word, old in postings.items():
            new = renumber(old)
            there = merged.get(word)
            if there is not None:
                there += new
            elif new:
                merged[word] = new
    return merged


def _renumbering(
    ordinals: Sequence[int | None],
) -> Callable[["array[int]"], "array[int]"]:
    kept = [each for each in ordinals if each is not None]
    if len(kept) == len(ordinals):
        if kept == list(range(len(kept))):
            return lambda old: old
        new = kept.__getitem__
        return lambda old: array(_ORDINALS, map(new, old))
    return lambda old: array(
        _ORDINALS, [at for one in old if (at := ordinals[one]) is not None]
    )


def ordinals_of(bits: int) -> list[int]:
    """Return the numbers of the bits that are set, ascending."""
    digits = f"{bits:b}".encode()[::-1]
    return list(compress(range(len(digits)), digits.translate(_OCTETS)))


class _Stream:
    """The postings of a section, of which pieces are read when they are needed."""

    def __init__(self, read: ReadChunk) -> None:
        self._read = read
        self._number = -1
        self._chunk = b""

    def slice(self, start: int, end: int) -> bytes:
        pieces = []
        while start < end:
            number, offset = divmod(start, CHUNK_OCTETS)
            if number != self._number:
                self._chunk, self._number = self._read(number), number
            piece = self._chunk[offset : offset + end - start]
            if not piece:
                raise Damaged("postings are missing")
            pieces.append(piece)
            start += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _bit_map(ordinals: "array[int]", message_count: int) -> bytes:
    bits = _bits(ordinals, message_count)
    return bits.to_bytes((message_count + 7) // 8, "little")


def _bits(ordinals: Iterable[int], message_count: int) -> int:
    mask = bytearray(message_count)
    for each in ordinals:
        mask[each] = 1
    mask.reverse()
    return int(mask.translate(_DIGITS), 2) if mask else 0


def _read(kind: str, octets: bytes | memoryview) -> "array[int]":
    numbers = array(kind)
    if len(octets) % numbers.itemsize:
        raise Damaged("half a number")
    numbers.frombytes(octets)
    return little(numbers)


def little(numbers: "array[int]") -> "array[int]":
    """Swap to or from the byte order of the file; in place."""
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
