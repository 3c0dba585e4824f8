"""Sessions of all kinds, one after the other, for as long as there is time.

What a session leaves behind is too little to see after one, and is seen after many: in
memory, in descriptors, and in what the server counts of connections.  The counts are
asked as any client can: a user whose sessions are all gone may open as many as are
allowed, and not one more.
"""

import asyncio
import contextlib
import math
import random
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Final

from benchmarks.processes import settle
from benchmarks.servers.base import PASSWORD, USERS
from tests.torture import inuse, plateau
from tests.torture.asking import Asker, Ended, Refused, any_certificate
from tests.torture.budget import Budget
from tests.torture.figures import Figure, at_least, at_most, told
from tests.torture.plateau import Rest
from tests.torture.serving import Served, fill, message, serving

#: At a time, and of how many users; of fewer where there is less time, for all of
#: their mailboxes have to be open once before anything can be compared.
_WORKERS: Final = 8
_USERS: Final = 40
_FEW_USERS: Final = 8
_FEW_SECONDS: Final = 60.0
_MESSAGES: Final = 20
#: What is remembered of an address is no part of a session; all are met while it warms.
_ADDRESSES: Final = 32
#: Of the time: caches fill, and the allocator finds its size.
_WARM_SHARE: Final = 0.3
_SAMPLE_SECONDS: Final = 2.0
#: So long accounts stay open here, in use and not, and not for ten minutes and for one:
#: what they leave when they are opened anew is seen in a minute as else in hours.
_OPEN_SECONDS: Final = 3.0
_KEEP_SECONDS: Final = 1.0
_CLOSED_SECONDS: Final = 2 * _KEEP_SECONDS + 1.5
#: As G23 has it, of so many sessions; of fewer it is told, for the allocator's size
#: goes up and down, and after each peak that is the highest so far it stays larger.
_MOST_SLOPE: Final = 1.0
_SLOPE_SESSIONS: Final = 1_000_000
#: What is in use when nobody is connected, and no account is open: no chance is in it
#: but that of caches, which fill in the first thousand sessions.
_MOST_OBJECTS: Final = 4000
_MOST_USED_MEBI: Final = 1.0
#: So often the work is interrupted for a rest, but not more often than each so many
#: seconds: a rest takes four or five.
_RESTS: Final = 24
_BETWEEN_SECONDS: Final = 20.0
_REST_SECONDS: Final = 4.5
#: The samples are taken together in so many: what is left of their mean is chance.
_BLOCKS: Final = 12
#: However short: what all sessions after the warm ones together may take.
_MOST_GROWTH_MEBI: Final = 4.0
#: Of one user, from one address and from all; from one address of anybody.
LIMITS: Final = {"user_address_connections": 5, "user_connections": 12}
_LEAST_SESSIONS: Final = 300
_MEBI: Final = 1 << 20


class Reopening(Served):
    """A server that closes accounts and opens them anew all the time."""

    script: ClassVar[str] = (
        "from tests.torture.inuse import install; "
        f"install({_OPEN_SECONDS}, {_KEEP_SECONDS}); "
        "from twisted.scripts.twistd import run; run()"
    )

    def in_use(self) -> tuple[int, int]:
        """Objects, and octets of them and of the rest."""
        self.tell(inuse.ASKED)
        end = time.monotonic() + 30
        while (told := inuse.read(self.folder)) is None:
            if time.monotonic() > end:
                raise AssertionError("the server does not answer a signal")
            time.sleep(0.05)
        return told


@dataclass(slots=True)
class Soaked:
    """What was done, and what the server took meanwhile."""

    users: int
    sessions: int = 0
    failed: list[str] = field(default_factory=list)
    #: (seconds, octets, sessions) now and then.
    samples: list[tuple[float, int, int]] = field(default_factory=list)
    #: At work.
    seconds: float = 0.0


async def _reads(asker: Asker, user: str, chance: random.Random) -> None:
    await asker.login(user, PASSWORD)
    await asker.ask(b"SELECT INBOX")
    await asker.ask(b"FETCH 1:* (FLAGS UID RFC822.SIZE ENVELOPE)")
    await asker.ask(b"FETCH %d BODY[]" % chance.randint(1, _MESSAGES))
    await asker.ask(b"LOGOUT")


async def _searches(asker: Asker, user: str, chance: random.Random) -> None:
    await asker.login(user, PASSWORD)
    await asker.ask(b'LIST "" *')
    await asker.ask(b"STATUS INBOX (MESSAGES UNSEEN UIDNEXT)")
    await asker.ask(b"EXAMINE INBOX")
    await asker.ask(b"SEARCH TEXT garden")
    await asker.ask(b"CLOSE")


