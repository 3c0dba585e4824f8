"""Our accounts as Twisted's ``IAccountIMAP`` and ``INamespacePresenter``.

They serve the stock ``IMAP4Server`` and programs written for those interfaces;
``ImapServer`` takes ``mail_account`` and goes past them.

The stock server does not wait for CREATE, DELETE, RENAME and SUBSCRIBE: it says OK
before a worker thread is done.  An account with ``InlineWorkers`` blocks instead,
and so answers it truthfully.
"""

# ruff: noqa: N802  the interface names the methods and arguments

from typing import Any
from weakref import finalize

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.mail.interfaces import (
    IAccountIMAP,
    IMailboxIMAPInfo,
    INamespacePresenter,
)
from zope.interface import implementer

from imapd.auth import promptly
from imapd.errors import Cannot, NoSuchMailbox
from imapd.ids import MailboxPath
from imapd.mailbox.account import Account
from imapd.mailbox.listing import Listed, Tree
from imapd.mailbox.selected import Selected
from imapd.model import utf7
from imapd.model.requests import ListMailboxes
from imapd.server.imapanswers import deferred, soonest
from imapd.server.imapmailbox import ImapMailbox, News
from imapd.wire.strings import UNREADABLE_PATTERN

_log = Logger()

Name = str | bytes  # text, or modified UTF-7 as it was on the wire


@implementer(IMailboxIMAPInfo)
class ImapMailboxInfo:
    """One line of LIST."""

    def __init__(self, listed: Listed, separator: str) -> None:
        self._listed = listed
        self._separator = separator

    def getFlags(self) -> list[str]:
        r"""The attributes: ``\HasChildren``, ``\Sent``."""
        return [attribute.decode("ascii") for attribute in self._listed.attributes]

    def getHierarchicalDelimiter(self) -> str:
        """The separator, as the ``str`` that the stock server encodes."""
        return self._separator


