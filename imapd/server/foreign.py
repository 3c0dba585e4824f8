"""Accounts of anybody's as ``MailAccount``, over ``IAccountIMAP``.

What the interfaces cannot say is missing: special uses, the UIDs of new messages
(no APPENDUID, no COPYUID), subscriptions to names that are not there, what others
expunge while nobody counts, an APPEND or COPY of several messages undone half-way,
and how many messages are DELETED (STATUS counts them only along with SIZE).
"""

import time
from collections.abc import Awaitable, Callable, Iterable
from email.utils import formatdate
from tempfile import SpooledTemporaryFile
from typing import Any

from twisted.logger import Logger
from twisted.mail.interfaces import ICloseableMailboxIMAP, INamespacePresenter

from imapd import errors
from imapd.ids import INBOX, MailboxPath
from imapd.mailbox.api import Listener
from imapd.mailbox.names import Namespace
from imapd.model import utf7
from imapd.model.flags import DELETED
from imapd.model.mailbox import SPECIAL_USES, Folder, MailboxStatus
from imapd.server.foreigncalls import (
    ask,
    fetch_messages,
    flag_names,
    foreign_code,
    number,
    split_flags,
    text,
)
from imapd.server.foreignmailbox import ForeignMailbox
from imapd.server.foreignmessage import ForeignSource

_log = Logger()

#: What is larger than this waits in a temporary file.
SPOOL_OCTETS = 256 << 10
SIZE_BATCH_MESSAGES = 64

_USES = {use.lower(): use for use in SPECIAL_USES}
#: STATUS items by attribute, and the method that counts one.
_STATUS = {
    "messages": ("MESSAGES", "getMessageCount"),
    "recent": ("RECENT", "getRecentCount"),
    "uid_next": ("UIDNEXT", "getUIDNext"),
    "uid_validity": ("UIDVALIDITY", "getUIDValidity"),
    "unseen": ("UNSEEN", "getUnseenCount"),
}


