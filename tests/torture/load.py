"""Clients that are too many, too slow, too quick or too curious."""

import hashlib
import time
from collections.abc import Callable, Iterator

from tests.torture import crowding, fanning, grinding, hoarding
from tests.torture.budget import Budget
from tests.torture.figures import Figure
from tests.torture.serving import serving, standing_still
from tests.torture.sizes import Sizes, sizes

#: A tenth of a second is told of; on a machine that others use it says no more.
_STILL_SECONDS = 0.3
_SOME_ROUNDS = 20_000
_MIB = 1 << 20


def _rounds() -> int:
    """Of PBKDF2: so many take as long as scrypt with 2^14, which not all systems have.

    Some 40 ms.  Of the processor, the least of some: others use the machine too.
    """

    def seconds(work: Callable[[], object]) -> float:
        begin = time.thread_time()
        work()
        return time.thread_time() - begin

    def scrypt() -> object:
        return hashlib.scrypt(b"x", salt=b"y", n=1 << 14, r=8, p=1, maxmem=64 * _MIB)

    def pbkdf2() -> object:
        return hashlib.pbkdf2_hmac("sha1", b"x", b"y", _SOME_ROUNDS)

    wanted, some = (min(seconds(each) for _ in range(5)) for each in (scrypt, pbkdf2))
    return round(_SOME_ROUNDS * wanted / some)


def crowds(size: Sizes) -> Iterator[Figure]:
    """Many."""
    with serving({"preauth_seconds": size.preauth_seconds}) as server:
        server.hash_passwords(_rounds())
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
