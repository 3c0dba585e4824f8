"""What goes wrong at the worst moment: clients that leave, stores that fail, stops.

Workers run when the test says so; see ``tests.support.workers``.
"""

from typing import Any
from unittest.mock import patch

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from imapd.errors import Unavailable
from imapd.limits import Limits
from imapd.mailbox.accounts import Accounts
from imapd.mailbox.live import LiveMailbox
from imapd.server.counts import ConnectionCounts
from imapd.server.protocol import ImapServer
from imapd.server.registry import COMMANDS
from imapd.server.session import Session
from imapd.server.states import State
from tests.support.leftovers import left_in
from tests.support.server import Client, Server
from tests.support.workers import LaterWorkers

MESSAGE = b"From: a@example.org\r\nSubject: x\r\n\r\nx\r\n"
LOGIN = b"l LOGIN alice wonderland\r\n"


class RaceCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.workers = LaterWorkers(inline=True)
        self.limits = Limits()
        self.counts = ConnectionCounts(self.limits)
        self.server = Server(self, workers=self.workers, counts=self.counts)

    def later(self) -> None:
        """From now on, workers wait for the test."""
        self.workers.inline = False

    def finish(self, client: Client) -> bytes:
        self.workers.inline = True
        self.workers.finish()
        client.receive()
        return client.raw

    def assert_nothing_left(self) -> None:
        self.workers.inline = True
        self.workers.finish()
        self.server.clock.advance(0)
        self.assertEqual(self.server.factory.connections, 0)
        self.assertEqual(self.server.accounts._open, {})
        self.assertEqual(self.server.accounts._locks, {})
        self.assertEqual(self.server.watch._watched, {})
        for counter in (
            self.counts._addresses,
            self.counts._users,
            self.counts._pairs,
        ):
            self.assertEqual(counter, {})
        self.assertEqual(self.server.clock.getDelayedCalls(), [])


class LeavingTests(RaceCase):
    COMMANDS = (
        b"SELECT INBOX",
        b"EXAMINE INBOX",
        b"NOOP",
        b"FETCH 1:2 (BODY[] ENVELOPE)",
        b"STORE 1 +FLAGS (\\Deleted kw)",
        b"SEARCH TEXT x",
        b"COPY 1 there",
        b"MOVE 1 there",
        b"EXPUNGE",
        b"CLOSE",
        b"IDLE",
        b"CREATE fresh",
        b"DELETE there",
        b"RENAME there other",
        b"RENAME INBOX other",
        b"STATUS there (MESSAGES SIZE)",
        b'LIST "" * RETURN (STATUS (MESSAGES))',
        b"SUBSCRIBE x",
        b"LOGOUT",
        b"APPEND INBOX {5+}\r\nabcde",
        b"APPEND there {5+}\r\nab",
    )

    def test_at_every_step_of_every_command(self) -> None:
        # Hardening: V11.
        for command in self.COMMANDS:
            for steps in range(6):
                with self.subTest(command=command, steps=steps):
                    self.leave_after(command, steps)

    def leave_after(self, command: bytes, steps: int) -> None:
        self.setUp()
        client = self.server.login(select="INBOX")
        for _ in range(2):
            client.append(MESSAGE)
        client.ok("CREATE there")
        self.later()
        client.write(b"x " + command + b"\r\n")
        for _ in range(steps):
            if self.workers.waiting:
                self.workers.step()
                self.server.clock.advance(0)
        client.hang_up()
        self.assert_nothing_left()

    def test_at_every_step_of_login(self) -> None:
        # Hardening: V06.
        for steps in range(3):
            self.setUp()
            client = self.server.connect()
            self.later()
            client.write(LOGIN)
            for _ in range(min(steps, len(self.workers.waiting))):
                self.workers.step()
            client.hang_up()
            self.assert_nothing_left()

    def test_told_to_go_while_the_password_is_checked(self) -> None:
        client = self.server.connect()
        self.later()
        client.write(LOGIN)
        self.server.clock.advance(61)
        client.receive()
        self.assertIn(b"* BYE ", client.raw)
        self.assertNotIn(b" OK ", self.finish(client))
        self.server.clock.advance(11)
        self.assertFalse(client.transport.connected)
        client.hang_up()
        self.assert_nothing_left()


