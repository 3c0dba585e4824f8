"""How many connections an address and a user have."""

from collections import Counter
from typing import TypeVar

from imapd.errors import LimitReached
from imapd.limits import Limits
from imapd.server.addresses import is_near, place

T = TypeVar("T")


class ConnectionCounts:
    """Counts, and refuses what is over the limits.  Each add needs one remove.

    A user is one in letters of either case: most checkers take both.  An IPv6
    customer has a /64, and not 2^64 times what is allowed from an address.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._addresses: Counter[str] = Counter()
        self._users: Counter[bytes] = Counter()
        self._pairs: Counter[tuple[bytes, str]] = Counter()

    def connected(self, address: str) -> bool:
        """Count a connection; False: the address has too many."""
        self._addresses[place(address)] += 1
        # Behind this machine's own are all users of a webmail or a proxy here.
        return is_near(address) or self._excess(address) <= 0

    def _excess(self, address: str) -> int:
        return self._addresses[place(address)] - self._limits.address_connections

    def is_flooded(self, address: str) -> bool:
        """Whether the address goes on after as many were refused as are allowed."""
        return self._excess(address) > self._limits.address_connections

    def disconnected(self, address: str) -> None:
        """Take back ``connected``."""
        _lower(self._addresses, place(address))

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
        self._users[user] += 1
        self._pairs[pair] += 1

    def logged_out(self, user: bytes, address: str) -> None:
        """Take back ``logged_in``."""
        user = user.lower()
        _lower(self._users, user)
        _lower(self._pairs, (user, place(address)))


def _lower(counter: "Counter[T]", key: T) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
