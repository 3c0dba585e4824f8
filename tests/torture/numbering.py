"""Who gave a message a second UID, where several servers number one folder.

``python -m`` this module is ``twistd`` as ``recorded_twistd`` runs it, that also keeps
each change of a UID list which its server makes, in the file that
``IMAPD_LIVE_NUMBERED`` names: compared with what the list said just before, under the
lock.  The server knows nothing of it.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from twisted.scripts.twistd import run

from imapd.store import fsops
from tests.live import recorded_twistd
from tests.live.peers import ImapdServer

_LIST = b"/dovecot-uidlist"
#: A folder and a UID in it.
_Key = tuple[str, int]


def _records(octets: bytes) -> dict[int, bytes]:
    """Bases by UID; the first line is the header, a line without its end is none."""
    found = {}
    for line in octets.split(b"\n")[1:-1]:
        number, _, rest = line.partition(b" ")
        if number.isdigit():
            found[int(number)] = rest.partition(b":")[2].partition(b":")[0]
    return found


def change(before: bytes, after: bytes, there: Iterable[bytes]) -> dict[str, Any]:
    """What somebody did who made a list say something else.

    ``there`` are the names of the files in the folder.  ``given`` are the new UIDs,
    each with those that its file had until then; ``dropped`` are the UIDs of files
    that are there and have none any more.
    """
    old, new = _records(before), _records(after)
    had: dict[bytes, list[int]] = {}
    for uid, base in old.items():
        had.setdefault(base, []).append(uid)
    given = [
        (uid, had.get(base, [])) for uid, base in new.items() if old.get(uid) != base
    ]
    left = {name.partition(b":")[0] for name in there} - set(new.values())
    dropped = [uid for uid, base in old.items() if base in left]
    return {"given": given, "dropped": dropped}


def _read(path: bytes) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def record(kept: Path) -> None:
    """Keep what this process does to UID lists from now on, a line for each time."""
    write, rename = fsops.write, fsops.rename

    def keep(path: bytes, after: bytes) -> None:
        directory = path.removesuffix(_LIST)
        parts = (directory + b"/cur", directory + b"/new")
        names = [name for part in parts for name in os.listdir(part)]
        found = change(_read(path), after, names)
        name = os.path.basename(directory).decode("utf-8", "surrogateescape")
        found["folder"] = name[1:] if name.startswith(".") else "INBOX"
        with open(kept, "ab", buffering=0) as file:
            file.write(json.dumps(found).encode() + b"\n")

    def watched_write(descriptor: int, octets: bytes) -> None:
        path = os.readlink(b"/proc/self/fd/%d" % descriptor)
        if path.endswith(_LIST):
            keep(path, _read(path) + octets)
        write(descriptor, octets)

    def watched_rename(old: bytes, new: bytes) -> None:
        if new.endswith(_LIST):
            keep(new, _read(old))
        rename(old, new)

    replaced: Any = fsops
    replaced.write, replaced.rename = watched_write, watched_rename


class NumberingServer(ImapdServer):
    """Ours, with what it did to UID lists."""

    program: ClassVar = ("-m", "tests.torture.numbering")

    def __init__(self, root: Path, *, label: str) -> None:
        super().__init__(root, label=label)
        self.numbered = self.folder / "numbered"
        self._environment["IMAPD_LIVE_NUMBERED"] = str(self.numbered)


def _lines(file: Path) -> list[bytes]:
    """Those that are whole: it may be asked while its server works."""
    return _read(os.fsencode(file)).split(b"\n")[:-1]


class Numbered:
    """What servers of ours did to UID lists, all in all."""

    def __init__(self, files: Iterable[Path]) -> None:
        """Read what they kept."""
        #: With the UIDs that the same file had in the list that they changed.
        self.given: dict[_Key, list[int]] = {}
        self.dropped: set[_Key] = set()
        for line in (line for file in files for line in _lines(file)):
            found = json.loads(line)
            folder = found["folder"]
            self.given.update(((folder, uid), had) for uid, had in found["given"])
            self.dropped.update((folder, uid) for uid in found["dropped"])

    def blamed_for(self, uids: Mapping[tuple[str, int], set[int]]) -> set[_Key]:
        """Of messages with their UIDs, by folder and number: where ours did it.

        They gave a file a UID that had one, or took from a file the one that it had.
        What another server took the UID from is new to everybody who comes later.
        """
        return {
            (folder, number)
            for (folder, number), some in uids.items()
            if any(self.given.get((folder, uid)) for uid in sorted(some)[1:])
            or any((folder, uid) in self.dropped for uid in sorted(some)[:-1])
        }


if __name__ == "__main__":
    recorded_twistd.record(Path(os.environ["IMAPD_LIVE_SENT"]))
    record(Path(os.environ["IMAPD_LIVE_NUMBERED"]))
    run()
