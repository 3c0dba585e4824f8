"""What the master holds for its workers: sums, turns to log in, and what it passes on.

Counts are told by each worker and passed on to the others, which hold the sums
themselves, as old as a turn of the reactor here and one there.  What two admit in this
time is too many when it is told here: the one that told it last ends it again.
Turns to log in are given by the master alone, in one queue: guesses that are spread
over the workers are as slow as if there were one.
"""

import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, Logger, LogLevel, globalLogPublisher
from twisted.python.failure import Failure

from imapd.auth.throttle import Throttle, Turns
from imapd.limits import Limits
from imapd.server.counts import ConnectionCounts
from imapd.service import channel
from imapd.service.channel import Channel

_log = Logger()


class Hub:
    """The channels of the workers that live, and what they share."""

    def __init__(
        self,
        clock: IReactorTime,
        limits: Limits,
        publish: ILogObserver = globalLogPublisher,
    ) -> None:
        """Nobody is there yet.

        Args:
            clock: waits for delays of the throttle.
            limits: of connections, which hold for all workers together.
            publish: where the workers' events go.
        """
        self.throttle = Throttle(limits)
        self.counts = ConnectionCounts(limits)
        self._clock = clock
        self._publish = publish
        self._members: list[Member] = []

    @property
    def clock(self) -> IReactorTime:
        """Where timers come from."""
        return self._clock

    def join(self, number: int, ready: Callable[[], None]) -> "Member":
        """Make a channel for a worker.

        Args:
            number: of the worker, for the log.
            ready: called when it serves.
        """
        member = Member(self, number, ready)
        self._members.append(member)
        return member

    def greet(self, member: "Member") -> None:
        """Tell a worker what the others have counted; its channel is connected."""
        for other in self.others(member):
            for (user, place), number in other.counts.items():
                member.channel.count(user, place, number, False)

    def leave(self, member: "Member") -> None:
        """Take back all that a worker counted and held: it is gone."""
        if member not in self._members:
            return
        self._members.remove(member)
        for (user, place), number in member.counts.items():
            self.counts.hear(user, place, -number)
            for other in self._members:
                other.channel.count(user, place, -number, False)
        for turn in list(member.turns.values()):
            turn.cancel()

    def broadcast(self, kind: str, *fields: Any) -> None:
        """Say something to all workers."""
        for member in self._members:
            member.channel.say(kind, *fields)

    def others(self, member: "Member") -> "list[Member]":
        """The workers besides one."""
        return [each for each in self._members if each is not member]

    async def turn(self, member: "Member", number: int, peer: str, user: bytes) -> None:
        """Give a turn to log in as soon as it is due; held until it is cancelled."""
        held: list[Turns] = []
        try:
            for turns in self.throttle.turns(peer, user):
                await turns.acquire()
                held.append(turns)
                while (wait := turns.delay_seconds(self.now())) > 0:
                    await deferLater(self._clock, wait, lambda: None)
            member.channel.say(channel.GRANTED, number)
            over: Deferred[None] = Deferred()
            await over
        finally:
            for turns in reversed(held):
                turns.release()

    def now(self) -> float:
        """Seconds of the throttle's clock."""
        return time.monotonic()

    def publish(self, event: dict[str, Any]) -> None:
        """Log an event that a worker has written."""
        self._publish(event)


class Member:
    """One worker, as the master sees it."""

    def __init__(self, hub: Hub, number: int, ready: Callable[[], None]) -> None:
        self.hub = hub
        self.number = number
        self.counts: Counter[tuple[bytes | None, str]] = Counter()
        self.turns: dict[int, Deferred[None]] = {}
        self._ready = ready
        self.channel = Channel(
            {
                channel.READY: self._is_ready,
                channel.LOG: self._log,
                channel.COUNT: self._count,
                channel.NOTICE: self._notice,
                channel.TURN: self._turn,
                channel.LEAVE: self._leave,
                channel.FAILED: self._failed,
                channel.SUCCEEDED: self._succeeded,
            },
            partial(hub.leave, self),
            hub.clock,
        )

    def _is_ready(self) -> None:
        self._ready()

    def _log(self, level: str, namespace: str, system: str | None, text: str) -> None:
        # The number comes last: what fail2ban looks for stands at the beginning.
        first, newline, rest = text.partition("\n")
        event = {
            "log_time": time.time(),
            "log_level": LogLevel.lookupByName(level),
            "log_namespace": namespace,
            "log_format": "{line}",
            "line": f"{first} worker={self.number}{newline}{rest}",
        }
        if system is not None:
            event["log_system"] = system
        self.hub.publish(event)

    def _count(self, user: str | None, place: str, change: int, admitted: bool) -> None:
        name = None if user is None else channel.octets(user)
        self.counts[name, place] += change
        if not self.counts[name, place]:
            del self.counts[name, place]
        counts = self.hub.counts
        # Before and after: one who left the last place is as urgent as who took it.
        near = counts.is_near_limit(name, place)
        counts.hear(name, place, change)
        near = near or counts.is_near_limit(name, place)
        for other in self.hub.others(self):
            other.channel.count(name, place, change, False, near)
        if admitted:
            excess = min(change, counts.excess(name, place))
            if excess > 0:
                self.channel.say(channel.EXCESS, user, place, excess)

    def _notice(self, directory: str) -> None:
        for other in self.hub.others(self):
            other.channel.notice(channel.octets(directory))

    def _turn(self, number: int, peer: str, user: str) -> None:
        turn = Deferred.fromCoroutine(
            self.hub.turn(self, number, peer, channel.octets(user))
        )
        self.turns[number] = turn
        turn.addErrback(self._turn_over)

    def _turn_over(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            _log.failure("a turn to log in broke", failure)

    def _leave(self, number: int) -> None:
        turn = self.turns.pop(number, None)
        if turn is not None:
            turn.cancel()

    def _failed(self, peer: str, user: str, token: str | None) -> None:
        password = None if token is None else channel.octets(token)
        self.hub.throttle.failed(peer, channel.octets(user), self.hub.now(), password)

    def _succeeded(self, peer: str, user: str) -> None:
        self.hub.throttle.succeeded(peer, channel.octets(user), self.hub.now())
