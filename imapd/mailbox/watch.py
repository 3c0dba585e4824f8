"""Notices what other programs do to the mailboxes that somebody idles on."""

import time
from collections import Counter
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from imapd.errors import ImapError
from imapd.mailbox.live import LiveMailbox
from imapd.store.quiet import is_due

_log = Logger()

#: Half of the second in which a change must show.
POLL_SECONDS = 0.5
#: Looking of one turn, before the reactor goes on with others.
TURN_SECONDS = 0.005


class Watch(Protocol):
    """Where an idling session asks to be told."""

    def add(self, live: LiveMailbox) -> None:
        """Watch a mailbox; each call needs one ``remove``."""

    def remove(self, live: LiveMailbox) -> None:
        """Take back one ``add``."""


class PollingWatch:
    """Looks at the directories' modification times, one timer for all mailboxes.

    Two ``stat`` a mailbox and turn, about 4 us; it works on every file system.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._watched: Counter[LiveMailbox] = Counter()
        self._busy: set[LiveMailbox] = set()
        self._in_turn = False
        self._clock = clock
        self._loop = LoopingCall(self._poll)
        self._loop.clock = clock

    def add(self, live: LiveMailbox) -> None:
        """Watch a mailbox; each call needs one ``remove``."""
        self._watched[live] += 1
        if not self._loop.running:
            self._loop.start(POLL_SECONDS, now=False)

    def remove(self, live: LiveMailbox) -> None:
        """Take back one ``add``."""
        self._watched[live] -= 1
        if self._watched[live] <= 0:
            del self._watched[live]
        if not self._watched and self._loop.running:
            self._loop.stop()

    def _poll(self) -> None:
        if not self._in_turn:
            self._in_turn = True
            Deferred.fromCoroutine(self._turn()).addBoth(self._turned)

    def _turned(self, result: object) -> None:
        self._in_turn = False  # whatever happened: the next turn comes
        if isinstance(result, Failure):
            _log.failure("a look at the mailboxes broke", result)

    async def _turn(self) -> None:
        began = time.monotonic()
        for live in list(self._watched):
            if time.monotonic() - began > TURN_SECONDS:
                await deferLater(self._clock, 0, lambda: None)
                began = time.monotonic()
            # A slow disk must not pile up work.
            if live in self._watched and live not in self._busy:
                self._busy.add(live)
                Deferred.fromCoroutine(self._refresh(live))

    async def _refresh(self, live: LiveMailbox) -> None:
        try:
            await live.refresh()
        except ImapError as error:
            if is_due("watch", id(live), str(error)):  # not twice a second
                _log.warn("cannot look at {path}: {error}", path=live.path, error=error)
        except Exception as error:
            if is_due("watch", id(live), str(error)):
                _log.failure("looking at {path}", path=live.path)
        finally:
            self._busy.discard(live)
