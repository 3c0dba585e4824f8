"""Who is told that something may be made ahead of need."""

from typing import TYPE_CHECKING, Protocol

from imapd.store.api import AccountStore

if TYPE_CHECKING:
    from imapd.mailbox.live import LiveMailbox


class Ahead(Protocol):
    """Called on the reactor; must neither block nor raise."""

    def opened(self, account: AccountStore) -> None:
        """A session of this account has begun."""

    def changed(self, account: AccountStore, live: "LiveMailbox") -> None:
        """A mailbox was loaded, or messages came or went."""


class NothingAhead:
    """Everything is made when it is asked for."""

    def opened(self, account: AccountStore) -> None:
        """Do nothing."""

    def changed(self, account: AccountStore, live: "LiveMailbox") -> None:
        """Do nothing."""


NOTHING_AHEAD = NothingAhead()
