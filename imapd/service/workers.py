"""The master's side of ``workers``: starts them, and starts them again.

The master has opened the ports, read the key, and serves nobody.  What a worker is
to know goes through a pipe that stays open as long as the master lives; everything
after that through a socket pair.
"""

import os
import secrets
import socket
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from imapd.server.tls import TlsContext
from imapd.service import channel, events, order
from imapd.service.children import environment
from imapd.service.config import Config
from imapd.service.held import HeldEndpoint
from imapd.service.hub import Hub, Member
from imapd.service.order import Order, PortOrder
from imapd.service.serving import STOP_SECONDS

_log = Logger(namespace="imapd")

#: How long the place of a worker that ended stays empty: twice as long each time.
FIRST_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 30.0
#: After such a life the next end counts as the first.
GOOD_LIFE_SECONDS: Final = 60.0
#: Beyond ``STOP_SECONDS``, for a worker to say its last words.
PATIENCE_SECONDS: Final = 2.0

_MODULE: Final = "imapd.service.worker"
_LINE_OCTETS: Final = 1000


class Workers:
    """All the workers, from start to stop."""

    def __init__(
        self,
        reactor: Any,
        config: Config,
        tls: TlsContext | None,
        ports: Callable[[], Sequence[tuple[HeldEndpoint, PortOrder]]],
    ) -> None:
        """Start nothing yet.

        Args:
            reactor: of the master; workers use the same kind.
            config: what they serve by.
            tls: what the master has read; None: no certificate is configured.
            ports: opened before ``start``.
        """
        self.reactor = reactor
        self.hub = Hub(reactor, config.limits)
        self.config = config
        self._tls = tls
        self._ports = ports
        self._token_key = secrets.token_bytes(32)
        self._places = [Place(self, number) for number in range(1, config.workers + 1)]

    def order(self, number: int) -> tuple[Order, list[int]]:
        """What a worker is told now, and the descriptors of the ports it gets."""
        ports = self._ports()
        pem = (b"", b"") if self._tls is None else self._tls.pem
        told = Order(
            number=number,
            config=self.config,
            ports=[told for _, told in ports],
            pem=pem,
            token_key=self._token_key,
        )
        return told, [endpoint.port.fileno() for endpoint, _ in ports]

    def start(self) -> None:
        """Start them as soon as the reactor runs, as the user that is left then."""
        for place in self._places:
            self.reactor.callWhenRunning(place.fill)

    def reload(self) -> None:
        """Hand on the certificate that the master has read again."""
        if self._tls is not None:
            self.hub.broadcast(channel.CERTIFICATE, *map(channel.text, self._tls.pem))

    def stop(self) -> "Deferred[Any]":
        """Let them end their sessions; fires when all are gone."""
        ended = gatherResults([place.stop() for place in self._places])
        patience = self.reactor.callLater(STOP_SECONDS + PATIENCE_SECONDS, self.kill)

        def done(result: Any) -> Any:
            if patience.active():
                patience.cancel()
            return result

        return ended.addBoth(done)

    def kill(self) -> None:
        """End them at once."""
        for place in self._places:
            place.kill()


