"""Take all messages of a folder into an empty index: a table at a time."""

from collections.abc import Collection, Sequence
from functools import partial
from itertools import repeat

from imapd.ids import Uid
from imapd.model.mailbox import Changes, MessageState
from imapd.store.maildir.core import MailboxCore

#: What ``MessageState(...)`` does, of a triple and without a call in Python.
_state = partial(tuple.__new__, MessageState)


def take_all(
    core: MailboxCore,
    changes: Changes,
    uids: Sequence[Uid],
    names: Sequence[bytes],
    in_new: Collection[bytes],
) -> None:
    """Fill the index, and tell every message.

    ``uids`` ascend; ``names`` are theirs, without ``cur/`` or ``new/``; those of
    ``in_new`` are recent, and what we published is.  RFC 3501 §6.3.11.
    """
    index = core.index
    index.load(uids, names, in_new)
    flags = core.flags_of_all(names, uids)
    index.tell_all(uids, flags)
    recent = {index.new[name] for name in in_new}
    recent |= core.published
    told = map(recent.__contains__, uids) if recent else repeat(False)
    changes.added.extend(map(_state, zip(uids, flags, told, strict=False)))
