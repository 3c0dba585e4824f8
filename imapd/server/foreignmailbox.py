"""A mailbox of anybody's as ``SelectedMailbox``, over ``IMailboxIMAP``.

Messages are named by UID in every call, so that the mailbox's own numbers may
shift while our client's stay.  What the mailbox holds is read anew when it tells
its listener of something, or its counts have changed.
"""

from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred, DeferredLock, succeed
from twisted.logger import Logger
from twisted.mail.imap4 import MessageSet

from imapd.errors import ImapError, MessageGone, ReadOnly, Unavailable
from imapd.ids import MailboxPath, Seq, Uid
from imapd.mailbox import fetch as fetching
from imapd.mailbox import search as searching
from imapd.mailbox.api import Listener, Messages
from imapd.mailbox.planning import Plan
from imapd.mailbox.rendering import Rendered, render
from imapd.model.flags import DELETED, NO_FLAGS, SEEN, Flags, StoreMode
from imapd.model.mailbox import MessageMeta
from imapd.model.numbered import Numbered
from imapd.model.requests import FetchItem
from imapd.model.search import SearchKey
from imapd.model.sets import runs
from imapd.model.view import SessionView
from imapd.server.foreigncalls import (
    ask,
    ask_number,
    fetch_messages,
    flag_names,
    foreign_code,
    one_spelling,
    split_flags,
)
from imapd.server.foreignmessage import ForeignSource, copy_message
from imapd.server.foreignnews import ForeignNews
from imapd.server.foreignsorting import SortsForeign
from imapd.server.nomodseqs import NoModSeqs

_log = Logger()

#: Some mailboxes have news whenever they are read: more waits for the next command.
MOST_ROUNDS = 3

_MODES = {StoreMode.REMOVE: -1, StoreMode.REPLACE: 0, StoreMode.ADD: 1}


class Places(Protocol):
    """The account, as its mailboxes need it."""

    async def destination(self, path: MailboxPath) -> Any:
        """A mailbox to put messages into.

        Raises:
            NoDestination, ReadOnly.
        """

    async def leave(self, box: Any) -> None:
        """Give a mailbox back."""


