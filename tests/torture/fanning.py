"""Many sessions that idle in one mailbox, and mail that comes to it."""

import asyncio
import re
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.processes import settle
from benchmarks.servers.base import PASSWORD, USERS
from tests.torture.asking import Asker, Ended
from tests.torture.figures import Figure, at_most, told
from tests.torture.serving import Served, fill, serving
from tests.torture.sizes import Sizes

_MESSAGES: Final = 100
#: Deliveries in a second, and those that come alone.
_A_SECOND: Final = 100
_ALONE_SECONDS: Final = 0.4
_ALONE: Final = 6
_LAG_SECONDS: Final = 1.0
#: What one more session may cost of a delivery: a line to write, and no look.
_MOST_MICROSECONDS: Final = 150.0
_PATIENCE_SECONDS: Final = 60.0
_EXISTS: Final = re.compile(rb"\* (\d+) EXISTS\r\n")
_MICRO: Final = 1e6


@dataclass(slots=True)
class _Idler:
    """What one session has been told: (how many exist, when)."""

    asker: Asker
    exists: list[tuple[int, float]] = field(default_factory=list)

    async def listen(self) -> None:
        """Hear until the connection is closed."""
        rest = b""
        while octets := await self.asker.link.read():
            now = time.monotonic()
            rest += octets
            found = [int(number) for number in _EXISTS.findall(rest)]
            if found:
                self.exists.append((found[-1], now))
            rest = rest[rest.rfind(b"\n") + 1 :]

    @property
    def told(self) -> int:
        """How many exist, as far as it knows."""
        return self.exists[-1][0] if self.exists else 0

    def lags(self, delivered: list[tuple[int, float]]) -> Iterator[float]:
        """How long after each delivery it knew of it."""
        heard = iter(self.exists)
        number, when = next(heard, (0, 0.0))
        for wanted, began in delivered:
            while number < wanted:
                number, when = next(heard, (wanted, float("inf")))
            yield max(0.0, when - began)


class _Mailbox:
    """The INBOX of a user; what is delivered to it is noted."""

    def __init__(self, maildir: Path) -> None:
        self._maildir = maildir
        self.exists = _MESSAGES
        self.delivered: list[tuple[int, float]] = []

    def deliver(self) -> None:
        """Deliver one message, as another program does."""
        self.exists += 1
        name = f"{time.time():.0f}.M{time.monotonic_ns()}P1.fanning"
        draft = self._maildir / "tmp" / name
        draft.write_bytes(b"Subject: news\n\nnews\n")
        self.delivered.append((self.exists, time.monotonic()))
        draft.rename(self._maildir / "new" / name)


async def _idle(server: Served, user: str, count: int) -> list[_Idler]:
    idlers = []
    for _ in range(count):
        asker = await Asker.connect(server.port, source=server.source())
        await asker.login(user, PASSWORD)
        await asker.ask(b"SELECT INBOX")
        await asker.idle()
        idlers.append(_Idler(asker))
    return idlers


async def _until_told(idlers: list[_Idler], exists: int) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while any(each.told < exists for each in idlers):
        if time.monotonic() > end:
            late = sum(each.told < exists for each in idlers)
            raise AssertionError(f"{late} of {len(idlers)} were never told {exists}")
        await asyncio.sleep(0.02)


async def _alone(server: Served, mailbox: _Mailbox, idlers: list[_Idler]) -> float:
    """Seconds that the server computes for one delivery, by the median."""
    costs = []
    for _ in range(_ALONE):
        before = server.cpu_seconds()
        mailbox.deliver()
        await _until_told(idlers, mailbox.exists)
        await asyncio.sleep(_ALONE_SECONDS)
        costs.append(server.cpu_seconds() - before)
    return statistics.median(costs)


async def _stream(mailbox: _Mailbox, idlers: list[_Idler], count: int) -> None:
    """So many in a row, at their pace, whoever is late."""
    began = time.monotonic()
    for number in range(count):
        due = began + number / _A_SECOND - time.monotonic()
        await asyncio.sleep(max(0.0, due))
        mailbox.deliver()
    await _until_told(idlers, mailbox.exists)


async def _all(server: Served, sizes: Sizes) -> tuple[float, float, float, list[float]]:
    """(a delivery with one session, with all, one of a stream, lags of the stream)."""
    user = USERS[0]
    mailbox = _Mailbox(server.maildir(user))
    idlers = await _idle(server, user, 1)
    hearing = [asyncio.create_task(idlers[0].listen())]
    try:
        one = await _alone(server, mailbox, idlers)
        more = await _idle(server, user, sizes.fanned - 1)
        hearing += [asyncio.create_task(each.listen()) for each in more]
        idlers += more
        await asyncio.to_thread(settle, [server.tree], 20)
        every = await _alone(server, mailbox, idlers)
        mailbox.delivered.clear()
        before = server.cpu_seconds()
        await _stream(mailbox, idlers, sizes.fanned_deliveries)
        streamed = (server.cpu_seconds() - before) / sizes.fanned_deliveries
        lags = [lag for each in idlers for lag in each.lags(mailbox.delivered)]
        ended = [task for task in hearing if task.done()]
        if ended:
            raise AssertionError(f"{len(ended)} sessions ended meanwhile")
    except Ended as error:
        raise AssertionError(f"a session ended: {error}") from error
    finally:
        for task in hearing:
            task.cancel()
        await asyncio.gather(*hearing, return_exceptions=True)
        for each in idlers:
            await each.asker.close()
    return one, every, streamed, lags


def fans(sizes: Sizes) -> Iterator[Figure]:
    """One look at a mailbox serves all of its sessions.  Hardening V13."""
    most = sizes.fanned + 10
    with serving(
        {"user_connections": most, "user_address_connections": most}
    ) as server:
        fill(server.maildir(USERS[0]), _MESSAGES, 500, 0)
        one, every, streamed, lags = asyncio.run(_all(server, sizes))
    name = f"{sizes.fanned} idle in one mailbox"
    each = (every - one) / max(1, sizes.fanned - 1) * _MICRO
    p99 = statistics.quantiles(lags, n=100)[98]
    yield told("V13", "1 idle in it: a delivery", one * 1000, "ms")
    yield told("V13", f"{name}: a delivery", every * 1000, "ms")
    bound = _MOST_MICROSECONDS * max(1.0, sizes.slack / 2)
    yield at_most("V13", f"{name}: one more session", each, "us", bound)
    rate = f"{name}, {_A_SECOND} deliveries a second"
    yield told("V13", f"{rate}: one of them", streamed * 1000, "ms")
    yield at_most("V13", f"{rate}: lag p99", p99, "s", _LAG_SECONDS * sizes.slack)
    yield told("V13", f"{rate}: lag, longest", max(lags), "s")
