"""How long a login has to wait after failures, and for whom.

Nothing here locks an account: what others fail at from elsewhere delays nobody.
"""

import hashlib
import math
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from weakref import WeakValueDictionary

from twisted.internet.defer import Deferred, DeferredSemaphore

from imapd.auth.kept import Kept
from imapd.auth.networks import networks
from imapd.limits import DEFAULT_LIMITS, Limits

#: What each further failure of a network costs; the last for all that follow.
#: With 16 s, and those that are free, nobody has more than 240 guesses in an hour.
PENALTIES_SECONDS = (2.0, 4.0, 8.0, 16.0)
#: What a wrong password that was tried before costs: little, for a mail client with
#: an old one, but hashing it as fast as it can be sent would take every core.
REPEATED_SECONDS = 0.25
#: Parallel tries queue up behind one another, but no longer than this.
LONGEST_SECONDS = 48.0
#: So many tries of one network are checked at a time.  Their penalties together
#: make up ``LONGEST_SECONDS``: guessing side by side is no faster.
PARALLEL_TRIES = 3
#: One failure is forgiven in this time.
FORGIVEN_SECONDS = 120.0
#: However many they were, after this many times ``FORGIVEN_SECONDS`` all is well.
MOST_FAILURES = 10.0
#: Of networks that failed: 400 octets each; and of those around them, of each width:
#: 180 octets each.  All of them in 16 MiB.
TABLE_ROWS = 24_576
WIDE_ROWS = 8_192
#: Of users who are at home somewhere: 200 octets each.
KNOWN_ROWS = 65_536
REMEMBERED_TRIES = 10
_TOKEN_OCTETS = 8
_UNCOUNTED_TRIES = 2  # a finger slips
_HOUR_SECONDS: Final = 3600.0
#: Of the failures of an hour that a wide network may have, these may come at once,
#: and as many may be in the making as ``LONGEST_SECONDS`` have room for.
_AT_ONCE: Final = 1 / 20
_IN_THE_MAKING: Final = 1 / 80


class Turns(Protocol):
    """What a try to log in holds while it waits and while it is looked at."""

    def acquire(self) -> "Deferred[Any]":
        """Fires when it is ours; to be cancelled by whom nobody waits for."""

    def release(self) -> None:
        """Give it back."""

    def delay_seconds(self, now: float) -> float:
        """How long to wait, once it is held, before going on; then ask again."""


class LoginThrottle(Protocol):
    """What logging in asks; ``now`` is in seconds of a monotonic clock."""

    def turns(self, peer: str, user: bytes) -> Sequence[Turns]:
        """What to hold until the credentials were looked at, one after the other.

        Who has waited for all that one of them demands goes on to the next: a place
        in the queue of many is not held by who waits for reasons of their own.
        """

    def failed(
        self, peer: str, user: bytes, now: float, password: bytes | None = None
    ) -> None:
        """Count a wrong login."""

    def succeeded(self, peer: str, user: bytes, now: float) -> None:
        """Remember that this user is at home in this network."""


@dataclass(slots=True)
class _Row:
    """What one network has done."""

    failures: float
    changed_seconds: float
    open_seconds: float  # when the next try may go on
    tries: bytes = b""  # tokens of the last wrong passwords, newest last


class _Wide:
    """What the networks of one width may fail at, all that are inside together.

    Twice as often as one that is inside may: a customer whose guesses use up what is
    theirs leaves as much to the others.
    """

    __slots__ = ("_at_once_seconds", "_each_seconds", "_kept", "parallel")

    def __init__(self, failures: int, rows: int) -> None:
        """``failures`` are those of an hour; ``rows`` bounds the networks."""
        self.parallel = int(failures * _IN_THE_MAKING)
        steady = failures * (1 - _AT_ONCE - _IN_THE_MAKING)
        self._each_seconds = _HOUR_SECONDS / steady
        self._at_once_seconds = failures * _AT_ONCE * self._each_seconds
        #: Until when each would be busy if it had failed as often as it may.
        self._kept: Kept[float] = Kept(rows)

    def delay_seconds(self, name: bytes, now: float) -> float:
        """How long until one more may fail."""
        until = self._kept.get(name)
        return 0.0 if until is None else max(0.0, until - self._at_once_seconds - now)

    def failed(self, name: bytes, now: float, share: float) -> None:
        """Count a failure, or a share of one."""
        until = max(now, self._kept.get(name) or now) + share * self._each_seconds
        until = min(until, now + self._at_once_seconds + LONGEST_SECONDS)
        self._kept.keep(name, until, until - now > self._at_once_seconds / 2)

    def __len__(self) -> int:
        return len(self._kept)


