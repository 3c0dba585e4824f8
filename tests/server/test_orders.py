"""Several sessions on one mailbox, with the disk's answers in any order.

A client's message numbers must mean the same UIDs to it and to the server,
whatever happens meanwhile.  The seed is in the message of a failure.
"""

import random
import re
from itertools import count

from twisted.trial.unittest import SynchronousTestCase

from tests.server.test_sessions import deliver
from tests.support.server import Client, Server
from tests.support.workers import LaterWorkers

SEEDS = 40
STEPS = 60

COMMANDS = (
    b"NOOP",
    b"FETCH 1:* (UID FLAGS)",
    b"UID FETCH 1:* (RFC822.SIZE)",
    b"FETCH 1 (UID BODY[])",
    b"STORE 1 +FLAGS (\\Deleted)",
    b"STORE 1:* +FLAGS.SILENT (\\Flagged)",
    b"STORE * FLAGS (\\Deleted $x)",
    b"UID STORE 1:* -FLAGS (\\Deleted)",
    b"EXPUNGE",
    b"UID EXPUNGE 1:*",
    b"SEARCH ALL",
    b"UID SEARCH TEXT new",
    b"COPY 1 INBOX",
    b"MOVE 1 INBOX",
    b"UID MOVE 1:3 INBOX",
    b"STATUS INBOX (MESSAGES UNSEEN)",
    b"APPEND INBOX {14+}\r\nSubject: x\r\n\r\n",
    b"IDLE",
)

_EXISTS = re.compile(rb"\* (\d+) EXISTS\r\n")
_EXPUNGE = re.compile(rb"\* (\d+) EXPUNGE\r\n")
_FETCH = re.compile(rb"\* (\d+) FETCH \([^\r]*?UID (\d+)")
_DONE = re.compile(rb"x\d+ (OK|NO|BAD)")


class Player:
    """A client that remembers what it was told."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.uids: list[int | None] = []
        self.busy = False
        self.idling = False
        self.numbers = count()

    def select(self) -> None:
        self.client.command("SELECT INBOX")
        self.read()

    def send(self, command: bytes) -> None:
        self.busy = True
        self.idling = command == b"IDLE"
        self.client.write(b"x%d %b\r\n" % (next(self.numbers), command))
        self.read()

    def stop_idling(self) -> None:
        self.idling = False
        self.client.write(b"DONE\r\n")
        self.read()

    def read(self, again: bool = False) -> None:
        if again:
            self.client.receive()
        for line in self.client.raw.splitlines(keepends=True):
            if found := _EXISTS.match(line):
                exists = int(found[1])
                assert exists >= len(self.uids), line
                self.uids += [None] * (exists - len(self.uids))
            elif found := _EXPUNGE.match(line):
                assert 1 <= int(found[1]) <= len(self.uids), line
                del self.uids[int(found[1]) - 1]
            elif found := _FETCH.match(line):
                index, uid = int(found[1]) - 1, int(found[2])
                assert self.uids[index] in (None, uid), (line, self.uids)
                self.uids[index] = uid
            elif _DONE.match(line):
                self.busy = self.idling = False
            elif line.startswith(b"* BYE"):
                raise AssertionError(line)


class OrderTests(SynchronousTestCase):
    def test_any_order(self) -> None:
        self.flushLoggedErrors()  # trial keeps those of tests that are not its own
        for seed in range(SEEDS):
            try:
                self.play(random.Random(seed))
            except AssertionError as error:
                raise AssertionError(f"seed {seed}: {error}") from error
            self.assertEqual(self.flushLoggedErrors(), [], f"seed {seed}")

    def play(self, chance: random.Random) -> None:
        workers = LaterWorkers(inline=True)
        server = Server(self, workers=workers)
        players = [Player(server.login()) for _ in range(3)]
        for player in players:
            player.client.append(b"Subject: x\r\n\r\nx\r\n")
            player.select()
        workers.inline = False
        names = count()
        for _ in range(STEPS):
            self.step(chance, server, workers, players, names)
        workers.inline = True
        workers.finish()
        for player in players:
            player.read(again=True)
            if player.idling:
                player.stop_idling()
            self.assertFalse(player.busy, "a command was not answered")
            player.client.raw = b""
            player.send(b"NOOP")
            player.send(b"FETCH 1:* (UID)")
        known = [player.uids for player in players]
        self.assertEqual(known[1:], known[:1] * 2)

    def step(
        self,
        chance: random.Random,
        server: Server,
        workers: LaterWorkers,
        players: list[Player],
        names: "count[int]",
    ) -> None:
        player = chance.choice(players)
        act = chance.random()
        if act < 0.1:
            deliver(server.maildir("alice"), f"17000000{next(names):02d}.M1P1.host")
        elif act < 0.5 and not player.busy:
            player.send(chance.choice(COMMANDS))
        elif act < 0.6 and player.idling:
            player.stop_idling()
        elif act < 0.65:
            server.clock.advance(0.5)
        elif workers.waiting:
            workers.step(chance.randrange(len(workers.waiting)))
        for each in players:
            each.read(again=True)
