"""What is verified for a name that has no password here: nobody's, or a locked one.

How long a refusal takes shows what the hash costs.  Were it always the most frequent
cost, each user with another one could be told from a name that is nobody's: while
passwords move to a new scheme, half of them.
"""

import secrets
from collections import Counter
from collections.abc import Iterable
from functools import cache
from hashlib import blake2b
from itertools import accumulate

#: Made anew at each start of the machine, and the same for all processes on it.
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_OCTETS = 8


@cache
def _key() -> bytes:
    """What others do not know, and all workers of a service do.

    A name keeps its hash after a restart: one that changes it would be nobody's.
    """
    try:
        with open(_BOOT_ID, "rb") as file:
            return file.read(64).strip() or secrets.token_bytes(32)
    except OSError:
        return secrets.token_bytes(32)


class StandIns:
    """Hashes for names without one: of each cost as often as users have it.

    A name always has the same, but for a few when users come, go or change.
    """

    __slots__ = ("_bounds", "_hashes")

    def __init__(self, stored: Iterable[tuple[str, str]], nobody: str) -> None:
        """Choose a hash for each cost.

        Args:
            stored: cost and hash of each user.
            nobody: the hash where there are no users.
        """
        hashes: dict[str, str] = {}
        counts: Counter[str] = Counter()
        for cost, each in stored:
            hashes.setdefault(cost, each)
            counts[cost] += 1
        costs = sorted(counts)
        whole = 1 << 8 * _OCTETS
        total = counts.total()
        self._bounds = [
            sum_of_counts * whole // total
            for sum_of_counts in accumulate(counts[cost] for cost in costs)
        ]
        self._hashes = [hashes[cost] for cost in costs] or [nobody]

    @property
    def is_empty(self) -> bool:
        """Whether there are no users."""
        return not self._bounds

    def of(self, name: str) -> str:
        """The hash for a name."""
        digest = blake2b(name.encode(), key=_key(), digest_size=_OCTETS).digest()
        place = int.from_bytes(digest, "big")
        for bound, stored in zip(self._bounds, self._hashes, strict=False):
            if place < bound:
                return stored
        return self._hashes[-1]