class Throttle:
    """Failed logins by network, and who logged in well from there before.

    Every method takes ``now`` in seconds of one monotonic clock, and answers in
    constant time; all tables are bounded.  ``peer`` is an address as text; ``user``
    is as the client wrote it.

    Around a network of IPv6 are wider ones, which others have a part of or all of
    which is one customer's: nobody can tell.  They have allowances of their own.
    """

    def __init__(
        self,
        limits: Limits = DEFAULT_LIMITS,
        rows: int = TABLE_ROWS,
        known_rows: int = KNOWN_ROWS,
        wide_rows: int = WIDE_ROWS,
    ) -> None:
        """Nobody has failed.

        Args:
            limits: what wide networks may fail at.
            rows: bounds the networks.
            known_rows: bounds the users.
            wide_rows: bounds the wide networks of each width.
        """
        self._known_rows = known_rows
        self._key = secrets.token_bytes(32)
        self._networks: Kept[_Row] = Kept(rows)
        # In the order in which networks() names them.
        self._wide = (
            _Wide(limits.prefix56_attempts, wide_rows),
            _Wide(limits.prefix48_attempts, wide_rows),
        )
        #: By user and network: when the next try may go on there.
        self._known: OrderedDict[bytes, float] = OrderedDict()
        # Each is there as long as somebody tries.
        self._semaphores = WeakValueDictionary[bytes, DeferredSemaphore]()

    def turns(self, peer: str, user: bytes) -> Sequence[Turns]:
        """What to hold until the credentials were looked at, one after the other.

        One for all strangers of a network, and of each around it; a user who has
        logged in from there before has one of their own.
        """
        pair = self._pair(peer, user)
        if pair in self._known:
            semaphore = self._semaphore(pair, PARALLEL_TRIES)
            return (_Turns(self, semaphore, peer, user, None),)
        narrow, *around = networks(peer)
        semaphore = self._semaphore(narrow, PARALLEL_TRIES)
        turns = [_Turns(self, semaphore, peer, user, 0)]
        for level, (name, wide) in enumerate(zip(around, self._wide, strict=False), 1):
            semaphore = self._semaphore(name, wide.parallel)
            turns.append(_Turns(self, semaphore, peer, user, level))
        return turns

    def _semaphore(self, name: bytes, tokens: int) -> DeferredSemaphore:
        found = self._semaphores.get(name)
        if found is None:
            found = self._semaphores[name] = DeferredSemaphore(tokens)
        return found

    def delay_seconds(
        self, peer: str, user: bytes, now: float, level: int | None = None
    ) -> float:
        """How long to wait before the credentials are looked at; mostly 0.0.

        A user who has logged in from this network before waits for nobody else: an
        attacker behind the same address translation does not slow them.  ``level``
        is that of one of the networks alone, 0 for the narrowest.
        """
        opens_seconds = self._known.get(self._pair(peer, user))
        if opens_seconds is not None:
            return max(0.0, opens_seconds - now)
        names = networks(peer)
        levels = range(len(names)) if level is None else (level,)
        return max(self._wait(each, names[each], now) for each in levels)

    def _wait(self, level: int, name: bytes, now: float) -> float:
        if level:
            return self._wide[level - 1].delay_seconds(name, now)
        row = self._networks.get(name)
        return 0.0 if row is None else max(0.0, row.open_seconds - now)

    def failed(
        self, peer: str, user: bytes, now: float, password: bytes | None = None
    ) -> None:
        """Count a wrong login.

        The same wrong ``password`` for the same user, as far as the mechanism shows
        it, counts once: a mail client with an old one.  Only a keyed hash is kept.
        Each time it costs ``REPEATED_SECONDS`` all the same.
        """
        narrow, *around = networks(peer)
        row = self._networks.get(narrow) or _Row(0.0, now, now)
        pair = self._pair(peer, user)
        share = 1.0
        if password is not None and self._repeated(row, user, password):
            row.open_seconds = _later(row.open_seconds, now, REPEATED_SECONDS)
            if pair in self._known:
                opens_seconds = self._known[pair]
                self._known[pair] = _later(opens_seconds, now, REPEATED_SECONDS)
            share = REPEATED_SECONDS / PENALTIES_SECONDS[-1]
        else:
            # Guessing at a user is no good acquaintance any more.
            self._known.pop(pair, None)
            _count(row, now)
        self._networks.keep(narrow, row, row.failures > _UNCOUNTED_TRIES)
        for name, wide in zip(around, self._wide, strict=False):
            wide.failed(name, now, share)

    def succeeded(self, peer: str, user: bytes, now: float) -> None:
        """Remember that this user is at home in this network.

        The network's failures stay: one account of their own does not buy an
        attacker free tries at the others.
        """
        pair = self._pair(peer, user)
        self._known.setdefault(pair, -math.inf)
        self._known.move_to_end(pair)
        if len(self._known) > self._known_rows:
            self._known.popitem(last=False)

    def _repeated(self, row: _Row, user: bytes, password: bytes) -> bool:
        token = self._token(user.lower(), password)
        kept = [
            row.tries[first : first + _TOKEN_OCTETS]
            for first in range(0, len(row.tries), _TOKEN_OCTETS)
        ]
        if token in kept:
            return True
        row.tries = b"".join([*kept, token][-REMEMBERED_TRIES:])
        return False

    def _pair(self, peer: str, user: bytes) -> bytes:
        return self._token(networks(peer)[0], user.lower())

    def _token(self, first: bytes, second: bytes) -> bytes:
        length = len(first).to_bytes(8, "big")  # "ab"+"c" is not "a"+"bc"
        digest = hashlib.blake2b(key=self._key, digest_size=_TOKEN_OCTETS)
        digest.update(length + first + second)
        return digest.digest()


