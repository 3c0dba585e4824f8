"""Guesses at passwords, by the hour and from a million networks, without waiting.

A whole server with the throttle that the service gives it, a clock that is turned,
and a checker that counts.  How many guesses reach it in any hour is what guessing is
worth, however many connections guess, and however slow the checker is.
"""

import gc
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FunctionType, ModuleType
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from imapd.auth.throttle import Throttle
from imapd.limits import DEFAULT_LIMITS
from imapd.server.counts import ConnectionCounts
from tests.support.server import USERS
from tests.torture.budget import Budget
from tests.torture.figures import Figure, at_least, at_most, told
from tests.torture.inprocess import Peer, World, listening

#: What an hour of guessing is worth, from one address or one customer's network.
MOST_GUESSES: Final = 240
#: And from all that a home or a site has of IPv6: 256 networks, or 65,536.
MOST_OF_56: Final = 480
MOST_OF_48: Final = 960
_HOUR_SECONDS: Final = 3600
#: The first hour has the tries that are free; the second has none of them.
_SECONDS: Final = 1.1 * _HOUR_SECONDS
_MORE_SECONDS: Final = 3 * _HOUR_SECONDS
_STEP_SECONDS: Final = 0.5
#: How often others log in while the guesses are made.
_OTHERS_SECONDS: Final = 300.0
#: From here on it is the million.
_LONG_SECONDS: Final = 60.0
_MOST_OCTETS: Final = 16 << 20
_MEBI: Final = 1 << 20
#: More than the throttle remembers of one network.
_TRIES: Final = 12
#: Of those who guessed before the others, and the seconds they have to wait after it.
_BEFORE: Final = 100
_OLD: Final = "9.9.9.9"
_LEAST_WAIT: Final = 45
#: Memory is given out in multiples of it.
_ALIGNED: Final = 16


@dataclass(frozen=True, slots=True)
class Attack:
    """Who guesses, and how."""

    name: str
    #: The address of a connection by its number.
    host: Callable[[int], str]
    connections: int
    #: How long the checker takes.
    slow_seconds: float = 0.0
    #: Whether those who guess log in well in between, to an account of their own.
    has_account: bool = False
    #: So many from each address, while they cost nothing; 0: as many as it may.
    tries_each: int = 0
    most_guesses: int = MOST_GUESSES
    #: Somebody who logs in for the first time, as near as may be.
    stranger: str = "192.0.3.1"


def _in_48(number: int) -> str:
    """Far apart, one after the other: no part of the prefix has more than another."""
    return f"2001:db8:0:{number * 257 % 65536:x}::1"


#: Each by the network: an address of IPv4, and of IPv6 the whole /64.  Who has more of
#: IPv6 has many of those, and leaves each before it costs anything.
ATTACKS: Final = (
    Attack("one connection", lambda number: "192.0.2.1", 1),
    Attack("20 connections", lambda number: "192.0.2.1", 20, slow_seconds=1.0),
    Attack("an own account", lambda number: "192.0.2.1", 4, has_account=True),
    Attack(
        *("an IPv6 /64", lambda number: f"2001:db8::{number % 65536:x}", 20),
        stranger="2001:db8:0:1::1",
    ),
    Attack(
        *("an IPv6 /56", lambda number: f"2001:db8:0:{number % 256:x}::1", 20),
        tries_each=2,
        most_guesses=MOST_OF_56,
        stranger="2001:db8:0:100::1",
    ),
    Attack(
        *("an IPv6 /48", _in_48, 20),
        tries_each=2,
        most_guesses=MOST_OF_48,
        stranger="2001:db8:1::1",
    ),
)


@dataclass(slots=True)
class Guessed:
    """What came of it."""

    #: When the checker was asked about a guess.
    asked: list[float] = field(default_factory=list)
    #: Logins of others, and those of them that had to wait.
    others: int = 0
    delayed: list[str] = field(default_factory=list)

    @property
    def worst_hour(self) -> int:
        """The most guesses in any hour."""
        first, most = 0, 0
        for last, when in enumerate(self.asked):
            while self.asked[first] <= when - _HOUR_SECONDS:
                first += 1
            most = max(most, last - first + 1)
        return most


class _Counting:
    """A portal that notes when it was asked about a guess, and may be slow."""

    def __init__(self, world: World, portal: Any, attack: Attack) -> None:
        self._world, self._portal, self._attack = world, portal, attack
        self.guessed = Guessed()

    def login(self, credentials: Any, mind: Any, *interfaces: Any) -> Any:
        """Note the time of what is no password of anybody."""
        if not credentials.password.startswith(b"guess"):
            return self._portal.login(credentials, mind, *interfaces)
        self.guessed.asked.append(self._world.clock.seconds())
        if not self._attack.slow_seconds:
            return self._portal.login(credentials, mind, *interfaces)
        later: Deferred[Any] = deferLater(self._world.clock, self._attack.slow_seconds)
        later.addCallback(lambda _: self._portal.login(credentials, mind, *interfaces))
        return later

    def __getattr__(self, name: str) -> Any:
        return getattr(self._portal, name)


def _logs_in_at_once(world: World, host: str, user: bytes) -> bool:
    peer = world.connect(host)
    peer.conversation.begins(b"o", b"LOGIN")
    peer.send(b"o LOGIN %b %b\r\n" % (user, USERS[user]))
    peer.leave()
    return b"o OK" in peer.raw


