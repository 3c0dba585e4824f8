"""How long a login has to wait after failures, and for whom.

Nothing here locks an account: what others fail at from elsewhere delays nobody.
"""

import hashlib
import ipaddress
import math
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol
from weakref import WeakValueDictionary

from twisted.internet.defer import Deferred, DeferredSemaphore

#: Asked at each login, and most clients come again.
_KEPT_NETWORKS = 4096
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
#: Of networks that failed: 400 octets each, and all of them in 16 MiB.
TABLE_ROWS = 32_768
#: Of users who are at home somewhere: 200 octets each.
KNOWN_ROWS = 65_536
REMEMBERED_TRIES = 10
_TOKEN_OCTETS = 8
_UNCOUNTED_TRIES = 2  # a finger slips


class Turns(Protocol):
    """What a try to log in holds while it waits and while it is looked at."""

    def acquire(self) -> "Deferred[Any]":
        """Fires when it is ours; to be cancelled by whom nobody waits for."""

    def release(self) -> None:
        """Give it back."""


class LoginThrottle(Protocol):
    """What logging in asks; ``now`` is in seconds of a monotonic clock."""

    def turns(self, peer: str, user: bytes) -> Turns:
        """What to hold while waiting and while the credentials are looked at."""

    def delay_seconds(self, peer: str, user: bytes, now: float) -> float:
        """How long to wait, once it is held, before the credentials are looked at."""

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


class Throttle:
    """Failed logins by network, and who logged in well from there before.

    Every method takes ``now`` in seconds of one monotonic clock, and answers in
    constant time; both tables drop what was used longest ago.  ``peer`` is an
    address as text; ``user`` is as the client wrote it.
    """

    def __init__(self, rows: int = TABLE_ROWS, known_rows: int = KNOWN_ROWS) -> None:
        """Nobody has failed; ``rows`` bounds the networks, the other the users."""
        self._rows = rows
        self._known_rows = known_rows
        self._key = secrets.token_bytes(32)
        self._networks: OrderedDict[str, _Row] = OrderedDict()
        self._known: OrderedDict[bytes, None] = OrderedDict()
        # Each is there as long as somebody tries.
        self._turns = WeakValueDictionary[str | bytes, DeferredSemaphore]()

    def turns(self, peer: str, user: bytes) -> DeferredSemaphore:
        """What to hold while waiting and while the credentials are looked at.

        One for all strangers of a network; a user who has logged in from there
        before has one of their own.
        """
        pair = self._pair(peer, user)
        name = pair if pair in self._known else network(peer)
        found = self._turns.get(name)
        if found is None:
            found = self._turns[name] = DeferredSemaphore(PARALLEL_TRIES)
        return found

    def delay_seconds(self, peer: str, user: bytes, now: float) -> float:
        """How long to wait before the credentials are looked at; mostly 0.0.

        A user who has logged in from this network before waits for nobody: an
        attacker behind the same address translation does not slow them.
        """
        row = self._networks.get(network(peer))
        if row is None or self._pair(peer, user) in self._known:
            return 0.0
        return max(0.0, row.open_seconds - now)

    def failed(
        self, peer: str, user: bytes, now: float, password: bytes | None = None
    ) -> None:
        """Count a wrong login.

        The same wrong ``password`` for the same user, as far as the mechanism shows
        it, counts once: a mail client with an old one.  Only a keyed hash is kept.
        Each time it costs ``REPEATED_SECONDS`` all the same.
        """
        name = network(peer)
        row = self._networks.get(name) or _Row(0.0, now, now)
        self._networks[name] = row
        self._networks.move_to_end(name)
        if len(self._networks) > self._rows:
            self._networks.popitem(last=False)
        if password is not None and self._repeated(row, user, password):
            _close_for(row, now, REPEATED_SECONDS)
            return
        # Guessing at a user is no good acquaintance any more.
        self._known.pop(self._pair(peer, user), None)
        elapsed = max(0.0, now - row.changed_seconds)
        left = max(0.0, row.failures - elapsed / FORGIVEN_SECONDS)
        row.failures = min(left + 1.0, MOST_FAILURES)
        row.changed_seconds = now
        over = math.ceil(row.failures) - _UNCOUNTED_TRIES - 1
        if over >= 0:
            penalty = PENALTIES_SECONDS[min(over, len(PENALTIES_SECONDS) - 1)]
            _close_for(row, now, penalty)

    def succeeded(self, peer: str, user: bytes, now: float) -> None:
        """Remember that this user is at home in this network.

        The network's failures stay: one account of their own does not buy an
        attacker free tries at the others.
        """
        pair = self._pair(peer, user)
        self._known[pair] = None
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
        return self._token(network(peer).encode(), user.lower())

    def _token(self, first: bytes, second: bytes) -> bytes:
        length = len(first).to_bytes(8, "big")  # "ab"+"c" is not "a"+"bc"
        digest = hashlib.blake2b(key=self._key, digest_size=_TOKEN_OCTETS)
        digest.update(length + first + second)
        return digest.digest()


def _close_for(row: _Row, now: float, seconds: float) -> None:
    opens = max(now, row.open_seconds) + seconds
    row.open_seconds = min(opens, now + LONGEST_SECONDS)


@lru_cache(_KEPT_NETWORKS)
def network(peer: str) -> str:
    """The /24 of an IPv4 address, the /64 of an IPv6 one; other text is itself.

    An IPv4 address inside IPv6 (``::ffff:192.0.2.1``) is the IPv4 address.
    """
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return peer[:64]
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        if mapped is None:
            return (address.packed[:8]).hex()
        address = mapped
    return address.packed[:3].hex()
