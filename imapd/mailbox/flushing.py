"""Has mailboxes write down what may wait: every few seconds, one timer for all."""

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from imapd.mailbox.live import LiveMailbox

_log = Logger()

#: What a crash may lose of modification sequences.
FLUSH_SECONDS = 2.0


class Flusher:
    """A mailbox that changed is flushed once, some seconds later."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._changed: set[LiveMailbox] = set()
        self._call: IDelayedCall | None = None

    def changed(self, live: LiveMailbox) -> None:
        """There is something to be written."""
        self._changed.add(live)
        if self._call is None:
            self._call = self._clock.callLater(FLUSH_SECONDS, self._flush)

    def forget(self, live: LiveMailbox) -> None:
        """The mailbox is closed, and has written all itself."""
        self._changed.discard(live)
        if not self._changed and self._call is not None:
            self._call.cancel()
            self._call = None

    def _flush(self) -> None:
        self._call = None
        changed, self._changed = self._changed, set()
        for live in changed:
            done = Deferred.fromCoroutine(live.flush())
            done.addErrback(
                lambda failure: _log.failure("a mailbox was not flushed", failure)
            )
