"""What changed in a folder in the last minute, written down already or not.

Where the clock was set back, another process may have told clients of greater numbers
than these changes were given, and may write down only later that it has.
"""

import time
from collections import deque
from collections.abc import Iterable
from typing import Final

from imapd.model.sets import Ranges, runs

#: Longer than any process waits until it writes down what it has told.
KEPT_SECONDS: Final = 60.0


class Lately:
    """Messages that changed, and UIDs that went."""

    def __init__(self) -> None:
        #: Those not written down yet.
        self.changed: set[int] = set()
        self.gone: Ranges = []
        self._written: deque[tuple[float, Ranges, Ranges]] = deque()

    def __bool__(self) -> bool:
        """Whether something is to be written down."""
        return bool(self.changed or self.gone)

    def add(self, changed: Iterable[int], gone: Iterable[int]) -> None:
        """Take in what changed now."""
        self.changed.update(changed)
        self.gone += runs(sorted(gone))

    def take(self) -> tuple[set[int], Ranges]:
        """Return what is to be written down; from now on it counts as written."""
        taken = self.changed, self.gone
        now = time.monotonic()
        while self._written and self._written[0][0] < now - KEPT_SECONDS:
            self._written.popleft()
        if self:
            self._written.append((now, [*runs(sorted(self.changed))], self.gone))
        self.changed, self.gone = set(), []
        return taken

    def recall(self) -> None:
        """All of it is to be written down again."""
        for _, changed, gone in self._written:
            for first, last in changed:
                self.changed.update(range(first, last + 1))
            self.gone += gone
        self._written.clear()
