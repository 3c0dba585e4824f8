"""Notices what other programs do to the mailboxes that somebody idles on."""

from collections.abc import Sequence
from typing import Final, Protocol

from twisted.internet.interfaces import IReactorTime

from imapd.mailbox.live import LiveMailbox
from imapd.mailbox.looks import MOST_SECONDS, Looks
from imapd.mailbox.rounds import Rounds

#: Half of the second in which a change must show.
POLL_SECONDS: Final = MOST_SECONDS


class Watch(Protocol):
    """Where an idling session asks to be told."""

    def add(self, live: LiveMailbox) -> None:
        """Watch a mailbox; each call needs one ``remove``."""

    def remove(self, live: LiveMailbox) -> None:
        """Take back one ``add``."""

    def notice(self, directory: bytes) -> None:
        """Look at a mailbox now: another process of ours says that it changed."""


class Watched:
    """A mailbox, for as long as at least one session idles on it."""

    def __init__(self, clock: IReactorTime, live: LiveMailbox) -> None:
        self.live = live
        self.sessions = 0
        self.looks = Looks(clock, live)
        #: Where its messages are; nothing for a store that has no directories.
        self.directories: Sequence[bytes] = live.store.watched_directories()
        self.numbers: set[int] = set()  # of the inotify watches on them


class PollingWatch:
    """Looks at the directories' modification times, twice a second.

    Three ``stat`` a mailbox, about 5 us; it works on every file system.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._watched: dict[LiveMailbox, Watched] = {}
        self._by_directory: dict[bytes, set[Watched]] = {}
        self._often = Rounds[Watched](clock, POLL_SECONDS, self._poll)

    def add(self, live: LiveMailbox) -> None:
        """Watch a mailbox; each call needs one ``remove``."""
        watched = self._watched.get(live)
        if watched is None:
            watched = self._watched[live] = Watched(self._clock, live)
            for directory in watched.directories:
                self._by_directory.setdefault(directory, set()).add(watched)
            self._begin(watched)
        watched.sessions += 1

    def remove(self, live: LiveMailbox) -> None:
        """Take back one ``add``."""
        watched = self._watched[live]
        watched.sessions -= 1
        if watched.sessions:
            return
        del self._watched[live]
        for directory in watched.directories:
            there = self._by_directory[directory]
            there.discard(watched)
            if not there:
                del self._by_directory[directory]
        self._end(watched)
        watched.looks.stop()

    def notice(self, directory: bytes) -> None:
        """Look now at the mailbox of a directory: another process has changed it.

        ``directory`` is one of the store's ``watched_directories``.  Nobody idles
        there: nothing happens, as who sends commands looks for himself.
        """
        for watched in self._by_directory.get(directory, ()):
            watched.looks.soon()

    def close(self) -> None:
        """Give back what the system lent us; the looking ends with its sessions."""

    def _begin(self, watched: Watched) -> None:
        self._often.add(watched)

    def _end(self, watched: Watched) -> None:
        self._often.discard(watched)

    def _poll(self, watched: Watched) -> None:
        watched.looks.now()