class Place:
    """The place of one worker, and the process that fills it, or will."""

    def __init__(self, workers: Workers, number: int) -> None:
        """Leave it empty."""
        self.number = number
        self._workers = workers
        self._process: WorkerProcess | None = None
        self._next: IDelayedCall | None = None
        self._seconds = FIRST_SECONDS
        self._stopping: Deferred[None] | None = None

    def fill(self) -> None:
        """Start a process."""
        self._next = None
        if self._stopping is not None:
            return
        reactor = self._workers.reactor
        told, ports = self._workers.order(self.number)
        process = WorkerProcess(self._workers.hub, told, reactor.seconds, self._ended)
        self._process = process
        try:
            process.start(reactor, ports)
        except Exception as error:  # no memory, no descriptors, no such program
            process.abandon()
            self._ended(process, f"{type(error).__name__}: {error}")

    def _ended(self, process: "WorkerProcess", reason: str) -> None:
        if process is not self._process:
            return  # it had not all that it needs, and its place may be filled again
        self._process = None
        if self._stopping is not None:
            self._stopping.callback(None)
            return
        if process.lived_seconds >= GOOD_LIFE_SECONDS:
            self._seconds = FIRST_SECONDS
        tell = events.worker_ended if process.ready else events.worker_cannot_start
        tell(number=self.number, reason=reason, seconds=self._seconds)
        self._next = self._workers.reactor.callLater(self._seconds, self.fill)
        self._seconds = min(2 * self._seconds, LONGEST_SECONDS)

    def stop(self) -> "Deferred[None]":
        """Fill it no more; fires when it is empty."""
        self._stopping = Deferred()
        if self._next is not None and self._next.active():
            self._next.cancel()
        if self._process is None:
            self._stopping.callback(None)
        else:
            self._process.member.channel.say(channel.STOP)
        return self._stopping

    def kill(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.kill()


class WorkerProcess(ProcessProtocol):
    """One process: its pipes, and what it says on them when all else fails."""

    transport: Any

    def __init__(
        self,
        hub: Hub,
        told: Order,
        seconds: Callable[[], float],
        ended: Callable[["WorkerProcess", str], None],
    ) -> None:
        """Start nothing yet."""
        self.ready = False
        self._told = order.pack(told)
        self._number = told.number
        self._seconds = seconds
        self._began_seconds = seconds()
        self._ended = ended
        self._rest = {1: b"", 2: b""}
        self._last_lines: deque[str] = deque(maxlen=1)
        self.member: Member = hub.join(told.number, self._is_ready)
        self._hub = hub

    @property
    def lived_seconds(self) -> float:
        """How long ago it was started."""
        return self._seconds() - self._began_seconds

    def start(self, reactor: Any, ports: Sequence[int]) -> None:
        """Start the program, with these listening sockets.

        Raises:
            OSError: the system does not let us.
        """
        ours, theirs = socket.socketpair()
        with ours, theirs, open(os.devnull, "rb") as nothing:
            ours.setblocking(False)
            theirs.setblocking(False)
            descriptors: dict[int, int | str] = {
                0: nothing.fileno(),
                1: "r",
                2: "r",
                order.ORDER_DESCRIPTOR: "w",
                order.CHANNEL_DESCRIPTOR: theirs.fileno(),
            }
            descriptors |= dict(enumerate(ports, order.FIRST_PORT_DESCRIPTOR))
            reactor.spawnProcess(
                self,
                sys.executable,
                _command(self._number, type(reactor).__module__),
                env=environment(),
                childFDs=descriptors,
            )
            reactor.adoptStreamConnection(
                ours.fileno(), channel.FAMILY, channel.OneProtocol(self.member.channel)
            )
        self._hub.greet(self.member)

    def abandon(self) -> None:
        """It could not be started."""
        self._hub.leave(self.member)

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
        """Tell it what to do; the pipe stays open, which tells it that we live."""
        self.transport.writeToChild(order.ORDER_DESCRIPTOR, self._told)
        self._told = b""

    def _is_ready(self) -> None:
        self.ready = True
        pid = self.transport.pid
        events.worker_ready(number=self._number, pid=pid or 0)

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")

    def childDataReceived(self, childFD: int, data: bytes) -> None:  # noqa: N802, N803
        """Log what is written past the log: by the interpreter, or by a library."""
        *lines, rest = (self._rest[childFD] + data).split(b"\n")
        self._rest[childFD] = rest[:_LINE_OCTETS]
        for line in lines:
            self._line(line)

    def _line(self, octets: bytes) -> None:
        text = octets[:_LINE_OCTETS].decode("utf-8", "replace").rstrip()
        line = "".join(each if each.isprintable() else "\ufffd" for each in text)
        if line:
            self._last_lines.append(line)
            _log.warn("worker {number}: {line}", number=self._number, line=line)

    def processEnded(self, reason: Failure) -> None:  # noqa: N802 - Twisted's name
        """It is gone, and so are its pipes."""
        for rest in self._rest.values():
            self._line(rest)
        # What it had still to say comes before.
        words = _how(reason)
        if not self.ready and self._last_lines:
            words = f"{words}: {self._last_lines[-1]}"
        self._ended(self, words)


def _how(reason: Failure) -> str:
    """How a process has ended, in words."""
    if reason.check(ProcessTerminated) is None:
        return "exit status 0"
    end: Any = reason.value
    if end.signal is not None:
        return f"signal {end.signal}"
    return f"exit status {end.exitCode}"


def _command(number: int, reactor_module: str) -> list[str]:
    # -P: nothing is imported from the folder that the administrator happens to be in.
    return [sys.executable, "-P", "-m", _MODULE, str(number), reactor_module]
