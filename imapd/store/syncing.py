"""Make many files durable in little more time than one.

A journalling file system writes what several wait for at once, and has the disk
forget nothing of it by one order.  Who syncs one file after the other waits for each.
"""

import ctypes
from _thread import start_new_thread
from collections.abc import Sequence
from contextlib import suppress
from threading import Condition
from typing import Final

from imapd.store import fsops

#: So many wait at once, if there is something for each.
MOST_THREADS: Final = 8
#: A thread costs as much as some syncs that find nothing left to do.
_FILES_OF_A_THREAD: Final = 2

_SYNC_FILE_RANGE = getattr(ctypes.CDLL(None), "sync_file_range", None)
_SYNC_FILE_RANGE_WRITE: Final = 2


def start_writeback(descriptor: int) -> None:
    """Let the system begin to write a file to the disk, if it can; nothing is awaited.

    That makes nothing durable, and takes no error from who syncs the file afterwards.
    """
    if _SYNC_FILE_RANGE is not None:
        _SYNC_FILE_RANGE(
            descriptor, ctypes.c_int64(0), ctypes.c_int64(0), _SYNC_FILE_RANGE_WRITE
        )


class _Syncs:
    """Files of one call, and what became of each."""

    def __init__(self, descriptors: Sequence[int]) -> None:
        self._descriptors = descriptors
        self._place = 0  # of the file that nobody has taken yet
        self._busy = 0  # files that are being synced
        self._idle = Condition()
        self.errors: list[OSError | None] = [None] * len(descriptors)
        self.ended: BaseException | None = None

    def run(self) -> None:
        """Sync what no other thread has taken, until all is taken."""
        while (place := self._take()) is not None:
            try:
                self.errors[place] = _sync(self._descriptors[place])
            except BaseException as error:  # for who waits for us, and not for a log
                self.ended = error
            finally:
                self._give_back()

    def _take(self) -> int | None:
        with self._idle:
            place = self._place
            if place >= len(self._descriptors) or self.ended is not None:
                return None
            self._place += 1
            self._busy += 1
            return place

    def _give_back(self) -> None:
        with self._idle:
            self._busy -= 1
            if not self._busy:
                self._idle.notify_all()

    def wait(self) -> None:
        """Wait for the other threads, but not for one that has not begun.

        It finds nothing to do when it does.
        """
        with self._idle:
            self._idle.wait_for(lambda: not self._busy)


def _sync(descriptor: int) -> OSError | None:
    try:
        # Never tried a second time: after a failure the kernel forgets.
        fsops.fsync(descriptor)
    except OSError as error:
        return error
    return None


def sync_files(descriptors: Sequence[int]) -> list[OSError | None]:
    """Sync all of the files; return what was wrong with each, in their order.

    Those without an error survive power loss when this returns.
    """
    if len(descriptors) == 1:
        return [_sync(descriptors[0])]
    # What is on its way when the first sync commits needs no commit of its own.
    for descriptor in descriptors:
        start_writeback(descriptor)
    syncs = _Syncs(descriptors)
    thread_count = min(MOST_THREADS, len(descriptors) // _FILES_OF_A_THREAD)
    with suppress(RuntimeError):  # no more threads: those that run do it all
        for _ in range(thread_count - 1):
            # A ``Thread`` would have us wait until it runs, each in its turn.
            start_new_thread(syncs.run, ())
    syncs.run()
    syncs.wait()
    if syncs.ended is not None:
        raise syncs.ended
    return syncs.errors
