"""SORT and THREAD of anybody's mailbox: every message is read, once a session."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Protocol

from imapd.ids import Uid
from imapd.mailbox import sortcolumns, sorting
from imapd.mailbox.api import Pause
from imapd.mailbox.sortcache import MailboxKeys
from imapd.model.numbered import Numbered
from imapd.model.search import SearchKey
from imapd.model.sort import Criterion, ThreadAlgorithm
from imapd.model.threads import Threads
from imapd.model.view import SessionView
from imapd.server.foreignmessage import ForeignSource


class SortableMailbox(Protocol):
    """A mailbox whose messages are read to sort them."""

    view: SessionView
    sort_keys: MailboxKeys

    async def search(self, key: SearchKey) -> Numbered:
        """The messages that match."""

    async def source(self, uids: Iterable[Uid]) -> ForeignSource:
        """Those of the messages that are still there, to be read."""


class SortsForeign:
    """The part of ``ForeignMailbox`` that answers SORT and THREAD."""

    def __init__(self) -> None:
        self.sort_keys = MailboxKeys()

    async def sort(
        self: SortableMailbox,
        criteria: tuple[Criterion, ...],
        key: SearchKey,
        *,
        uid: bool,
        pause: Pause,
    ) -> Sequence[int]:
        """The messages that match, sorted; those gone match nothing."""
        return await sorting.sort(_lent(self), criteria, key, uid=uid, pause=pause)

    async def thread(
        self: SortableMailbox,
        algorithm: ThreadAlgorithm,
        key: SearchKey,
        *,
        uid: bool,
        pause: Pause,
    ) -> tuple[Threads, Sequence[int]]:
        """The messages that match as threads; those gone match nothing."""
        return await sorting.thread(_lent(self), algorithm, key, uid=uid, pause=pause)


def _lent(mailbox: SortableMailbox) -> sorting.Mailbox:
    mailbox.sort_keys.prune(mailbox.view.uids)
    load = partial(_load_keys, mailbox)
    return sorting.Mailbox(mailbox.view, mailbox.sort_keys, mailbox.search, load)


async def _load_keys(
    mailbox: SortableMailbox, kinds: Iterable[str], uids: Sequence[Uid]
) -> sortcolumns.Loaded:
    batch = uids[: sortcolumns.READ_MESSAGES]
    return sortcolumns.load(await mailbox.source(batch), kinds, batch)
