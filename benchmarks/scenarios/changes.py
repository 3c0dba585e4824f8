"""Commands that change a mailbox: STORE, APPEND, COPY, MOVE, EXPUNGE."""

import contextlib
import random
from collections.abc import Callable

from benchmarks.bench import Bench, selected
from benchmarks.client import Connection, Refused
from benchmarks.mail import words
from benchmarks.servers import Courier, Server

#: Which user's mail is changed.
Account = Callable[[Server], str]

_STORES = 200
_APPENDS = 100
_COPIES = 1000
_HEADER = (
    "Subject: appended\r\nFrom: a@example.com\r\nTo: b@example.com\r\n"
    "Date: Mon, 14 Sep 2020 10:00:00 +0000\r\nMessage-ID: <{}.{}@example.com>\r\n"
    "MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n"
)


def store(bench: Bench) -> None:
    r"""One message's \Flagged, again and again, at random places."""

    def prepare(server: Server) -> tuple[Connection, list[int]]:
        connection = selected(server, bench.writer(server))
        return connection, connection.uids()

    def measure(server: Server, state: tuple[Connection, list[int]], turn: int) -> None:
        connection, uids = state
        chosen = random.Random(turn).sample(uids, min(_STORES, len(uids)))
        now, before = (b"+", b"-") if turn % 2 else (b"-", b"+")
        # Each timed STORE has to be a change.
        everywhere = b",".join(b"%d" % uid for uid in chosen)
        connection.command(
            b"UID STORE %s %sFLAGS.SILENT (\\Flagged)" % (everywhere, before)
        )
        with bench.span(server, "store", "command") as span:
            for uid in chosen:
                connection.command(b"UID STORE %d %sFLAGS (\\Flagged)" % (uid, now))
            span.count = len(chosen)

    bench.interleave(prepare, measure, lambda state: state[0].logout())


def store_all(bench: Bench, account: Account, metric: str, rounds: int) -> None:
    r"""Every message's \Seen in one command."""

    def measure(server: Server, connection: Connection, turn: int) -> None:
        exists = connection.select()
        connection.command(b"STORE 1:* -FLAGS.SILENT (\\Seen)")
        with bench.span(server, metric, "message") as span:
            connection.command(b"STORE 1:* +FLAGS.SILENT (\\Seen)")
            span.count = exists

    bench.interleave(
        lambda server: selected(server, account(server)),
        measure,
        Connection.logout,
        rounds=rounds,
        warm_up=False,
    )


def _make_mailbox(connection: Connection, name: bytes) -> None:
    with contextlib.suppress(Refused):
        connection.command(b"DELETE " + name)
    connection.command(b"CREATE " + name)


def append(bench: Bench) -> None:
    """Messages of 4 KB, each in a command of its own."""
    text = "\r\n".join(words.LINES[:60])

    def prepare(server: Server) -> Connection:
        connection = server.connect(bench.writer(server))
        _make_mailbox(connection, server.mailbox("appended"))
        return connection

    def measure(server: Server, connection: Connection, turn: int) -> None:
        mailbox = server.mailbox("appended")
        messages = [
            (_HEADER.format(turn + 1, number) + text).encode()[:4094] + b"\r\n"
            for number in range(_APPENDS if turn >= 0 else 5)
        ]
        with bench.span(server, "append", "message") as span:
            for message in messages:
                connection.append(mailbox, message)
            span.count = len(messages)

    if any(server.name == Courier.name for server in bench.servers):
        bench.results.note("append", "courier syncs nothing before it answers")
    bench.interleave(prepare, measure, Connection.logout)


def copy_move_expunge(bench: Bench) -> None:
    """COPY to another mailbox, MOVE from there to a third, EXPUNGE there."""

    def prepare(server: Server) -> Connection:
        connection = selected(server, bench.writer(server))
        for name in ("copied", "moved"):
            _make_mailbox(connection, server.mailbox(name))
        return connection

    def measure(server: Server, connection: Connection, turn: int) -> None:
        count = min(_COPIES, connection.select())
        mailbox, moved = server.mailbox("copied"), server.mailbox("moved")
        with bench.span(server, "copy", "message") as span:
            connection.command(b"COPY 1:%d %s" % (count, mailbox))
            span.count = count
        if "MOVE" in server.capabilities:
            connection.select(mailbox)
            with bench.span(server, "move", "message") as span:
                connection.command(b"MOVE 1:* " + moved)
                span.count = count
            mailbox = moved
        else:
            bench.results.excuse(("move",), server.name, "no MOVE")
        connection.select(mailbox)
        connection.command(b"STORE 1:* +FLAGS.SILENT (\\Deleted)")
        with bench.span(server, "expunge", "message") as span:
            connection.command(b"EXPUNGE")
            span.count = count

    bench.interleave(prepare, measure, Connection.logout)
