"""Who leaves in the middle of a long command is not worked for any longer."""

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from imapd.mailbox import searchrun
from tests.support.server import Client, Server
from tests.support.workers import LaterWorkers


class LeavingTests(SynchronousTestCase):
    # Hardening: P13.

    def setUp(self) -> None:
        self.workers = LaterWorkers(inline=True)
        self.server = Server(self, workers=self.workers)
        self.addCleanup(self.inline)
        self.client = self.server.login(select="INBOX")
        for number in range(10):
            self.client.append(b"Subject: x\r\n\r\n%d\r\n" % number)
        self.client.ok("NOOP")
        for name, value in (("STEP_SECONDS", -1), ("BATCH_MESSAGES", 1)):
            patched = mock.patch.object(searchrun, name, value)
            patched.start()
            self.addCleanup(patched.stop)

    def inline(self) -> None:
        self.workers.inline = True
        self.workers.finish()

    def begin(self, client: Client, command: bytes) -> None:
        self.workers.inline = False
        client.write(b"s " + command + b"\r\n")

    def steps(self) -> int:
        """How many steps are still done."""
        count = 0
        while self.workers.waiting:
            self.workers.step()
            self.server.clock.advance(0)
            count += 1
        return count

    def test_a_search_takes_its_steps(self) -> None:
        self.begin(self.client, b"SEARCH BODY nowhere")
        self.assertGreaterEqual(self.steps(), 10)
        self.client.receive()
        self.assertIn(b"s OK", self.client.raw)

    def test_a_search_ends_with_its_client(self) -> None:
        for command in (
            b"SEARCH BODY nowhere",
            b"SORT (SUBJECT) UTF-8 BODY nowhere",
            b"THREAD ORDEREDSUBJECT UTF-8 BODY nowhere",
        ):
            client = self.server.login(select="INBOX")
            self.begin(client, command)
            self.workers.step()
            client.hang_up()
            # The step that waits is done; what gives back the mailbox is no search.
            self.assertLess(self.steps(), 5, command)
            self.inline()

    def test_who_sent_too_much_to_be_read_is_spoken_to(self) -> None:
        """Its end of the connection would be noticed behind all that, or never."""
        self.begin(self.client, b"SEARCH BODY nowhere\r\n" + b"a NOOP\r\n" * 10_000)
        self.assertEqual(self.client.transport.producerState, "paused")
        for _ in range(3):
            self.server.clock.advance(1)
            self.client.receive()
            self.assertEqual(self.client.raw, b"* OK Still here\r\n")
        self.client.protocol.gate.pauseProducing()
        self.server.clock.advance(1)
        self.client.receive()
        self.assertEqual(self.client.raw, b"", "it has something to read")
        self.client.protocol.gate.resumeProducing()
        self.steps()
        self.inline()
        self.client.receive()
        self.assertIn(b"s OK", self.client.raw)
        self.assertEqual(self.client.raw.count(b"a OK"), 10_000)
        self.assertEqual(self.client.transport.producerState, "producing")
        self.server.clock.advance(5)
        self.client.receive()
        self.assertEqual(self.client.raw, b"")

    def test_nobody_else_is_spoken_to(self) -> None:
        """Octets of a message may be under way, and who is read shows that it left."""
        ahead = b"\r\n" + b"a NOOP\r\n" * 10_000
        for command in (b"FETCH 1 BODY[]" + ahead, b"SEARCH BODY nowhere"):
            client = self.server.login(select="INBOX")
            self.begin(client, command)
            self.server.clock.advance(3)
            self.assertEqual(client.transport.value(), b"", command[:20])
            self.inline()
            client.receive()

    def test_who_waits_for_a_turn_and_leaves_does_not_take_it(self) -> None:
        others = [self.server.login(select="INBOX") for _ in range(3)]
        self.begin(self.client, b"SEARCH BODY nowhere")
        for other in others:
            self.begin(other, b"SEARCH BODY nowhere")
        for other in others:
            other.hang_up()
        self.assertLess(self.steps(), 10 + 3 * 5)
        self.client.receive()
        self.assertIn(b"s OK", self.client.raw)
        self.assertEqual(self.flushLoggedErrors(), [])


#: Where fsync costs nothing.
MEMORY = Path("/dev/shm")


def uploads(client: Client) -> None:
    client.write(b"s APPEND INBOX {9}\r\n")
    client.write(b"a: b\r\n\r\nc\r\n")


def says(line: bytes) -> Callable[[Client], object]:
    return lambda client: client.write(b"s %b\r\n" % line)


