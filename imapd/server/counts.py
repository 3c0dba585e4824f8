"""How many connections an address and a user have."""

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from imapd.errors import LimitReached
from imapd.limits import Limits
from imapd.server.addresses import is_near, place

T = TypeVar("T")

#: Told of each change here: the user, None for a connection; the place; 1 or -1.
Tell = Callable[[bytes | None, str, int], None]


def _tell_nobody(user: bytes | None, where: str, change: int) -> None:
    """For a process that is alone."""


class ConnectionCounts:
    """Counts, and refuses what is over the limits.  Each add needs one remove.

    A user is one in letters of either case: most checkers take both.  An IPv6
    customer has a /64, and not 2^64 times what is allowed from an address.

    Several processes that serve together tell each other what they count, and
    ``hear`` it: each holds the sums of all.
    """

    def __init__(self, limits: Limits, tell: Tell = _tell_nobody) -> None:
        self._limits = limits
        self._tell = tell
        self._addresses: Counter[str] = Counter()
        self._users: Counter[bytes] = Counter()
        self._pairs: Counter[tuple[bytes, str]] = Counter()

    def connected(self, address: str) -> bool:
        """Count a connection; False: the address has too many."""
        self._count(None, place(address), 1)
        # Behind this machine's own are all users of a webmail or a proxy here.
        return is_near(address) or self._excess(address) <= 0

    def _excess(self, address: str) -> int:
        return self._addresses[place(address)] - self._limits.address_connections

    def is_flooded(self, address: str) -> bool:
        """Whether the address goes on after as many were refused as are allowed."""
        return self._excess(address) > self._limits.address_connections

    def disconnected(self, address: str) -> None:
        """Take back ``connected``."""
        self._count(None, place(address), -1)

    def logged_in(self, user: bytes, address: str) -> None:
        """Count a login.

        Raises:
            LimitReached: too many of the user, here or from the address; nothing
                was counted.
        """
        user = user.lower()
        pair = (user, place(address))
        if (
            self._users[user] >= self._limits.user_connections
            or self._pairs[pair] >= self._limits.user_address_connections
        ):
            raise LimitReached("Too many connections")
        self._count(user, place(address), 1)

    def logged_out(self, user: bytes, address: str) -> None:
        """Take back ``logged_in``."""
        self._count(user.lower(), place(address), -1)

    def _count(self, user: bytes | None, where: str, change: int) -> None:
        self.hear(user, where, change)
        self._tell(user, where, change)

    def hear(self, user: bytes | None, where: str, change: int) -> None:
        """Take in what another process counted, under the names it was told by."""
        if user is None:
            _add(self._addresses, where, change)
        else:
            _add(self._users, user, change)
            _add(self._pairs, (user, where), change)


def _add(counter: "Counter[T]", key: T, change: int) -> None:
    counter[key] += change
    # Below 0 for a moment, where the end of another's connection is heard of first.
    if not counter[key]:
        del counter[key]
