"""Looks at one mailbox that somebody idles on: soon, but neither always nor twice.

Whatever says that something changed is a hint; what is so the disk says, and only a
listing that was exact ends the looking (``store/maildir/scan.py``).
"""

from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from imapd.errors import ImapError
from imapd.mailbox.live import LiveMailbox
from imapd.store.quiet import is_due

_log = Logger()

#: A burst is one look: so long the first hint of it waits for the others.
GATHER_SECONDS: Final = 0.003
#: Twenty looks a second at most.  It is also longer than a change can hide behind
#: the mtime of another, so that the second look is exact as a rule.
LEAST_SECONDS: Final = 0.05
#: Half of the second in which a change must show: nothing here waits longer.
MOST_SECONDS: Final = 0.5
#: After a look that took long we wait so many times as long: a fifth of our time is
#: enough for a large mailbox that somebody changes all the time, ourselves perhaps.
REST_FACTOR: Final = 4
#: But on a busy machine every look is long, and somebody waits for the next one.
MOST_REST_SECONDS: Final = 0.25


class Looks:
    """When to look at a mailbox: after a hint, and until a look was exact."""

    def __init__(self, clock: IReactorTime, live: LiveMailbox) -> None:
        self._clock = clock
        self._live = live
        self._call: IDelayedCall | None = None
        self._stopped = False
        self._looking = False
        self._again = False  # a hint came while we were looking
        self._free_at_seconds = 0.0  # by the clock: before, a look would be too many
        self._patience_seconds = LEAST_SECONDS

    def soon(self) -> None:
        """Look in a moment: somebody says that something changed."""
        if self._looking:
            self._again = True
            return
        self._patience_seconds = LEAST_SECONDS
        self._look_in(self._free_at_seconds - self._clock.seconds())

    def now(self) -> None:
        """Look, unless the directories are as they were at the last exact look."""
        if self._looking or self._stopped:
            return  # a slow disk must not pile up work
        if not self._unsettled():
            self._confirm_later()
            return
        self._looking = True
        self._again = False
        Deferred.fromCoroutine(self._look())

    def stop(self) -> None:
        """Nobody idles there any more; a look that has begun ends for itself."""
        self._stopped = True
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _look_in(self, delay_seconds: float) -> None:
        if self._stopped:
            return
        # Whatever somebody did to the system's clock, which is the reactor's.
        delay_seconds = min(max(delay_seconds, GATHER_SECONDS), MOST_SECONDS)
        if self._call is None:
            self._call = self._clock.callLater(delay_seconds, self._due)
        elif self._call.getTime() > self._clock.seconds() + delay_seconds:
            self._call.reset(delay_seconds)

    def _due(self) -> None:
        self._call = None
        self.now()

    async def _look(self) -> None:
        began = self._clock.seconds()
        try:
            await self._live.refresh()
        except ImapError as error:
            if is_due("watch", id(self._live), str(error)):  # not twice a second
                _log.warn(
                    "cannot look at {path}: {error}",
                    path=self._live.path,
                    error=str(error),
                )
        except Exception as error:
            if is_due("watch", id(self._live), str(error)):
                _log.failure("looking at {path}", path=self._live.path)
        finally:
            self._looking = False
        self._plan(self._clock.seconds() - began)

    def _plan(self, took_seconds: float) -> None:
        rest = max(LEAST_SECONDS - took_seconds, REST_FACTOR * took_seconds)
        rest = min(rest, MOST_REST_SECONDS)
        self._free_at_seconds = self._clock.seconds() + rest
        if self._again:
            self._patience_seconds = LEAST_SECONDS
            self._look_in(rest)
        elif self._unsettled():
            # What came within the same tick has no other time, and perhaps no hint.
            self._look_in(max(rest, self._patience_seconds))
            self._patience_seconds = min(2 * self._patience_seconds, MOST_SECONDS)
        else:
            self._patience_seconds = LEAST_SECONDS
            self._confirm_later()

    def _confirm_later(self) -> None:
        """What another program did may hide behind what we did ourselves."""
        if not self._live.gone and not self._live.store.is_confirmed:
            self._look_in(MOST_SECONDS)

    def _unsettled(self) -> bool:
        if self._live.gone:
            return False
        try:
            return self._live.workers.brief(self._live.store.changed)
        except Exception:
            return True  # the look itself says what is wrong
