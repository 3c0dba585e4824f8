"""Watching by inotify where that tells everything, by looking often elsewhere."""

import errno
import os
from enum import Enum
from typing import Any, Final

from twisted.internet.interfaces import IReactorFDSet, IReactorTime
from twisted.logger import Logger
from zope.interface import providedBy

from imapd.mailbox.inotify import AVAILABLE, Inotify, Notifier
from imapd.mailbox.rounds import Rounds
from imapd.mailbox.watch import PollingWatch, Watched
from imapd.store.filesystems import MountTable, inotify_limit
from imapd.store.quiet import is_due

_log = Logger()

#: What inotify did not tell, and that a folder was renamed, shows after so long.
SAFETY_SECONDS: Final = 30.0

_REFUSALS: Final = {
    errno.ENOSPC: (
        "this user has no inotify watches left: raise fs.inotify.max_user_watches",
        "max_user_watches",
    ),
    errno.EMFILE: (
        "this user has no inotify instances left, or we no open files: raise "
        "fs.inotify.max_user_instances, or LimitNOFILE",
        "max_user_instances",
    ),
}
#: The mailbox is on its way out, or half made; the look says what is so.
_GONE: Final = frozenset([errno.ENOENT, errno.ENOTDIR])


class WatchMode(Enum):
    """What the administrator wants."""

    AUTO = "auto"
    INOTIFY = "inotify"
    POLL = "poll"


class InotifyWatch(PollingWatch):
    """One inotify instance for all mailboxes, two watches each, while somebody idles.

    What cannot be watched so is looked at twice a second: directories on which
    others than this kernel may work, and those for which there was no watch left.
    Everything is looked at each ``SAFETY_SECONDS`` besides; then watches follow to
    directories that took the place of others, and those refused are tried again.

    Args:
        clock: the reactor.
        notifier: inotify.
        everywhere: whatever the file system is.
        mounts: knows what file systems there are.
    """

    def __init__(
        self,
        clock: IReactorTime,
        notifier: Notifier,
        *,
        everywhere: bool = False,
        mounts: MountTable | None = None,
    ) -> None:
        super().__init__(clock)
        self._notifier = notifier
        notifier.listener = self
        self._everywhere = everywhere
        self._mounts = mounts or MountTable()
        self._seldom = Rounds[Watched](clock, SAFETY_SECONDS, self._check)
        self._by_number: dict[int, set[Watched]] = {}
        self._told: set[object] = set()

    def close(self) -> None:
        """Give back what the system lent us; the looking ends with its sessions."""
        self._notifier.close()
        self._poll_all()

    # What inotify tells.

    def stirred(self, number: int) -> None:
        """Something changed in the directory of this watch."""
        for watched in self._by_number.get(number, ()):
            watched.looks.soon()

    def ended(self, number: int) -> None:
        """This watch is no more; another directory may be there already."""
        for watched in self._by_number.pop(number, ()):
            watched.numbers.discard(number)
            self._attend(watched)
            watched.looks.soon()

    def overflowed(self) -> None:
        """Anything may have changed."""
        if is_due("inotify", "overflow"):
            _log.warn("watch: more changes than inotify keeps; looking at everything")
        self._seldom.hurry()

    def broke(self, why: str) -> None:
        """No watch tells anything any more."""
        _log.error("watch: inotify broke, looking twice a second: {why}", why=why)
        self._poll_all()

    # Who is watched how.

    def _begin(self, watched: Watched) -> None:
        self._attend(watched)
        self._seldom.add(watched)

    def _end(self, watched: Watched) -> None:
        super()._end(watched)
        self._seldom.discard(watched)
        for number in watched.numbers:
            self._leave(watched, number)

    def _check(self, watched: Watched) -> None:
        self._attend(watched)
        watched.looks.now()

    def _poll_all(self) -> None:
        self._by_number.clear()
        for watched in self._watched.values():
            watched.numbers.clear()
            self._often.add(watched)

    def _attend(self, watched: Watched) -> None:
        """Watch the directories that are there now, or else look at them often."""
        numbers: set[int] = set()
        try:
            if self._suits(watched):
                for directory in watched.directories:
                    number = self._notifier.watch(directory)
                    self._by_number.setdefault(number, set()).add(watched)
                    numbers.add(number)
            told_all = bool(numbers)
        except OSError as error:
            self._say_refused(error)
            told_all = False
        keep = numbers if told_all else set()
        for number in (watched.numbers | numbers) - keep:
            self._leave(watched, number)
        watched.numbers = keep
        if told_all:
            self._often.discard(watched)
        else:
            self._often.add(watched)

    def _leave(self, watched: Watched, number: int) -> None:
        there = self._by_number.get(number, set())
        there.discard(watched)
        if not there:  # two mailboxes may be one directory
            self._by_number.pop(number, None)
            self._notifier.unwatch(number)

    def _suits(self, watched: Watched) -> bool:
        """Whether inotify sees all that happens there.

        Raises:
            OSError: it is gone.
        """
        if not watched.directories:
            return False
        if self._everywhere:
            self._say("everywhere", "watch: inotify tells what changes, as configured")
            return True
        mount = self._mounts.find(watched.directories[0])
        if mount.is_local:
            words = "watch: on {kind} ({point}) inotify tells what changes"
        else:
            words = (
                "watch: on {kind} ({point}) mailboxes are looked at twice a second: "
                "inotify might not see what others change there"
            )
        self._say(mount.kind, words, kind=mount.kind, point=os.fsdecode(mount.point))
        return mount.is_local

    # What the log says, once for each kind.

    def _say(self, what: object, words: str, **fields: str) -> None:
        if what not in self._told:
            self._told.add(what)
            _log.info(words, **fields)

    def _say_refused(self, error: OSError) -> None:
        if error.errno in _GONE or error.errno in self._told:
            return
        self._told.add(error.errno)
        default = (error.strerror or "unknown error", "")
        reason, name = _REFUSALS.get(error.errno or 0, default)
        number = inotify_limit(name) if name else None
        _log.warn(
            "watch: some mailboxes are looked at twice a second: {reason}{now}",
            reason=reason,
            now="" if number is None else f" (now {number})",
        )


def make_watch(reactor: Any, mode: WatchMode) -> PollingWatch:
    """Make what the mode says, as far as this system can; nothing is opened yet."""
    if mode is WatchMode.POLL:
        _log.info("watch: mailboxes are looked at twice a second, as configured")
        return PollingWatch(reactor)
    if not AVAILABLE or IReactorFDSet not in providedBy(reactor):
        _log.warn("watch: mailboxes are looked at twice a second: there is no inotify")
        return PollingWatch(reactor)
    everywhere = mode is WatchMode.INOTIFY
    return InotifyWatch(reactor, Inotify(reactor), everywhere=everywhere)
