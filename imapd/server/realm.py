"""From a login to an account: ``twisted.cred``'s realm."""

from collections.abc import Callable, Hashable
from typing import Any

from twisted.cred.portal import IRealm
from twisted.internet.defer import Deferred
from twisted.mail.interfaces import IAccountIMAP
from zope.interface import implementer

from imapd.auth.avatar import AvatarId, avatar_id
from imapd.auth.promptly import deferred
from imapd.mailbox.accounts import Accounts
from imapd.server.adapters import ImapAccount
from imapd.store.api import AccountStore

#: Where a user's mail is: a key that is the same for the same mail, and a call
#: that opens it (and blocks).  Raises an ``ImapError`` for a user without mail.
Locate = Callable[[AvatarId], tuple[Hashable, Callable[[], AccountStore]]]


@implementer(IRealm)
class MailRealm:
    """Gives each user the account that ``locate`` finds."""

    def __init__(self, accounts: Accounts, locate: Locate) -> None:
        self._accounts = accounts
        self._locate = locate

    def requestAvatar(  # noqa: N802
        self,
        avatarId: Any,  # noqa: N803
        mind: Any,
        *interfaces: Any,
    ) -> "Deferred[Any]":
        """(IAccountIMAP, account, logout) of a user who has logged in.

        Raises:
            NotImplementedError: no interface asked for is one of ours; so asks
                ``twisted.cred.portal.IRealm``.
        """
        if IAccountIMAP not in interfaces:
            raise NotImplementedError("only IAccountIMAP")
        return deferred(self._request(avatar_id(avatarId)))

    async def _request(self, user: AvatarId) -> Any:
        key, open_store = self._locate(user)
        avatar = ImapAccount(await self._accounts.acquire(key, open_store))
        return (
            IAccountIMAP,
            avatar,
            lambda: avatar.close().addBoth(lambda _: self._accounts.release(key)),
        )
