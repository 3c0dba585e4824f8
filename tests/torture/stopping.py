"""A server that is told to stop, to reload, or to begin anew, while clients are there.

Nobody is left without a word, nobody is refused, and what was answered with OK is
there afterwards.
"""

import asyncio
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.servers.base import PASSWORD
from tests.torture.asking import Asker, Ended, Refused
from tests.torture.budget import Budget
from tests.torture.figures import Figure, at_least, at_most, told
from tests.torture.renewing import reloads, restarts
from tests.torture.serving import Served, fill, message, serving

#: From here on the numbers are those of a night.
_LONG_SECONDS = 120
_OF_A_USER = 10
_MESSAGES = 30
#: The promise, and what a busy machine may add to see it.
STOP_SECONDS = 10.0


@dataclass
class _Seen:
    """What all sessions together saw."""

    busy: int = 0
    commands: int = 0
    with_bye: int = 0
    silent: list[bytes] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    #: (user, subject) of each message that was answered with OK.
    kept: list[tuple[str, str]] = field(default_factory=list)


async def _work(
    asker: Asker, user: str, name: str, chance: random.Random, seen: _Seen
) -> None:
    """One command after the other, until the server ends it."""
    await asker.login(user, PASSWORD)
    await asker.ask(b"SELECT INBOX")
    seen.busy += 1
    number = 0
    while True:
        number += 1
        subject = f"{name}-{number}"
        match chance.randrange(6):
            case 0 | 1:
                octets = message(subject, 2000, chance)
                await asker.ask(b"APPEND INBOX", octets)
                seen.kept.append((user, subject))
            case 2:
                await asker.ask(b"FETCH 1:20 (FLAGS BODY.PEEK[])")
            case 3:
                await asker.ask(b"SEARCH TEXT nowhereatall")
            case 4:
                await asker.ask(b"STORE 1:10 +FLAGS (\\Flagged)")
            case 5:
                await asker.ask(b"COPY 1:3 INBOX")
        seen.commands += 1


async def _session(
    server: Served, user: str, name: str, chance: random.Random, seen: _Seen
) -> None:
    asker = await Asker.connect(server.port, source=server.source())
    try:
        await _work(asker, user, name, chance, seen)
    except Ended as error:
        if error.with_bye:
            seen.with_bye += 1
        else:
            seen.silent.append(error.said[-200:])
    except Refused as error:
        seen.failed.append(str(error))
    finally:
        await asker.close()


async def _stopped(
    server: Served, sessions: int, chance: random.Random, times: int
) -> tuple[_Seen, float]:
    """Tell a server to stop while all are at work; return how long it took."""
    seen = _Seen()
    tasks = [
        asyncio.create_task(_session(server, _user(number), f"s{number}", chance, seen))
        for number in range(sessions)
    ]
    end = time.monotonic() + 120
    while seen.busy < sessions and time.monotonic() < end:
        await asyncio.sleep(0.02)
        if any(task.done() for task in tasks):
            await asyncio.gather(*tasks)
            raise AssertionError(f"ended before: {seen.silent} {seen.failed}")
    await asyncio.sleep(0.3 + chance.random())
    began = time.monotonic()
    server.tell(signal.SIGTERM)
    if times > 1:
        while "] stopping" not in server.log():
            await asyncio.sleep(0.01)
        began = time.monotonic()
        server.tell(signal.SIGTERM)
    ended = await asyncio.to_thread(server.ended_within, 60)
    seconds = time.monotonic() - began
    await asyncio.gather(*tasks)
    if not ended:
        raise AssertionError("SIGTERM, and it still runs after a minute")
    return seen, seconds


def _user(number: int) -> str:
    return f"user{1 + number // _OF_A_USER}"


def _lost(server: Served, seen: _Seen) -> list[str]:
    """Subjects that were answered with OK and are not on the disk."""
    found: set[tuple[str, str]] = set()
    for user in {user for user, _ in seen.kept}:
        for part in ("cur", "new"):
            for path in (server.maildir(user) / part).iterdir():
                # On disk its lines may end as the system's do.
                octets = path.read_bytes().replace(b"\r\n", b"\n")
                subject = octets.partition(b"Subject: ")[2].partition(b"\n")[0]
                if len(octets) > 1900 and octets.endswith(b"\n"):
                    found.add((user, subject.decode()))
    return [f"{user} {name}" for user, name in seen.kept if (user, name) not in found]


def _stops(
    sessions: int, chance: random.Random, slack: float, options: tuple[str, ...]
) -> Iterator[Figure]:
    for times, what in ((1, "SIGTERM"), (2, "SIGTERM twice")):
        with serving(options=options) as server:
            for number in range(0, sessions, _OF_A_USER):
                fill(server.maildir(_user(number)), _MESSAGES, 2000, number)
            seen, seconds = asyncio.run(_stopped(server, sessions, chance, times))
            server.check()
            if seen.failed:
                raise AssertionError(f"{what}: {seen.failed[:3]}")
            lost = _lost(server, seen)
        if lost:
            raise AssertionError(f"{what}: answered with OK, and lost: {lost[:5]}")
        yield told("G22", f"{what}, busy sessions", sessions, "sessions")
        yield at_least("G22", f"{what}, commands before", seen.commands, "commands", 1)
        yield told("G22", f"{what}, messages kept", len(seen.kept), "messages")
        silent, words = len(seen.silent), f"{what}, left without a word"
        if times > 1:  # it waits for nobody: those need not hear of it
            yield told("G22", words, silent, "sessions")
        elif silent:
            raise AssertionError(f"{what}: {silent} heard no BYE: {seen.silent[:3]}")
        else:
            yield at_most("G22", words, silent, "sessions", 0)
        bound = STOP_SECONDS if times == 1 else 1.0
        yield at_most("G22", f"{what}, until the end", seconds, "s", bound + slack)


def run(budget: Budget) -> Iterator[Figure]:
    """Stop, reload and restart servers at work.  Hardening V09, V10, A11."""
    chance = random.Random(f"stopping:{budget.seed}")
    is_long = budget.seconds >= _LONG_SECONDS
    slack = 1.0 if is_long else 10.0
    yield from _stops(500 if is_long else 40, chance, slack, ())
    yield from reloads(100, 20 if is_long else 1)
    yield from restarts(20 if is_long else 2, workers=0)
    if is_long:
        yield from restarts(20, workers=2)
        yield from _stops(100, chance, slack, ("--workers=2",))