class ForeignMailbox(NoModSeqs, SortsForeign):
    """One session's opening of a foreign mailbox."""

    def __init__(
        self, box: Any, *, read_only: bool, listener: Listener, places: Places
    ) -> None:
        super().__init__()
        self.view = SessionView()
        self.read_only = read_only
        self._asked_read_only = read_only
        self._box = box
        self._listener = listener
        self._places = places
        self._news = ForeignNews(self._told)
        self._lock = DeferredLock()
        self._flags: dict[Uid, Flags] = {}
        self._metas: dict[Uid, MessageMeta] = {}
        self._uid_validity = 0
        self._uid_next = 1
        self._dirty = True
        self._watching = False
        self._catching_up = False
        self._closed = False

    async def open(self) -> None:
        """Read what is there, and listen from then on.

        Raises:
            ImapError: it cannot be opened.
        """
        await ask(self._box, "addListener", self._news)
        if not await ask(self._box, "isWriteable"):
            self.read_only = self._asked_read_only = True
        recent = await self._read()
        self.view = SessionView(self._flags, recent)

    # What is known.
    @property
    def uid_validity(self) -> int:
        """1 to 2**32 - 1."""
        return self._uid_validity

    @property
    def uid_next(self) -> int:
        """Larger than every UID seen here."""
        return max(self._uid_next, max(self._flags, default=0) + 1)

    @property
    def keywords(self) -> Sequence[bytes]:
        """The keywords that messages have."""
        return one_spelling(
            flag
            for flags in self._flags.values()
            for flag in flags
            if not flag.startswith(b"\\")
        )

    @property
    def may_create_keywords(self) -> bool:
        """Nobody can ask: STORE answers with the flags that were kept."""
        return not self.read_only

    def flags(self, uid: Uid) -> Flags:
        r"""The flags of a message, without ``\Recent``."""
        return self._flags.get(uid, NO_FLAGS)

    def flags_of(self, uids: Sequence[Uid]) -> Sequence[Flags]:
        """The flags of messages in their order."""
        return [self._flags.get(uid, NO_FLAGS) for uid in uids]

    def first_unseen(self) -> Seq | None:
        r"""The first message without ``\Seen``."""
        seen = [SEEN in flags for flags in self.flags_of(self.view.uids)]
        return None if all(seen) else Seq(seen.index(False) + 1)

    # What changed.

    def _told(self, writeable: bool | None) -> None:
        """The mailbox calls, maybe in the middle of a call of ours."""
        if writeable is not None:
            self.read_only = self._asked_read_only or not writeable
        self._dirty = True
        if self._watching and not self._catching_up:
            self._catching_up = True
            Deferred.fromCoroutine(self._catch_up()).addErrback(
                lambda failure: _log.failure(
                    "a foreign mailbox cannot be read", failure
                )
            )

    async def _catch_up(self) -> None:
        try:
            for _ in range(MOST_ROUNDS):
                if self._dirty and self._watching:
                    await self.refresh()
        except ImapError as error:
            _log.warn("cannot look at a foreign mailbox: {error}", error=str(error))
        finally:
            self._catching_up = False

    @property
    def is_current(self) -> bool:
        """Only the mailbox itself can say, and it may take its time."""
        return False

    async def refresh(self) -> None:
        """Take in what changed, if the mailbox said or counts otherwise."""
        async with self._lock:
            if self._closed:
                return
            if not self._dirty:
                count = await ask_number(self._box, "getMessageCount")
                uid_next = await ask_number(self._box, "getUIDNext")
                if count == len(self._flags) and uid_next == self._uid_next:
                    return
            await self._sync()

    async def _sync(self) -> None:
        before, validity = self._flags, self._uid_validity
        recent = await self._read()
        if self._uid_validity != validity:
            self._listener.mailbox_lost(
                "The messages of the mailbox were numbered anew"
            )
            return
        self.view.expunged(before.keys() - self._flags.keys())
        self.view.arrived(
            [uid for uid in self._flags if uid not in before], recent - before.keys()
        )
        self._note_changes(before, self._flags)

    def _note_changes(self, before: dict[Uid, Flags], now: Iterable[Uid]) -> None:
        self.view.flags_changed(
            uid for uid in now if uid in before and before[uid] != self.flags(uid)
        )
        if self.view.has_news:
            self._listener.mailbox_changed()

    async def _read(self) -> set[Uid]:
        r"""Read all flags; the messages that are ``\Recent``."""
        self._dirty = False
        try:
            self._uid_validity = await ask_number(self._box, "getUIDValidity") or 1
            self._uid_next = await ask_number(self._box, "getUIDNext")
            count = await ask_number(self._box, "getMessageCount")
            messages = await fetch_messages(
                self._box, [(1, count)] if count else (), uid=False
            )
            with foreign_code():
                found = {
                    uid: split_flags(each.getFlags()) for uid, each in messages.items()
                }
        except BaseException:
            self._dirty = True
            raise
        self._flags = {uid: flags for uid, (flags, _) in found.items()}
        self._metas = {
            uid: meta for uid, meta in self._metas.items() if uid in self._flags
        }
        return {uid for uid, (_, recent) in found.items() if recent}

    def watch(self, on: bool) -> None:
        """Start or end telling at once what the mailbox tells its listener."""
        self._watching = on

    # Reading.

    async def source(self, uids: Iterable[Uid]) -> ForeignSource:
        """Those of the messages that are still there, to be read."""
        present = runs(sorted(uid for uid in uids if uid in self._flags))
        messages = await fetch_messages(self._box, present, uid=True)
        return ForeignSource(messages, self._metas)

    def fetch(
        self, messages: Messages, items: Sequence[FetchItem], *, with_uid: bool
    ) -> AsyncGenerator[bytes, None]:
        """Responses to FETCH in batches, ready to send."""
        mailbox = fetching.Mailbox(
            view=self.view,
            read_only=self.read_only,
            flags=lambda uids: [self._flags.get(uid) for uid in uids],
            render=self._render,
            mark_seen=lambda uids: self.store(uids, StoreMode.ADD, (SEEN,)),
            read_piece=lambda stream: succeed(stream.read()),
        )
        return fetching.responses(mailbox, messages, items, with_uid=with_uid)

    async def _render(self, plan: Plan, uids: Sequence[Uid]) -> Rendered:
        return render(await self.source(uids), plan, uids)

    async def search(self, key: SearchKey) -> Numbered:
        """The messages that match, ascending; those gone match nothing."""
        uids, recent = self.view.uids, self.view.recent
        test = searching.compile_key(
            key, largest_seq=len(uids), largest_uid=uids[-1] if uids else 0
        )
        in_memory = searching.cost(key) == 0
        found: list[tuple[Seq, Uid]] = []
        for start in range(0, len(uids), searching.BATCH_MESSAGES):
            batch = uids[start : start + searching.BATCH_MESSAGES]
            source = await self.source(() if in_memory else batch)
            messages = [
                searching.Message(source, Seq(seq), uid, flags, uid in recent)
                for seq, uid in enumerate(batch, start + 1)
                if (flags := self._flags.get(uid)) is not None
            ]
            found += searching.matching(test, messages)
        return Numbered.of(found)

    # Changing.

    def _writable(self) -> None:
        if self.read_only:
            raise ReadOnly("The mailbox is open read-only")

    async def store_flags(
        self, uids: Sequence[Uid], mode: StoreMode, flags: Iterable[bytes]
    ) -> None:
        """Change flags; what the mailbox made of them is read back."""
        self._writable()
        async with self._lock:
            await self._store(uids, mode, flags)

    async def _store(
        self, uids: Iterable[Uid], mode: StoreMode, flags: Iterable[bytes]
    ) -> None:
        present = [uid for uid in uids if uid in self._flags]
        ranges = list(runs(sorted(present)))
        if not ranges:
            return
        spelling = {keyword.lower(): keyword for keyword in self.keywords}
        spelled = {flag.lower(): spelling.get(flag.lower(), flag) for flag in flags}
        await ask(
            self._box,
            "store",
            MessageSet(ranges),
            flag_names(spelled.values()),
            _MODES[mode],
            uid=True,
        )
        before = dict(self._flags)
        messages = await fetch_messages(self._box, ranges, uid=True)
        with foreign_code():
            for uid, message in messages.items():
                self._flags[uid] = split_flags(message.getFlags())[0]
        gone = [uid for uid in present if uid not in messages]
        for uid in gone:
            del self._flags[uid]
        self.view.expunged(gone)
        self._note_changes(before, messages)

    async def expunge(self, uids: Sequence[Uid] | None = None) -> None:
        r"""Remove the ``\Deleted`` ones of the messages given, or of all told of."""
        self._writable()
        async with self._lock:
            await self._sync()
            wanted = set(self.view.uids if uids is None else uids)
            await self._remove(wanted & self._deleted())

    def _deleted(self) -> set[Uid]:
        return {uid for uid, flags in self._flags.items() if DELETED in flags}

    async def _remove(self, doomed: set[Uid]) -> None:
        r"""Expunge some of the ``\Deleted`` messages.

        The interface expunges all of them: the others are not ``\Deleted`` for
        the moment it takes.
        """
        if not doomed:
            return
        spared = sorted(self._deleted() - doomed)
        await self._store(spared, StoreMode.REMOVE, (DELETED,))
        try:
            await ask(self._box, "expunge")
        finally:
            await self._store(spared, StoreMode.ADD, (DELETED,))
        await self._sync()

    async def copy(self, uids: Sequence[Uid], path: MailboxPath, *, move: bool) -> None:
        """Copy or move; the interface does not say under which UIDs.

        Raises:
            NoDestination: the target is not there.
            MessageGone: a message is gone, and nothing was copied.
            Unavailable: not all were copied; nothing was removed.
        """
        if move:
            self._writable()
        messages = await fetch_messages(self._box, runs(sorted(uids)), uid=True)
        if len(messages) < len(uids) and not move:
            self._dirty = True
            raise MessageGone("Some of the messages were expunged")
        target = await self._places.destination(path)
        try:
            await self._copy_all(list(messages.values()), target)
        finally:
            await self._places.leave(target)
        if move:
            async with self._lock:
                await self._store(messages, StoreMode.ADD, (DELETED,))
                await self._remove(set(messages) & self._deleted())

    async def _copy_all(self, messages: list[Any], target: Any) -> None:
        for done, message in enumerate(messages):
            try:
                await copy_message(message, target)
            except ImapError as error:
                if not done:
                    raise
                raise Unavailable(
                    f"Only {done} of {len(messages)} messages were copied"
                ) from error

    def abandon(self) -> None:
        """The client has left; what was asked of the others goes on."""

    async def close(self) -> None:
        """Leave the mailbox; what fails is for the log."""
        if self._closed:
            return
        self._closed = True
        self._watching = False
        try:
            await ask(self._box, "removeListener", self._news)
        except ImapError as error:
            _log.debug(
                "a foreign mailbox keeps its listener: {error}", error=str(error)
            )
        await self._places.leave(self._box)
