"""Passwords that were verified a moment ago, so that a costly hash is done once.

A client opens several connections, a webmail one for each click; a hash that takes
50 ms would let 40 of them in a second.
"""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from hmac import digest

#: For so long, from the verification on, whatever happens meanwhile.
KEEP_SECONDS = 300.0
#: So many at most; those that were verified longest ago go first.
MOST = 10_000


class VerifiedPasswords:
    """Remembers that a password fits a stored hash, for one list of users.

    Neither of them is kept: of user, hash and password together there is a keyed
    digest, and the key never leaves the process.  A user with another hash is
    another one, and so is one of another list, which has its own.
    """

    __slots__ = ("_key", "_monotonic", "_until")

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Nothing is remembered yet; ``monotonic`` is a clock in seconds."""
        self._key = secrets.token_bytes(32)
        self._monotonic = monotonic
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def _digest(self, user: str, stored: str, password: bytes) -> bytes:
        name, kept = user.encode(), stored.encode(errors="surrogatepass")
        # With their lengths: what ends one must not begin the next.
        lengths = b"%d %d " % (len(name), len(kept))
        return digest(self._key, lengths + name + kept + password, "sha256")

    def has(self, user: str, stored: str, password: bytes) -> bool:
        """Whether exactly these were verified a moment ago."""
        until = self._until.get(self._digest(user, stored, password))
        return until is not None and self._monotonic() < until

    def add(self, user: str, stored: str, password: bytes) -> None:
        """The password was verified, and is right."""
        verified = self._digest(user, stored, password)
        now = self._monotonic()
        self._until[verified] = now + KEEP_SECONDS
        self._until.move_to_end(verified)
        while len(self._until) > MOST or next(iter(self._until.values())) <= now:
            self._until.popitem(last=False)

    def forget(self) -> None:
        """Remember nothing: the list of users is another one."""
        self._until.clear()

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._until)