@implementer(IAccountIMAP, INamespacePresenter)
class ImapAccount:
    """One login's view of an account of ours.

    The stock server leaves mailboxes without closing them: after STATUS, APPEND
    and COPY, at LOGOUT, when the connection breaks.  What was forgotten is closed
    at the next ``select``, everything by ``close``, which the realm's logout calls.
    """

    def __init__(self, mail_account: Account) -> None:
        self.mail_account = mail_account
        self._open: dict[Selected, None] = {}  # a set, four times as large when empty
        self._forgotten: list[Selected] = []
        self._subscribed: set[MailboxPath] | None = None

    # Mailboxes.

    def select(self, name: Name, rw: bool = True) -> "Deferred[ImapMailbox | None]":
        """Open a mailbox; None if there is none of that name."""
        return deferred(self._select(name, bool(rw)))

    async def _select(self, name: Name, rw: bool) -> ImapMailbox | None:
        await self._close_forgotten()
        news = News()
        try:
            path = self._path(name)
            selected = await self.mail_account.select(
                path, read_only=not rw, listener=news
            )
        except (NoSuchMailbox, Cannot):
            return None
        self._open[selected] = None
        mailbox = ImapMailbox(self.mail_account, path, selected)
        news.attach(mailbox)
        # Only noted there: garbage is collected anywhere, in any thread.
        finalize(mailbox, self._forgotten.append, selected).atexit = False
        return mailbox

    async def _close_forgotten(self) -> None:
        while self._forgotten:
            selected = self._forgotten.pop()
            self._open.pop(selected, None)
            await selected.close()

    def close(self) -> "Deferred[None]":
        """Close every mailbox that was opened here."""
        return promptly.deferred(self._close())

    async def _close(self) -> None:
        self._forgotten.clear()
        while self._open:
            try:
                await self._open.popitem()[0].close()
            except Exception:
                _log.failure("a mailbox did not close")

    def _path(self, name: Name) -> MailboxPath:
        if isinstance(name, bytes):
            try:
                name = utf7.decode(name)
            except ValueError:
                raise Cannot("The name is not modified UTF-7") from None
        return self.mail_account.namespace.path(name)

    # The tree.

    def addMailbox(self, name: Name, mbox: Any = None) -> Any:
        """Make a mailbox; one that is brought along cannot be kept."""
        if mbox is not None:
            return soonest(self._no_foreign_mailbox())
        return self.create(name)

    async def _no_foreign_mailbox(self) -> bool:
        raise Cannot("The account keeps mailboxes of its own only")

    def create(self, pathspec: Name) -> "bool | Deferred[bool]":
        """Make a mailbox, and those above it."""
        return soonest(self._create(pathspec))

    async def _create(self, name: Name) -> bool:
        await self.mail_account.create(self._path(name))
        return True

    def delete(self, name: Name) -> "bool | Deferred[bool]":
        """Remove a mailbox and its messages."""
        return soonest(self._delete(name))

    async def _delete(self, name: Name) -> bool:
        await self.mail_account.delete(self._path(name))
        return True

    def rename(self, oldname: Name, newname: Name) -> "bool | Deferred[bool]":
        """Give a mailbox, and all below it, another name."""
        return soonest(self._rename(oldname, newname))

    async def _rename(self, old: Name, new: Name) -> bool:
        await self.mail_account.rename(self._path(old), self._path(new))
        return True

    def isSubscribed(self, name: Name) -> "bool | Deferred[bool]":
        """Whether a name is subscribed.

        After a ``listMailboxes`` it is as it was then, and answered at once: so
        does the stock server ask for LSUB.
        """
        return soonest(self._is_subscribed(name))

    async def _is_subscribed(self, name: Name) -> bool:
        subscribed = self._subscribed
        if subscribed is None:
            subscribed = set(await self.mail_account.subscriptions())
        return self._path(name) in subscribed

    def subscribe(self, name: Name) -> "bool | Deferred[bool]":
        """Add a name, whether or not it is there."""
        return soonest(self._subscribe(name))

    async def _subscribe(self, name: Name) -> bool:
        self._subscribed = None
        await self.mail_account.subscribe(self._path(name))
        return True

    def unsubscribe(self, name: Name) -> "bool | Deferred[bool]":
        """Remove a name; one that is not subscribed is no error."""
        return soonest(self._unsubscribe(name))

    async def _unsubscribe(self, name: Name) -> bool:
        self._subscribed = None
        await self.mail_account.unsubscribe(self._path(name))
        return True

    def listMailboxes(
        self, ref: Name, wildcard: Name
    ) -> "Deferred[list[tuple[str, ImapMailboxInfo]]]":
        """The names that match, INBOX first, with their LIST attributes."""
        return deferred(self._list(ref, wildcard))

    async def _list(
        self, ref: Name, wildcard: Name
    ) -> list[tuple[str, ImapMailboxInfo]]:
        account = self.mail_account
        separator = account.namespace.separator
        pattern = _pattern(wildcard)
        if not pattern:  # only the separator is asked for: RFC 3501 §6.3.8
            root = Listed("", None, (rb"\Noselect",))
            return [("", ImapMailboxInfo(root, separator))]
        self._subscribed = set(await account.subscriptions())
        tree = Tree(account.namespace, await account.folders())
        request = ListMailboxes(_pattern(ref), (pattern,))
        return [
            (each.name, ImapMailboxInfo(each, separator))
            for each in tree.listed(request)
        ]

    # Namespaces.

    def getPersonalNamespaces(self) -> list[list[bytes]]:
        """The only one, with its separator."""
        own = self.mail_account.namespace
        return [[utf7.encode(own.prefix), utf7.encode(own.separator)]]

    def getSharedNamespaces(self) -> None:
        """There are none."""

    def getUserNamespaces(self) -> None:
        """There are none."""


def _pattern(name: Name) -> str:
    """A reference or a pattern; what is no modified UTF-7 matches nothing."""
    if isinstance(name, str):
        return name
    try:
        return utf7.decode(name)
    except ValueError:
        return UNREADABLE_PATTERN
