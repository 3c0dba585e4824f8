"""Commands that read the whole mailbox, or one message: each is a row of a table."""

import random
from dataclasses import dataclass
from enum import Enum
from typing import Final

from benchmarks.bench import Bench, selected
from benchmarks.client import Connection
from benchmarks.mail import words
from benchmarks.servers import Server

#: What Thunderbird asks for to fill its list of messages.
HEADERS: Final = (
    b"UID FETCH 1:* (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc Bcc "
    b"Subject Date Message-ID Priority X-Priority References Newsgroups In-Reply-To "
    b"Content-Type Reply-To)])"
)
_MEGABYTE = 1e6
#: What is asked for once, a server may not keep; what is asked for twice, it may.
_WARM_UPS = 3


class Unit(Enum):
    """What the cost is divided by."""

    COMMAND = "command"
    MESSAGE = "message"
    MEGABYTE = "MB"


@dataclass(frozen=True)
class Reading:
    """A command on the selected mailbox that changes nothing."""

    name: str
    command: bytes
    unit: Unit
    #: Without this capability a server has no such command.
    capability: str = "IMAP4REV1"
    #: Measured on a Maildir that the server never saw, too.
    cold: bool = False
    #: Compared between a small and a large mailbox, too.
    growth: bool = True


READINGS: Final = (
    Reading("select", b"SELECT INBOX", Unit.COMMAND),
    Reading("flags", b"FETCH 1:* (UID FLAGS)", Unit.MESSAGE),
    Reading(
        "envelope",
        b"FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)",
        Unit.MESSAGE,
        cold=True,
    ),
    Reading("structure", b"FETCH 1:* (BODYSTRUCTURE)", Unit.MESSAGE, cold=True),
    Reading("headers", HEADERS, Unit.MESSAGE, cold=True),
    Reading("bodies", b"UID FETCH 1:* BODY.PEEK[]", Unit.MEGABYTE),
    Reading("search-flags", b"UID SEARCH UNSEEN", Unit.COMMAND),
    Reading(
        "search-header",
        b"SEARCH SUBJECT " + words.SUBJECT_WORD.encode(),
        Unit.COMMAND,
    ),
    Reading("search-body", b"SEARCH BODY " + words.RARE_WORD.encode(), Unit.COMMAND),
    Reading("search-text", b"SEARCH TEXT " + words.COMMON_WORD.encode(), Unit.COMMAND),
    Reading("sort", b"SORT (DATE) UTF-8 ALL", Unit.COMMAND, capability="SORT"),
    Reading(
        "thread",
        b"THREAD REFERENCES UTF-8 ALL",
        Unit.COMMAND,
        capability="THREAD=REFERENCES",
    ),
)


def warm(bench: Bench, reading: Reading) -> None:
    """Again and again on one connection: all that can be cached is."""

    def measure(server: Server, connection: Connection, turn: int) -> None:
        measure_reading(bench, server, connection, reading)

    bench.interleave(
        lambda server: selected(server, bench.reader(server)),
        measure,
        Connection.logout,
        servers=bench.supporting(reading.capability),
    )


def measure_reading(
    bench: Bench,
    server: Server,
    connection: Connection,
    reading: Reading,
    *,
    metric: str = "",
    unit: Unit | None = None,
) -> None:
    """Measure one round of it, as another ``metric`` in another ``unit`` if named."""
    exists, unit = connection.select(), unit or reading.unit

    def action() -> float:
        octets = connection.command(reading.command)
        if unit is Unit.MEGABYTE:
            return octets / _MEGABYTE
        return exists if unit is Unit.MESSAGE else 1

    with bench.span(server, metric or reading.name, unit.value) as span:
        span.count = bench.repeat(action, warm_ups=_WARM_UPS)


def cold(bench: Bench, reading: Reading) -> None:
    """The first FETCH of a Maildir the server never saw, right after its SELECT."""

    def measure(server: Server, _: None, turn: int) -> None:
        with bench.fresh_account(server, "mixed", bench.options.messages) as user:
            measure_cold_fetch(bench, server, user, reading, f"{reading.name}-cold")

    bench.interleave(_nothing, measure, warm_up=False)
    bench.results.note(
        f"{reading.name}-cold",
        "a fresh Maildir each round, the FETCH right after SELECT; a server that "
        "indexes in the background has only that moment's lead; the page cache is warm",
    )


def measure_cold_fetch(
    bench: Bench, server: Server, user: str, reading: Reading, metric: str
) -> None:
    """Measure one first FETCH; per message."""
    bench.settle()
    connection = server.connect(user)
    try:
        exists = connection.select()
        with bench.span(server, metric, Unit.MESSAGE.value, at_once=True) as span:
            connection.command(reading.command)
            span.count = exists
    finally:
        connection.logout()


def select_cold(bench: Bench) -> None:
    """The first SELECT of a Maildir the server never saw."""

    def measure(server: Server, _: None, turn: int) -> None:
        with bench.fresh_account(server, "mixed", bench.options.messages) as user:
            measure_cold_select(bench, server, user, "select-cold", Unit.COMMAND)

    bench.interleave(_nothing, measure, warm_up=False)
    bench.results.note(
        "select-cold", "a Maildir without any index or UID list; the page cache is warm"
    )


def measure_cold_select(
    bench: Bench, server: Server, user: str, metric: str, unit: Unit
) -> None:
    """Measure one first SELECT."""
    connection = server.connect(user)
    try:
        with bench.span(server, metric, unit.value) as span:
            exists = connection.select()
            span.count = exists if unit is Unit.MESSAGE else 1
    finally:
        connection.logout()


def one_body(bench: Bench) -> None:
    """One whole message at a random place."""

    def prepare(server: Server) -> tuple[Connection, list[int]]:
        connection = selected(server, bench.reader(server))
        return connection, connection.uids()

    def measure(server: Server, state: tuple[Connection, list[int]], turn: int) -> None:
        connection, uids = state
        rng = random.Random(turn)  # the same places for every server

        def action() -> float:
            connection.command(b"UID FETCH %d BODY.PEEK[]" % rng.choice(uids))
            return 1

        with bench.span(server, "one-body", "message") as span:
            span.count = bench.repeat(action, 50)

    bench.interleave(prepare, measure, lambda state: state[0].logout())


def _nothing(server: Server) -> None:
    """There is nothing to prepare."""
