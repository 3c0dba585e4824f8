"""RFC 7162 over restarts, lost state, and mailboxes that keep no sequences."""

import sqlite3
import unittest
from pathlib import Path

from imapd.mailbox.flushing import FLUSH_SECONDS
from tests.server.test_rfc7162_qresync import Known
from tests.support.grammar import Untagged
from tests.support.rfcmailbox import filled
from tests.support.server import Client, Server


class RestartTests(unittest.TestCase):
    def setUp(self) -> None:
        self.server = filled(self)
        self.known = Known()
        self.client = self.enter(self.server)

    def enter(self, server: Server, resync: bool = False) -> Client:
        client = server.login()
        client.ok("ENABLE QRESYNC")
        known = f"{self.known.validity} {self.known.modseq}"
        parameter = f" (QRESYNC ({known}))" if resync else ""
        responses = client.command(f"SELECT INBOX{parameter}")
        self.known.hear(responses)
        self.told = [
            each.data
            for each in responses
            if isinstance(each, Untagged) and each.kind in (b"FETCH", b"VANISHED")
        ]
        if not resync:
            self.known.hear(client.command("UID FETCH 1:* FLAGS"))
        return client

    def again(self) -> None:
        """Another server on the same Maildirs; the client comes back."""
        server = Server(self, root=self.server.root)
        client = self.enter(server, resync=True)
        truth = Known().hear(client.command("UID FETCH 1:* FLAGS"))
        self.assertEqual(self.known.flags, truth.flags)
        client.ok("LOGOUT")

    def state(self) -> Path:
        return self.server.maildir("alice") / "imapd-state.sqlite3"

    def test_stopped(self) -> None:
        self.known.hear(self.client.command(r"STORE 1 +FLAGS.SILENT (\Flagged)"))
        self.known.hear(self.client.command(r"UID FETCH 2 FLAGS"))
        self.client.ok("LOGOUT")
        self.again()
        self.assertEqual(self.told, [])

    def test_killed_before_anything_was_written(self) -> None:
        self.known.hear(self.client.command(r"STORE 1 +FLAGS (\Flagged)"))
        told = self.known.modseq
        self.again()
        self.assertEqual(len(self.told), 5)  # VANISHED, and all four messages
        self.assertGreater(self.known.modseq, told)

    def test_killed_after_the_first_was_written(self) -> None:
        self.known.hear(self.client.command(r"STORE 1 +FLAGS (\Flagged)"))
        self.server.clock.advance(FLUSH_SECONDS)
        self.known.hear(self.client.command(r"STORE 2 +FLAGS (\Draft)"))
        self.known.hear(self.client.command(r"STORE 3 +FLAGS (\Deleted)"))
        self.known.hear(self.client.command("EXPUNGE"))
        self.again()
        vanished, fetched = self.told  # once more
        self.assertEqual(vanished, (True, [(4, 4)]))
        self.assertEqual(fetched[b"UID"], 3)

    def test_changed_by_another_server_while_we_are_away(self) -> None:
        self.client.ok("LOGOUT")
        cur = self.server.maildir("alice") / "cur"
        first, second = sorted(cur.iterdir())[:2]
        first.rename(first.with_name(first.name.partition(":2,")[0] + ":2,FT"))
        second.unlink()
        self.again()
        self.assertEqual(len(self.told), 2)

    def test_the_state_lost(self) -> None:
        self.client.ok("LOGOUT")
        told = self.known.modseq
        self.state().unlink()
        self.again()
        self.assertGreater(self.known.modseq, told)
        self.assertEqual(self.told[0], (True, [(1, 1)]))

    def test_nothing_is_written_for_clients_that_do_not_ask(self) -> None:
        server = filled(self)
        client = server.login(select="INBOX")
        client.ok(r"STORE 1 +FLAGS (\Flagged)")
        server.clock.advance(FLUSH_SECONDS)
        client.ok("LOGOUT")
        state = server.maildir("alice") / "imapd-state.sqlite3"
        with sqlite3.connect(state) as connection:
            rows = connection.execute("SELECT * FROM modseq").fetchall()
        connection.close()
        self.assertEqual(rows, [])


if __name__ == "__main__":
    unittest.main()
