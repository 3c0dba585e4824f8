"""On what kind of file system a directory lies, as the mount table says."""

import os
import re
import time
from dataclasses import dataclass
from typing import Final

_MOUNT_TABLE: Final = "/proc/self/mountinfo"
#: What is mounted changes, and numbers of devices are used again.
_KEPT_SECONDS: Final = 60.0
_INOTIFY_LIMITS: Final = "/proc/sys/fs/inotify/"
_ESCAPE: Final = re.compile(rb"\\([0-7]{3})")

#: Where all that changes passes through this kernel.  Of network, cluster, shared
#: and FUSE file systems, and of those we never heard of, that is not sure.
LOCAL_KINDS: Final = frozenset(
    {
        "bcachefs",
        "btrfs",
        "ext2",
        "ext3",
        "ext4",
        "f2fs",
        "jfs",
        "nilfs2",
        "overlay",
        "ramfs",
        "reiserfs",
        "tmpfs",
        "xfs",
        "zfs",
    }
)


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted file system."""

    kind: str  # "ext4", "nfs4", "fuse.sshfs"; "unknown" where nothing is known
    point: bytes

    @property
    def is_local(self) -> bool:
        """Whether nobody changes it but through this kernel."""
        return self.kind in LOCAL_KINDS


UNKNOWN: Final = Mount("unknown", b"?")


class MountTable:
    """Finds mounts, and remembers them by device for a minute."""

    def __init__(self, path: str = _MOUNT_TABLE) -> None:
        self._path = path
        self._known: dict[int, Mount] = {}
        self._forget_at_seconds = 0.0

    def find(self, directory: bytes) -> Mount:
        """The mount on which a directory lies; ``UNKNOWN`` without a mount table.

        Raises:
            OSError: there is no such directory.
        """
        device = os.stat(directory).st_dev
        if time.monotonic() >= self._forget_at_seconds:
            self._known.clear()
            self._forget_at_seconds = time.monotonic() + _KEPT_SECONDS
        mount = self._known.get(device)
        if mount is None:
            mount = self._known[device] = self._search(device, directory)
        return mount

    def _search(self, device: int, directory: bytes) -> Mount:
        try:
            with open(self._path, "rb") as file:
                lines = file.read().splitlines()
        except OSError:
            return UNKNOWN
        number = b"%d:%d" % (os.major(device), os.minor(device))
        best = UNKNOWN
        best_octets = -1
        path = os.path.realpath(directory) + b"/"
        for line in lines:
            parsed = _parse(line)
            if parsed is None:
                continue
            its_number, mount = parsed
            if its_number == number:
                return mount
            # A volume of btrfs has numbers that are not in the table.  Of two mounts
            # at one place the later one lies on top.
            below = mount.point.rstrip(b"/") + b"/"
            if path.startswith(below) and len(below) >= best_octets:
                best, best_octets = mount, len(below)
        return best


#   id parent major:minor root mount-point options *optional "-" type source options
#                                                                  ; proc(5)
def _parse(line: bytes) -> tuple[bytes, Mount] | None:
    """Read one line: (device number, mount); None for what is none."""
    before, dash, after = line.partition(b" - ")
    fields, kinds = before.split(b" "), after.split(b" ")
    if not dash or len(fields) < 6:
        return None
    point = _ESCAPE.sub(lambda found: bytes([int(found[1], 8) & 0xFF]), fields[4])
    return fields[2], Mount(kinds[0].decode("ascii", "replace"), point)


def inotify_limit(name: str) -> int | None:
    """What ``fs.inotify.NAME`` is; None if we may not know."""
    try:
        with open(_INOTIFY_LIMITS + name, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None
