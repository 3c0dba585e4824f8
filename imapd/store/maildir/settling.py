"""Decide between Courier's numbers and ``dovecot-uidlist`` where a folder has both.

It happens after a hand-back, when Courier worked and we are back, and on Maildirs
that saw several servers.  What the files in the folder are in decides; a UID never
comes to name another message under the same UIDVALIDITY, and a question once
decided is asked again only when Courier's files change.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from twisted.logger import Logger

from imapd.errors import ImapError
from imapd.ids import MailboxPath
from imapd.store import fsops
from imapd.store.locks import MailboxLock
from imapd.store.maildir import courier
from imapd.store.maildir.accountlock import account_lock
from imapd.store.maildir.names import base_of
from imapd.store.maildir.uidformat import BrokenUidList, UidTable, parse

if TYPE_CHECKING:
    from imapd.store.maildir.layout import NameEncoding
    from imapd.store.maildir.subscriptions import Subscriptions
    from imapd.store.state import AccountState

_log = Logger()

_UIDLIST: Final = b"dovecot-uidlist"
#: The prefix of a signature that we wrote ourselves, and nobody changed since.
_HANDED_BACK: Final = "handed back "
_LARGEST_OCTETS: Final = 256 << 20
_SUBSCRIBED: Final = "courier-subscribed"


def settle_numbers(
    folder: bytes, name: bytes, state: "AccountState", seconds: float
) -> None:
    """Set ``dovecot-uidlist`` aside if Courier's numbers are to be taken over.

    ``name`` is that of the folder's directory: what was decided is kept under it.
    """
    seen = signature(folder)
    if not seen:
        return
    key = setting_name(name)
    before = state.setting(key)
    if seen == before:
        return
    told = before == _HANDED_BACK + seen
    try:
        if not told:
            with MailboxLock(folder, seconds) as lock:
                _choose(folder, before, lock)
        # From here on users may change what Courier was told of.
        state.set_setting(key, seen)
    except (OSError, ImapError) as error:  # we shall look again
        _log.warn(
            "store: {path!r} not settled: {error}", path=folder, error=repr(error)
        )


def settle_subscriptions(
    root: bytes,
    subscriptions: "Subscriptions",
    state: "AccountState",
    encoding: Callable[[], "NameEncoding"],
    seconds: float,
) -> None:
    """Take ``courierimapsubscribed`` over where it is newer, or all there is.

    What cannot be done is logged and tried at the next open: it keeps nobody out.
    """
    seen = courier.signature(root, courier.SUBSCRIBED)
    before = state.setting(_SUBSCRIBED)
    if not seen or seen == before:
        return
    try:
        with account_lock(root, seconds):
            if _are_newer(root, subscriptions, before):
                lines = courier.read_subscribed(root) or []
                found = (courier.subscribed_path(line) for line in lines)
                paths = [path for path in found if path is not None]
                subscriptions.replace(paths, encoding())
        state.set_setting(_SUBSCRIBED, seen)
    except (OSError, ImapError) as error:
        _log.error(
            "store: subscriptions of {root!r} are not taken over: {error}",
            root=root,
            error=repr(error),
        )


def read_subscriptions(
    root: bytes, ours: "Subscriptions", *, read_only: bool
) -> list[MailboxPath]:
    """What is subscribed.

    In an account that cannot be written Courier's file is asked each time, where it
    would have been taken over.

    Raises:
        StoreDamaged, OSError
    """
    if not read_only or not _are_newer(root, ours, None):
        return ours.paths()
    lines = courier.read_subscribed(root) or []
    found = {courier.subscribed_path(line) for line in lines}
    return sorted(path for path in found if path is not None)


def _are_newer(root: bytes, ours: "Subscriptions", before: str | None) -> bool:
    """Whether Courier's subscriptions are the ones to keep."""
    theirs = fsops.status_or_none(root + b"/" + courier.SUBSCRIBED)
    known = fsops.status_or_none(ours.path)
    if theirs is None or known is None:
        return theirs is not None
    return before is not None or theirs.st_mtime_ns > known.st_mtime_ns


