"""Who has to do with a live mailbox, as it sees them."""

from typing import TYPE_CHECKING, Protocol

from imapd.model.view import SessionView

if TYPE_CHECKING:
    from imapd.mailbox.live import LiveMailbox


class Member(Protocol):
    """One session's place at a mailbox."""

    view: SessionView
    joined_validity: int  # the UIDVALIDITY of the UIDs in the view
    read_only: bool

    def changed(self) -> None:
        """The view has news; called on the reactor, must not block or raise."""

    def lost(self, why: str) -> None:
        """The mailbox is gone or renumbered: the session cannot go on with it."""


class Flushing(Protocol):
    """Who has mailboxes write down what may wait."""

    def changed(self, live: "LiveMailbox") -> None:
        """There is something to be written."""

    def forget(self, live: "LiveMailbox") -> None:
        """The mailbox is closed, and has written all itself."""
