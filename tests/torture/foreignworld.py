"""A world whose accounts are of another make: objects in memory, no Maildirs."""

from random import Random
from typing import Any

from twisted.cred.portal import IRealm
from twisted.mail import imap4
from zope.interface import implementer

from tests.support.foreign import Account
from tests.torture.inprocess import World


@implementer(IRealm)
class MemoryRealm:
    """An account for each user, kept as long as the world."""

    def __init__(self) -> None:
        self._accounts: dict[bytes, Any] = {}

    def requestAvatar(self, *asked: Any) -> Any:
        """Return the account; there is nothing to give back."""
        user: bytes = asked[0]
        account = self._accounts.get(user)
        if account is None:
            account = self._accounts[user] = Account(user.decode())
            account.addMailbox("INBOX")
        return imap4.IAccount, account, lambda: None


class ForeignWorld(World):
    """The server over ``IAccountIMAP``, by its adapters."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        factory: Any = self.server.factory
        factory.portal.realm = MemoryRealm()

    def meddle(self, chance: Random) -> None:
        """Do nothing: nobody else has these mailboxes."""