class ForeignAccount:
    """One login's account that somebody else wrote."""

    def __init__(self, avatar: Any) -> None:
        self._avatar = avatar
        self.namespace, self._namespace_is_told = _namespace(avatar)
        self._in_use: dict[int, int] = {}  # by id of the mailbox object
        self._unnameable: set[str] = set()

    # The tree.

    async def folders(self) -> list[Folder]:
        """Every mailbox that can be selected and named."""
        found: dict[MailboxPath, Folder] = {}
        for name, info in await ask(self._avatar, "listMailboxes", "", "*"):
            attributes = {
                text(flag).encode("utf-8").lower()
                for flag in await ask(info, "getFlags")
            }
            await self._learn_separator(info)
            path = self._path(name)
            if path is None or rb"\noselect" in attributes:
                continue
            use = next((_USES[flag] for flag in attributes if flag in _USES), None)
            found[path] = Folder(path, use)
        return sorted(found.values(), key=lambda folder: folder.path)

    async def _learn_separator(self, info: Any) -> None:
        """An account that presents no namespace has it in its mailboxes only."""
        if self._namespace_is_told:
            return
        self._namespace_is_told = True
        separator = text(await ask(info, "getHierarchicalDelimiter") or "")
        if len(separator) == 1:
            self.namespace = Namespace(prefix="", separator=separator)

    def _path(self, name: str | bytes) -> MailboxPath | None:
        try:
            decoded = utf7.decode(name) if isinstance(name, bytes) else str(name)
            utf7.encode(decoded)
            return self.namespace.path(decoded)
        except (ValueError, errors.Cannot) as error:
            if len(self._unnameable) < 100 and repr(name) not in self._unnameable:
                self._unnameable.add(repr(name))
                _log.warn(
                    "mailbox {name!r} is not shown: {error}",
                    name=name,
                    error=str(error),
                )
            return None

    async def subscriptions(self) -> list[MailboxPath]:
        """The subscribed names of mailboxes that are there."""
        return [
            folder.path
            for folder in await self.folders()
            if await self._is_subscribed(folder.path)
        ]

    async def _is_subscribed(self, path: MailboxPath) -> bool:
        return bool(await ask(self._avatar, "isSubscribed", self.namespace.name(path)))

    async def subscribe(self, path: MailboxPath) -> None:
        """SUBSCRIBE."""
        await self._change("subscribe", path)

    async def unsubscribe(self, path: MailboxPath) -> None:
        """UNSUBSCRIBE; a name that is not subscribed is no error."""
        if await self._is_subscribed(path):
            await self._change("unsubscribe", path)

    async def _change(self, method: str, *paths: MailboxPath) -> None:
        """Tell the account; only False is no: some answer None when it is done."""
        names = [self.namespace.name(path) for path in paths]
        if await ask(self._avatar, method, *names) is False:
            raise errors.Cannot("The mail store refuses to do that")

    async def create(self, path: MailboxPath, special_use: bytes | None = None) -> None:
        """CREATE."""
        if special_use is not None:
            raise errors.UnsupportedUse("No special uses here")
        try:
            await self._change("create", path)
        except errors.Cannot:
            if await self._exists(path):
                raise errors.AlreadyExists(
                    "A mailbox of that name exists already"
                ) from None
            raise

    async def _exists(self, path: MailboxPath) -> bool:
        return any(folder.path == path for folder in await self.folders())

    async def delete(self, path: MailboxPath) -> None:
        """DELETE."""
        try:
            await self._change("delete", path)
        except errors.Cannot:
            if not await self._exists(path):
                raise errors.NoSuchMailbox("No such mailbox") from None
            raise

    async def rename(self, old: MailboxPath, new: MailboxPath) -> None:
        """RENAME; the interface has no word for what it does to INBOX."""
        if old == INBOX:
            raise errors.Cannot("INBOX cannot be renamed here")
        try:
            await self._change("rename", old, new)
        except errors.Cannot:
            if not await self._exists(old):
                raise errors.NoSuchMailbox("No such mailbox") from None
            raise

    # Mailboxes.

    async def _open(self, path: MailboxPath, *, writable: bool) -> Any:
        """A mailbox object, to be given back with ``leave``.

        Raises:
            NoSuchMailbox: it is not there, or is only a parent of others.
        """
        box = await ask(self._avatar, "select", self.namespace.name(path), writable)
        if box is None:
            raise errors.NoSuchMailbox("No such mailbox")
        self._in_use[id(box)] = self._in_use.get(id(box), 0) + 1
        try:
            flags = {text(flag).lower() for flag in await ask(box, "getFlags")}
            if r"\noselect" in flags:
                raise errors.NoSuchMailbox("It only holds other mailboxes")
        except BaseException:
            await self.leave(box)
            raise
        return box

    async def leave(self, box: Any) -> None:
        """Close a mailbox object if it wants to be, and nobody here has it open.

        Accounts may give out the same object every time.
        """
        self._in_use[id(box)] -= 1
        if self._in_use[id(box)]:
            return
        del self._in_use[id(box)]
        try:
            with foreign_code():
                closeable = ICloseableMailboxIMAP(box, None)
            if closeable is not None:
                await ask(closeable, "close")
        except errors.ImapError as error:
            _log.warn("a foreign mailbox did not close: {error}", error=str(error))

    async def destination(self, path: MailboxPath) -> Any:
        """A mailbox to put messages into.

        Raises:
            NoDestination: it is not there; the client may create it.
            ReadOnly: it cannot be written.
        """
        try:
            box = await self._open(path, writable=True)
        except errors.NoSuchMailbox as error:
            raise errors.NoDestination("No such mailbox") from error
        try:
            if not await ask(box, "isWriteable"):
                raise errors.ReadOnly("The mailbox cannot be written")
        except BaseException:
            await self.leave(box)
            raise
        return box

    async def select(
        self, path: MailboxPath, *, read_only: bool, listener: Listener
    ) -> ForeignMailbox:
        """SELECT and EXAMINE."""
        box = await self._open(path, writable=not read_only)
        mailbox = ForeignMailbox(
            box, read_only=read_only, listener=listener, places=self
        )
        try:
            await mailbox.open()
        except BaseException:
            await mailbox.close()
            raise
        return mailbox

    async def status(
        self,
        path: MailboxPath,
        *,
        with_size: bool,
        with_deleted: bool = False,
        with_modseq: bool = False,
    ) -> MailboxStatus:
        """STATUS; with SIZE or DELETED every message is looked at."""
        box = await self._open(path, writable=False)
        try:
            counts = await _counts(box)
            measured = None
            if with_size or with_deleted:
                measured = await _measured(box, counts["messages"])
        finally:
            await self.leave(box)
        counts["uid_validity"] = counts["uid_validity"] or 1
        deleted, size = measured or (0, None)
        return MailboxStatus(**counts, deleted=deleted, size_octets=size)

    async def begin_append(self, path: MailboxPath) -> "ForeignAppending":
        """Open a place for new messages."""
        box = await self.destination(path)
        return ForeignAppending(box, self.leave)