async def _changes(asker: Asker, user: str, chance: random.Random) -> None:
    """Others do the same to the same mailbox: it is empty in the end, or nearly so."""
    await asker.login(user, PASSWORD)
    await asker.ask(b"APPEND Sent", message("soak", 500, chance))
    await asker.ask(b"SELECT Sent")
    await asker.ask(b"UID STORE 1:* +FLAGS.SILENT (\\Deleted)")
    await asker.ask(b"EXPUNGE")
    await asker.ask(b"LOGOUT")


async def _idles(asker: Asker, user: str, chance: random.Random) -> None:
    await asker.login(user, PASSWORD)
    await asker.ask(b"SELECT INBOX")
    await asker.idle()


async def _guesses(asker: Asker, user: str, chance: random.Random) -> None:
    for name in (user, "nobody"):
        try:
            await asker.login(name, "wrong")
        except Refused:
            continue
        raise AssertionError("a wrong password was taken")


async def _breaks_off(asker: Asker, user: str, chance: random.Random) -> None:
    """In the middle of a command, of a literal, of an exchange, of an answer."""
    if chance.random() < 0.5:
        await asker.login(user, PASSWORD)
        await asker.ask(b"SELECT INBOX")
    unfinished = (b"a APPEND Sent {5000}\r\n", b"a AUTHENTICATE PLAIN\r\n", b"a NO")
    answered = (b"a FETCH 1:* BODY[]\r\n", b"a LOGIN {4}\r\n", b"a BOGUS\r\n")
    await asker.link.write(chance.choice(unfinished + answered))


async def _leaves(asker: Asker, user: str, chance: random.Random) -> None:
    """Without a word."""


KINDS: Final[tuple[Callable[[Asker, str, random.Random], Awaitable[None]], ...]] = (
    *(_reads, _searches, _changes, _idles, _guesses, _breaks_off, _leaves),
)


async def _session(server: Served, users: int, chance: random.Random) -> None:
    tls = any_certificate() if chance.random() < 0.2 else None
    port = server.port if tls is None else server.tls_port
    user = USERS[chance.randrange(users)]
    kind = chance.choice(KINDS)
    source = f"127.8.{chance.randrange(_ADDRESSES)}.1"
    if kind is _guesses:  # from elsewhere each time: who guesses again has to wait
        source = server.source()
    asker = await Asker.connect(port, source=source, tls=tls)
    try:
        await kind(asker, user, chance)
    finally:
        await asker.close()


async def _work(
    server: Served, chance: random.Random, soaked: Soaked, until: Callable[[], bool]
) -> None:
    while not until():
        try:
            await _session(server, soaked.users, chance)
        except (Ended, OSError) as error:
            soaked.failed.append(repr(error))
        except Refused as error:
            # So many of one user at once, for which chance is to blame.
            if b"[LIMIT]" not in error.args[0]:
                soaked.failed.append(repr(error))
        soaked.sessions += 1


async def _watch(server: Served, soaked: Soaked, until: Callable[[], bool]) -> None:
    while not until():
        now = time.monotonic()
        soaked.samples.append((now, server.own_octets(), soaked.sessions))
        await asyncio.sleep(_SAMPLE_SECONDS)


async def _soak(server: Served, seed: str, soaked: Soaked, seconds: float) -> None:
    """For so long, and at least for as many sessions as make it warm."""
    began = time.monotonic()
    end, least = began + seconds, soaked.sessions + _LEAST_SESSIONS

    def until() -> bool:
        return time.monotonic() >= end and soaked.sessions >= least

    workers = [
        _work(server, random.Random(f"{seed}:{number}"), soaked, until)
        for number in range(_WORKERS)
    ]
    await asyncio.gather(_watch(server, soaked, until), *workers)
    soaked.seconds += time.monotonic() - began


