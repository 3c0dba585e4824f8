"""Clients that are too many, too slow, too quick or too curious."""

from collections.abc import Iterator

from tests.torture import crowding, fanning, grinding, hoarding
from tests.torture.budget import Budget
from tests.torture.figures import Figure
from tests.torture.serving import serving, standing_still
from tests.torture.sizes import Sizes, sizes

#: A tenth of a second is told of; on a machine that others use it says no more.
_STILL_SECONDS = 0.3
#: Of PBKDF2: some 50 ms.
_ROUNDS = 60_000


def crowds(size: Sizes) -> Iterator[Figure]:
    """Many."""
    with serving({"preauth_seconds": size.preauth_seconds}) as server:
        server.hash_passwords(_ROUNDS)
        for scenario in (crowding.logins, crowding.idlers, crowding.trickling):
            yield from scenario(server, size)
        yield from standing_still(server, _STILL_SECONDS * size.slack)


def hoards(size: Sizes) -> Iterator[Figure]:
    """Slow, or quick."""
    with serving({"output_stall_seconds": hoarding.STALL_SECONDS}) as server:
        for scenario in (hoarding.flood, hoarding.unread, hoarding.writers):
            yield from scenario(server, size)
        yield from standing_still(server, _STILL_SECONDS * size.slack)


def grinds(size: Sizes) -> Iterator[Figure]:
    """Curious, and busy."""
    with serving() as server:
        for scenario in (grinding.appends, grinding.hostile):
            yield from scenario(server, size)
        yield from standing_still(server, _STILL_SECONDS * size.slack)


def run(budget: Budget) -> Iterator[Figure]:
    """All of it.  Hardening V01 to V07, P21."""
    size = sizes(budget.seconds)
    for each in (crowds, fanning.fans, hoards, grinds):
        yield from each(size)
