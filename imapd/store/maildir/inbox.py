"""RENAME of the INBOX: it stays, and its messages go.  RFC 3501 §6.3.5."""

from contextlib import suppress
from typing import TYPE_CHECKING

from imapd.errors import ImapError
from imapd.ids import INBOX, MailboxPath
from imapd.store import fsops

if TYPE_CHECKING:
    from imapd.store.maildir.account import MaildirAccount


def rename(account: "MaildirAccount", new: MailboxPath) -> None:
    """Leave INBOX empty; its messages get new UIDs in the new mailbox.

    Raises:
        ImapError: nothing was moved, and there is no new mailbox.
    """
    account.create(new)
    try:
        _move_all(account, new)
    except ImapError:
        _withdraw(account, new)
        raise


def _move_all(account: "MaildirAccount", new: MailboxPath) -> None:
    source, target = account.mailbox(INBOX), account.mailbox(new)
    try:
        found = source.sync(claim_recent=False)
        target.sync(claim_recent=False)
        # A crash in between leaves each message in one of the two, or in both.
        target.copy_from(source, [one.uid for one in found.added], True, False)
    finally:
        source.close()
        target.close()


def _withdraw(account: "MaildirAccount", path: MailboxPath) -> None:
    """Remove a mailbox that was made for nothing; not if mail came to it meanwhile.

    What fails a second time leaves it there, empty: nothing worse.
    """
    with suppress(ImapError, OSError):
        name = account.tree.directory_name(path)
        if name is None:
            return
        directory = account.tree.directory(name)
        parts = (directory + b"/cur", directory + b"/new")
        if not any(fsops.names(part) for part in parts):
            account.delete(path)
