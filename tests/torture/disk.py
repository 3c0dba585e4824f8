"""What of a series of operations is on the disk when the power goes.

``Recorder`` notes what is done through ``fsops``, with its sync points.  ``Disk``
says which of it may be missing at any position, and makes the directory that one
choice leaves.

The model is as hard as POSIX allows, and a rename is one step: the data of a file
are safe after its own ``fsync``; a name is after one of its directory; a name that
was moved between directories after one of either.  All else may be lost, in any
subset, unless it was made of something that is lost.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from imapd.store import fsops

#: What SQLite writes itself is not seen here: see ``powerloss.py``.
_NOT_RECORDED = (b".sqlite3", b".sqlite3-journal")


@dataclass(frozen=True)
class Write:
    """Octets at the end of a file."""

    inode: int
    octets: bytes


@dataclass(frozen=True)
class Sync:
    """Of the data of a file, or of the names in a directory."""

    inode: int


@dataclass(frozen=True)
class Names:
    """Names that come and go in one step: ``added`` stands for what ``removed`` did.

    Each is a directory and a name.
    """

    what: str
    inode: int
    added: tuple[int, bytes] | None = None
    removed: tuple[int, bytes] | None = None

    def directories(self) -> set[int]:
        return {place[0] for place in (self.added, self.removed) if place}


Operation = Write | Sync | Names


@dataclass
class Pending:
    """What may be missing at one position: names by index, files by inode."""

    names: list[int]
    #: (octets that are safe, octets that were written)
    data: dict[int, tuple[int, int]]


@dataclass
class Disk:
    """A directory as it was when all was safe, and what was done since."""

    root: int = 0
    #: By directory.
    entries: dict[int, dict[bytes, int]] = field(default_factory=dict)
    contents: dict[int, bytes] = field(default_factory=dict)
    log: list[Operation] = field(default_factory=list)

    def pending(self, position: int) -> Pending:
        """What of the first operations up to there may be missing."""
        last_sync: dict[int, int] = {}
        names: list[int] = []
        written: dict[int, int] = {}
        safe: dict[int, int] = {}
        for index, operation in enumerate(self.log[:position]):
            match operation:
                case Write(inode, octets):
                    written[inode] = written.get(inode, 0) + len(octets)
                case Sync(inode):
                    last_sync[inode] = index
                    safe[inode] = written.get(inode, 0)
                case Names():
                    names.append(index)
        names = [
            index
            for index in names
            if not any(
                last_sync.get(directory, -1) > index
                for directory in self._names(index).directories()
            )
        ]
        data = {
            inode: (safe.get(inode, 0), count)
            for inode, count in written.items()
            if count > safe.get(inode, 0)
        }
        return Pending(names, data)

    def _names(self, index: int) -> Names:
        operation = self.log[index]
        assert isinstance(operation, Names)
        return operation

    def state(
        self,
        position: int,
        lost: frozenset[int],
        data: dict[int, Callable[[bytes, bytes], bytes]],
    ) -> dict[bytes, bytes | None]:
        """Return what is there: contents by path, None for a directory.

        Args:
            position: so many operations were done.
            lost: indexes of pending names that are lost.
            data: what becomes of the safe and the unsafe part of files.
        """
        pending = set(self.pending(position).names)
        entries = {inode: dict(names) for inode, names in self.entries.items()}
        contents = dict(self.contents)
        safe: dict[int, int] = {}
        for index, operation in enumerate(self.log[:position]):
            match operation:
                case Write(inode, octets):
                    contents[inode] = contents.get(inode, b"") + octets
                case Sync(inode):
                    safe[inode] = len(contents.get(inode, b""))
                case Names():
                    if index not in lost:
                        _apply(entries, operation, forced=index not in pending)
        for inode, change in data.items():
            whole = contents[inode]
            end = safe.get(inode, len(self.contents.get(inode, b"")))
            contents[inode] = change(whole[:end], whole[end:])
        return dict(self._walk(entries, contents, self.root, b""))

    def _walk(
        self,
        entries: dict[int, dict[bytes, int]],
        contents: dict[int, bytes],
        directory: int,
        path: bytes,
    ) -> Iterator[tuple[bytes, bytes | None]]:
        for name, inode in entries.get(directory, {}).items():
            if inode in self.entries or inode in entries:
                yield path + name, None
                yield from self._walk(entries, contents, inode, path + name + b"/")
            else:
                yield path + name, contents.get(inode, b"")


def _apply(entries: dict[int, dict[bytes, int]], step: Names, *, forced: bool) -> None:
    """Do it, unless what it was made of is lost; what was synced is there anyhow."""
    if step.what == "mkdir":
        entries.setdefault(step.inode, {})
    if step.removed is not None:
        directory, name = step.removed
        there = entries.setdefault(directory, {}).get(name) == step.inode
        if not there and not forced:
            return
        if there:
            del entries[directory][name]
    if step.added is not None:
        directory, name = step.added
        names = entries.setdefault(directory, {})
        if step.what == "rename" or forced or name not in names:
            names[name] = step.inode


class Recorder:
    """Watches a directory while ``recording`` runs."""

    def __init__(self, top: bytes) -> None:
        self.top = top
        self.disk = Disk()
        self._count = 0
        self._now: dict[int, dict[bytes, int]] = {0: {}}
        self._open: dict[int, int] = {}
        self._load(0, top)
        self.disk.entries = {inode: dict(names) for inode, names in self._now.items()}

    def _load(self, inode: int, path: bytes) -> None:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name.endswith(_NOT_RECORDED):
                    continue
                self._count += 1
                child = self._now[inode][entry.name] = self._count
                if entry.is_dir(follow_symlinks=False):
                    self._now[child] = {}
                    self._load(child, entry.path)
                else:
                    with open(entry.path, "rb") as file:
                        self.disk.contents[child] = file.read()

    def _place(self, path: bytes) -> tuple[int, bytes] | None:
        """Directory and name; None: it is not ours to watch."""
        if not path.startswith(self.top + b"/") or path.endswith(_NOT_RECORDED):
            return None
        *parents, name = path[len(self.top) + 1 :].split(b"/")
        directory = 0
        for parent in parents:
            directory = self._now[directory][parent]
        return directory, name

    def _inode(self, path: bytes) -> int | None:
        path = path.rstrip(b"/")
        if path == self.top:
            return 0
        place = self._place(path)
        return None if place is None else self._now[place[0]].get(place[1])

    def _names(
        self,
        what: str,
        inode: int | None,
        added: tuple[int, bytes] | None = None,
        removed: tuple[int, bytes] | None = None,
    ) -> None:
        if inode is None:
            return
        if removed is not None:
            del self._now[removed[0]][removed[1]]
        if added is not None:
            self._now[added[0]][added[1]] = inode
        self.disk.log.append(Names(what, inode, added, removed))

    def _made(self, what: str, path: bytes, directory: int | None = None) -> int | None:
        place = self._place_in(path, directory)
        if place is None:
            return None
        self._count += 1
        self._names(what, self._count, added=place)
        return self._count

    # -- one for each operation, called after it was done: (result, arguments) --

    def open_exclusive(
        self, result: int, path: bytes, _: int = 0, directory: int | None = None
    ) -> None:
        self._note(result, self._made("create", path, directory))

    def open_read(self, result: int, path: bytes) -> None:
        self._note(result, self._inode(path))

    open_append = open_read

    def open_status(self, result: tuple[int, object], path: bytes) -> None:
        self._note(result[0], self._inode(path))

    def open_directory(
        self, result: int, path: bytes, parent: int | None = None
    ) -> None:
        if parent is None:
            self._note(result, self._inode(path))
        elif parent in self._open:
            self._note(result, self._now[self._open[parent]].get(path))

    def _note(self, descriptor: int, inode: int | None) -> None:
        self._open.pop(descriptor, None)
        if inode is not None:
            self._open[descriptor] = inode

    def write(self, _: None, descriptor: int, octets: bytes) -> None:
        if descriptor in self._open:
            self.disk.log.append(Write(self._open[descriptor], bytes(octets)))

    def fsync(self, _: None, descriptor: int) -> None:
        if descriptor in self._open:
            self.disk.log.append(Sync(self._open[descriptor]))

    fdatasync = fsync

    def fsync_directory(self, _: None, path: bytes, opened: int | None = None) -> None:
        inode = self._inode(path) if opened is None else self._open.get(opened)
        if inode is not None:
            self.disk.log.append(Sync(inode))

    def _place_in(self, path: bytes, directory: int | None) -> tuple[int, bytes] | None:
        """Where a path is that may be a name in an open directory."""
        if directory is None or path.startswith(b"/"):
            return self._place(path)
        return self._open[directory], path

    def link(
        self,
        _: None,
        old: bytes,
        new: bytes,
        *,
        src_dir_fd: int | None = None,
        dst_dir_fd: int | None = None,
    ) -> None:
        place = self._place_in(old, src_dir_fd)
        inode = None if place is None else self._now[place[0]].get(place[1])
        self._names("link", inode, added=self._place_in(new, dst_dir_fd))

    def rename(
        self,
        _: None,
        old: bytes,
        new: bytes,
        directory: int | None = None,
        target: int | None = None,
    ) -> None:
        place = self._place_in(old, directory)
        inode = None if place is None else self._now[place[0]].get(place[1])
        added = self._place_in(new, directory if target is None else target)
        self._names("rename", inode, added, place)

    rename_new = move_new = rename

    def unlink(self, _: None, path: bytes) -> None:
        self._names("unlink", self._inode(path), removed=self._place(path))

    rmdir = unlink

    def unlink_in(self, _: None, directory: int, name: bytes) -> None:
        inner = self._open[directory]
        self._names("unlink", self._now[inner].get(name), removed=(inner, name))

    rmdir_in = unlink_in

    def mkdir(self, _: None, path: bytes, *__: object) -> None:
        inode = self._made("mkdir", path)
        if inode is not None:
            self._now[inode] = {}

    def close(self, _: None, descriptor: int) -> None:
        self._open.pop(descriptor, None)


_WATCHED = [name for name in fsops.OPERATIONS if hasattr(Recorder, name)]


@contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    """Let it see every operation while the block runs."""

    def wrap(name: str) -> Callable[..., Any]:
        function, note = getattr(fsops, name), getattr(recorder, name)

        def watched(*args: Any, **more: Any) -> Any:
            result = function(*args, **more)
            note(result, *args, **more)
            return result

        return watched

    with ExitStack() as stack:
        for name in _WATCHED:
            stack.enter_context(mock.patch.object(fsops, name, wrap(name)))
        yield


def lay_out(top: bytes, state: dict[bytes, bytes | None]) -> None:
    """Make the directory of a state; parents come first in it."""
    os.mkdir(top, 0o700)
    for path, octets in state.items():
        if octets is None:
            os.mkdir(top + b"/" + path, 0o700)
        else:
            with open(top + b"/" + path, "wb") as file:
                file.write(octets)


def subsets(items: Sequence[int]) -> Iterator[frozenset[int]]:
    """All of them, the whole last."""
    for bits in range(1 << len(items)):
        yield frozenset(one for at, one in enumerate(items) if bits >> at & 1)
