"""Sessions of every kind come and go: no object and no descriptor is left of them."""

import gc
import os
import unittest
from collections import Counter
from collections.abc import Callable

from imapd.limits import Limits
from imapd.server.counts import ConnectionCounts
from tests.support.messages import MESSAGE, append
from tests.support.server import Client, Server


def works(client: Client) -> None:
    client.ok("LOGIN alice wonderland")
    client.ok("SELECT INBOX")
    uid = append(client, MESSAGE)
    client.ok(f"UID FETCH {uid} (FLAGS ENVELOPE BODYSTRUCTURE BODY[])")
    client.ok("SEARCH TEXT hello")
    client.ok(rf"UID STORE {uid} +FLAGS.SILENT (\Deleted)")
    client.ok(f"UID EXPUNGE {uid}")
    client.ok("LOGOUT")


def idles(client: Client) -> None:
    client.ok("LOGIN bob builder")
    client.ok("SELECT INBOX")
    client.command("IDLE")
    client.hang_up()


def is_cut_off_in_an_upload(client: Client) -> None:
    client.ok("LOGIN alice wonderland")
    client.command("APPEND INBOX {1000}")
    client.write(b"half of it")
    client.hang_up()


def is_cut_off_in_a_login(client: Client) -> None:
    client.command("AUTHENTICATE PLAIN")
    client.hang_up()


def is_refused(client: Client) -> None:
    client.no("LOGIN alice wrong")
    for _ in range(3):
        client.command("FROB")


def makes_mailboxes(client: Client) -> None:
    client.ok("LOGIN alice wonderland")
    client.ok("CREATE Passing")
    client.ok("SELECT Passing")
    client.ok("DELETE Passing")
    client.hang_up()


SESSIONS: tuple[Callable[[Client], None], ...] = (
    *(works, idles, is_cut_off_in_an_upload, is_cut_off_in_a_login),
    *(is_refused, makes_mailboxes),
)


class LeakTests(unittest.TestCase):
    def all_of_them(self, server: Server, times: int) -> Counter[str]:
        """What there is when they have gone, by class."""
        for _ in range(times):
            for session in SESSIONS:
                client = server.connect()
                session(client)
                client.hang_up()
                server.clients.clear()
            server.clock.advance(1)
        # What is kept for who comes back soon goes.
        server.clock.advance(3600)
        gc.collect()
        return Counter(type(each).__qualname__ for each in gc.get_objects())

    def test_sessions_leave_nothing_behind(self) -> None:
        # Hardening: V11.
        counts = ConnectionCounts(Limits())
        server = Server(self, counts=counts)
        self.all_of_them(server, 5)
        before = self.all_of_them(server, 1)
        descriptors = len(os.listdir("/proc/self/fd"))
        rounds = 20
        after = self.all_of_them(server, rounds)
        # One object of each session would be twenty.
        grown = {
            kind: after[kind] - before[kind]
            for kind in after
            if after[kind] - before[kind] >= rounds
        }
        self.assertEqual(grown, {})
        self.assertLessEqual(len(os.listdir("/proc/self/fd")), descriptors)
        self.assertEqual(server.factory.connections, 0)
        for name in ("_addresses", "_refused", "_users", "_pairs"):
            self.assertEqual(dict(getattr(counts, name)), {}, name)
        self.assertIsNone(next((c for c in server.clock.getDelayedCalls()), None))
