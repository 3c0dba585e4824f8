"""SORT and THREAD over the messages that a search found.  RFC 5256, RFC 5957.

Values are loaded batch by batch, and put in order in steps of about a millisecond:
after each the asker's ``pause`` lets others have their turn, and raises if the
client has left.
"""

from array import array
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeVar, cast

from imapd.ids import Seq, Uid
from imapd.mailbox.api import Messages, Pause
from imapd.mailbox.sortcache import Column, MailboxKeys
from imapd.mailbox.sortcolumns import BATCH_MESSAGES, Loaded
from imapd.model import columns, threads
from imapd.model.numbered import uid_array, without
from imapd.model.search import All, SearchKey
from imapd.model.sort import (
    COLUMN_OF,
    Criterion,
    SortKey,
    ThreadAlgorithm,
    ordered,
)
from imapd.model.threads import Threads
from imapd.model.view import SessionView

T = TypeVar("T")
Load = Callable[[Iterable[str], Sequence[Uid]], Awaitable[Loaded]]

_BY_DATE = (Criterion(SortKey.DATE),)
_META_FIELD = {SortKey.ARRIVAL: itemgetter(0), SortKey.SIZE: itemgetter(1)}
#: By algorithm; the date is the first.
_THREAD_KINDS = {
    ThreadAlgorithm.ORDEREDSUBJECT: (columns.SORT_DATE, columns.SORT_SUBJECT),
    ThreadAlgorithm.REFERENCES: (
        columns.SORT_DATE,
        columns.SORT_SUBJECT,
        columns.THREAD_IDS,
    ),
    ThreadAlgorithm.REFS: (columns.SORT_DATE, columns.THREAD_IDS),
}


@dataclass(frozen=True, slots=True)
class Mailbox:
    """What a session's mailbox lends to SORT and THREAD."""

    view: SessionView
    keys: MailboxKeys
    search: Callable[[SearchKey], Awaitable[Messages | list[tuple[Seq, Uid]]]]
    load: Load


async def sort(
    mailbox: Mailbox,
    criteria: tuple[Criterion, ...],
    key: SearchKey,
    *,
    uid: bool,
    pause: Pause,
) -> list[int]:
    """The messages that match, sorted: their UIDs, or else their numbers.

    Raises:
        IndexError, ImapError: as SEARCH.
        ClientGone: of ``pause``.
    """
    sorting = Sorting(mailbox, await _found(mailbox, key), pause)
    order = await sorting.order(criteria)
    number_at = (await sorting.numbers(uid=uid)).__getitem__
    numbers: list[int] = []
    for start in range(0, len(order), BATCH_MESSAGES):
        numbers += map(number_at, order[start : start + BATCH_MESSAGES])
        await pause()
    return numbers


async def thread(
    mailbox: Mailbox,
    algorithm: ThreadAlgorithm,
    key: SearchKey,
    *,
    uid: bool,
    pause: Pause,
) -> tuple[Threads, Sequence[int]]:
    """The messages that match as threads, and the UIDs or numbers of those.

    Raises:
        IndexError, ImapError, ClientGone: as ``sort``.
    """
    sorting = Sorting(mailbox, await _found(mailbox, key), pause)
    found = await sorting.threads(algorithm)
    return found, await sorting.numbers(uid=uid)


async def _found(mailbox: Mailbox, key: SearchKey) -> Iterable[Uid]:
    if not isinstance(key, All):
        found = await mailbox.search(key)
        return found.uids if isinstance(found, Messages) else [uid for _, uid in found]
    view = mailbox.view
    return without(view.uids, view.gone) if view.gone else view.uids


