"""A directory of a mailbox becomes a link while the mailbox is removed."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from imapd.errors import ImapError
from imapd.store import fsops
from imapd.store.maildir.folders import FolderTree
from tests.store.folders import MEMORY, FolderTestCase


class Swapper:
    """Before the k-th operation something is done, by another program."""

    def __init__(self, at: int, swap: Callable[[], None]) -> None:
        self.at = at
        self.swap = swap
        self.count = 0

    @property
    def hit(self) -> bool:
        return self.count >= self.at

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*args: Any, **more: Any) -> Any:
            self.count += 1
            if self.count == self.at:
                self.swap()
            return function(*args, **more)

        return stepped


@contextmanager
def swapped(at: int, swap: Callable[[], None]) -> Iterator[Swapper]:
    swapper = Swapper(at, swap)
    with ExitStack() as stack:
        for name in fsops.OPERATIONS:
            wrapped = swapper.wrap(getattr(fsops, name))
            stack.enter_context(mock.patch.object(fsops, name, wrapped))
        yield swapper


class SwappedTests(FolderTestCase):
    """Hardening: F07, F11.  At each operation there is; nothing outside is touched."""

    parent = MEMORY
    asides = 0

    def setUp(self) -> None:
        super().setUp()
        self.outside = self.root / "victim"
        for part in ("cur", "new", "tmp"):
            (self.outside / part).mkdir(parents=True)
            (self.outside / part / "1600000000.M1P1.h").write_bytes(b"precious")
        (self.outside / "dovecot-uidlist").write_bytes(b"precious")
        self.before = self.look()
        self.maildir = self.root / "m"
        for part in ("cur", "new", "tmp"):
            (self.maildir / part).mkdir(parents=True)
        self.tree = FolderTree(bytes(self.maildir))

    def look(self) -> dict[Path, bytes | None]:
        return {
            path: path.read_bytes() if path.is_file() else None
            for path in sorted(self.outside.rglob("*"))
        }

    def exchange(self, name: str) -> None:
        """Put a link to the victim's in the place of a folder's, or of the folder."""
        for folder in [*self.maildir.glob(".*"), *(self.maildir / "tmp").iterdir()]:
            target = folder / name
            if target.is_dir() and not folder.is_symlink():
                self.asides += 1
                target.rename(self.root / f"aside{self.asides}")
                target.symlink_to(self.outside / name)

    def everywhere(self, name: str, action: Callable[[], object]) -> int:
        """Exchange a directory before each operation in turn; how many there are."""
        for k in range(1, 200):
            for left in self.maildir.glob(".*"):
                left.rename(self.root / f"left-{name}-{k}-{left.name}")
            self.tree.create(b".A", 1)
            (self.maildir / ".A" / "cur" / "1600000000.M1P1.h").write_bytes(b"x")
            with (
                swapped(k, lambda: self.exchange(name)) as swapper,
                contextlib.suppress(ImapError, OSError),
            ):
                action()
            self.assertEqual(self.look(), self.before, f"{name!r} at {k}")
            if not swapper.hit:
                self.assertGreater(self.asides, 3, name)
                return k
        raise AssertionError("it never ends")

    def test_while_a_mailbox_is_removed(self) -> None:
        for name in ("", "cur", "new", "tmp"):
            count = self.everywhere(name, lambda: self.tree.remove(b".A"))
            self.assertGreater(count, 10, name)
