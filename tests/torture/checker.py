"""What was told and what is there: the judge of every crash.

``Told`` is the record of what a client has been answered; whoever runs commands
keeps it (``storeactor.py``).  ``check`` reads the folder with ``maildirs.py``, which
shares no code with the server, and returns each broken promise as one line.
"""

import copy
from dataclasses import dataclass, field, fields

from tests.torture.maildirs import (
    Folder,
    Message,
    read_account,
    read_overflow,
    read_subscriptions,
)

#: Drafts, lock drafts and trash that crashes may leave; what goes by age.
MOST_IN_TMP = 12


@dataclass
class Told:
    """What was acknowledged.  Folders are named as in ``maildirs.Folder``.

    Messages are known by their octets as they are on disk; each is another one.
    """

    #: Octets of every message that anybody ever began to store: no file has others.
    whole: set[bytes] = field(default_factory=set)
    #: Each UID that was told, for ever: (folder, UIDVALIDITY, UID).
    numbers: dict[tuple[str, int, int], bytes] = field(default_factory=dict)
    #: UIDVALIDITY and UIDNEXT as last told.
    nexts: dict[str, tuple[int, int]] = field(default_factory=dict)
    #: UIDVALIDITYs of mailboxes that were deleted: a new one has a greater one.
    dead: dict[str, int] = field(default_factory=dict)
    #: (octets, folder it was stored in): the folders of which one has it under a UID.
    fixed: dict[tuple[bytes, str], tuple[frozenset[str], int]] = field(
        default_factory=dict
    )
    #: Those of ``fixed`` whose storing was not answered with OK: a client was shown
    #: them, and whoever put them there may not have synced them.
    shown: set[tuple[bytes, str]] = field(default_factory=set)
    #: Messages that are on their way: one of the folders has them, under any UID.
    somewhere: dict[bytes, frozenset[str]] = field(default_factory=dict)
    #: (octets, folder): expunged, or moved away.
    gone: set[tuple[bytes, str]] = field(default_factory=set)
    #: (octets, folder): flags that it has, and flags that it has not.
    flags: dict[tuple[bytes, str], tuple[frozenset[str], frozenset[str]]] = field(
        default_factory=dict
    )
    #: Whether a folder is there; those not named may be or not.
    folders: dict[str, bool] = field(default_factory=dict)
    subscribed: dict[str, bool] = field(default_factory=dict)
    #: (folder, messages): all of them are in it or none.
    together: list[tuple[str, frozenset[bytes]]] = field(default_factory=list)
    #: (old names, new names): once it was opened, all are old or all are new.
    trees: list[tuple[frozenset[str], frozenset[str]]] = field(default_factory=list)

    def copy(self) -> "Told":
        """Return one that further commands do not change."""
        # What is in them cannot be changed.
        parts = {one.name: copy.copy(getattr(self, one.name)) for one in fields(self)}
        return Told(**parts)


@dataclass(frozen=True)
class Mercy:
    """What may be wrong with what lies there now."""

    #: The server has not looked at it since: a line may be torn, a tree half moved.
    unopened: bool = False
    #: Flags, EXPUNGE and the like may be undone: docs/durability.rst.
    power_lost: bool = False


STRICT = Mercy()


def check(
    root: bytes,
    told: Told,
    mercy: Mercy = STRICT,
    folders: dict[str, Folder] | None = None,
) -> list[str]:
    """Return every broken promise; none is a good account.

    ``folders`` is what ``read_account`` has just read.
    """
    folders = read_account(root) if folders is None else folders
    wrong = list(_folders(folders, told, mercy))
    for folder in folders.values():
        where = folder.name or "INBOX"
        lines = [*_format(folder, told, mercy), *_numbers(folder, told)]
        lines += _contents(folder, told, mercy)
        wrong += [f"{where}: {line}" for line in lines]
    wrong += _messages(folders, told, mercy)
    if not mercy.power_lost:
        wrong += _gone(folders, told)
        wrong += _flags(root, folders, told)
    subscribed, problems = read_subscriptions(root)
    wrong += problems
    for name, is_there in told.subscribed.items():
        if subscribed is None and mercy.unopened:  # Courier's are to be taken over
            continue
        if (name in (subscribed or ())) is not is_there:
            wrong.append(f"{name or 'INBOX'} is{' not' * is_there} subscribed")
    return wrong


def _folders(folders: dict[str, Folder], told: Told, mercy: Mercy) -> list[str]:
    wrong = []
    for name, is_there in told.folders.items():
        if (name in folders) is not is_there:
            wrong.append(f"the folder {name!r} is{' not' * is_there} there")
    for old, new in told.trees:
        present = {name for name in old | new if name in folders}
        if mercy.unopened:
            continue
        if present not in (old, new):
            wrong.append(f"of a renamed tree are there {sorted(present)}")
    return wrong


