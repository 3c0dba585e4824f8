"""Who leaves in the middle of a long command is not worked for any longer."""

from unittest import mock

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