def _others(world: World, attack: Attack, guessed: Guessed) -> None:
    """Log in with the right password: who is guessed at, and who is a neighbour."""
    near = attack.host(7)
    cases = (
        ("alice from elsewhere", "198.51.100.1", b"alice"),
        ("bob from nearby", attack.stranger, b"bob"),
        ("bob, who is known in that network", near, b"bob"),
    )
    for name, host, user in cases:
        guessed.others += 1
        if not _logs_in_at_once(world, host, user):
            guessed.delayed.append(f"{name} at {world.clock.seconds():.0f} s")


def _guess(world: World, attack: Attack, guessed: Guessed, seconds: float) -> None:
    """Guess for as long as it takes, as fast as the server lets us."""
    peers: list[Peer | None] = [None] * attack.connections
    tries = [0] * attack.connections
    number = connections = 0
    next_others = 0.0
    while world.clock.seconds() < seconds:
        for place, before in enumerate(peers):
            if before is not None and before.is_open:
                if not before.raw and not before.take():
                    continue  # no answer so far
                if tries[place] == attack.tries_each > 0:
                    before.leave()
            if before is None or not before.is_open:
                peers[place] = world.connect(attack.host(connections))
                connections += 1
                tries[place] = 0
            peer = peers[place]
            assert peer is not None
            if attack.has_account and number % 5 == 4:
                _logs_in_at_once(world, attack.host(connections), b"carol")
            number += 1
            tries[place] += 1
            peer.conversation.begins(b"g", b"LOGIN")
            peer.send(b"g LOGIN alice guess%d\r\n" % number)
        if world.clock.seconds() >= next_others:
            next_others += _OTHERS_SECONDS
            _others(world, attack, guessed)
        world.clock.advance(_STEP_SECONDS)


def hours(attack: Attack, seconds: float) -> Guessed:
    """Some hours of one attack.

    Raises:
        AssertionError: the server broke, or counts somebody who has left.
    """
    counts = ConnectionCounts(DEFAULT_LIMITS)
    settings: dict[str, Any] = {"throttle": Throttle(), "limits": DEFAULT_LIMITS}
    with listening(), World(counts=counts, **settings) as world:
        factory: Any = world.server.factory
        factory.portal = portal = _Counting(world, factory.portal, attack)
        assert _logs_in_at_once(world, attack.host(7), b"bob")
        _guess(world, attack, portal.guessed, seconds)
    left = (counts._addresses, counts._users, counts._pairs, counts._refused)
    assert not any(left), f"{attack.name}: still counted: {left}"
    return portal.guessed


def octets_of(root: object) -> int:
    """The memory of an object and of all that only data leads to from there."""
    seen: set[int] = set()
    waiting, total = [root], 0
    while waiting:
        each = waiting.pop()
        if id(each) in seen or isinstance(each, type | ModuleType | FunctionType):
            continue
        seen.add(id(each))
        total += -(-sys.getsizeof(each) // _ALIGNED) * _ALIGNED
        waiting += gc.get_referents(each)
    return total


def _networks(count: int) -> Iterator[str]:
    """Addresses of which no two are of one network, of IPv4 and of IPv6."""
    for number in range(count):
        if number % 2:
            yield f"2a{number >> 16:02x}:{number & 0xFFFF:x}::1"
        else:
            yield f"{11 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.1"


def table(networks: int, thorough: int) -> Iterator[Figure]:
    """Guesses from so many networks; the last of them guess until no more is kept.

    Who was slowed down before they came is so still: in IPv4, and with a whole /48.
    """
    throttle = Throttle()
    for guess in range(_BEFORE):
        for host in (_OLD, _in_48(guess)):
            throttle.failed(host, b"alice", 0.0, b"%d" % guess)
    for number, peer in enumerate(_networks(networks)):
        tries = _TRIES if number >= networks - thorough else 1
        for guess in range(tries):
            throttle.failed(peer, b"alice", 0.0, b"%d" % guess)
        if number == networks - thorough - 1:
            for host, name in ((_OLD, "in IPv4"), (_in_48(_BEFORE), "with a /48")):
                wait = throttle.delay_seconds(host, b"alice", 0.0)
                what = f"table: who guessed before waits, {name}"
                yield at_least("G19", what, wait, "s", _LEAST_WAIT)
    octets = octets_of(throttle)
    yield told("G19", "table: networks", networks, "networks")
    yield at_most("G19", "table: memory", octets / _MEBI, "MiB", _MOST_OCTETS / _MEBI)


def run(budget: Budget) -> Iterator[Figure]:
    """G19.  Hardening A01."""
    is_long = budget.seconds >= _LONG_SECONDS
    for attack in ATTACKS:
        guessed = hours(attack, _MORE_SECONDS if is_long else _SECONDS)
        what = f"guesses, {attack.name}"
        yield at_least("G19", f"{what}: in all", len(guessed.asked), "guesses", 100)
        worst, most = guessed.worst_hour, attack.most_guesses
        yield at_most("G19", f"{what}: worst hour", worst, "guesses", most)
        assert guessed.others > len(ATTACKS)
        if guessed.delayed:
            print(f"had to wait: {guessed.delayed[:5]}")
        late = len(guessed.delayed)
        yield at_most("G19", f"{what}: others delayed", late, "logins", 0)
    yield from table(*((1_000_000, 70_000) if is_long else (60_000, 35_000)))
