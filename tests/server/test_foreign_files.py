"""What other programs put into a Maildir, and take out of it, as a client sees it."""

import os
import time
import unittest
from collections.abc import Callable

from twisted.logger import capturedLogs, formatEvent

from imapd.store import quiet
from tests.support.messages import MESSAGE, append
from tests.support.server import Server


class FileTests(unittest.TestCase):
    def setUp(self) -> None:
        self.server = Server(self)
        self.maildir = self.server.maildir("alice")
        self.client = self.server.login(select="INBOX")
        quiet.forget()
        self.addCleanup(quiet.forget)
        self.events = self.enterContext(capturedLogs())

    def told(self) -> list[str]:
        """The lines of the log about what is no message, each of this Maildir."""
        lines = [formatEvent(each) for each in self.events]
        told = [line for line in lines if "is not a message" in line]
        for line in told:
            self.assertIn(f"'{self.maildir}/", line)
        return told

    def test_what_is_no_message(self) -> None:
        # Hardening: F03, F10.
        cur, new = self.maildir / "cur", self.maildir / "new"
        secret = self.server.root / "secret"
        secret.write_bytes(b"Subject: canary\n\ncanary\n")
        os.mkfifo(cur / "1700000000.M1P1.fifo:2,S")
        os.mkfifo(new / "1700000000.M2P1.fifo")
        (cur / "1700000000.M1P1.directory:2,S").mkdir()
        (new / "1700000000.M2P1.directory").mkdir()
        (cur / "1700000000.M1P1.link:2,S").symlink_to(secret)
        (new / "1700000000.M2P1.link").symlink_to(secret)
        (cur / "1700000000.M1P1.dangling:2,S").symlink_to("nowhere")
        (cur / ".hidden:2,S").write_bytes(b"x")
        (cur / "1700000001.M1P1.good:2,S").write_bytes(b"Subject: good\n\nx\n")
        answer = self.client.ok("NOOP")
        self.assertIn(b"* 1 EXISTS", answer)
        answer = self.client.ok("FETCH 1:* (UID FLAGS RFC822.SIZE ENVELOPE BODY[])")
        self.assertIn(b"good", answer)
        self.assertNotIn(b"canary", answer)
        self.client.ok("STATUS INBOX (MESSAGES SIZE)")
        self.assertIn(b"* SEARCH 1\r\n", self.client.ok("SEARCH TEXT x"))
        self.assertEqual(len(self.told()), 7)

    def test_what_lasts_is_told_once(self) -> None:
        """A client asks as often as it likes, and the log is not its to fill."""
        cases: dict[str, tuple[Callable[[], object], tuple[str, ...]]] = {
            "unreadable messages": (
                self._spoil_messages,
                ("SEARCH TEXT x", "SORT (SUBJECT) UTF-8 ALL", "FETCH 1:* BODY[]"),
            ),
            "no folder of messages": (
                self._spoil_folder,
                (
                    "NOOP",
                    "FETCH 1 BODY[TEXT]",
                    "SEARCH LARGER 1",
                    "STATUS INBOX (SIZE)",
                ),
            ),
        }
        for name, (spoil, commands) in cases.items():
            for _ in range(20):
                append(self.client, MESSAGE)
            spoil()
            before = len(self.events)
            for _ in range(10):
                for command in commands:
                    self.client.command(command)
            lines = [formatEvent(each) for each in self.events[before:]]
            self.assertGreater(len(lines), 0, name)
            self.assertEqual(len(lines), len(set(lines)), (name, lines))
            causes = [line for line in lines if not line.startswith("store: ")]
            self.assertLessEqual(len(causes), len(commands), (name, causes))

    def _spoil_messages(self) -> None:
        for part in ("cur", "new"):
            for path in (self.maildir / part).iterdir():
                path.unlink()
                path.mkdir()

    def _spoil_folder(self) -> None:
        (self.maildir / "cur").rename(self.maildir / "curious")
        (self.maildir / "cur").write_text("")

    def test_a_message_that_became_something_else(self) -> None:
        # Hardening: F10.
        secret = self.server.root / "secret"
        secret.write_bytes(b"Subject: canary\n\ncanary\n")
        for kind in ("link", "fifo", "directory"):
            uid = append(self.client, MESSAGE)
            append(self.client, MESSAGE)
            cur = self.maildir / "cur"
            path = min(cur.iterdir(), key=lambda path: path.stat().st_ctime_ns)
            found = [each for each in cur.iterdir() if each.is_file()]
            path = sorted(found, key=lambda each: each.name)[0]
            path.unlink()
            if kind == "link":
                path.symlink_to(secret)
            elif kind == "fifo":
                os.mkfifo(path)
            else:
                path.mkdir()
            self.client.command(f"UID FETCH {uid}:* (RFC822.SIZE ENVELOPE BODY.PEEK[])")
            self.assertNotIn(b"canary", self.client.raw, kind)
            self.assertIn(b"* ", self.client.raw, kind)
            self.client.ok("NOOP")
            if kind == "directory":
                path.rmdir()
            else:
                path.unlink()
            self.client.command(r"STORE 1:* +FLAGS.SILENT (\Deleted)")
            self.client.ok("EXPUNGE")
            self.client.ok("NOOP")
        self.assertGreaterEqual(len(self.told()), 3)

    @unittest.skipIf(os.geteuid() == 0, "root may read everything")
    def test_unreadable(self) -> None:
        # Hardening: F10.
        append(self.client, MESSAGE)
        append(self.client, MESSAGE)
        first = min((self.maildir / "cur").iterdir())
        first.chmod(0)
        answer = self.client.no("FETCH 1:2 BODY[]")
        self.assertIn(b"* 2 FETCH", answer)

    def test_duplicate_base_names(self) -> None:
        # Hardening: D12.
        for part in ("cur", "new"):
            name = "1700000000.M1P1.host" + (":2,S" if part == "cur" else "")
            (self.maildir / part / name).write_bytes(
                b"Subject: %b\n\nx\n" % part.encode()
            )
        old = time.time() - 100
        for part in ("cur", "new"):
            for path in (self.maildir / part).iterdir():
                os.utime(path, (old, old))
        self.client.ok("NOOP")
        self.client.ok("NOOP")
        self.client.ok("NOOP")
        answer = self.client.ok("FETCH 1:* BODY.PEEK[HEADER]")
        self.assertIn(b"Subject: cur", answer)
        self.assertIn(b"Subject: new", answer)

    def test_truncated_while_it_is_read(self) -> None:
        """Whatever is on disk, a literal has the octets that it promises."""
        # Hardening: P20.
        uid = append(self.client, b"Subject: x\r\n\r\n" + b"0123456789" * 1000)
        path = min((self.maildir / "cur").iterdir(), default=None)
        path = path or min((self.maildir / "new").iterdir())
        self.client.ok(f"UID FETCH {uid} (RFC822.SIZE ENVELOPE BODYSTRUCTURE)")
        path.write_bytes(b"Subject: x\n\nshort\n")
        for items in ("BODY[]", "BODY[TEXT]", "BODY[]<5000.100>", "BODY[1]", "RFC822"):
            self.client.command(f"UID FETCH {uid} {items}")  # the grammar looks
            self.assertIn(b"t%d " % self.client.number, self.client.raw, items)
        path.write_bytes(b"")
        self.client.command(
            f"UID FETCH {uid} (BODY[] BODY[HEADER] BODY[TEXT] ENVELOPE)"
        )
        self.client.ok("NOOP")

    def test_deliveries(self) -> None:
        tmp, new = self.maildir / "tmp", self.maildir / "new"
        (tmp / "1700000000.1.host").write_bytes(b"Subject: link\n\nx\n")
        os.link(tmp / "1700000000.1.host", new / "1700000000.1.host")  # qmail
        self.assertIn(b"* 1 EXISTS", self.client.ok("NOOP"))
        os.unlink(tmp / "1700000000.1.host")
        (tmp / "1700000001.M1P1.host").write_bytes(b"Subject: rename\n\nx\n")
        os.rename(tmp / "1700000001.M1P1.host", new / "1700000001.M1P1.host")
        self.assertIn(b"* 2 EXISTS", self.client.ok("NOOP"))
        (tmp / "1700000002.M1P1.host").write_bytes(b"Subject: cur\n\nx\n")
        os.rename(
            tmp / "1700000002.M1P1.host",
            self.maildir / "cur" / "1700000002.M1P1.host:2,S",
        )
        self.assertIn(b"* 3 EXISTS", self.client.ok("NOOP"))
        answer = self.client.ok("FETCH 1:3 (UID FLAGS BODY.PEEK[])")
        for subject in (b"link", b"rename", b"cur"):
            self.assertIn(b"Subject: %b" % subject, answer)
        self.assertNotIn(b"EXPUNGE", self.client.ok("NOOP"))

    def test_one_keyword_under_two_letters(self) -> None:
        (self.maildir / "dovecot-keywords").write_bytes(b"0 Good\n1 good\n2 x\n")
        (self.maildir / "cur" / "1700000000.M1P1.x:2,abc").write_bytes(MESSAGE)
        self.assertEqual(self.client.ok("NOOP").lower().count(b" good"), 2)  # FLAGS
        self.assertIn(b"(FLAGS (Good x))", self.sorted_flags())
        self.client.ok("STORE 1 -FLAGS (GOOD)")
        self.assertIn(b"(FLAGS (x))", self.sorted_flags())
        self.client.ok("STORE 1 +FLAGS (good)")
        self.assertIn(b"(FLAGS (Good x))", self.sorted_flags())
        [path] = (self.maildir / "cur").iterdir()
        self.assertEqual(path.name.partition(":2,")[2], "ac")

    def sorted_flags(self) -> bytes:
        answer = self.client.ok("FETCH 1 FLAGS")
        flags = answer.partition(b"(FLAGS (")[2].partition(b")")[0].split()
        flags.sort(key=lambda each: bytes(each).lower())
        return b"(FLAGS (%b))" % b" ".join(flags)
