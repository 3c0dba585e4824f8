"""Our selected mailboxes as ``IMailboxIMAP``.

Counts, UIDs and flags are answered from the session's view, at once; the rest
comes as a Deferred.  Message numbers are the view's: what other sessions expunge
keeps its number until ``expunge``, the only method that can tell of it.
"""

# ruff: noqa: N802, N803  the interface names the methods and arguments

from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Any
from weakref import ref

from twisted.internet.defer import Deferred
from twisted.mail.imap4 import IllegalQueryError, MessageSet
from twisted.mail.interfaces import (
    ICloseableMailboxIMAP,
    IMailboxIMAP,
    IMailboxIMAPListener,
    IMessageIMAPCopier,
    ISearchableIMAPMailbox,
)
from zope.interface import implementer

from imapd.errors import Cannot, MessageGone, NoSuchMailbox
from imapd.ids import MailboxPath, Seq, Uid
from imapd.mailbox.account import Account
from imapd.mailbox.selected import Selected
from imapd.mime.dates import parse_date
from imapd.model.flags import RECENT, SEEN, SYSTEM_FLAGS, StoreMode
from imapd.model.sets import STAR, SequenceSet
from imapd.server.commands.numbers import storable
from imapd.server.foreignmessage import message_octets
from imapd.server.imapanswers import deferred
from imapd.server.imapmessage import ImapMessage, Loaded, flag_names, load
from imapd.server.imapquery import search_key

PIECE_OCTETS = 64 << 10

_MODES = {-1: StoreMode.REMOVE, 0: StoreMode.REPLACE, 1: StoreMode.ADD}
#: STATUS items by their attribute of ``MailboxStatus``.
_STATUS = {
    "MESSAGES": "messages",
    "RECENT": "recent",
    "UIDNEXT": "uid_next",
    "UIDVALIDITY": "uid_validity",
    "UNSEEN": "unseen",
    "DELETED": "deleted",
    "SIZE": "size_octets",
}


class News:
    """What a live mailbox tells, for a mailbox that may be forgotten unclosed."""

    def __init__(self) -> None:
        self._mailbox: ref[ImapMailbox] | None = None

    def attach(self, mailbox: "ImapMailbox") -> None:
        """Tell this mailbox from now on."""
        self._mailbox = ref(mailbox)

    def mailbox_changed(self) -> None:
        """The view has news."""
        mailbox = self._mailbox() if self._mailbox is not None else None
        if mailbox is not None:
            mailbox.tell()

    def mailbox_lost(self, why: str) -> None:
        """The mailbox is gone; whatever is asked of it next will say so."""
        mailbox = self._mailbox() if self._mailbox is not None else None
        if mailbox is not None:
            mailbox.lost = why