def _namespace(avatar: Any) -> tuple[Namespace, bool]:
    """The first personal namespace, and whether the account told it."""
    try:
        with foreign_code():
            presenter = INamespacePresenter(avatar, None)
            personal = presenter.getPersonalNamespaces() if presenter else None
            for told in personal or ():
                prefix, separator = (text(each or "") for each in told)
                if len(separator) == 1:
                    # Another prefix is no level of its own, but part of each name.
                    prefix = prefix if prefix.endswith(separator) else ""
                    return Namespace(prefix, separator), True
    except errors.ImapError as error:
        _log.warn("a foreign account has no namespace: {error}", error=str(error))
    return Namespace(prefix="", separator="/"), False


async def _counts(box: Any) -> dict[str, int]:
    """What STATUS tells, by attribute; what the answer lacks is asked for singly."""
    wanted = [item for item, _ in _STATUS.values()]
    answer = await ask(box, "requestStatus", wanted)
    with foreign_code():
        told = {text(name).upper(): value for name, value in dict(answer).items()}
    counts = {}
    for attribute, (item, method) in _STATUS.items():
        value = told[item] if item in told else await ask(box, method)
        with foreign_code():
            counts[attribute] = number(value)
    return counts


async def _measured(box: Any, count: int) -> tuple[int, int]:
    r"""How many messages are ``\Deleted``, and the octets of all."""
    deleted = size = 0
    for first in range(1, count + 1, SIZE_BATCH_MESSAGES):
        last = min(first + SIZE_BATCH_MESSAGES - 1, count)
        messages = await fetch_messages(box, [(first, last)], uid=False)
        with foreign_code():
            deleted += sum(
                DELETED in split_flags(each.getFlags())[0] for each in messages.values()
            )
        metas = ForeignSource(messages, {}).meta(messages)
        size += sum(meta.rfc822_size for meta in metas.values())
    return deleted, size


class _Spool(SpooledTemporaryFile[bytes]):
    """A message in memory, or in a temporary file if it is large.

    Closed with its last reference: a mailbox may keep the file it was given, as
    the stock server lets it.
    """

    def __del__(self) -> None:
        self.close()


class ForeignAppending:
    """The messages of one APPEND on their way, in memory or temporary files."""

    def __init__(self, box: Any, leave: Callable[[Any], Awaitable[None]]) -> None:
        self._box = box
        self._leave = leave
        self._messages: list[tuple[_Spool, list[str], bytes]] = []
        self._done = False

    def begin(self, flags: Iterable[bytes], internal_date_seconds: int | None) -> None:
        """Start the next message; without a date it is of now."""
        seconds = (
            time.time() if internal_date_seconds is None else internal_date_seconds
        )
        self._messages.append(
            (
                _Spool(max_size=SPOOL_OCTETS),
                flag_names(flags),
                formatdate(seconds).encode("ascii"),
            )
        )

    async def write(self, octets: bytes) -> None:
        """Add octets to it."""
        with foreign_code():  # the disk for temporary files may be full
            self._messages[-1][0].write(octets)

    async def end(self) -> None:
        """Nothing is to be done before ``commit``."""

    async def commit(self) -> None:
        """Hand all over; their UIDs are not known.

        Raises:
            Unavailable: not all were stored.
        """
        self._done = True
        count = len(self._messages)
        try:
            for done in range(count):
                file, flags, date = self._messages[0]
                try:
                    with foreign_code():
                        file.seek(0)
                    await ask(self._box, "addMessage", file, flags, date)
                except errors.ImapError as error:
                    if not done:
                        raise
                    raise errors.Unavailable(
                        f"Only {done} of {count} messages were stored"
                    ) from error
                del self._messages[0]
        finally:
            await self._close()

    async def abort(self) -> None:
        """Forget what was written; no error after ``commit``."""
        if not self._done:
            self._done = True
            await self._close()

    async def _close(self) -> None:
        self._messages.clear()
        await self._leave(self._box)
