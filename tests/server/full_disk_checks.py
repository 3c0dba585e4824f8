"""Run by ``test_accounts`` where $FOLDER is a file system of one megabyte."""

import os
import re
import unittest
from pathlib import Path

from tests.support.leftovers import left_in
from tests.support.server import Client, Server

MESSAGE = b"Subject: one of many\r\n\r\n" + b"0123456789abcde\r\n" * 900


class FullDiskChecks(unittest.TestCase):
    """Hardening: D04.  Filled to the last block, in every step of a session."""

    def setUp(self) -> None:
        self.root = Path(os.environ["FOLDER"])
        self.server = Server(self, root=self.root)

    def fill(self) -> None:
        """Leave no block, and then not one name."""
        with open(self.root / "ballast", "ab", buffering=0) as file:
            for step in (4096, 1):
                try:
                    while True:
                        file.write(b"x" * step)
                except OSError:
                    pass

    def append_until_full(self, client: Client) -> int:
        for number in range(200):
            client.write(
                b"a%d APPEND INBOX {%d+}\r\n%b\r\n" % (number, len(MESSAGE), MESSAGE)
            )
            if b"a%d OK" % number not in client.raw:
                self.assertIn(b"a%d NO [OVERQUOTA]" % number, client.raw)
                return number
        raise AssertionError("it was never full")

    def uids(self, client: Client) -> list[int]:
        answer = client.ok("UID SEARCH ALL").split(b"\r\n")[0]
        return [int(each) for each in answer.split()[2:]]

    def validity(self, client: Client) -> bytes:
        found = re.search(rb"UIDVALIDITY (\d+)", client.ok("SELECT INBOX"))
        return b"" if found is None else found[1]

    def test_mail_can_be_read_and_removed(self) -> None:
        client = self.server.login("alice")
        client.ok("CREATE Other")
        client.ok("CREATE Third")
        client.ok("SELECT INBOX")
        stored = self.append_until_full(client)
        self.assertGreater(stored, 10)
        self.fill()
        client.ok("NOOP")
        told = self.uids(client)
        self.assertEqual(len(told), stored)
        tmp = self.server.maildir("alice") / "tmp"
        self.assertEqual(left_in(tmp), [])
        answer = client.ok(f"UID FETCH {told[0]}:* (RFC822.SIZE BODY.PEEK[])")
        sizes = re.findall(rb"RFC822.SIZE (\d+)", answer)
        self.assertEqual(set(sizes), {b"%d" % len(MESSAGE)})
        self.assertEqual(answer.count(MESSAGE), stored)
        for refused in (b"APPEND INBOX {3+}\r\nabc", b"CREATE Fourth"):
            self.fill()  # a file that was in use until now may have gone
            client.command(refused)
            self.assertRegex(client.raw, rb" NO \[(OVERQUOTA|UNAVAILABLE)\]", refused)
        # What makes room again works: without room.
        self.fill()
        client.ok(rf"UID STORE {told[0]}:{told[4]} +FLAGS.SILENT (\Deleted)")
        self.fill()
        client.ok("EXPUNGE")
        self.assertEqual(self.uids(client), told[5:])
        self.fill()
        client.ok("DELETE Third")
        (self.root / "ballast").unlink()
        # And nothing was given a number twice, nor lost over it.
        validity = self.validity(client)
        fresh = Server(self, root=self.root).login("alice")
        self.assertEqual(self.validity(fresh), validity)
        self.assertEqual(self.uids(fresh), told[5:])
        fresh.write(b"a APPEND INBOX {%d+}\r\n%b\r\n" % (len(MESSAGE), MESSAGE))
        found = re.search(rb"APPENDUID \d+ (\d+)", fresh.raw)
        self.assertIsNotNone(found, fresh.raw)
        if found:
            self.assertGreater(int(found[1]), told[-1])
