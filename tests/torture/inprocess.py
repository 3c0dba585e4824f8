"""A whole server in this process for the fuzzers, what it logs, and its clients."""

import gc
import os
import tempfile
import traceback
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ITLSTransport
from twisted.logger import (
    ILogObserver,
    LogEvent,
    LogLevel,
    formatEvent,
    globalLogPublisher,
)
from zope.interface import alsoProvides, implementer

from imapd.limits import Limits
from imapd.server.protocol import ImapServer
from tests.support.grammar import Response
from tests.support.leftovers import left_in
from tests.support.server import USERS, Server, Transport
from tests.support.workers import LaterWorkers
from tests.torture import words
from tests.torture.responses import Conversation
from tests.torture.writing import pieces_of

#: What a transport holds until it tells its producer to stop.
OUTPUT_OCTETS: Final = 65536
#: Turns of the reactor that one command may take.
MOST_TURNS: Final = 20_000
#: What a server has that nobody set up otherwise, but for the 50 MiB of APPEND.
USUAL: Final = Limits(append_octets=150_000)
#: A fuzzer's client errs more often than anybody's.
PATIENT: Final = Limits(
    preauth_bad_commands=1 << 30,
    bad_commands=1 << 30,
    sasl_attempts=1 << 30,
    append_octets=150_000,
)

_MEMORY = Path("/dev/shm")


@implementer(ILogObserver)
class Trouble:
    """Hears what is logged; an error that nobody expected is a defect."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        failure = event.get("log_failure")
        level = event.get("log_level", LogLevel.info)
        if failure is None and level < LogLevel.error:
            return
        told = failure.getTraceback() if failure is not None else ""
        self.found.append(f"{formatEvent(event)}\n{told}")

    def check(self) -> None:
        """Raise AssertionError for what was heard since."""
        if self.found:
            found, self.found = self.found, []
            raise AssertionError("the server logged an error:\n" + "\n".join(found))


@contextmanager
def listening() -> Iterator[Trouble]:
    """Hear what is logged, also of Deferreds that are thrown away unheard."""
    trouble = Trouble()
    globalLogPublisher.addObserver(trouble)
    try:
        yield trouble
        gc.collect()
        trouble.check()
    finally:
        globalLogPublisher.removeObserver(trouble)


def left_over() -> dict[str, int]:
    """Return how many of what a session is made of there are, once all is collected.

    What is closed when it is collected, such as a coroutine, may hold on to others
    until the next time.
    """
    gc.collect()
    gc.collect()
    counts = {"Deferred": 0, "ImapServer": 0}
    for each in gc.get_objects():
        if type(each) is Deferred:
            counts["Deferred"] += 1
        elif type(each) is ImapServer:
            counts["ImapServer"] += 1
    return counts


def resident_octets() -> int:
    """Return how much of this process is in memory."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class TlsTransport(Transport):
    """One that TLS could be begun on; the octets stay as they are."""

    def startTLS(self, ctx: Any, normal: bool = True) -> None:
        """Begin, as far as the server can see."""

    def write(self, data: bytes) -> None:
        """Hold octets, and stop the producer as TCP does, at 64 KiB."""
        super().write(data)
        if self.producer is not None and self.io.tell() > OUTPUT_OCTETS:
            self.producer.pauseProducing()

    def read_all(self) -> bytes:
        """Take what was written; the producer goes on."""
        octets: bytes = self.value()
        self.clear()
        if self.producer is not None and self.connected:
            self.producer.resumeProducing()
        return octets