class TimeTests(RaceCase):
    def test_not_reading_does_not_stretch_the_login_deadline(self) -> None:
        client = self.server.connect()
        gate = client.protocol.gate
        for _ in range(6):
            self.server.clock.advance(9)
            gate.pauseProducing()
            gate.resumeProducing()
        self.server.clock.advance(9)
        self.assertTrue(client.protocol._closing)

    def test_writing_does_not_stretch_the_time_for_reading(self) -> None:
        client = self.server.login()
        client.protocol.gate.pauseProducing()
        for _ in range(4):
            self.server.clock.advance(99)
            client.write(b"a NOOP\r\n")
        self.assertFalse(client.transport.connected)

    def test_idle_holds_news_back_from_a_client_that_does_not_read(self) -> None:
        # Hardening: V01, V13.
        idler = self.server.login(select="INBOX")
        idler.command("IDLE")
        idler.protocol.gate.pauseProducing()
        other = self.server.login(select="INBOX")
        for _ in range(3):
            other.append(MESSAGE)
        idler.receive()
        self.assertEqual(idler.raw, b"")
        idler.protocol.gate.resumeProducing()
        idler.receive()
        self.assertEqual(idler.raw.count(b"EXISTS"), 1)
        self.assertIn(b"* 3 EXISTS", idler.raw)


class StoppingTests(RaceCase):
    # Hardening: V09.

    def test_while_the_client_does_not_read(self) -> None:
        client = self.server.login()
        client.protocol.gate.pauseProducing()
        client.write(b"a NOOP\r\n")
        self.assertIn(b"a OK", client.raw)
        stopped = self.server.factory.close_all()
        client.protocol.gate.resumeProducing()
        client.receive()
        self.assertIn(b"* BYE ", client.raw)
        self.successResultOf(stopped)

    def test_after_a_command_that_was_no_command(self) -> None:
        client = self.server.login(select="INBOX")
        self.later()
        client.write(b"a CREATE x\r\nb nonsense\r\n")
        stopped = self.server.factory.close_all()
        raw = self.finish(client)
        self.assertIn(b"a OK", raw)
        self.assertIn(b"* BYE ", raw)
        self.successResultOf(stopped)

    def test_stopped_means_that_the_accounts_are_closed(self) -> None:
        client = self.server.login(select="INBOX")
        self.later()
        stopped = self.server.factory.close_all()
        client.receive()
        while self.workers.waiting:
            self.assertNoResult(stopped)
            self.workers.step()
        self.successResultOf(stopped)
        self.assertEqual(self.server.accounts._open, {})


class LostTests(RaceCase):
    def test_no_command_runs_on_a_mailbox_that_is_lost(self) -> None:
        client = self.server.login(select="INBOX")
        client.append(MESSAGE)
        session: Session = client.protocol.session
        session.mailbox_lost("The messages of the mailbox were numbered anew")
        client.write(b"a UID FETCH 1 BODY[]\r\n")
        self.assertTrue(client.raw.startswith(b"* BYE [UNAVAILABLE]"), client.raw)

    def test_a_look_that_fails_ends_no_command(self) -> None:
        client = self.server.login(select="INBOX")

        async def fail(_: LiveMailbox) -> None:
            raise ValueError("a defect")

        def fail_at_once(_: LiveMailbox) -> bool:
            raise ValueError("a defect")

        for is_current in (lambda _: False, fail_at_once):
            with (
                patch.object(LiveMailbox, "is_current", property(is_current)),
                patch.object(LiveMailbox, "refresh", fail),
            ):
                client.ok("NOOP")
            self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
            client.ok("NOOP")

    def test_a_defect_outside_of_commands_says_bye(self) -> None:
        # Hardening: V12.
        client = self.server.login()

        async def fail(*_: object) -> None:
            raise ValueError("a defect")

        with patch.object(ImapServer, "_frame", fail):
            client.command("NOOP")
        self.assertIn(b"* BYE [SERVERBUG]", client.raw)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_a_defect_in_every_handler_is_answered(self) -> None:
        # Hardening: V12.
        client = self.server.login(select="INBOX")
        for name, row in sorted(COMMANDS.items()):
            if State.SELECTED not in row.states or row.streams:
                continue

            async def fail(*_: object) -> bytes:
                raise ValueError("a defect")

            broken = type(row)(name, row.states, lambda cursor: None, fail)
            with patch.dict(COMMANDS, {name: broken}):
                client.write(b"a %b\r\n" % name)
            self.assertIn(b"a NO [SERVERBUG]", client.raw, name)
            self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1, name)


