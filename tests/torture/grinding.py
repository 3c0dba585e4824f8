"""Clients that keep the server at work: appends at once, searches that never end."""

import asyncio
import multiprocessing
import os
import random
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

from benchmarks.client import Connection, Door
from benchmarks.servers.base import PASSWORD, USERS
from tests.torture.asking import Asker
from tests.torture.figures import Figure, at_least, at_most, told
from tests.torture.probing import probing
from tests.torture.serving import Served, fill, message
from tests.torture.sizes import Sizes

_OF_A_USER = 20
_OCTETS = 2000
_SEARCHED = "user900"

_NOBODY = b" ".join(b'OR BODY "nowhere%d"' % number for number in range(30))
_ODD = b",".join(b"%d" % number for number in range(1, 10_000, 2))
#: The worst that one can ask for, over and over.
HOSTILE = (
    b'SEARCH %s BODY "at all"' % _NOBODY,
    b"SEARCH TEXT nowhereatall",
    b'SEARCH HEADER X-Nobody "" NOT HEADER Subject "text"',
    b"UID SEARCH UID %s NOT UID %s" % (_ODD, _ODD),
    b"THREAD REFERENCES UTF-8 ALL",
    b"SORT (SUBJECT REVERSE DATE FROM SIZE) UTF-8 TEXT water",
    b"FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE)",
    b"SEARCH " + b"NOT " * 400 + b'SUBJECT "nowhereatall"',
)


def _be_hostile(door: Door, user: str, command: bytes) -> None:
    """Ask, read, ask again, until killed; in a process of its own."""
    connection = Connection(door)
    connection.login(user, PASSWORD)
    connection.select()
    while True:
        connection.command(command)


def hostile(server: Served, sizes: Sizes) -> Iterator[Figure]:
    """Eight ask for the worst, all the while; when they leave, so does the work.

    Hardening P13, V03, V04.
    """
    fill(server.maildir(_SEARCHED), sizes.messages, _OCTETS, 1)
    connection = server.connect(_SEARCHED)
    connection.select()
    connection.logout()
    context = multiprocessing.get_context("fork")
    started: list[BaseProcess] = []
    with probing(server, _SEARCHED) as probe:
        try:
            for command in HOSTILE:
                arguments = (server.door(_SEARCHED), _SEARCHED, command)
                one = context.Process(target=_be_hostile, args=arguments, daemon=True)
                one.start()
                started.append(one)
            time.sleep(sizes.hostile_seconds)
            alive = sum(process.is_alive() for process in started)
        finally:
            for process in started:
                process.kill()
            for process in started:
                process.join()
    stopped = _until_quiet(server)
    name = f"8 hostile, {sizes.messages} messages"
    yield from probe.figures("G16", name, sizes.slack)
    yield at_least("G16", f"{name}: held out", alive, "clients", len(HOSTILE))
    yield at_most("G16", f"{name}: work after they left", stopped, "s", sizes.slack)


def _until_quiet(server: Served) -> float:
    """Seconds until the server has nothing to do any more."""
    began = time.monotonic()
    while time.monotonic() < began + 60:
        before, since = server.cpu_seconds(), time.monotonic()
        time.sleep(0.1)
        if server.cpu_seconds() - before < 0.1 * (time.monotonic() - since):
            return since - began
    return time.monotonic() - began


def appends(server: Served, sizes: Sizes) -> Iterator[Figure]:
    """Many append at once; then one does, a thousand in one command.

    Each message that is answered with OK is on the disk.
    """
    rate = _syncs_per_second(server.mail)
    users = USERS[300 : 301 + (sizes.appenders - 1) // _OF_A_USER]
    began = time.monotonic()
    acknowledged = asyncio.run(_append_all(server, users, sizes))
    seconds = time.monotonic() - began
    lost = sum(
        len(subjects - _subjects(server.maildir(user)))
        for user, subjects in acknowledged.items()
    )
    count = sum(len(subjects) for subjects in acknowledged.values())
    name = f"{sizes.appenders} appending"
    wanted = sizes.appenders * sizes.appends
    yield at_least("G18", f"{name}: answered with OK", count, "messages", wanted)
    yield at_most("G18", f"{name}: lost", lost, "messages", 0)
    yield told("G18", "file and folder synchronised", rate, "a second")
    per_second = count / seconds
    if sizes.judges_rates:
        yield at_least("G18", f"{name}: rate", per_second, "a second", 0.8 * rate)
    else:
        yield told("G18", f"{name}: rate", per_second, "a second")
    grouped = asyncio.run(_append_grouped(server, sizes.grouped))
    if sizes.judges_rates:
        yield at_least("G18", f"{sizes.grouped} in one", grouped, "a second", 1500)
    else:
        yield told("G18", f"{sizes.grouped} in one", grouped, "a second")


def _syncs_per_second(folder: Path) -> float:
    """How many files of a message's size one thread makes durable here."""
    octets, count, began = b"x" * _OCTETS, 0, time.monotonic()
    directory = os.open(folder, os.O_RDONLY)
    try:
        while time.monotonic() < began + 1:
            with open(folder / "probe.tmp", "wb") as file:
                file.write(octets)
                file.flush()
                os.fsync(file.fileno())
            os.rename(folder / "probe.tmp", folder / "probe")
            os.fsync(directory)
            count += 1
    finally:
        os.close(directory)
    os.unlink(folder / "probe")
    return count / (time.monotonic() - began)


async def _append_all(
    server: Served, users: tuple[str, ...], sizes: Sizes
) -> dict[str, set[str]]:
    """Return the subjects of what was answered with OK, of each user."""
    kept: dict[str, set[str]] = {user: set() for user in users}
    ready = asyncio.Event()

    async def one(number: int) -> None:
        user, chance = users[number % len(users)], random.Random(number)
        asker = await Asker.connect(server.port, source=server.source())
        try:
            await asker.login(user, PASSWORD)
            await ready.wait()
            for turn in range(sizes.appends):
                subject = f"a{number}-{turn}"
                octets = message(subject, _OCTETS, chance)
                await asker.ask(b"APPEND INBOX", octets)
                kept[user].add(subject)
        finally:
            await asker.close()

    async with asyncio.TaskGroup() as all_of_them:
        for number in range(sizes.appenders):
            all_of_them.create_task(one(number))
        ready.set()
    return kept


def _subjects(maildir: Path) -> set[str]:
    """Of the messages in a Maildir, as they are on the disk."""
    return {
        path.read_bytes().partition(b"Subject: ")[2].split(b"\n")[0].strip().decode()
        for part in ("cur", "new")
        for path in (maildir / part).iterdir()
    }


async def _append_grouped(server: Served, count: int) -> float:
    """So many messages in one APPEND; return how many a second.  RFC 3502."""
    user, chance = "user800", random.Random("grouped")
    asker = await Asker.connect(server.port, source=server.source())
    try:
        await asker.login(user, PASSWORD)
        messages = [message(f"g{n}", _OCTETS, chance) for n in range(count)]
        parts = [b"{%d+}\r\n%s" % (len(each), each) for each in messages[:-1]]
        began = time.monotonic()
        await asker.ask(b"APPEND INBOX " + b" ".join(parts), messages[-1])
        seconds = time.monotonic() - began
        answer = await asker.ask(b"SELECT INBOX")
    finally:
        await asker.close()
    if b"* %d EXISTS\r\n" % count not in answer:
        raise AssertionError(f"of {count} in one APPEND: {answer!r}")
    return count / seconds
