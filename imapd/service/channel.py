"""What the master and a worker say to each other: a socket pair, and JSON lists.

A message is ``[kind, field, ...]``; octets travel as text of Latin-1.  They come in
the order in which they were said, or not at all: the end of the connection is the end
of the worker.  What nobody waits for is gathered for a moment and sent as one list of
messages: each that wakes another process costs as much as a command of a client.  Who
does not read is not waited for: what can be summed up is summed up, notices and lines
of the log are dropped when they are too many.
"""

import json
import socket
import struct
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from imapd.server import outlet

_log = Logger()

FAMILY: Final = socket.AF_UNIX

#: A certificate with its chain, or a long traceback.
MESSAGE_OCTETS: Final = 4 << 20
#: So many wait at most for one who does not read.
WAITING_NOTICES: Final = 4096
WAITING_LINES: Final = 1000
#: How long, and how many at most, are gathered; and what is not worth it.
GATHER_SECONDS: Final = 0.005
GATHER_MESSAGES: Final = 100
GATHER_CHARACTERS: Final = 1000

# What is said, and by whom.
READY: Final = "ready"  # worker: it serves
LOG: Final = "log"  # worker: level, namespace, system or None, text
COUNT: Final = "count"  # both: user or None, place, change, is it one more admitted?
EXCESS: Final = "excess"  # master: user or None, place, number of too many
NOTICE: Final = "notice"  # both: directory
TURN: Final = "turn"  # worker: number, peer, user: may it try to log in?
GRANTED: Final = "granted"  # master: number
LEAVE: Final = "leave"  # worker: number: done, or not waiting any more
FAILED: Final = "failed"  # worker: peer, user, token of the password or None
SUCCEEDED: Final = "succeeded"  # worker: peer, user
CERTIFICATE: Final = "certificate"  # master: chain, key
STOP: Final = "stop"  # master

#: Levels of the log that nobody waits for.
_CALM: Final = ("debug", "info")

Handlers = Mapping[str, Callable[..., None]]


def text(octets: bytes) -> str:
    """Octets as they travel."""
    return octets.decode("latin-1")


def octets(text: str) -> bytes:
    """Octets that have travelled."""
    return text.encode("latin-1")


@implementer(IPushProducer)
class Channel(Int32StringReceiver):
    """One end.  ``handlers`` are called by kind; ``lost`` once, at the end."""

    MAX_LENGTH = MESSAGE_OCTETS

    transport: Any

    def __init__(
        self,
        handlers: Handlers,
        lost: Callable[[], None],
        clock: IReactorTime | None = None,
    ) -> None:
        """Nothing is sent before the connection is made.

        Args:
            handlers: called by kind, with the fields.
            lost: called at the end.
            clock: for what is gathered; None: nothing is.
        """
        self._handlers = handlers
        self._lost = lost
        self._clock = clock
        self._gathered: list[tuple[Any, ...]] = []
        self._send_later: IDelayedCall | None = None
        self._congested = False
        self._counts: Counter[tuple[bytes | None, str]] = Counter()
        self._admitted: set[tuple[bytes | None, str]] = set()
        self._notices: dict[bytes, None] = {}
        self._lines: deque[tuple[Any, ...]] = deque()
        self._dropped_lines = 0

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
        """Be told when the other end does not read."""
        self.transport.registerProducer(self, True)

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802
        """The other process has ended, or is about to."""
        self._send()  # to nobody: no timer stays
        self._lost()

    def stringReceived(self, string: bytes) -> None:  # noqa: N802 - Twisted's name
        """Hand messages on; what breaks over one does not break the channel."""
        try:
            messages = list(json.loads(string))
        except (ValueError, TypeError):
            _log.failure("what another process of ours said cannot be read")
            return
        for message in messages:
            try:
                kind, *fields = message
                self._handlers[kind](*fields)
            except Exception:
                _log.failure("a message of another process of ours broke")

    def say(self, kind: str, *fields: Any) -> None:
        """Send a message now, however many wait."""
        self._gathered.append((kind, *fields))
        self._send()

    def say_soon(self, kind: str, *fields: Any) -> None:
        """Send a message with the next one, or after a moment."""
        if self._clock is None or len(self._gathered) >= GATHER_MESSAGES:
            self.say(kind, *fields)
            return
        self._gathered.append((kind, *fields))
        if self._send_later is None:
            self._send_later = self._clock.callLater(GATHER_SECONDS, self._send)

    def _send(self) -> None:
        gathered, self._gathered = self._gathered, []
        later, self._send_later = self._send_later, None
        if later is not None and later.active():
            later.cancel()
        if gathered and self.connected:
            octets = json.dumps(gathered).encode()
            header = struct.pack(self.structFormat, len(octets))
            outlet.write(self.transport, header + octets)

    # What need not wait in line.

    def count(
        self,
        user: bytes | None,
        place: str,
        change: int,
        admitted: bool,
        hurry: bool = True,
    ) -> None:
        """Tell of connections that came or went; sums do as well."""
        if self._congested:
            self._counts[user, place] += change
            if admitted:
                self._admitted.add((user, place))
        else:
            name = None if user is None else text(user)
            tell = self.say if hurry else self.say_soon
            tell(COUNT, name, place, change, admitted)

    def notice(self, directory: bytes) -> None:
        """Tell of a changed mailbox; once is enough, and too many are none."""
        if not self._congested:
            self.say(NOTICE, text(directory))
        elif len(self._notices) < WAITING_NOTICES:
            self._notices[directory] = None

    def line(self, *fields: Any) -> None:
        """Tell of an event for the log: its level first, its text last."""
        if not self._congested:
            # What went wrong may be the last that is said before the end.
            calm = fields[0] in _CALM and len(fields[-1]) <= GATHER_CHARACTERS
            tell = self.say_soon if calm else self.say
            tell(LOG, *fields)
        elif len(self._lines) < WAITING_LINES:
            self._lines.append(fields)
        else:
            self._dropped_lines += 1

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's name
        """Keep back what can be: the other end does not read."""
        self._congested = True

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's name
        """Send what was kept back."""
        self._congested = False
        counts, self._counts = self._counts, Counter()
        admitted, self._admitted = self._admitted, set()
        for key, change in counts.items():
            if change:
                self.count(*key, change, key in admitted)
        notices, self._notices = self._notices, {}
        for directory in notices:
            self.notice(directory)
        lines, self._lines = self._lines, deque()
        for fields in lines:
            self.line(*fields)
        dropped, self._dropped_lines = self._dropped_lines, 0
        if dropped:
            _log.warn("{n} lines of the log were lost", n=dropped)

    def finish(self) -> None:
        """Send what is left, and close."""
        self.resumeProducing()
        self._send()
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def stopProducing(self) -> None:  # noqa: N802 - Twisted's name
        """Nobody reads any more."""
        self._congested = False


class OneProtocol(ServerFactory):
    """For ``adoptStreamConnection``: there is one connection, and this is it."""

    noisy = False

    def __init__(self, protocol: Protocol) -> None:
        """Keep the protocol."""
        self._protocol = protocol

    def buildProtocol(self, addr: Any) -> Protocol:  # noqa: N802 - Twisted's name
        """Return it."""
        return self._protocol
