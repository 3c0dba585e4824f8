"""How many connections an address and a user have."""

from collections.abc import Callable
from typing import TypeVar

from imapd.errors import LimitReached
from imapd.limits import Limits
from imapd.server.addresses import is_near, place

T = TypeVar("T")

#: Told of each change here: the user, None for a connection; the place; 1 or -1;
#: whether it is one more within the limits; and whether it is near a limit.
Tell = Callable[[bytes | None, str, int, bool, bool], None]

#: With so many places left at most a limit is near.
NEAR_PLACES = 10


class ConnectionCounts:
    """Counts, and refuses what is over the limits.  Each add needs one remove.

    A user is one in letters of either case: most checkers take both.  An IPv6
    customer has a /64, and not 2^64 times what is allowed from an address.

    Several processes that serve together tell each other what they count, and
    ``hear`` it: each holds the sums of all.  What two admit at the same moment may
    be too many; who holds ``excess`` against what was told last says so.  Far from a
    limit nobody has to know at once.
    """

    def __init__(self, limits: Limits, tell: Tell | None = None) -> None:
        self._limits = limits
        self._tell = tell
        self._addresses: dict[str, int] = {}
        self._refused: dict[str, int] = {}  # here, and still being told so
        self._users: dict[bytes, int] = {}
        self._pairs: dict[tuple[bytes, str], int] = {}

    def connected(self, address: str) -> bool:
        """Count a connection; False: the address has too many."""
        where = place(address)
        # Behind this machine's own are all users of a webmail or a proxy here.
        near = is_near(address)
        if not near and self.excess(None, where) >= 0:
            _add(self._refused, where, 1)
            return False
        self._count(None, where, 1, not near)
        return True

    def excess(self, user: bytes | None, where: str) -> int:
        """How many connections of a place, or of a user there, are too many."""
        limits = self._limits
        if user is None:
            return self._addresses.get(where, 0) - limits.address_connections
        return max(
            self._users.get(user, 0) - limits.user_connections,
            self._pairs.get((user, where), 0) - limits.user_address_connections,
        )

    def is_near_limit(self, user: bytes | None, where: str) -> bool:
        """Whether one more or less may soon make a difference to somebody."""
        if user is None and is_near(where):
            return False  # there is no limit
        return self.excess(user, where) >= -NEAR_PLACES

    def is_flooded(self, address: str) -> bool:
        """Whether the address goes on after as many were refused as are allowed."""
        refused = self._refused.get(place(address), 0)
        return refused > self._limits.address_connections

    def disconnected(self, address: str) -> None:
        """Take back ``connected``."""
        where = place(address)
        # Which of them it was makes no difference to the numbers.
        if where in self._refused:
            _add(self._refused, where, -1)
        else:
            self._count(None, where, -1, False)

    def logged_in(self, user: bytes, address: str) -> None:
        """Count a login.

        Raises:
            LimitReached: too many of the user, here or from the address; nothing
                was counted.
        """
        user = user.lower()
        where = place(address)
        if self.excess(user, where) >= 0:
            raise LimitReached("Too many connections")
        self._count(user, where, 1, True)

    def logged_out(self, user: bytes, address: str) -> None:
        """Take back ``logged_in``."""
        self._count(user.lower(), place(address), -1, False)

    def _count(
        self, user: bytes | None, where: str, change: int, admitted: bool
    ) -> None:
        if self._tell is None:  # a process that is alone
            self.hear(user, where, change)
            return
        near = self.is_near_limit(user, where)
        self.hear(user, where, change)
        self._tell(user, where, change, admitted, near)

    def hear(self, user: bytes | None, where: str, change: int) -> None:
        """Take in what another process counted, under the names it was told by."""
        if user is None:
            _add(self._addresses, where, change)
        else:
            _add(self._users, user, change)
            _add(self._pairs, (user, where), change)


def _add(counts: dict[T, int], key: T, change: int) -> None:
    # Below 0 for a moment, where the end of another's connection is heard of first.
    count = counts.get(key, 0) + change
    if count:
        counts[key] = count
    else:
        counts.pop(key, None)
