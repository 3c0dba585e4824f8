"""SEARCH for all messages of a view at once.  RFC 3501 §6.4.4.

Messages are decided as a mask: a number with one octet, 0 or 1, for each message
of the view.  Of each key it is said who matches and of whom it is not known, from
what is in memory, in the cache and in the text index.  Keys that are cheap go
first, and the others are asked only of those that they can still decide.
"""

import sys
import time
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import compress

from imapd.errors import ImapError
from imapd.ids import Uid
from imapd.mailbox import searchheader
from imapd.mailbox.search import FIRST_SECOND, LAST_SECOND, cost, tell_unsearched
from imapd.mailbox.source import SearchSource
from imapd.mime import text
from imapd.model import columns
from imapd.model.flags import RECENT, Flags, canonical
from imapd.model.mailbox import MessageMeta
from imapd.model.search import (
    All,
    And,
    Body,
    Dated,
    DateField,
    DateTest,
    HasFlag,
    Header,
    Not,
    Numbers,
    Or,
    SearchKey,
    Size,
    Text,
    Within,
)

#: Values of the cache that are looked at before others have a turn.
BLOCK_MESSAGES = 4096

#: Who matches, and of whom it is not known.
Decided = tuple[int, int]
Deciding = Generator[None, None, Decided]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A view at one moment, of what is never changed.

    ``codes`` has for each message the number of its flags in ``sets``, None for one
    that is gone.  Where none is gone it is an array.
    """

    uids: Sequence[Uid]
    codes: Sequence[int | None]
    sets: Sequence[Flags]
    recent: AbstractSet[Uid]

    @property
    def alive(self) -> int:
        """The messages that are there, as a mask."""
        if isinstance(self.codes, array):
            return int.from_bytes(b"\1" * len(self.codes), "little")
        return mask_of([code is not None for code in self.codes])

    def flags(self, place: int) -> Flags | None:
        """The flags of one message; None: it is gone."""
        code = self.codes[place]
        return None if code is None else self.sets[code]


def mask_of(members: Iterable[object]) -> int:
    """Make a mask of truth values, one for each message."""
    return int.from_bytes(bytes(map(bool, members)), "little")


def members(mask: int, count: int) -> bytes:
    """Return a mask as 0 and 1, for ``itertools.compress``."""
    return mask.to_bytes(count, "little")


class Decider:
    """Decides keys for one view.  Blocks; each step of a generator is short."""

    def __init__(self, snapshot: Snapshot, source: SearchSource) -> None:
        self._snapshot = snapshot
        self._source = source
        self._count = len(snapshot.uids)
        self._now = int(time.time())
        self._codes = _short_codes(snapshot)
        self._sizes: array[int] | None = None  # -1: not known yet
        self._dates: array[int] | None = None
        #: Messages that turned out to be gone, and match nothing.
        self.gone = 0

    def decide(self, key: SearchKey, within: int) -> Deciding:
        """Decide a key for some of the messages; the caller has checked the key."""
        match key:
            case Not(inner):
                yes, unknown = yield from self.decide(inner, within)
                return within & ~(yes | unknown), unknown
            case And(keys):
                return (yield from self._all(keys, within))
            case Or(left, right):
                first, second = sorted((left, right), key=cost)
                yes, unknown = yield from self.decide(first, within)
                more, also = yield from self.decide(second, within & ~yes)
                yes |= more
                return yes, (unknown | also) & ~yes
            case _ if not within:
                return 0, 0
            case Size() | Within():
                return (yield from self._by_meta(key, within)), 0
            case Dated(DateField.INTERNAL):
                return (yield from self._by_meta(key, within)), 0
            case Dated():
                return (yield from self._sent(key, within))
            case Header():
                return (yield from self._header(key, within))
            case Body(wanted) | Text(wanted):
                return (yield from self._text(wanted, within, isinstance(key, Text)))
            case _:
                return self._in_memory(key, within)

    def _all(self, keys: Iterable[SearchKey], within: int) -> Deciding:
        unsure = 0
        for key in sorted(keys, key=cost):
            yes, unknown = yield from self.decide(key, within)
            within = yes | unknown
            unsure |= unknown
            if not within:
                break
        return within & ~unsure, within & unsure

    def _in_memory(self, key: SearchKey, within: int) -> Decided:
        match key:
            case All():
                return within, 0
            case HasFlag(flag):
                return within & self._flag(flag), 0
            case Numbers():
                return within & self._numbers(key), 0
            case _:
                return 0, within

    # Flags and numbers.

    def _flag(self, flag: bytes) -> int:
        if flag.lower() == RECENT.lower():
            recent = self._snapshot.recent
            if not recent:
                return 0
            return mask_of(map(recent.__contains__, self._snapshot.uids))
        has = _flag_test(flag)
        table = bytes(map(has, self._snapshot.sets))
        codes = self._codes
        if isinstance(codes, bytes):
            octets = codes.translate(table.ljust(256, b"\0"))
        else:
            octets = bytes([code is not None and table[code] for code in codes])
        return int.from_bytes(octets, "little")

    def _numbers(self, key: Numbers) -> int:
        uids = self._snapshot.uids
        largest = (uids[-1] if len(uids) else 0) if key.uid else self._count
        named = bytearray(self._count)
        for first, last in key.numbers.resolve(largest):
            if key.uid:
                start, stop = bisect_left(uids, first), bisect_right(uids, last)
            else:
                start, stop = first - 1, min(last, self._count)
            named[start:stop] = b"\1" * max(stop - start, 0)
        return int.from_bytes(named, "little")

    # The cache.

    def _blocks(self, within: int) -> Iterator[tuple[list[int], list[Uid]]]:
        """Yield the places and the UIDs of the messages of a mask, in blocks."""
        places = list(compress(range(self._count), members(within, self._count)))
        for start in range(0, len(places), BLOCK_MESSAGES):
            block = places[start : start + BLOCK_MESSAGES]
            yield block, [self._snapshot.uids[each] for each in block]

    def _at(self, places: Iterable[int]) -> int:
        mask = bytearray(self._count)
        for each in places:
            mask[each] = 1
        return int.from_bytes(mask, "little")

    def _by_meta(
        self, key: Size | Within | Dated, within: int
    ) -> Generator[None, None, int]:
        if self._sizes is None or self._dates is None:
            self._sizes = array("q", [-1]) * self._count
            self._dates = array("q", [0]) * self._count
        least, beyond = self._bounds(key)
        numbers = self._sizes if isinstance(key, Size) else self._dates
        found: list[int] = []
        gone: list[int] = []
        for places, _ in self._blocks(within):
            self._load_meta(
                [each for each in places if self._sizes[each] < 0],
                self._sizes,
                self._dates,
            )
            gone += [each for each in places if self._sizes[each] < 0]
            found += [each for each in places if least <= numbers[each] < beyond]
            yield
        self.gone |= self._at(gone)
        return self._at(found)

    def _bounds(self, key: Size | Within | Dated) -> tuple[int, int]:
        """Return the least number that matches, and the least beyond those."""
        match key:
            case Size(larger, octets):
                return (octets + 1, 1 << 62) if larger else (0, octets)
            case Within(younger, seconds):
                # RFC 5032 §2: YOUNGER is "within the interval", OLDER the rest.
                border = self._now - seconds
                return (border, 1 << 62) if younger else (-(1 << 62), border + 1)
            case Dated(_, how, day):
                start = _day_start(day)
                return {
                    DateTest.BEFORE: (-(1 << 62), start),
                    DateTest.ON: (start, start + 86400),
                    DateTest.SINCE: (start, 1 << 62),
                }[how]

    def _load_meta(
        self, places: Sequence[int], sizes: "array[int]", dates: "array[int]"
    ) -> None:
        uids = [self._snapshot.uids[each] for each in places]
        missing: list[int] = []
        values = self._source.load_column(columns.META, uids) if uids else []
        for place, value in zip(places, values, strict=True):
            meta = None if value is None else columns.decode_meta(value)
            if meta is None:
                missing.append(place)
            else:
                dates[place] = _clamped(meta.internal_date_seconds)
                sizes[place] = meta.rfc822_size
        if not missing:
            return
        found = self._look_up([self._snapshot.uids[each] for each in missing])
        for place in missing:
            one = found.get(self._snapshot.uids[place])
            if one is not None:
                dates[place] = _clamped(one.internal_date_seconds)
                sizes[place] = one.rfc822_size

    def _look_up(self, uids: Sequence[Uid]) -> dict[Uid, MessageMeta]:
        try:
            return self._source.meta(uids)
        except ImapError as error:
            if len(uids) == 1:
                tell_unsearched(uids[0], error)
                return {}
        # One that cannot be looked at must not hide the others.
        return {uid: one for each in uids for uid, one in self._look_up([each]).items()}

    def _header(self, key: Header, within: int) -> Deciding:
        needle = searchheader.wanted(text.fold(key.text))
        if needle is None:
            return 0, within
        name = key.name.lower()
        kind = searchheader.KINDS.get(name)
        found: list[int] = []
        unknown: list[int] = []
        for places, uids in self._blocks(within):
            if kind is None:
                values = self._header_values(name, uids)
            else:
                values = self._column(kind, uids)
            for place, value in zip(places, values, strict=True):
                if value is None:
                    unknown.append(place)
                elif needle in value:
                    found.append(place)
            yield
        return self._at(found), self._at(unknown)

    def _header_values(self, name: bytes, uids: Sequence[Uid]) -> list[bytes | None]:
        return [
            None if header is None else searchheader.value_of(header, name)
            for header in self._source.load_column(columns.HEADER, uids)
        ]

    def _column(self, kind: str, uids: Sequence[Uid]) -> list[bytes | None]:
        """Return values of the cache; those it lacks are made of its headers."""
        values = self._source.load_column(kind, uids)
        lacking = [
            uid for uid, value in zip(uids, values, strict=True) if value is None
        ]
        if not lacking:
            return values
        fresh = {
            uid: searchheader.derive(header)
            for uid, header in zip(
                lacking, self._source.load_column(columns.HEADER, lacking), strict=True
            )
            if header is not None
        }
        if not fresh:
            return values
        self._source.save_columns(searchheader.by_kind(fresh))
        return [
            fresh[uid][kind] if value is None and uid in fresh else value
            for uid, value in zip(uids, values, strict=True)
        ]

    def _sent(self, key: Dated, within: int) -> Deciding:
        day = key.day.toordinal()
        least, beyond = {
            DateTest.BEFORE: (1, day),
            DateTest.ON: (day, day + 1),
            DateTest.SINCE: (day, 1 << 62),
        }[key.test]
        found: list[int] = []
        unknown: list[int] = []
        for places, uids in self._blocks(within):
            values = self._column(columns.SEARCH_SENT, uids)
            for place, value in zip(places, values, strict=True):
                if value is None:
                    unknown.append(place)
                elif least <= searchheader.sent_ordinal(value) < beyond:
                    found.append(place)
            yield
        return self._at(found), self._at(unknown)

    # The text index.

    def _text(self, wanted: str, within: int, in_header: bool) -> Deciding:
        needle = text.fold(wanted)
        if not needle:
            return within, 0
        answer = self._source.find_text(needle, in_header=in_header)
        yield
        uids = self._snapshot.uids
        yes = mask_of(map(answer.found.__contains__, uids))
        known = mask_of(map(answer.indexed.__contains__, uids))
        if answer.candidates:
            known &= ~mask_of(map(answer.candidates.__contains__, uids))
        return within & yes, within & ~(known | yes)


def _short_codes(snapshot: Snapshot) -> Sequence[int | None]:
    """Return the codes as ``bytes`` if they fit: those are translated at once."""
    codes, gone = snapshot.codes, len(snapshot.sets)
    if gone > 255:
        return codes
    if not isinstance(codes, array):
        return bytes([gone if code is None else code for code in codes])
    at = 0 if sys.byteorder == "little" else codes.itemsize - 1
    return codes.tobytes()[at :: codes.itemsize]


def _flag_test(flag: bytes) -> Callable[[Flags], bool]:
    if flag.startswith(b"\\"):
        system = canonical(flag)
        return lambda flags: system in flags
    lower = flag.lower()
    return lambda flags: any(each.lower() == lower for each in flags)


def _clamped(seconds: int) -> int:
    return min(max(seconds, FIRST_SECOND), LAST_SECOND)


def _day_start(day: date) -> int:
    """Return the second at which a day begins, in UTC, as INTERNALDATE says it."""
    return (day - date(1970, 1, 1)) // timedelta(seconds=1)