class Sorting:
    """One SORT or THREAD of some messages, in the order of the mailbox.

    Those that turn out to be gone are taken out.  Answers name messages by their
    place among the others, from 0.
    """

    def __init__(self, mailbox: Mailbox, uids: Iterable[Uid], pause: Pause) -> None:
        self.uids = uid_array(uids)
        self._view = mailbox.view
        self._keys = mailbox.keys
        self._load = mailbox.load
        self._pause = pause
        self._columns: dict[str, Column] = {}
        #: Values of messages that cannot be read: for this once.
        self._made_up: dict[str, dict[Uid, Any]] = {}

    async def order(self, criteria: tuple[Criterion, ...]) -> Sequence[int]:
        """The places of the messages, sorted."""
        if (known := self._keys.answer(criteria, self.uids)) is not None:
            return cast("Sequence[int]", known)
        await self._complete({_kind(each.key) for each in criteria})
        values = [await self._values_of(each.key) for each in criteria]
        steps = ordered(len(self.uids), criteria, values)
        order = array("I", await self._finish(steps))
        self._remember(criteria, order)
        return order

    async def threads(self, algorithm: ThreadAlgorithm) -> Threads:
        """The messages as threads."""
        if (known := self._keys.answer(algorithm, self.uids)) is not None:
            return cast("Threads", known)
        kinds = _THREAD_KINDS[algorithm]
        await self._complete(kinds)
        by_date = await self.order(_BY_DATE)
        values = [await self._values(kind) for kind in kinds[1:]]
        found = await self._finish(_steps(algorithm, by_date, values))
        self._remember(algorithm, found)
        return found

    async def numbers(self, *, uid: bool) -> Sequence[int]:
        """What the client calls the message of each place."""
        if uid:
            return self.uids
        view = self._view.uids
        if len(self.uids) == len(view):
            return range(1, len(view) + 1)
        numbers: list[int] = []
        for start in range(0, len(self.uids), BATCH_MESSAGES):
            batch = self.uids[start : start + BATCH_MESSAGES]
            numbers += [bisect_left(view, each) + 1 for each in batch]
            await self._pause()
        return numbers

    def _remember(self, question: Any, answer: Any) -> None:
        if not self._made_up:
            self._keys.remember(question, self.uids, answer)

    async def _finish(self, steps: Generator[None, None, T]) -> T:
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return cast("T", end.value)
            await self._pause()

    # Values.

    async def _complete(self, kinds: Iterable[str]) -> None:
        """Load what is not known yet; take out what is gone."""
        wanted = [kind for kind in kinds if kind not in self._columns]
        if not wanted:
            return
        self._columns.update((kind, self._keys.column(kind)) for kind in wanted)
        gone: set[Uid] = set()
        for start in range(0, len(self.uids), BATCH_MESSAGES):
            missing = self._unknown(self.uids[start : start + BATCH_MESSAGES])
            while missing:
                loaded = await self._load(tuple(self._columns), missing)
                missing = missing[loaded.count :]
                gone |= loaded.gone
                self._take(loaded)
                await self._pause()
            await self._pause()
        if gone:
            self.uids = without(self.uids, gone)

    def _take(self, loaded: Loaded) -> None:
        self._keys.grown = True
        for kind, values in loaded.values.items():
            for uid in loaded.unreadable:
                self._made_up.setdefault(kind, {})[uid] = values.pop(uid)
            self._columns[kind].add(values)

    def _unknown(self, batch: Sequence[Uid]) -> Sequence[Uid]:
        found = [column.find(batch) for column in self._columns.values()]
        if not any(None in values for values in found):
            return ()
        rows = zip(batch, zip(*found, strict=True), strict=True)
        return uid_array(uid for uid, values in rows if None in values)

    async def _values(
        self, kind: str, decoded: Callable[[Any], Any] | None = None
    ) -> list[Any]:
        column, made_up = self._columns[kind], self._made_up.get(kind)
        values: list[Any] = []
        for start in range(0, len(self.uids), BATCH_MESSAGES):
            batch = self.uids[start : start + BATCH_MESSAGES]
            found = column.find(batch)
            if made_up:
                found = [
                    made_up.get(uid, value)
                    for uid, value in zip(batch, found, strict=True)
                ]
            values += found if decoded is None else map(decoded, found)
            await self._pause()
        return values

    async def _values_of(self, key: SortKey) -> list[Any]:
        return await self._values(_kind(key), _META_FIELD.get(key))


def _kind(key: SortKey) -> str:
    return COLUMN_OF.get(key, columns.META)


def _steps(
    algorithm: ThreadAlgorithm, by_date: Sequence[int], values: Sequence[Any]
) -> threads.Steps:
    if algorithm is ThreadAlgorithm.ORDEREDSUBJECT:
        return threads.ordered_subject(by_date, values[0])
    if algorithm is ThreadAlgorithm.REFS:
        return threads.refs(by_date, values[0])
    subjects, ids = values
    return threads.references(by_date, ids, subjects)
