"""SORT and THREAD of anybody's mailbox: every message is read, once a session."""

from collections.abc import Iterable, Sequence

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


class SortsForeign:
    """The part of ``ForeignMailbox`` that answers SORT and THREAD."""

    view: SessionView

    def __init__(self) -> None:
        self._sort_keys = MailboxKeys()

    async def search(self, key: SearchKey) -> Numbered:
        """The messages that match."""
        raise NotImplementedError

    async def _source(self, uids: Iterable[Uid]) -> ForeignSource:
        raise NotImplementedError

    async def sort(
        self,
        criteria: tuple[Criterion, ...],
        key: SearchKey,
        *,
        uid: bool,
        pause: Pause,
    ) -> Sequence[int]:
        """The messages that match, sorted; those gone match nothing."""
        return await sorting.sort(self._lent(), criteria, key, uid=uid, pause=pause)

    async def thread(
        self, algorithm: ThreadAlgorithm, key: SearchKey, *, uid: bool, pause: Pause
    ) -> tuple[Threads, Sequence[int]]:
        """The messages that match as threads; those gone match nothing."""
        return await sorting.thread(self._lent(), algorithm, key, uid=uid, pause=pause)

    def _lent(self) -> sorting.Mailbox:
        self._sort_keys.prune(self.view.uids)
        return sorting.Mailbox(self.view, self._sort_keys, self.search, self._load_keys)

    async def _load_keys(
        self, kinds: Iterable[str], uids: Sequence[Uid]
    ) -> sortcolumns.Loaded:
        batch = uids[: sortcolumns.READ_MESSAGES]
        return sortcolumns.load(await self._source(batch), kinds, batch)
