"""What a foreign mailbox tells of, heard as its listener."""

# ruff: noqa: N802, N803  the interface's methods and arguments

from collections.abc import Callable
from typing import Any

from twisted.mail.interfaces import IMailboxIMAPListener
from zope.interface import implementer


@implementer(IMailboxIMAPListener)
class ForeignNews:
    """What the mailbox is given as its listener."""

    def __init__(self, tell: Callable[[bool | None], None]) -> None:
        self._tell = tell

    def modeChanged(self, writeable: bool) -> None:
        """It may be written now, or not."""
        self._tell(bool(writeable))

    def flagsChanged(self, newFlags: Any) -> None:
        """By message numbers that need not be ours."""
        self._tell(None)

    def newMessages(self, exists: int | None, recent: int | None) -> None:
        """Something was delivered."""
        self._tell(None)
