"""Run by ``test_accounts`` where the Maildirs in $FOLDER cannot be written."""

import os
import sqlite3
import tempfile
import unittest
from contextlib import closing
from pathlib import Path

from twisted.logger import capturedLogs, formatEvent

from imapd.store.maildir.account import StoreOptions
from tests.support.messages import body
from tests.support.server import Client, Server


class ArchiveChecks(unittest.TestCase):
    def setUp(self) -> None:
        self.root = Path(os.environ["FOLDER"])
        self.events = self.enterContext(capturedLogs())
        self.server = Server(self, root=self.root)

    def check_refusals(self, client: Client, prefix: str) -> None:
        for command, codes in {
            r"STORE 1 +FLAGS (\Flagged)": (b"[READ-ONLY]",),
            r"STORE 1 FLAGS.SILENT ($kw)": (b"[READ-ONLY]",),
            "EXPUNGE": (b"[READ-ONLY]",),
            "UID EXPUNGE 1:*": (b"[READ-ONLY]",),
            "MOVE 1 INBOX": (b"[READ-ONLY]", b"[NOPERM]"),
            "COPY 1 INBOX": (b"[READ-ONLY]", b"[NOPERM]"),
            "APPEND INBOX {3}": (b"[READ-ONLY]", b"[NOPERM]"),
            f"CREATE {prefix}new": (b"[NOPERM]",),
            f"DELETE {prefix}Sent": (b"[NOPERM]",),
            f"RENAME INBOX {prefix}new": (b"[NOPERM]",),
            f"SUBSCRIBE {prefix}new": (b"[NOPERM]",),
            f"UNSUBSCRIBE {prefix}new": (b"[NOPERM]",),
        }.items():
            answer = client.no(command)
            self.assertTrue(any(code in answer for code in codes), answer)

    def test_read_only(self) -> None:
        for user, prefix in (("alice", ""), ("bob", "INBOX."), ("carol", "")):
            client = self.server.login(user)
            answer = client.ok("SELECT INBOX")
            self.assertIn(
                b"OK [READ-ONLY] SELECT completed; the mailbox cannot", answer
            )
            self.assertIn(b"[PERMANENTFLAGS ()]", answer)
            self.check_refusals(client, prefix)
            unseen = client.ok("SEARCH UNSEEN")
            before = client.ok("FETCH 1:* FLAGS").splitlines()[:-1]
            client.ok("FETCH 1:* (UID FLAGS ENVELOPE BODYSTRUCTURE RFC822.SIZE BODY[])")
            self.assertEqual(client.ok("FETCH 1:* FLAGS").splitlines()[:-1], before)
            self.assertEqual(
                client.ok("SEARCH UNSEEN").split()[:-4], unseen.split()[:-4]
            )
            client.ok("CLOSE")
            client.ok("STATUS INBOX (MESSAGES SIZE)")
            for _ in range(3):
                client.ok("SELECT INBOX")
                client.ok("NOOP")
            log = [formatEvent(event) for event in self.events]
            said = [line for line in log if "read-only" in line and user in line]
            self.assertEqual(len([each for each in said if "served" in each]), 1, said)
            damage = [line for line in log if "cannot be read" in line]
            self.assertEqual(damage, [])

    def test_numbers_keywords_and_subscriptions(self) -> None:
        bob = self.server.login("bob", select="INBOX")
        self.assertIn(b"[UIDVALIDITY 704000123]", bob.ok("SELECT INBOX"))
        self.assertIn(b"Subject: Hello", body(bob, 1))
        lines = (self.root / "bob/Maildir/courierimapsubscribed").read_text("utf-8")
        count = len(lines.splitlines())
        self.assertEqual(bob.ok('LSUB "" *').count(b"* LSUB"), count)
        listed = self.root / "bob/Maildir/courierimapkeywords"
        (pending,) = listed.glob("[!:]*")
        for keyword in pending.read_bytes().split():
            flags = bob.ok("FETCH 1:* FLAGS").lower()
            self.assertIn(keyword.lower(), flags)
        carol = self.server.login("carol", select="INBOX")
        self.assertIn(b"NonJunk", carol.ok("UID FETCH 2 FLAGS"))
        self.assertEqual(carol.ok('LSUB "" *').count(b"* LSUB"), 3)

    def test_nothing_is_kept_under_numbers_made_up(self) -> None:
        """Another process makes up others: a cache elsewhere must not mix them."""
        with tempfile.TemporaryDirectory() as place:
            options = StoreOptions(cache_directory=Path(place))
            for _ in range(2):
                server = Server(self, root=self.root, options=options)
                client = server.login("alice", select="INBOX")
                client.ok("FETCH 1:* (ENVELOPE RFC822.SIZE)")
                client.hang_up()
            path = Path(place) / "imapd-cache.sqlite3"
            if path.exists():
                with closing(sqlite3.connect(path)) as database:
                    query = "SELECT count(*) FROM page"
                    (count,) = database.execute(query).fetchone()
                self.assertEqual(count, 0)


if __name__ == "__main__":
    unittest.main()
