"""The folders that an administrator wants every account to have."""

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from twisted.logger import Logger

from imapd.errors import AlreadyExists, ImapError, InUse, OverQuota, Unavailable

if TYPE_CHECKING:
    from imapd.store.maildir.account import MaildirAccount

_log = Logger()

_DONE: Final = "first-login"
#: What may be otherwise the next time: a disk that is full, a lock that is held.
_PASSING: Final = (InUse, OverQuota, Unavailable)


def make_special_uses(account: "MaildirAccount") -> None:
    """Make and subscribe them, once: what the user deletes later stays deleted.

    A use that a folder has already is passed over, and a name that cannot be.  What
    failed for another reason is tried again at the next login.  Nothing here keeps a
    user out.
    """
    wanted = account.options.special_use
    if not wanted or account.state.setting(_DONE) is not None:
        return
    later = False
    present = {folder.special_use for folder in account.folders()}
    for use, name in wanted.items():
        if use in present:
            continue
        path = tuple(name.split("/"))
        try:
            with suppress(AlreadyExists):
                account.create(path, use)
            account.subscribe(path)
        except ImapError as error:
            later = later or isinstance(error, _PASSING)
            _log.error(
                "store: {name!r} cannot be made in {root!r}: {error}",
                name=name,
                root=account.root,
                error=repr(error),
            )
    if later:
        return
    with suppress(ImapError):  # the log has it; the next login tries again
        account.state.set_setting(_DONE, "done")
