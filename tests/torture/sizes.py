"""How much load: for every check-in, for some minutes, for a night."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Numbers of clients, messages, seconds."""

    #: Time bounds are multiplied by it: others use the machine too.
    slack: float
    #: Whether figures that hang on the machine alone have a bound.
    judges_rates: bool
    #: Connections that send an octet now and then, and their deadline.
    trickling: int
    preauth_seconds: int
    #: TLS logins at once.
    logins: int
    #: Over TLS, in IDLE.
    idlers: int
    #: Clients that ask for a gigabyte, and read nothing or little.
    unread: int
    writers: int
    #: Commands in one go: their answers fill what the kernel holds of them.
    flood: int
    #: In the mailbox that is searched; and for how long.
    messages: int
    hostile_seconds: float
    appenders: int
    appends: int
    grouped: int
    #: Sessions that idle in one mailbox, and what comes to it in a row.
    fanned: int
    fanned_deliveries: int


GATE: Final = Sizes(
    slack=20,
    judges_rates=False,
    trickling=200,
    preauth_seconds=10,
    logins=30,
    idlers=200,
    unread=1,
    writers=24,
    flood=120_000,
    messages=1_000,
    hostile_seconds=2,
    appenders=50,
    appends=1,
    grouped=100,
    fanned=40,
    fanned_deliveries=50,
)
MINUTES: Final = Sizes(
    slack=2,
    judges_rates=False,
    trickling=1_000,
    preauth_seconds=20,
    logins=300,
    idlers=1_000,
    unread=10,
    writers=100,
    flood=100_000,
    messages=20_000,
    hostile_seconds=10,
    appenders=200,
    appends=4,
    grouped=1_000,
    fanned=1_000,
    fanned_deliveries=500,
)
NIGHT: Final = Sizes(
    slack=1,
    judges_rates=True,
    trickling=5_000,
    preauth_seconds=60,
    logins=1_000,
    idlers=10_000,
    unread=100,
    writers=500,
    flood=1_000_000,
    messages=100_000,
    hostile_seconds=30,
    appenders=200,
    appends=20,
    grouped=1_000,
    fanned=1_000,
    fanned_deliveries=3_000,
)


def sizes(seconds: float) -> Sizes:
    """What fits into that time, roughly."""
    if seconds < 60:
        return GATE
    return MINUTES if seconds < 900 else NIGHT
