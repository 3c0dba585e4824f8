"""Hold a UID list against what is known of its numbers elsewhere, before new ones.

A list that was cut within its lines, or that came back from a backup, is a good list:
of the UIDs that it has lost it says nothing, and they would be given out again, to
other messages.  What was kept in the cache still has these numbers; the state at least
knows how far they went.
"""

from collections.abc import Callable, Sequence

from twisted.logger import Logger

from imapd.ids import Uid
from imapd.store.locks import MailboxLock
from imapd.store.maildir import snapshot
from imapd.store.maildir.core import MailboxCore
from imapd.store.maildir.uidlist import SALVAGE_MARGIN

_log = Logger()


def recall(core: MailboxCore) -> None:
    """Make the UID list say what it said; the lock is held, and it was just read.

    Done once after a list was read: later it can only grow, or is compared with what
    we have in memory.
    """
    table = core.uidlist.table
    if core.recalled == core.numbering or core.snapshot_stamp is not None:
        return  # the very file that the snapshot was made of
    core.recalled = core.numbering
    uid_next, bases = snapshot.numbers(core)
    uid_next = max(uid_next, core.known_next(core.numbering))
    if uid_next <= table.uid_next:
        return
    used = set(table.uids.values())
    lost = [
        (uid, base)
        for base, uid in bases.items()
        if base not in table.uids and uid not in used
    ]
    _log.error(
        "store: {path!r} has lost UIDs below {uid_next}; {count} messages keep theirs",
        path=core.uidlist.path,
        uid_next=uid_next,
        count=len(lost),
    )
    for uid, base in lost:
        core.uidlist.restore(uid, base)
    core.uidlist.skip_to(Uid(uid_next + SALVAGE_MARGIN))


def record(
    core: MailboxCore,
    lock: MailboxLock,
    bases: Sequence[bytes],
    sync_names: Callable[[], None] = lambda: None,
) -> list[Uid]:
    """Give each base the next UID, durably, and none that was ever given out.

    ``sync_names`` is as for ``UidList.record``.

    Raises:
        OSError: as ``UidList.record``.
    """
    recall(core)
    return core.uidlist.record(lock, bases, core.is_gone, sync_names)
