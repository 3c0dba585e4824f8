"""What all connections of one factory share."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from imapd.auth.throttle import LoginThrottle
from imapd.limits import DEFAULT_LIMITS, Limits
from imapd.server.counts import ConnectionCounts
from imapd.server.turns import Turns
from imapd.server.wheel import Wheel


class CleartextLogin(Enum):
    """Where a password may cross a connection without TLS."""

    NEVER = "never"
    LOOPBACK = "loopback"
    ALWAYS = "always"


class Events(Protocol):
    """What is worth a line in the log; the service floor words them."""

    def login_ok(self, *, peer: str, user: str, mechanism: str, tls: bool) -> None:
        """Someone logged in."""

    def login_refused(
        self, *, peer: str, user: str, mechanism: str, reason: str
    ) -> None:
        """Someone failed to log in; the reason is for the log only."""

    def connection_refused(self, *, peer: str, reason: str) -> None:
        """A connection was ended for what its client did."""

    def session_ended(self, *, peer: str, user: str, reason: str) -> None:
        """A session that had logged in is over."""


class NoEvents:
    """Keeps silent."""

    def login_ok(self, **_: object) -> None:
        """Say nothing."""

    def login_refused(self, **_: object) -> None:
        """Say nothing."""

    def connection_refused(self, **_: object) -> None:
        """Say nothing."""

    def session_ended(self, **_: object) -> None:
        """Say nothing."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One factory's settings."""

    limits: Limits = DEFAULT_LIMITS
    cleartext_login: CleartextLogin = CleartextLogin.LOOPBACK
    events: Events = field(default_factory=NoEvents)
    throttle: LoginThrottle | None = None
    counts: ConnectionCounts | None = None
    #: For timers; None: the installed reactor, found when it is needed.
    clock: IReactorTime | None = None
    #: What ID tells; RFC 2971.
    identity: tuple[tuple[bytes, bytes | None], ...] = ((b"name", b"imapd"),)
    #: Capabilities not to be told, in upper case (``QUIRKY``).
    hidden_capabilities: frozenset[bytes] = frozenset()
    #: The time limits of all connections.
    wheel: Wheel = field(init=False, repr=False, compare=False)
    #: Their commands that take long.
    turns: Turns = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make what the connections share."""
        object.__setattr__(self, "wheel", Wheel(self.clock))
        object.__setattr__(self, "turns", Turns(self.wheel))