#: What a client may be in the midst of.
WORKS: dict[str, Callable[[Client], object]] = {
    "APPEND": uploads,
    **{
        line.decode(): says(line)
        for line in (
            b"CREATE Passing",
            b"RENAME Other Another",
            b"DELETE Other",
            b"SUBSCRIBE Other",
            b'LIST (SUBSCRIBED) "" * RETURN (STATUS (MESSAGES SIZE UNSEEN))',
            b"STATUS Other (MESSAGES SIZE)",
            b"SELECT Other (CONDSTORE)",
            b"EXAMINE Other",
            b"CLOSE",
            b"UNSELECT",
            b"NOOP",
            b"IDLE",
            b"ENABLE CONDSTORE",
            b"FETCH 1:* (UID ENVELOPE BODYSTRUCTURE BODY[] RFC822.SIZE)",
            b"FETCH 1:* BODY.PEEK[TEXT]<0.2>",
            b"FETCH 1:* MODSEQ",
            b"STORE 1:* FLAGS (\\Deleted new)",
            b"STORE 1:* (UNCHANGEDSINCE 1) +FLAGS (other)",
            b"EXPUNGE",
            b"COPY 1:* Other",
            b"MOVE 1:* Other",
            b"SEARCH TEXT nowhere",
            b"SORT (SUBJECT ARRIVAL) UTF-8 TEXT x",
            b"THREAD REFERENCES UTF-8 ALL",
            b"LOGOUT",
        )
    },
}
#: Those that wait for nothing.
AT_ONCE = {"NOOP", "IDLE", "UNSELECT"}


class EveryStepTests(SynchronousTestCase):
    """A client leaves, or its work is thrown away, wherever a command may wait."""

    def setUp(self) -> None:
        self.ignored: list[Any] = []
        patched = mock.patch.object(
            sys, "unraisablehook", lambda each: self.ignored.append(str(each))
        )
        patched.start()
        self.addCleanup(patched.stop)

    def waits(self, work: Callable[[Client], object], steps: int) -> Client | None:
        """A client whose command has done so many steps; None: it has no more."""
        self.workers = LaterWorkers(inline=True)
        folder = TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        self.addCleanup(folder.cleanup)
        self.server = Server(self, root=Path(folder.name), workers=self.workers)
        client = self.server.login(select="INBOX")
        client.command("CREATE Other")
        for _ in range(2):
            client.append(b"Subject: x\r\n\r\nx\r\n")
        client.ok(r"STORE 1 +FLAGS (\Deleted)")
        self.workers.inline = False
        work(client)
        for _ in range(steps):
            if self.workers.waiting:
                self.workers.step()
                self.server.clock.advance(0)
        if self.workers.waiting:
            return client
        client.hang_up()
        self.workers.finish()
        return None

    def is_over(self, what: str) -> None:
        """The clients are gone: no session is left, nobody has complained."""
        self.server.clients.clear()
        self.workers.finish()
        self.server.clock.advance(3600)  # what is kept for who comes back soon goes
        self.workers.finish()
        self.assertEqual(self.server.factory.connections, 0, what)
        self.assertEqual(self.flushLoggedErrors(), [], what)
        self.assertEqual(self.flushWarnings(), [], what)
        self.assertEqual(self.ignored, [], what)

    def test_a_client_leaves(self) -> None:
        before = waited_for()
        for name, work in WORKS.items():
            steps = 0
            while (client := self.waits(work, steps)) is not None:
                client.hang_up()
                del client
                self.is_over(f"{name} after {steps}")
                steps += 1
            self.assertEqual(steps == 0, name in AT_ONCE, name)
        self.assertLessEqual(waited_for(), before)
        self.assertEqual(self.ignored, [])

    def test_what_a_command_waits_for_is_thrown_away(self) -> None:
        gc.collect()
        gc.freeze()  # only what comes now is looked through, again and again
        self.addCleanup(gc.unfreeze)
        for name, work in WORKS.items():
            for leaves in (False, True):
                steps = 0
                while (client := self.waits(work, steps)) is not None:
                    what = f"{name} after {steps}, {leaves=}"
                    if leaves:
                        client.hang_up()
                    self.workers.waiting.clear()
                    gc.collect()
                    self.assertEqual(self.ignored, [], what)
                    client.receive()
                    if not leaves and name != "LOGOUT":
                        self.assertIn(b"* BYE [SERVERBUG]", client.raw, what)
                    self.workers.finish()
                    client.hang_up()
                    self.workers.finish()
                    self.assertEqual(self.server.factory.connections, 0, what)
                    self.flushLoggedErrors(RuntimeError)
                    steps += 1


def waited_for() -> int:
    """How many Deferreds there are that nobody has called back."""
    gc.collect()
    return sum(type(each) is Deferred and not each.called for each in gc.get_objects())
