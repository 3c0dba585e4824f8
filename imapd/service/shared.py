"""What a worker asks of its master, in the shape in which one process has it itself."""

import hashlib
from itertools import count
from threading import get_ident
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import ILogObserver, LogEvent, eventAsText
from zope.interface import implementer

from imapd.service import channel
from imapd.service.channel import Channel

_TOKEN_OCTETS = 16
#: A traceback has its end cut off, not its channel.
_LINE_CHARACTERS = 100_000


class SharedThrottle:
    """``LoginThrottle`` whose turns the master gives, when the delay is over.

    A wrong password is told as a keyed hash: equal ones are equal, and that is all.
    """

    def __init__(self, to_master: Channel, key: bytes) -> None:
        """Use a channel.

        Args:
            to_master: connected before the first login.
            key: of the hash, the same in all workers.
        """
        self._channel = to_master
        self._key = key
        self._numbers = count()
        self._waiting: dict[int, Deferred[None]] = {}

    def turns(self, peer: str, user: bytes) -> "tuple[_SharedTurns]":
        """A place in the master's queue."""
        return (_SharedTurns(self, next(self._numbers), peer, user),)

    def granted(self, number: int) -> None:
        """The master gives a turn."""
        waiting = self._waiting.pop(number, None)
        if waiting is not None:
            waiting.callback(None)

    def failed(
        self, peer: str, user: bytes, now: float, password: bytes | None = None
    ) -> None:
        """Tell of a wrong login; before the turn is given back, in the same order."""
        token = None if password is None else channel.text(self._token(password))
        self._channel.say(channel.FAILED, peer, channel.text(user), token)

    def succeeded(self, peer: str, user: bytes, now: float) -> None:
        """Tell of a login."""
        self._channel.say_soon(channel.SUCCEEDED, peer, channel.text(user))

    def ask(self, number: int, peer: str, user: bytes) -> "Deferred[None]":
        """Wait for a turn; who cancels it leaves the queue."""
        asked: Deferred[None] = Deferred(lambda _: self.leave(number))
        self._waiting[number] = asked
        self._channel.say(channel.TURN, number, peer, channel.text(user))
        return asked

    def leave(self, number: int) -> None:
        """Give a turn back, or wait for it no more."""
        self._waiting.pop(number, None)
        self._channel.say(channel.LEAVE, number)

    def _token(self, password: bytes) -> bytes:
        return hashlib.blake2b(
            password, key=self._key, digest_size=_TOKEN_OCTETS
        ).digest()


class _SharedTurns:
    """One place in the queue."""

    def __init__(
        self, throttle: SharedThrottle, number: int, peer: str, user: bytes
    ) -> None:
        self._throttle = throttle
        self._number = number
        self._peer = peer
        self._user = user

    def acquire(self) -> "Deferred[Any]":
        """Fires when the master gives the turn."""
        return self._throttle.ask(self._number, self._peer, self._user)

    def release(self) -> None:
        """Give it back."""
        self._throttle.leave(self._number)

    def delay_seconds(self, now: float) -> float:
        """None: the master has waited before it gave the turn."""
        return 0.0


class SharedNotices:
    """``Notices`` that the master passes on to the other workers."""

    def __init__(self, to_master: Channel) -> None:
        """Use a channel."""
        self._channel = to_master

    def changed(self, directory: bytes) -> None:
        """Tell of a mailbox that we changed."""
        self._channel.notice(directory)


@implementer(ILogObserver)
class LogCarrier:
    """Sends what is logged here to the master, which has the log.

    The words are made here; the master does not format again what is in them.
    """

    def __init__(self, to_master: Channel, reactor: IReactorFromThreads) -> None:
        """Use a channel; made in the reactor's thread, whose alone it is."""
        self._channel = to_master
        self._reactor = reactor
        self._thread = get_ident()

    def __call__(self, event: LogEvent) -> None:
        """Send one event, of whatever thread; never raises."""
        text = eventAsText(event, includeTimestamp=False, includeSystem=False)
        level = event.get("log_level")
        system = event.get("log_system")
        line = (
            getattr(level, "name", "info"),
            str(event.get("log_namespace", "imapd")),
            None if system is None else str(system),
            text[:_LINE_CHARACTERS],
        )
        if get_ident() == self._thread:
            self._channel.line(*line)
        else:
            self._reactor.callFromThread(self._channel.line, *line)
