"""Make many files durable in little more time than one.

A journalling file system writes what several wait for at once, and has the disk
forget nothing of it by one order.  Who syncs one file after the other waits for each.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from threading import Thread
from typing import Final

from imapd.store import fsops

#: So many wait at once, if there is something for each.
MOST_THREADS: Final = 8
#: A thread costs as much as some syncs that find nothing left to do.
_FILES_OF_A_THREAD: Final = 2


class _Syncs:
    """Files of one call, and what became of each."""

    def __init__(self, descriptors: Sequence[int]) -> None:
        self._descriptors = descriptors
        self._places: Iterator[int] = count()
        self.errors: list[OSError | None] = [None] * len(descriptors)
        self.ended: BaseException | None = None

    def run(self) -> None:
        """Sync what no other thread has taken, until all is taken."""
        try:
            for place in self._places:
                if place >= len(self._descriptors) or self.ended is not None:
                    return
                try:
                    # Never tried a second time: after a failure the kernel forgets.
                    fsops.fsync(self._descriptors[place])
                except OSError as error:
                    self.errors[place] = error
        except BaseException as error:  # for who waits for us, and not for a log
            self.ended = error


def sync_files(descriptors: Sequence[int]) -> list[OSError | None]:
    """Sync all of the files; return what was wrong with each, in their order.

    Those without an error survive power loss when this returns.
    """
    syncs = _Syncs(descriptors)
    thread_count = min(MOST_THREADS, len(descriptors) // _FILES_OF_A_THREAD)
    if len(descriptors) > 1:
        # What is on its way when the first sync commits needs no commit of its own.
        for descriptor in descriptors:
            fsops.start_writeback(descriptor)
    others = [Thread(target=syncs.run, daemon=True) for _ in range(thread_count - 1)]
    started = []
    with suppress(RuntimeError):  # no more threads: those that run do it all
        for each in others:
            each.start()
            started.append(each)
    syncs.run()
    for each in started:
        each.join()
    if syncs.ended is not None:
        raise syncs.ended
    return syncs.errors