class _Turns:
    """One queue, and what who is at its front waits for."""

    __slots__ = ("_level", "_peer", "_semaphore", "_throttle", "_user")

    def __init__(
        self,
        throttle: Throttle,
        semaphore: DeferredSemaphore,
        peer: str,
        user: bytes,
        level: int | None,
    ) -> None:
        self._throttle = throttle
        self._semaphore = semaphore
        self._peer = peer
        self._user = user
        self._level = level

    def acquire(self) -> "Deferred[Any]":
        """Fires when it is ours; to be cancelled by whom nobody waits for."""
        return self._semaphore.acquire()

    def release(self) -> None:
        """Give it back."""
        self._semaphore.release()

    def delay_seconds(self, now: float) -> float:
        """How long to wait in it."""
        throttle, level = self._throttle, self._level
        return throttle.delay_seconds(self._peer, self._user, now, level)


def _count(row: _Row, now: float) -> None:
    elapsed = max(0.0, now - row.changed_seconds)
    left = max(0.0, row.failures - elapsed / FORGIVEN_SECONDS)
    row.failures = min(left + 1.0, MOST_FAILURES)
    row.changed_seconds = now
    over = math.ceil(row.failures) - _UNCOUNTED_TRIES - 1
    if over >= 0:
        penalty = PENALTIES_SECONDS[min(over, len(PENALTIES_SECONDS) - 1)]
        row.open_seconds = _later(row.open_seconds, now, penalty)


def _later(opens_seconds: float, now: float, seconds: float) -> float:
    """When it opens that is now closed for so long more."""
    return min(max(now, opens_seconds) + seconds, now + LONGEST_SECONDS)
