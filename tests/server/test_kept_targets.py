"""Mailboxes that messages are stored in again and again, and nobody has selected."""

import os
import shutil
import unittest
from pathlib import Path
from unittest.mock import patch

from imapd.mailbox.upload import PIECE_OCTETS
from imapd.store.maildir.account import MaildirAccount
from tests.support.leftovers import left_in
from tests.support.server import Server

APPEND = b"x APPEND box {%d+}\r\n%b\r\n"
MAIL = b"Subject: x\r\n\r\ny\r\n"


class KeptTests(unittest.TestCase):
    def setUp(self) -> None:
        self.server = Server(self)
        self.client = self.server.login(select="INBOX")
        self.client.ok("CREATE box")
        self.folder: Path = self.server.maildir("alice") / ".box"

    def append(self) -> bytes:
        self.client.write(APPEND % (len(MAIL), MAIL))
        return self.client.raw

    def test_opened_once(self) -> None:
        with patch.object(
            MaildirAccount, "mailbox", autospec=True, side_effect=MaildirAccount.mailbox
        ) as opened:
            for uid in (1, 2, 3):
                self.assertIn(b" %d] APPEND completed" % uid, self.append())
        self.assertEqual(opened.call_count, 1)

    def test_what_others_put_there_meanwhile_keeps_its_place(self) -> None:
        self.append()
        (self.folder / "new" / "1700000000.M1P1.other").write_bytes(MAIL)
        self.append()
        self.client.ok("SELECT box")
        found = self.client.ok("UID SEARCH ALL")
        self.assertIn(b"* SEARCH 1 2 3", found)

    def test_removed_by_another_program(self) -> None:
        self.append()
        shutil.rmtree(self.folder)
        self.assertIn(b"x NO [TRYCREATE]", self.append())
        self.client.ok("CREATE box")
        self.assertIn(b" 1] APPEND completed", self.append())

    def test_replaced_by_another_program(self) -> None:
        self.append()
        self.append()
        os.rename(self.folder, self.server.maildir("alice") / ".old")
        for part in ("cur", "new", "tmp"):
            (self.folder / part).mkdir(parents=True)
        (self.folder / "dovecot-uidlist").write_bytes(
            b"3 V77 N5 G%b\n4 :1700000000.M1P1.other\n" % (b"ab" * 16)
        )
        (self.folder / "cur" / "1700000000.M1P1.other:2,S").write_bytes(MAIL)
        self.assertIn(b"[APPENDUID 77 5]", self.append())
        self.client.ok("SELECT box")
        self.assertIn(b"* SEARCH 4 5", self.client.ok("UID SEARCH ALL"))

    def test_renamed_while_a_large_message_comes(self) -> None:
        """Whether the client goes on or leaves, nothing of it stays anywhere."""
        octets = MAIL * (PIECE_OCTETS * 2 // len(MAIL))
        for new, line in (("left", b"RENAME box left"), ("done", b"RENAME box done")):
            other = self.server.login(select="box")
            other.write(b"x APPEND box {%d+}\r\n" % len(octets))
            other.write(octets[:-9])
            self.assertEqual(len(left_in(self.folder / "tmp")), 1)
            self.client.ok(line)
            if new == "left":
                other.hang_up()
                self.client.ok("CREATE box")
            else:
                other.write(octets[-9:] + b"\r\n")
                self.assertIn(b"x NO [TRYCREATE]", other.raw)
            folder = self.folder.with_name(f".{new}")
            for part in ("cur", "new", "tmp"):
                self.assertEqual(left_in(folder / part), [], new)