def _format(folder: Folder, told: Told, mercy: Mercy) -> list[str]:
    """What is wrong with the files as such."""
    wrong = list(folder.problems)
    if mercy.unopened:  # a writer died: readers leave such a line out
        wrong = [one for one in wrong if one != "the UID list ends within a line"]
    if mercy.unopened and mercy.power_lost:  # what was not synced is anything
        wrong = [one for one in wrong if not one.startswith("the UID list")]
    torn = [one.name for one in folder.messages if one.octets not in told.whole]
    wrong += [f"{name!r} is no whole message" for name in torn]
    octets = [one.octets for one in folder.messages]
    if len(set(octets)) < len(octets):
        wrong.append("a message is there twice")
    if folder.tmp_count > MOST_IN_TMP:
        wrong.append(f"{folder.tmp_count} files are left in tmp")
    return wrong


def _numbers(folder: Folder, told: Told) -> list[str]:
    """UIDVALIDITY and the next UID: they stay, or grow."""
    name, validity = folder.name, folder.uid_validity
    if not validity:
        known = name in told.nexts and not folder.is_couriers
        return ["it has no UID list"] * known
    if name in told.nexts:
        expected, uid_next = told.nexts[name]
        if validity != expected:
            return [f"UIDVALIDITY is {validity} after {expected}"]
        if folder.uid_next < uid_next:
            return [f"the next UID is {folder.uid_next} after {uid_next}"]
    elif validity <= told.dead.get(name, 0):
        return [f"UIDVALIDITY {validity} is that of a mailbox that was deleted"]
    return []


def _contents(folder: Folder, told: Told, mercy: Mercy) -> list[str]:
    """A UID names one message, and a message has one UID, for ever."""
    wrong = []
    bases = {message.base: message for message in folder.messages}
    for uid, base in folder.uids.items():
        known = told.numbers.get((folder.name, folder.uid_validity, uid))
        message = bases.get(base)
        if known is not None and message is not None and message.octets != known:
            wrong.append(
                f"UID {uid} was {known[:30]!r}, and is {message.octets[:30]!r}"
            )
    names = {
        octets: uid
        for (name, validity, uid), octets in told.numbers.items()
        if (name, validity) == (folder.name, folder.uid_validity)
    }
    for message in folder.messages:
        uid_told = names.get(message.octets)
        on_its_way = folder.name in told.somewhere.get(message.octets, ())
        if on_its_way and (message.octets, folder.name) in told.gone:
            continue  # it went, and is being moved back under another number
        if uid_told is not None and message.uid != uid_told:
            wrong.append(
                f"{message.octets[:30]!r} had UID {uid_told}, not {message.uid}"
            )
    for name, all_of_them in told.together:
        there = {one.octets for one in folder.messages} & all_of_them
        if name == folder.name and there and there != all_of_them:
            wrong.append(f"{len(there)} of {len(all_of_them)} messages are there")
    return wrong


def _messages(folders: dict[str, Folder], told: Told, mercy: Mercy) -> list[str]:
    """What was acknowledged is there, octet by octet, under its UID."""
    wrong = []
    there: dict[bytes, dict[str, Message]] = {}
    for folder in folders.values():
        for message in folder.messages:
            there.setdefault(message.octets, {})[folder.name] = message
    for (octets, first), (homes, uid) in told.fixed.items():
        if mercy.power_lost and (octets, first) in told.shown:
            continue
        found = there.get(octets, {})
        uids = {found[home].uid for home in homes if home in found}
        if uid not in uids:
            wrong.append(
                f"{octets[:30]!r}, UID {uid} in {set(homes)}: {uids or 'LOST'}"
            )
    for octets, homes in told.somewhere.items():
        if not homes & set(there.get(octets, {})):
            wrong.append(f"{octets[:30]!r} is LOST, in none of {set(homes)}")
    return wrong


def _gone(folders: dict[str, Folder], told: Told) -> list[str]:
    return [
        f"{octets[:30]!r} is back in {name or 'INBOX'}"
        for octets, name in told.gone
        if name in folders and octets in folders[name].by_octets()
    ]


def _flags(root: bytes, folders: dict[str, Folder], told: Told) -> list[str]:
    wrong = []
    for (octets, name), (has, has_not) in told.flags.items():
        message = folders[name].by_octets().get(octets) if name in folders else None
        if message is None:
            continue  # whether it must be there is said elsewhere
        flags = set(message.flags)
        if not has <= flags and message.uid is not None:
            overflow = read_overflow(root, folders[name])
            flags |= overflow.get(message.uid, set())
        if not has <= flags or has_not & flags:
            told_flags = f"{sorted(has)}, not {sorted(has_not)}"
            wrong.append(f"{octets[:30]!r} has {sorted(flags)}; told: {told_flags}")
    return wrong
