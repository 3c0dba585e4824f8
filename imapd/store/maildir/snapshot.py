"""What is known of a folder, kept in the cache: names and UIDs, to be read at once.

::

    snapshot = magic LF json LF uids names extras
    uids     = *4octets                   ; in the byte order that the JSON names
    names    = *(name NUL)                ; in the order of the UIDs
    extras   = *(uid SP extra LF)         ; of the UID list

It is believed as far as the folder is still so: the UID list must be the very file
that it was; a directory whose mtime moved is listed, and compared with what is
known, as at any other time.  Flags are in the names.
"""

import json
import os
import sys
from array import array
from collections.abc import Mapping, Sequence
from operator import lt
from typing import Any, Final

from imapd.ids import Uid
from imapd.model.mailbox import Changes
from imapd.store.maildir.core import MailboxCore
from imapd.store.maildir.intake import take_all
from imapd.store.maildir.names import base_of

_MAGIC: Final = b"imapd snapshot 1"
#: Smaller folders are read as fast from the disk.
LEAST_MESSAGES: Final = 64


def save(core: MailboxCore) -> None:
    """Keep what is known, if it is all there is to know and worth it."""
    if core.cache is None or not _is_whole(core):
        return
    core.cache.save_snapshot(_folder(core), core.numbering, _dump(core))
    core.snapshot_stamp = _stamp(core)


def _stamp(core: MailboxCore) -> object:
    """What is another one when a snapshot would say something else."""
    directories = [
        (each.known_mtime_ns, each.is_confirmed) for each in (core.cur, core.new)
    ]
    return directories, core.uidlist.summary(), core.index.highest


def _is_whole(core: MailboxCore) -> bool:
    return (
        core.synced
        and core.snapshot_stamp != _stamp(core)
        and not core.read_only
        and not (core.pending or core.has_untold or core.has_other_numbers)
        and not (core.made_up or core.published)
        and core.index.is_certain
        and not core.uidlist.changed()
        and not core.uidlist.needs_rewrite()
        and core.cur.known_mtime_ns is not None
        and core.new.known_mtime_ns is not None
        and len(core.index) >= LEAST_MESSAGES
    )


def restore(core: MailboxCore, changes: Changes) -> None:
    """Take up what was kept, if it is still so; ``changes`` gets every message.

    Nothing is asked of it after a sync that failed when it had found messages: they
    are in ``changes`` already.
    """
    if core.cache is None or core.read_only or len(core.index):
        return
    octets = core.cache.load_snapshot(_folder(core))
    core.has_snapshot = octets is not None
    if octets is None:
        return
    try:
        head, uids, names, extras = _parse(octets)
        table = core.uidlist.resume(head["uidlist"])
        if table is None:
            return
        for directory, part in ((core.cur, "cur"), (core.new, "new")):
            directory.resume(int(head[part]), confirmed=bool(head["confirmed"]))
        core.ignored = {bytes.fromhex(name) for name in head["ignored"]}
        highest = int(head["highest"])
        in_new = {names[int(at)] for at in head["in_new"]}
        if len(set(names)) != len(names):
            raise ValueError("one name twice")
        steps = [0, *uids, highest + 1, table.uid_next + 1]
        if not all(map(lt, steps, steps[1:])):
            raise ValueError("UIDs that are out of order, or not given out yet")
    except (KeyError, TypeError, ValueError, IndexError):
        # Of another version, or damaged in spite of its check sum.
        core.forget_folder()
        return
    table.load_later(lambda: _records(core, extras))
    core.told_table = table
    core.keywords.refresh()
    core.load_overflow()
    take_all(core, changes, uids, names, in_new)
    core.index.raise_to(highest, certain=True)
    core.synced, core.snapshot_stamp = True, _stamp(core)


def numbers(core: MailboxCore) -> tuple[int, Mapping[bytes, Uid]]:
    """Return what was kept of the numbers that the folder has: next UID, UIDs by base.

    Nothing of it need be so any more but that these UIDs name these messages, and
    that those below the next one were given out.
    """
    nothing: tuple[int, Mapping[bytes, Uid]] = (0, {})
    if core.cache is None or not core.has_snapshot:
        return nothing
    octets = core.cache.load_snapshot(_folder(core))
    if octets is None:
        return nothing
    try:
        head, uids, names, _ = _parse(octets)
        kept, table = head["uidlist"], core.uidlist.table
        if (kept["guid"], kept["validity"]) != (table.guid, table.uid_validity):
            return nothing
        uid_next = int(kept["next"])
        if not all(map(lt, [0, *uids], [*uids, uid_next])):
            return nothing
    except (KeyError, TypeError, ValueError):
        return nothing
    return uid_next, dict(zip(map(base_of, names), uids, strict=True))


def _records(
    core: MailboxCore, extras: bytes
) -> tuple[dict[bytes, Uid], dict[Uid, bytes]]:
    """What the UID list says of the messages that are there."""
    uids = {base_of(name): uid for uid, name in sorted(core.index.items())}
    found = {}
    for line in extras.split(b"\n")[:-1]:
        number, _, extra = line.partition(b" ")
        found[Uid(int(number))] = extra
    return uids, found


def _dump(core: MailboxCore) -> bytes:
    index = core.index
    uids = sorted(index)
    names = [index.name(uid) or b"" for uid in uids]
    extras = core.uidlist.table.extras
    head = {
        "order": sys.byteorder,
        "count": len(uids),
        "names": sum(map(len, names)) + len(names),
        "uidlist": core.uidlist.summary(),
        "cur": core.cur.known_mtime_ns,
        "new": core.new.known_mtime_ns,
        "confirmed": core.cur.is_confirmed and core.new.is_confirmed,
        "highest": index.highest,
        "in_new": [at for at, name in enumerate(names) if name in index.new],
        "ignored": [name.hex() for name in sorted(core.ignored)],
    }
    return b"".join(
        (
            *(_MAGIC, b"\n", json.dumps(head).encode(), b"\n"),
            array("I", uids).tobytes(),
            *(part for name in names for part in (name, b"\0")),
            *(b"%d %b\n" % item for item in extras.items()),
        )
    )


def _parse(
    octets: bytes,
) -> tuple[Mapping[str, Any], Sequence[Uid], list[bytes], bytes]:
    magic, _, rest = octets.partition(b"\n")
    line, _, rest = rest.partition(b"\n")
    head = json.loads(line)
    if magic != _MAGIC or head["order"] != sys.byteorder:
        raise ValueError("not a snapshot of this machine")
    count = int(head["count"])
    numbers = array("I")
    numbers.frombytes(rest[: 4 * count])
    end = 4 * count + int(head["names"])
    names = rest[4 * count : end].split(b"\0")
    if names.pop() or len(names) != count or len(numbers) != count:
        raise ValueError("not as many names as messages")
    return head, [Uid(number) for number in numbers], names, rest[end:]


def _folder(core: MailboxCore) -> str:
    return os.path.basename(core.directory).hex()