def slope(samples: list[tuple[float, int, int]]) -> tuple[float, float]:
    """MiB in an hour, by the least squares; and what it may be wrong by, twice.

    That is two standard errors: of twenty runs one is further from the truth.
    """
    size = max(1, len(samples) // _BLOCKS)
    blocks = [samples[at : at + size] for at in range(0, len(samples), size)]
    hours = [statistics.fmean(one[0] for one in block) / 3600 for block in blocks]
    sizes = [statistics.fmean(one[1] for one in block) / _MEBI for block in blocks]
    if len(blocks) < 3:
        return 0.0, math.inf
    rise, begin = statistics.linear_regression(hours, sizes)
    middle = statistics.fmean(hours)
    spread = sum((hour - middle) ** 2 for hour in hours)
    apart = sum(
        (size - begin - rise * hour) ** 2
        for hour, size in zip(hours, sizes, strict=True)
    )
    return rise, 2 * math.sqrt(apart / (len(blocks) - 2) / spread)


def _descriptors(server: Served) -> Counter[str]:
    """What is open, but for the three pipes to an indexer.

    One comes and goes when it likes: what is looked at twice is not halfway.
    """
    before: tuple[Counter[str], int] | None = None
    for _ in range(50):
        found = server.descriptors(), len(server.tree.pids()) - 1
        if found == before:
            break
        before = found
        time.sleep(0.1)
    files, indexers = found
    files["pipe"] -= 3 * indexers
    return files


def _at_rest(server: Reopening, soaked: Soaked) -> Rest:
    """When nobody is connected, and what waits a while is closed."""
    settle([server.tree], 30)
    time.sleep(_CLOSED_SECONDS)
    settle([server.tree], 30)
    files = _descriptors(server)
    own = server.own_octets()
    return Rest(files, own, *server.in_use(), soaked.seconds, soaked.sessions)


async def _admitted(server: Served, user: str, sources: list[str]) -> int:
    """How many sessions of a user are let in, one from each of these addresses."""
    askers, admitted = [], 0
    try:
        for source in sources:
            asker = await Asker.connect(server.port, source=source)
            askers.append(asker)
            try:
                await asker.login(user, PASSWORD)
            except Refused as error:
                if b"[LIMIT]" not in error.args[0]:
                    raise
            else:
                admitted += 1
    finally:
        for asker in askers:
            await asker.close()
    return admitted


def _still_counted(server: Served, users: int) -> int:
    """Sessions that the server counts although there are none.

    More than are allowed are opened of each user: so many as are not let in were
    counted before.  Counts of less than nothing let more in, and are told too.
    """
    wrong = 0
    anywhere = LIMITS["user_connections"]
    here = LIMITS["user_address_connections"]
    for user in USERS[:users]:
        many = [f"127.9.{number}.1" for number in range(anywhere + 2)]
        for sources, allowed in ((many, anywhere), (["127.9.99.1"] * (here + 2), here)):
            wrong += abs(allowed - asyncio.run(_admitted(server, user, sources)))
            settle([server.tree], 10)
    return wrong


@contextlib.contextmanager
def reopening() -> Iterator[Reopening]:
    """A server for this harness."""
    with serving(LIMITS, kind=Reopening) as server:
        assert isinstance(server, Reopening)
        yield server


def run(budget: Budget) -> Iterator[Figure]:
    """G23.  Hardening V06, V11."""
    users = _FEW_USERS if budget.seconds < _FEW_SECONDS else _USERS
    soaked = Soaked(users)
    with reopening() as server:
        for number, user in enumerate(USERS[:users]):
            fill(server.maildir(user), _MESSAGES, 2000, number)
        for user in USERS[:users]:
            connection = server.connect(user)
            connection.command(b"CREATE Sent")
            connection.logout()
        warm = budget.seconds * _WARM_SHARE
        asyncio.run(_soak(server, f"warm:{budget.seed}", soaked, warm))
        rests = [_at_rest(server, soaked)]
        soaked.samples.clear()
        end = time.monotonic() + max(0.0, budget.seconds - warm)
        parts = min(_RESTS, max(1, int((end - time.monotonic()) / _BETWEEN_SECONDS)))
        for part in range(parts, 0, -1):
            left = max(0.0, end - time.monotonic()) / part - _REST_SECONDS
            seed = f"soak:{budget.seed}:{part}"
            asyncio.run(_soak(server, seed, soaked, left))
            rests.append(_at_rest(server, soaked))
        counted = _still_counted(server, users)
    if soaked.failed:
        count = len(soaked.failed)
        raise AssertionError(f"{count} sessions failed, such as {soaked.failed[:3]}")
    rest, after = rests[0], rests[-1]
    sessions, seconds = after.sessions - rest.sessions, after.seconds - rest.seconds
    yield at_least("G23", "soak: sessions", soaked.sessions, "sessions", 300)
    yield told("G23", "soak: sessions a second", sessions / seconds, "sessions/s")
    objects = after.objects - rest.objects
    yield at_most("G23", "soak: objects left", objects, "objects", _MOST_OBJECTS)
    used = (after.used_octets - rest.used_octets) / _MEBI
    yield at_most("G23", "soak: memory in use", used, "MiB", _MOST_USED_MEBI)
    grown = (after.own_octets - rest.own_octets) / _MEBI
    yield at_most("G23", "soak: memory", grown, "MiB", _MOST_GROWTH_MEBI)
    rise, wrong = slope(soaked.samples)
    yield told("G23", "soak: memory, slope", rise, "MiB/h")
    yield told("G23", "soak: memory, slope may be wrong by", wrong, "MiB/h")
    if sessions >= _SLOPE_SESSIONS:
        least = rise - wrong
        yield at_most("G23", "soak: slope at least", least, "MiB/h", _MOST_SLOPE)
    yield from plateau.figures(rests)
    left_open = Counter(after.files)
    left_open.subtract(rest.files)
    if any(left_open.values()):
        print("descriptors:", {name: n for name, n in left_open.items() if n})
    files_left = left_open.total()
    yield at_most("G23", "soak: descriptors left", files_left, "descriptors", 0)
    yield at_most("G23", "soak: still counted", counted, "sessions", 0)