class AppendTests(RaceCase):
    def setUp(self) -> None:
        super().setUp()
        self.client = self.server.login(select="INBOX")

    def test_the_place_lost_after_a_message(self) -> None:
        self.client.write(b"a APPEND INBOX {5+}\r\nabcde {x+}\r\nb NOOP\r\n")
        self.assertIn(b"a BAD ", self.client.raw)
        self.assertIn(b"* BYE ", self.client.raw)

    def test_the_place_lost_after_a_message_that_was_refused(self) -> None:
        with patch(
            "imapd.mailbox.append.Append.write", side_effect=Unavailable("disk full")
        ):
            self.client.write(b"a APPEND INBOX {5+}\r\nabcde {x+}\r\nb NOOP\r\n")
        self.assertIn(b"a NO [UNAVAILABLE]", self.client.raw)
        self.assertIn(b"* BYE ", self.client.raw)

    def test_disk_full_in_the_middle(self) -> None:
        # Hardening: P23, D04.
        with patch(
            "imapd.mailbox.append.Append.write", side_effect=Unavailable("disk full")
        ):
            self.client.write(b"a APPEND INBOX {9+}\r\nabc")
            self.assertIn(b"a NO [UNAVAILABLE]", self.client.raw)
            self.client.write(b"\r\nb LO {5+}\r\nab\r\nc {3+}\r\nabc\r\nd NOOP\r\n")
        self.assertNotIn(b"BYE", self.client.raw)
        self.assertTrue(self.client.raw.startswith(b"d OK"), self.client.raw)

    def test_multiappend_cut_off(self) -> None:
        # Hardening: P23.
        self.client.write(b"a APPEND INBOX {5+}\r\nabcde {7")
        self.client.hang_up()
        self.assert_nothing_left()
        tmp = self.server.maildir("alice") / "tmp"
        self.assertEqual(left_in(tmp), [])

    def test_one_bad_append_too_many(self) -> None:
        for _ in range(20):
            self.client.write(b"a APPEND INBOX (\\Foo) {5}\r\n")
        self.assertIn(b"* BYE ", self.client.raw)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_line_too_long_after_a_message(self) -> None:
        self.client.write(
            b"a APPEND INBOX {5+}\r\nabcde " + b"x" * 70000 + b"\r\nb NOOP\r\n"
        )
        self.assertIn(b"a NO [TOOBIG]", self.client.raw)
        self.assertIn(b"b OK", self.client.raw)

    def test_a_stop_in_the_middle(self) -> None:
        # Hardening: V09.
        self.client.write(b"a APPEND INBOX {50}\r\nabcde")
        stopped = self.server.factory.close_all()
        self.client.receive()
        self.assertIn(b"* BYE ", self.client.raw)
        self.successResultOf(stopped)

    def test_a_stop_while_it_is_stored(self) -> None:
        # Hardening: V09.
        self.later()
        self.client.write(b"a APPEND INBOX {5+}\r\nabcde\r\n")
        stopped = self.server.factory.close_all()
        raw = self.finish(self.client)
        self.assertRegex(raw, rb"a OK \[APPENDUID [^\r]*\r\n\* BYE ")
        self.successResultOf(stopped)


class StoreTests(RaceCase):
    def test_silent_does_not_swallow_what_others_did(self) -> None:
        one = self.server.login(select="INBOX")
        one.append(MESSAGE)
        two = self.server.login(select="INBOX")
        two.ok(r"STORE 1 +FLAGS.SILENT (\Flagged)")
        raw = one.ok(r"STORE 1 +FLAGS.SILENT (\Seen)")
        self.assertIn(rb"\Flagged", raw)
        # Here the client knows all flags: it set them.
        two.ok(r"STORE 1 +FLAGS.SILENT (\Answered)")
        self.assertNotIn(b"FETCH", one.ok(r"STORE 1 FLAGS.SILENT (\Seen)"))

    def test_no_name_is_no_mailbox(self) -> None:
        client = self.server.login()
        for command in ('SELECT ""', 'STATUS "" (MESSAGES)', 'CREATE ""', 'DELETE ""'):
            self.assertNotIn(b"INBOX", client.no(command), command)

    def test_reading_goes_on_where_seen_cannot_be_set(self) -> None:
        client = self.server.login(select="INBOX")
        client.append(MESSAGE)
        with patch.object(LiveMailbox, "store_flags", side_effect=Unavailable("no")):
            raw = client.ok("FETCH 1 BODY[]")
        self.assertIn(MESSAGE, raw)
        self.assertNotIn(rb"\Seen", raw)


class NewsTests(RaceCase):
    def test_much_news_comes_in_pieces_as_fast_as_it_is_read(self) -> None:
        # Hardening: V01, V13.
        client = self.server.login(select="INBOX")
        for _ in range(10):
            client.append(MESSAGE)
        with patch("imapd.server.updates.PIECE_MESSAGES", 3):
            client.protocol.gate.pauseProducing()
            client.command(r"STORE 1:* +FLAGS (\Flagged)")
            self.assertEqual(client.raw.count(b"FETCH"), 3)
            client.protocol.gate.resumeProducing()
            client.receive()
        self.assertEqual(client.raw.count(b"FETCH"), 7)
        self.assertTrue(client.raw.endswith(b"OK STORE completed\r\n"))


class AccountsTests(SynchronousTestCase):
    def test_an_account_that_does_not_open_leaves_nothing(self) -> None:
        workers = LaterWorkers()
        accounts = Accounts(workers, None)  # type: ignore[arg-type]

        def fail() -> Any:
            raise Unavailable("no")

        asked = [Deferred.fromCoroutine(accounts.acquire("a", fail)) for _ in range(3)]
        workers.finish()
        for each in asked:
            self.failureResultOf(each, Unavailable)
        self.assertEqual((accounts._open, accounts._locks), ({}, {}))