@implementer(
    IMailboxIMAP, ICloseableMailboxIMAP, ISearchableIMAPMailbox, IMessageIMAPCopier
)
class ImapMailbox:
    """One opening of a mailbox."""

    def __init__(
        self,
        account: Account,
        path: MailboxPath,
        selected: Selected,
    ) -> None:
        self.selected = selected
        self.path = path
        self.lost: str | None = None
        self._account = account
        self._listeners: list[IMailboxIMAPListener] = []
        self._quiet = 0
        self._noselect = False
        self._last: tuple[Uid, Loaded] | None = None

    # What the stock server asks without waiting.

    def getFlags(self) -> list[str]:
        """The flags that messages may have here."""
        if self._noselect:
            return [r"\Noselect"]
        flags = [*SYSTEM_FLAGS, *self.selected.keywords]
        return [flag.decode("ascii", "backslashreplace") for flag in flags]

    def getHierarchicalDelimiter(self) -> str:
        """The separator, as the ``str`` that the stock server encodes."""
        return self._account.namespace.separator

    def getUIDValidity(self) -> int:
        """1 to 2**32 - 1."""
        return self.selected.uid_validity

    def getUIDNext(self) -> int:
        """Larger than every UID ever given out here."""
        return self.selected.uid_next

    def getUID(self, message: int) -> int:
        """The UID of a message number.

        Raises:
            IndexError: no message has it.
        """
        if message < 1:
            raise IndexError(message)
        return self.selected.view.uids[message - 1]

    def getMessageCount(self) -> int:
        """How many messages this opening knows of."""
        return len(self.selected.view)

    def getRecentCount(self) -> int:
        r"""How many of them are ``\Recent``."""
        return len(self.selected.view.recent)

    def getUnseenCount(self) -> int:
        r"""How many of them are not ``\Seen``."""
        selected = self.selected
        return sum(SEEN not in selected.flags(uid) for uid in selected.view.uids)

    def isWriteable(self) -> bool:
        """Whether it was opened for writing and can be written."""
        return not self.selected.read_only

    def destroy(self) -> None:
        r"""Say ``\Noselect`` from now on; ``delete`` of the account removes it."""
        self._noselect = True

    def requestStatus(self, names: Iterable[str | bytes]) -> "Deferred[dict[str, int]]":
        """Counts by name; names that are not known are left out."""
        wanted = [
            name.decode("ascii", "replace") if isinstance(name, bytes) else name
            for name in names
        ]
        return deferred(self._status(wanted))

    async def _status(self, names: list[str]) -> dict[str, int]:
        with_size = any(name.upper() == "SIZE" for name in names)
        status = await self._account.status(self.path, with_size=with_size)
        return {
            name: int(getattr(status, _STATUS[name.upper()]) or 0)
            for name in names
            if name.upper() in _STATUS
        }

    # News.

    def addListener(self, listener: IMailboxIMAPListener) -> None:
        """Tell the listener of new messages and flags, also by other programs."""
        self._listeners.append(listener)
        self.selected.watch(True)

    def removeListener(self, listener: IMailboxIMAPListener) -> None:
        """Tell it no more.

        Raises:
            ValueError: it was not added.
        """
        self._listeners.remove(listener)
        if not self._listeners:
            self.selected.watch(False)

    def tell(self) -> None:
        """Tell the listeners what is new, but for what was expunged."""
        if self._quiet:
            return
        updates = self.selected.view.drain(may_expunge=False)
        flags = {
            seq: tuple(flag_names(self.selected, uid)) for seq, uid in updates.flags
        }
        for listener in list(self._listeners):
            if updates.exists is not None or updates.recent is not None:
                listener.newMessages(updates.exists, updates.recent)
            if flags:
                listener.flagsChanged(flags)

    # Messages.

    def _select(self, messages: MessageSet, uid: bool) -> Sequence[tuple[Seq, Uid]]:
        """The messages that a set names; numbers that are not there name none."""
        ranges = [
            (STAR if low is None else low, STAR if high is None else high)
            for low, high in messages.ranges
        ]
        view = self.selected.view
        numbers = SequenceSet(tuple(ranges))
        if uid:
            return view.select(numbers, uid=True)
        named = numbers.select(range(1, len(view) + 1))
        return [(Seq(seq), view.uids[seq - 1]) for seq in named]

    def fetch(
        self, messages: MessageSet, uid: bool
    ) -> "Deferred[list[tuple[int, ImapMessage]]]":
        """The messages, in order, without those that were expunged meanwhile."""
        return deferred(self._fetch(messages, uid))

    async def _fetch(
        self, messages: MessageSet, uid: bool
    ) -> list[tuple[int, ImapMessage]]:
        self._present()
        view = self.selected.view
        return [
            (seq, ImapMessage(self.selected, each, self._load))
            for seq, each in self._select(messages, uid)
            if not view.is_gone(each)
        ]

    def _present(self) -> None:
        if self.lost is not None:
            raise NoSuchMailbox(self.lost)

    def _load(self, uid: Uid) -> Loaded:
        """Read a message; the one read last is kept, as it is asked for again."""
        if self._last is None or self._last[0] != uid:
            self._last = uid, load(self.selected.read(uid))
        return self._last[1]

    def search(self, query: Iterable[Any], uid: bool) -> "Deferred[list[int]]":
        """The *numbers* of the messages that match, also with ``uid``.

        The stock server makes UIDs of them with ``getUID``.  Numbers in the query
        are message numbers even then: RFC 3501 §6.4.8.
        """
        return deferred(self._search(query))

    async def _search(self, query: Iterable[Any]) -> list[int]:
        self._present()
        try:
            return [seq for seq, _ in await self.selected.search(search_key(query))]
        except IndexError:
            raise IllegalQueryError("No message has this number") from None

    def store(
        self, messages: MessageSet, flags: Iterable[str | bytes], mode: int, uid: bool
    ) -> "Deferred[dict[int, tuple[str, ...]]]":
        """Change flags; the flags after it, by message number."""
        return deferred(self._store(messages, flags, mode, uid))

    async def _store(
        self, messages: MessageSet, flags: Iterable[str | bytes], mode: int, uid: bool
    ) -> dict[int, tuple[str, ...]]:
        self._present()
        named = self._select(messages, uid)
        uids = [each for _, each in named]
        view = self.selected.view
        self._quiet += 1
        try:
            await self.selected.store(uids, _MODES[mode], _octets(flags))
            view.told_flags(uids)
        finally:
            self._quiet -= 1
            self.tell()
        return {
            seq: tuple(flag_names(self.selected, each))
            for seq, each in named
            if not view.is_gone(each)
        }

    def expunge(self) -> "Deferred[list[int]]":
        r"""Remove the ``\Deleted`` ones.

        Returns the numbers of all that are gone, in the order in which they may
        be told one after the other.
        """
        return deferred(self._expunge())

    async def _expunge(self) -> list[int]:
        self._present()
        self.tell()
        try:
            await self.selected.expunge()
        finally:
            self.tell()  # arrivals first: their EXISTS counts what is gone, too
        return list(self.selected.view.drain(may_expunge=True).expunged)

    # Messages on their way in.

    def addMessage(
        self,
        message: Any,
        flags: Iterable[str | bytes] | None = None,
        date: str | bytes | None = None,
    ) -> "Deferred[int]":
        """Store what the file holds; the UID it got.

        ``date``: as in a Date field, or as APPEND has it; None: now.
        """
        return deferred(self._add(message, flags or (), date))

    async def _add(
        self, message: Any, flags: Iterable[str | bytes], date: str | bytes | None
    ) -> int:
        wanted, seconds = _octets(flags), _seconds(date)
        appending = await self._account.begin_append(self.path)
        try:
            appending.begin(wanted, seconds)
            while octets := message.read(PIECE_OCTETS):
                await appending.write(octets)
            appended = await appending.commit()
        finally:
            await appending.abort()
        return appended.uids[0]

    def copy(self, messageObject: Any) -> "Deferred[int]":
        """Copy a message here, one of ours or any other; the UID it got."""
        if isinstance(messageObject, ImapMessage):
            return deferred(self._copy(messageObject))
        return self.addMessage(
            BytesIO(message_octets(messageObject)),
            messageObject.getFlags(),
            messageObject.getInternalDate(),
        )

    async def _copy(self, message: ImapMessage) -> int:
        _, pairs = await message.selected.copy([message.uid], self.path, move=False)
        if not pairs:
            raise MessageGone("The message was expunged")
        return pairs[0][1]

    def close(self) -> "Deferred[None]":
        """Leave the mailbox; nothing is expunged."""
        return deferred(self.selected.close())


def _octets(flags: Iterable[str | bytes]) -> list[bytes]:
    r"""Flags as we keep them, without ``\Recent``, which nobody can set."""
    octets = [
        flag.encode("ascii", "replace") if isinstance(flag, str) else flag
        for flag in flags
    ]
    return storable(flag for flag in octets if flag.lower() != RECENT.lower())


def _seconds(date: str | bytes | None) -> int | None:
    """Since 1970; None for None.

    Raises:
        Cannot: it is no date.
    """
    if date is None:
        return None
    octets = date.encode("ascii", "replace") if isinstance(date, str) else date
    when = parse_date(octets)
    if when is None:
        raise Cannot("The date cannot be read")
    return int(when.timestamp())
