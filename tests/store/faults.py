"""Stop the store, or let it fail, at its k-th operation on the file system."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from imapd.store import fsops


class Killed(BaseException):
    """The process is dead: nothing it would still do is done."""


class Faults:
    """Counts operations; from the k-th on, or only there, something happens."""

    def __init__(self, at: int, number: int | None) -> None:
        self.at = at
        self.number = number  # errno; None: killed
        self.count = 0
        self.hit = ""

    def step(self, name: str) -> None:
        self.count += 1
        if self.count < self.at:
            return
        if self.number is None:
            self.hit = self.hit or name
            raise Killed(name)
        if self.count == self.at:
            self.hit = name
            raise OSError(self.number, os.strerror(self.number))


@contextmanager
def faults(at: int, number: int | None = None) -> Iterator[Faults]:
    """Replace the operations while the block runs."""
    state = Faults(at, number)

    def wrap(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*args: Any, **more: Any) -> Any:
            if name != "close":  # closing frees the test's own descriptors
                state.step(name)
            return function(*args, **more)

        return stepped

    with ExitStack() as stack:
        for name in fsops.OPERATIONS:
            stack.enter_context(
                mock.patch.object(fsops, name, wrap(name, getattr(fsops, name)))
            )
        yield state


ERRNOS = (errno.ENOSPC, errno.EIO, errno.EMFILE, errno.EACCES)