class World:
    """A server with accounts in a temporary folder, and clients without sockets."""

    def __init__(self, late: Random | None = None, **settings: Any) -> None:
        """``late``: what would run in threads is done later, in an order by chance."""
        self._late = late
        self._workers = LaterWorkers()
        if late is not None:
            settings["workers"] = self._workers
        self._case = unittest.TestCase()
        place = _MEMORY if _MEMORY.is_dir() else None
        folder = tempfile.TemporaryDirectory(dir=place)
        self._case.addCleanup(folder.cleanup)
        self.root = Path(folder.name) / "mail"
        self.root.mkdir()
        settings.setdefault("limits", PATIENT)
        self.server = Server(self._case, root=self.root, **settings)
        offered: Any = object()
        self.server.factory.context = offered  # so that STARTTLS is
        self.clock = self.server.clock
        self.peers: list[Peer] = []
        self._delivered = 0
        self._has_inbox = False

    def connect(self, host: str = "192.0.2.1") -> "Peer":
        """Return a new client, greeted."""
        self.peers = [peer for peer in self.peers if peer.is_open]
        peer = Peer(self, host)
        self.peers.append(peer)
        return peer

    def settle(self) -> None:
        """Let everything happen that waits for nothing but its turn."""
        for _ in range(MOST_TURNS):
            if not self.turn():
                return
        raise AssertionError(f"not at rest after {MOST_TURNS} turns")

    def turn(self) -> bool:
        """Let one thing happen; False: nothing waits for its turn."""
        now = self.clock.seconds()
        due = any(call.getTime() <= now for call in self.clock.getDelayedCalls())
        waiting = len(self._workers.waiting)
        if waiting and self._late and (not due or self._late.random() < 0.5):
            self._workers.step(self._late.randrange(waiting))
        elif due:
            self.clock.advance(0)
        return bool(due or waiting)

    def meddle(self, chance: Random) -> None:
        """Do what other programs do: deliver, set a flag, remove a message."""
        inbox = self.root / "alice" / "Maildir"
        if not self._has_inbox:
            self._has_inbox = all(
                (inbox / one).is_dir() for one in ("cur", "new", "tmp")
            )
            if not self._has_inbox:
                return  # the user has not logged in yet
        if chance.random() < 0.4:
            self._delivered += 1
            name = f"1700000000.M{self._delivered}P1.elsewhere"
            draft = inbox / "tmp" / name
            draft.write_bytes(words.message(chance).replace(b"\r\n", b"\n") or b"x\n")
            draft.rename(inbox / "new" / name)
            return
        files = sorted((inbox / "cur").iterdir())
        if not files:
            return
        path = chance.choice(files)
        base = path.name.partition(":")[0]
        if chance.random() < 0.3:
            path.unlink()
        else:
            path.rename(path.with_name(base + chance.choice((":2,S", ":2,T", ":2,"))))

    def close(self) -> None:
        """All clients leave; nothing may be left of their sessions."""
        for peer in self.peers:
            peer.leave()
        self.settle()
        left = self.server.factory.connections
        drafts = [
            str(tmp / name)
            for tmp in self.root.glob("*/Maildir/**/tmp")
            for name in left_in(tmp)
        ]
        self._case.doCleanups()
        assert left == 0, f"{left} sessions are left over"
        assert not drafts, f"left in tmp: {drafts}"

    def __enter__(self) -> "World":
        return self

    def __exit__(self, kind: Any, error: Any, where: Any) -> None:
        if kind is None:
            self.close()
        else:
            self._case.doCleanups()


class Peer:
    """One client: what it sends may be cut anywhere, what it is sent is checked."""

    def __init__(self, world: World, host: str) -> None:
        self.world = world
        self.transport = TlsTransport(host)
        alsoProvides(self.transport, ITLSTransport)
        self.conversation = Conversation()
        self.protocol = world.server.factory.buildProtocol(None)
        self.transport.protocol = self.protocol
        self.raw = b""
        self.protocol.makeConnection(self.transport)
        self.take()

    @property
    def is_open(self) -> bool:
        """Whether the server has not closed the connection."""
        return bool(self.transport.connected)

    def take(self) -> list[Response]:
        """Return what the server has said since, checked."""
        self.world.settle()
        self.raw = self.transport.value()
        if len(self.raw) > OUTPUT_OCTETS:
            self.raw = b"".join(self._all_of_it())
        else:
            self.transport.clear()
        return self.conversation.feed(self.raw)

    def _all_of_it(self) -> Iterator[bytes]:
        """Yield what the server says, as long as reading makes it say more."""
        while octets := self.transport.read_all():
            yield octets
            self.world.settle()

    def send(self, octets: bytes, chance: Random | None = None) -> list[Response]:
        """Send octets, cut by chance, and return what the server says to them."""
        self.post(octets, chance)
        return self.take()

    def post(self, octets: bytes, chance: Random | None = None) -> None:
        """Send octets, and wait for nothing."""
        for piece in pieces_of(octets, chance) if chance else (octets,):
            if self.transport.producerState == "paused":
                self.world.settle()
                if self.is_open and self.transport.producerState == "paused":
                    raise AssertionError("the server reads no more, and works not")
            if not self.is_open:
                break
            self.protocol.dataReceived(piece)

    def log_in(self, user: bytes = b"alice") -> None:
        """Enter the authenticated state."""
        self.conversation.begins(b"L", b"LOGIN")
        self.send(b"L LOGIN %b %b\r\n" % (user, USERS[user]))
        assert b"L OK" in self.raw, self.raw

    def leave(self) -> None:
        """Close the connection from this side."""
        if self.is_open:
            self.transport.loseConnection()


def shown(error: BaseException) -> str:
    """Return an exception with where it came from."""
    return "".join(traceback.format_exception(error))
