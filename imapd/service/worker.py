"""A worker: serves clients on the ports that its master has opened.

Started by ``workers.py`` and by nobody else: ``python -m imapd.service.worker``, the
number, the module of the reactor.  It ends when its master does, whatever it is
doing: the pipe of its order tells.
"""

import os
import signal
import sys
import time
from contextlib import suppress
from importlib import import_module
from threading import Thread
from types import FrameType
from typing import Any

from twisted.internet.defer import (
    CancelledError,
    Deferred,
    gatherResults,
    maybeDeferred,
)
from twisted.internet.defer import TimeoutError as OutOfTime
from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger, globalLogBeginner
from twisted.python.failure import Failure

from imapd.server.counts import ConnectionCounts
from imapd.server.tls import TlsContext
from imapd.service import channel, held, listening, order, serving, shared
from imapd.service.order import CHANNEL_DESCRIPTOR, ORDER_DESCRIPTOR, Order
from imapd.service.serving import STOP_SECONDS
from imapd.service.uncaught import Uncaught

_log = Logger(namespace="imapd")

#: For what is still to be said to the master.
LAST_WORDS_SECONDS = 1
#: Of signals that are meant for the master, and may go to all its group.
_NOT_OURS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class Worker:
    """One process's ports and sessions, from the order to the end."""

    def __init__(self, reactor: Any, order: Order) -> None:
        """Build everything; what is said from now on is said to the master."""
        self._reactor = reactor
        self._order = order
        self._lost: Deferred[None] = Deferred()
        self._stopping: Deferred[Any] | None = None
        self._uncaught = Uncaught(reactor.callFromThread)
        self._signals = 0
        self._ports: list[Any] = []
        self._channel = channel.Channel(
            {
                channel.COUNT: self._count,
                channel.EXCESS: self._excess,
                channel.NOTICE: self._notice,
                channel.GRANTED: self._granted,
                channel.CERTIFICATE: self._certificate,
                channel.STOP: self._end,
            },
            self._channel_lost,
            reactor,
        )
        reactor.adoptStreamConnection(
            CHANNEL_DESCRIPTOR, channel.FAMILY, channel.OneProtocol(self._channel)
        )
        os.close(CHANNEL_DESCRIPTOR)
        globalLogBeginner.beginLoggingTo(
            [shared.LogCarrier(self._channel, reactor)], redirectStandardIO=False
        )
        config = order.config
        self._tls = None
        if config.certificate is not None:
            self._tls = TlsContext(config.certificate, config.key)
            self._tls.use(*order.pem)
        self._throttle = shared.SharedThrottle(self._channel, order.token_key)
        self._counts = ConnectionCounts(config.limits, self._channel.count)
        self._serving = serving.Serving(
            reactor,
            config,
            self._tls,
            serving.Shared(
                self._throttle, self._counts, shared.SharedNotices(self._channel)
            ),
        )

    def run(self) -> None:
        """Serve until the master says otherwise, or is gone."""
        self._reactor.addSystemEventTrigger("before", "shutdown", self._stop)
        self._reactor.callWhenRunning(self._begin)
        self._reactor.run()

    def _begin(self) -> None:
        # The reactor's own handlers break over a second signal, and whoever ends a
        # whole group of processes sends one beside what the master says.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)
        self._uncaught.take()
        self._serving.start()
        try:
            self._open_ports()
        except Exception:
            _log.failure("the ports cannot be used")
            self._end()
            return
        self._channel.say(channel.READY)

    def _open_ports(self) -> None:
        for number, port in enumerate(self._order.ports):
            factory: Any = self._serving.factory
            if port.tls:
                assert self._tls is not None  # config.py insists
                factory = self._tls.wrap(factory)
            factory = listening.wrap(port.description, factory, self._reactor)
            descriptor = order.FIRST_PORT_DESCRIPTOR + number
            self._ports.append(held.adopt(self._reactor, descriptor, factory))

    # What the master says.

    def _count(self, user: str | None, place: str, change: int, _: bool) -> None:
        name = None if user is None else channel.octets(user)
        self._counts.hear(name, place, change)

    def _excess(self, user: str | None, place: str, number: int) -> None:
        name = None if user is None else channel.octets(user)
        self._serving.factory.drop(name, place, number)

    def _notice(self, directory: str) -> None:
        self._serving.watch.notice(channel.octets(directory))

    def _granted(self, number: int) -> None:
        self._throttle.granted(number)

    def _certificate(self, chain: str, key: str) -> None:
        if self._tls is not None:
            self._tls.use(channel.octets(chain), channel.octets(key))

    # The end.

    def _channel_lost(self) -> None:
        self._lost.callback(None)
        self._end()

    def _end(self) -> None:
        with suppress(ReactorNotRunning):  # it stops already
            self._reactor.stop()

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        last = self._signals > 1
        self._reactor.callFromThread(self._stop_now if last else self._end)

    def _stop_now(self) -> None:
        """Told twice: whoever is busy is waited for no longer."""
        if self._stopping is not None:
            self._stopping.cancel()

    def _stop(self) -> "Deferred[Any]":
        """Close the ports, then the sessions; the last word is sent."""
        closed = gatherResults([self._closed(port) for port in self._ports])
        stopped = Deferred.fromCoroutine(self._serving.stop(closed))
        stopped.addTimeout(STOP_SECONDS, self._reactor)
        self._stopping = stopped
        stopped.addErrback(self._not_stopped)
        return stopped.addCallback(self._last_words)

    def _closed(self, port: Any) -> "Deferred[Any]":
        return maybeDeferred(port.stopListening)

    def _not_stopped(self, failure: Failure) -> None:
        """Sessions that would not end do not keep the process from ending."""
        if failure.check(OutOfTime):
            _log.warn("sessions were still busy after {n} s", n=STOP_SECONDS)
        elif failure.check(CancelledError):
            _log.warn("told twice to stop: sessions were not waited for")
        else:
            _log.failure("stopping did not go well", failure)

    def _last_words(self, _: object) -> "Deferred[None]":
        self._uncaught.give_back()
        self._serving.watch.close()  # who may not have come to it
        if not self._lost.called:
            # Behind what the threads, which have ended, have logged.
            self._reactor.callFromThread(self._channel.finish)
            self._lost.addTimeout(LAST_WORDS_SECONDS, self._reactor)
        return self._lost.addErrback(lambda _: None)


def _end_with_master() -> None:
    """In a thread of its own: the reactor may be busy when the master is gone."""
    os.read(ORDER_DESCRIPTOR, 1)
    time.sleep(STOP_SECONDS + LAST_WORDS_SECONDS)
    os._exit(1)


def main() -> None:
    """Read the order, and carry it out."""
    _, _number, reactor_module = sys.argv
    for number in _NOT_OURS:
        signal.signal(number, signal.SIG_IGN)
    received = order.read(ORDER_DESCRIPTOR)
    Thread(target=_end_with_master, daemon=True).start()
    import_module(reactor_module).install()
    from twisted.internet import reactor  # noqa: PLC0415

    worker = Worker(reactor, received)
    worker.run()


if __name__ == "__main__":
    main()
