"""What clients do: come back after a while, and a working day of twenty of them."""

import itertools
import random
import re

from benchmarks.bench import Bench, selected
from benchmarks.client import Connection
from benchmarks.crowd import Raw, Script, Sleep
from benchmarks.scenarios.logins import AT_ONCE, run_crowd
from benchmarks.servers import Server

_DAY_USERS = tuple(f"user{number}" for number in range(11, 11 + AT_ONCE))
_DAY_MESSAGES = 1000
_CHANGES = 50


def _select(server: Server, connection: Connection) -> tuple[int, int]:
    """SELECT INBOX; return its UIDVALIDITY and its HIGHESTMODSEQ, or 0 for none."""
    condstore = "CONDSTORE" in server.capabilities
    answer = connection.ask(b"SELECT INBOX" + (b" (CONDSTORE)" if condstore else b""))
    numbers = [
        re.search(rb"%s (\d+)" % name, answer)
        for name in (b"UIDVALIDITY", b"HIGHESTMODSEQ")
    ]
    validity, modseq = (int(number[1]) if number else 0 for number in numbers)
    return validity, modseq


def resync(bench: Bench) -> None:
    """Connect and learn what changed, in the best way that the server has."""

    def prepare(server: Server) -> Connection:
        return selected(server, bench.writer(server))

    def measure(server: Server, connection: Connection, turn: int) -> None:
        known = _select(server, connection)
        every = connection.uids()
        chosen = random.Random(turn).sample(every, min(_CHANGES, len(every)))
        uids = b",".join(b"%d" % uid for uid in sorted(chosen))
        sign = b"+" if turn % 2 else b"-"
        connection.command(b"UID STORE %s %sFLAGS.SILENT (\\Answered)" % (uids, sign))
        with bench.span(server, "resync", "resync"):
            again = server.connect(bench.writer(server))
            way = _catch_up(server, again, *known)
        again.logout()
        bench.results.note("resync", f"{server.name} by {way}")

    bench.interleave(prepare, measure, Connection.logout)


def _catch_up(
    server: Server, connection: Connection, validity: int, modseq: int
) -> str:
    """Return the way it was done."""
    if modseq and "QRESYNC" in server.capabilities:
        connection.command(b"ENABLE QRESYNC")
        connection.command(b"SELECT INBOX (QRESYNC (%d %d))" % (validity, modseq))
        return "QRESYNC"
    if modseq and "CONDSTORE" in server.capabilities:
        connection.command(b"SELECT INBOX (CONDSTORE)")
        connection.command(b"UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d)" % modseq)
        return "CONDSTORE"
    connection.command(b"SELECT INBOX")
    connection.command(b"UID FETCH 1:* (FLAGS)")
    return "all flags"


def _session(
    server: Server, user: str, uids: list[int], modseq: int, number: int
) -> Script:
    """One sitting: catch up, read twenty messages, mark three, wait, leave."""
    rng = random.Random(number)
    yield from server.login_steps(user)
    yield b"SELECT INBOX"
    if modseq:
        yield b"UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d)" % modseq
    else:
        yield b"UID FETCH 1:* (FLAGS)"
    chosen = [rng.choice(uids) for _ in range(20)]
    for uid in chosen:
        yield b"UID FETCH %d (UID FLAGS BODY.PEEK[])" % uid
    marked = b",".join(b"%d" % uid for uid in sorted(set(chosen[:3])))
    sign = b"+" if number % 2 else b"-"
    yield b"UID STORE %s %sFLAGS.SILENT (\\Seen)" % (marked, sign)
    yield Raw(b"i IDLE\r\n")
    yield Sleep(0.1)
    yield Raw(b"DONE\r\n")
    yield b"LOGOUT"


def mixed(bench: Bench) -> None:
    """Twenty users at once, each on a mailbox of a thousand messages."""
    users = itertools.cycle(_DAY_USERS)
    numbers = itertools.count()

    def prepare(server: Server) -> dict[str, tuple[list[int], int]]:
        known = {}
        for user in _DAY_USERS:
            bench.account(server, user, "mixed", _DAY_MESSAGES)
            connection = server.connect(user)
            _, modseq = _select(server, connection)
            known[user] = connection.uids(), modseq
            connection.logout()
        return known

    def measure(
        server: Server, known: dict[str, tuple[list[int], int]], turn: int
    ) -> None:
        done = 0

        def script(user: str) -> Script:
            nonlocal done
            yield from _session(server, user, *known[user], next(numbers))
            done += 1

        def make() -> tuple[str, Script]:
            user = next(users)
            return user, script(user)

        with bench.span(server, "mixed", "session") as span:
            run_crowd(bench, server, AT_ONCE, 4 * bench.seconds, make)
            span.count = done

    bench.interleave(prepare, measure)
