"""Tells the other processes of this server which mailboxes this one has changed."""

from typing import Protocol


class Notices(Protocol):
    """Where a mailbox that we have changed is told to whom it may concern."""

    def changed(self, directory: bytes) -> None:
        """A mailbox has other contents now, or is gone.

        A hint, which may be lost: the files are the truth, and every command looks
        at them.  Called on the reactor; must neither block nor raise.

        Args:
            directory: the first of its store's ``watched_directories``.
        """


class NoNotices:
    """For a process that is alone."""

    def changed(self, directory: bytes) -> None:
        """Tell nobody."""


NO_NOTICES = NoNotices()