def note_handed_back(state: "AccountState", root: bytes) -> None:
    """Remember the subscriptions that we have written for Courier ourselves."""
    state.set_setting(_SUBSCRIBED, courier.signature(root, courier.SUBSCRIBED))


def signature(folder: bytes) -> str:
    """Return a text that changes when Courier wrote numbers or keywords."""
    if not fsops.exists(folder + b"/" + courier.UIDS):
        return ""
    return courier.signature(
        folder, courier.UIDS, courier.KEYWORD_LIST, courier.KEYWORDS
    )


def note_numbers_handed_back(folder: bytes, name: bytes, state: "AccountState") -> None:
    """Remember the files that we have written for Courier ourselves.

    As long as we change nothing, all that Courier says afterwards is so.
    """
    state.set_setting(setting_name(name), _HANDED_BACK + signature(folder))


def setting_name(name: bytes) -> str:
    """Return where the state keeps the signature last seen of a folder."""
    return "courier:" + name.hex()


def _choose(folder: bytes, before: str | None, lock: MailboxLock) -> None:
    """Look at both lists; ``before`` is what the state said of Courier's."""
    first_sight = before is None
    ours = _read_uidlist(folder)
    theirs = courier.read_uids(folder)
    if ours is None or theirs is None:
        return
    bases = {
        base_of(name)
        for part in (b"/cur", b"/new")
        for name in fsops.names(folder + part)
    }
    if ours.uid_validity == theirs.uid_validity:
        wins = _continues(theirs, ours, bases) and (
            not first_sight or len(theirs.uids.keys() & bases) > _cover(ours, bases)
        )
    else:
        wins = _is_better(folder, theirs, ours, bases, first_sight=first_sight)
    if wins:
        _log.info("store: Courier's numbers are taken over in {path!r}", path=folder)
        lock.check()
        kept, stale = courier.REPLACED, courier.HANDED_BACK
        if before is not None and before.startswith(_HANDED_BACK):
            kept, stale = stale, kept
        fsops.remove_if_there(folder + b"/" + stale)
        # A crash here leaves no UID list, and Courier's are taken over.
        fsops.rename(folder + b"/" + _UIDLIST, folder + b"/" + kept)
        fsops.fsync_directory(folder)


def _continues(theirs: UidTable, ours: UidTable, bases: set[bytes]) -> bool:
    """Whether Courier went on from our numbers, and has them all."""
    if theirs.uid_next < ours.uid_next:
        return False
    if any(base in bases and base not in theirs.uids for base in ours.uids):
        return False
    their_bases = {uid: base for base, uid in theirs.uids.items()}
    return all(
        their_bases.get(uid, base) == base and theirs.uids.get(base, uid) == uid
        for base, uid in ours.uids.items()
    )


def _is_better(
    folder: bytes,
    theirs: UidTable,
    ours: UidTable,
    bases: set[bytes],
    *,
    first_sight: bool,
) -> bool:
    """Two histories: the one that has more of the files, else the newer."""
    covered = _cover(theirs, bases), _cover(ours, bases)
    if not first_sight:
        return covered[1] == 0 < covered[0]
    if covered[0] != covered[1]:
        return covered[0] > covered[1]
    their_file = fsops.status(folder + b"/" + courier.UIDS)
    return their_file.st_mtime_ns > fsops.status(folder + b"/" + _UIDLIST).st_mtime_ns


def _cover(table: UidTable, bases: set[bytes]) -> int:
    return len(table.uids.keys() & bases)


def _read_uidlist(folder: bytes) -> UidTable | None:
    """Return our own list; None: there is none, or it is broken and not ours to mend.

    ``UidList.repair`` saves what a broken one says.
    """
    try:
        return parse(fsops.read_file(folder + b"/" + _UIDLIST, _LARGEST_OCTETS))
    except (OSError, BrokenUidList):
        return None
