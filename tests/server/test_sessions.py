"""Several sessions, and other programs, on one mailbox.  RFC 3501 §5.5, RFC 2180."""

import os
import time
import unittest
from collections.abc import Callable
from pathlib import Path

from tests.support.leftovers import left_in
from tests.support.server import Client, Server

MESSAGE = b"From: a@example.org\r\nSubject: %d\r\n\r\nbody %d\r\n"


def deliver(maildir: Path, name: str, octets: bytes = b"Subject: new\n\nnew\n") -> None:
    """What a delivery agent does."""
    draft = maildir / "tmp" / name
    draft.write_bytes(octets)
    os.rename(draft, maildir / "new" / name)


class SessionTests(unittest.TestCase):
    def setUp(self) -> None:
        self.server = Server(self)
        first = self.server.login(select="INBOX")
        for number in range(4):
            first.append(MESSAGE % (number, number))
        first.ok("LOGOUT")
        self.one = self.server.login(select="INBOX")
        self.two = self.server.login(select="INBOX")

    def assert_gone(self, client: Client, seq: int) -> None:
        self.assertIn(b"* %d EXPUNGE\r\n" % seq, client.raw)

    def test_each_session_has_its_own_numbers(self) -> None:
        self.one.ok(r"STORE 1 +FLAGS.SILENT (\Deleted)")
        self.one.ok("EXPUNGE")
        self.assert_gone(self.one, 1)
        # two was not told yet: its number 2 is still the second message.
        self.assertIn(b"UID 2", self.two.ok("FETCH 2 (UID)"))
        self.assertNotIn(b"EXPUNGE", self.two.raw)
        self.assertIn(b"UID 2", self.one.ok("FETCH 1 (UID)"))
        self.two.ok("NOOP")
        self.assert_gone(self.two, 1)
        self.assertIn(b"UID 2", self.two.ok("FETCH 1 (UID)"))

    def test_nothing_is_looked_for_twice(self) -> None:
        """Each way in which there may be something to tell, after a quiet command."""
        maildir = self.one_folder()
        changes: dict[str, tuple[Callable[[], object], bytes]] = {
            "delivery": (lambda: deliver(maildir, "1.new"), b"* 5 EXISTS\r\n"),
            "flags": (lambda: self.two.ok(r"STORE 1 +FLAGS (\Seen)"), b"* 1 FETCH ("),
            "keyword": (lambda: self.two.ok("STORE 2 +FLAGS (odd)"), b"* FLAGS ("),
            "name": (lambda: self.name_a_letter(maildir), b"* FLAGS ("),
            "expunge": (self.expunge_first, b"* 1 EXPUNGE\r\n"),
            "file gone": (lambda: self.remove_one(maildir), b" EXPUNGE\r\n"),
        }
        for name, (change, told) in changes.items():
            self.one.ok("NOOP")
            time.sleep(0.12)  # until a listing has confirmed what we did ourselves
            self.one.ok("NOOP")
            self.assertNotIn(b"*", self.one.ok("NOOP"), name)
            change()
            self.assertIn(told, self.one.ok("NOOP"), name)

    def one_folder(self) -> Path:
        return next(self.server.root.rglob("cur")).parent

    def name_a_letter(self, maildir: Path) -> None:
        """Another program names a keyword that no message has, and two finds it."""
        names = maildir / "dovecot-keywords"
        names.write_text(names.read_text() + "1 even\n")
        os.utime(maildir / "cur")
        for _ in range(2):  # the second time nothing is left to look for
            time.sleep(0.12)
            self.two.ok("NOOP")

    def expunge_first(self) -> None:
        self.two.ok(r"STORE 1 +FLAGS.SILENT (\Deleted)")
        self.two.ok("EXPUNGE")

    def remove_one(self, maildir: Path) -> None:
        next((maildir / "cur").iterdir()).unlink()

    def test_no_expunge_in_fetch_store_search(self) -> None:
        self.one.ok(r"STORE 1 +FLAGS.SILENT (\Deleted)")
        self.one.ok("EXPUNGE")
        for command in ("FETCH 2 FLAGS", r"STORE 2 +FLAGS (\Seen)", "SEARCH ALL"):
            self.assertNotIn(b"EXPUNGE", self.two.ok(command), command)
        self.two.ok("UID FETCH 2 FLAGS")
        self.assert_gone(self.two, 1)

    def test_reading_what_is_gone(self) -> None:
        # Hardening: D11.
        self.one.ok(r"STORE 2 +FLAGS.SILENT (\Deleted)")
        self.one.ok("EXPUNGE")
        answer = self.two.no("FETCH 1:3 (UID BODY.PEEK[TEXT])")
        self.assertIn(b"[EXPUNGEISSUED]", answer)
        self.assertIn(b"body 0", answer)
        self.assertNotIn(b"body 1", answer)
        self.assertIn(b"body 2", answer)
        self.assertIn(b"[EXPUNGEISSUED]", self.two.no("FETCH 2 FLAGS"))
        self.assertIn(b"[EXPUNGEISSUED]", self.two.no(r"STORE 1:3 +FLAGS (\Flagged)"))
        self.assertIn(b"* SEARCH\r\n", self.two.ok("SEARCH 2"))
        self.assertIn(b"[EXPUNGEISSUED]", self.two.no("COPY 2 INBOX"))
        self.assert_gone(self.two, 2)

    def test_reading_by_uid_what_is_gone(self) -> None:
        for command in (
            "UID FETCH 1:4 (FLAGS)",
            "UID FETCH 1:4 (UID BODY.PEEK[TEXT])",
            "UID FETCH 1:4 (ENVELOPE)",
            r"UID STORE 1:4 +FLAGS (\Flagged)",
            "UID COPY 1:4 INBOX",
            "UID SEARCH ALL",
        ):
            server = Server(self)
            one = server.login(select="INBOX")
            for number in range(4):
                one.append(MESSAGE % (number, number))
            two = server.login(select="INBOX")
            one.ok(r"STORE 2 +FLAGS.SILENT (\Deleted)")
            one.ok("EXPUNGE")
            answer = two.ok(command)
            self.assertIn(b"* 2 EXPUNGE\r\n", answer, command)
            self.assertNotIn(b"UID 2 ", answer, command)

    def test_a_file_removed_while_it_is_fetched_by_uid(self) -> None:
        # Hardening: D11.
        self.two.ok("NOOP")
        for path in (self.server.maildir("alice") / "cur").iterdir():
            if b"Subject: 1" in path.read_bytes():
                path.unlink()
        answer = self.two.ok("UID FETCH 1:4 (UID BODY.PEEK[TEXT])")
        self.assertIn(b"body 2", answer)
        self.assertNotIn(b"body 1", answer)
        self.assertIn(b"* 2 EXPUNGE\r\n", answer)

    def test_flags_are_told_to_the_others_once(self) -> None:
        self.one.ok(r"STORE 3 +FLAGS (\Flagged $Work)")
        told = self.two.ok("NOOP")
        self.assertRegex(told, rb"^\* FLAGS \([^)]* \$Work\)\r\n")
        self.assertIn(rb"[PERMANENTFLAGS (\Answered", told)
        self.assertIn(b"* 3 FETCH (UID 3 FLAGS ($Work \\Flagged))\r\nt3 OK", told)
        self.assertNotIn(b"FETCH", self.two.ok("NOOP"))
        self.assertNotIn(b"FETCH", self.one.ok("NOOP"))

    def test_silent_is_silent(self) -> None:
        self.assertNotIn(b"FETCH", self.one.ok(r"STORE 1:4 +FLAGS.SILENT (\Seen)"))
        self.assertNotIn(b"FETCH", self.one.ok("NOOP"))

    def test_new_messages_are_told_and_recent_only_once(self) -> None:
        deliver(self.server.maildir("alice"), "1700000000.M1P1.host")
        self.assertIn(b"* 5 EXISTS\r\n* 1 RECENT\r\n", self.one.ok("NOOP"))
        self.assertIn(b"* 5 EXISTS\r\n* 0 RECENT\r\n", self.two.ok("NOOP"))
        self.assertIn(rb"\Recent", self.one.ok("FETCH 5 FLAGS"))
        self.assertNotIn(rb"\Recent", self.two.ok("FETCH 5 FLAGS"))
        self.assertIn(b"* SEARCH 5\r\n", self.one.ok("SEARCH NEW"))
        self.assertIn(b"* SEARCH\r\n", self.two.ok("SEARCH RECENT"))

    def test_examine_leaves_messages_recent(self) -> None:
        self.one.ok("LOGOUT")
        self.two.ok("LOGOUT")
        deliver(self.server.maildir("alice"), "1700000000.M1P1.host")
        reader = self.server.login()
        self.assertIn(b"RECENT 1", reader.ok("STATUS INBOX (RECENT)"))
        self.assertIn(b"* 1 RECENT\r\n", reader.ok("EXAMINE INBOX"))
        reader.ok("CLOSE")
        self.assertIn(b"* 1 RECENT\r\n", reader.ok("SELECT INBOX"))
        reader.ok("CLOSE")
        self.assertIn(b"* 0 RECENT\r\n", reader.ok("SELECT INBOX"))

    def test_other_programs_show_at_the_next_command(self) -> None:
        cur = self.server.maildir("alice") / "cur"
        self.two.ok("NOOP")
        names = sorted(cur.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        # A mail reader marks the first message it finds as replied to...
        first = names[0]
        base = first.name.partition(":2,")[0]
        os.rename(first, cur / f"{base}:2,R")
        answer = self.one.ok("NOOP")
        self.assertIn(rb"FLAGS (\Answered)", answer)
        # ...and then removes it.
        os.unlink(cur / f"{base}:2,R")
        self.one.ok("NOOP")
        self.assertIn(b" EXPUNGE\r\n", self.one.raw)
        self.assertIn(b" EXPUNGE\r\n", self.two.ok("NOOP"))

    def test_idle_is_told_within_a_second(self) -> None:
        self.one.command("IDLE")
        self.assertTrue(self.one.raw.startswith(b"+ "))
        deliver(self.server.maildir("alice"), "1700000000.M1P1.host")
        for _ in range(10):
            self.server.clock.advance(0.1)
        self.one.receive()
        self.assertIn(b"* 5 EXISTS\r\n", self.one.raw)
        self.two.ok(r"STORE 1 +FLAGS (\Deleted)")
        self.one.receive()
        self.assertIn(rb"* 1 FETCH (UID 1 FLAGS (\Deleted", self.one.raw)
        self.two.ok("EXPUNGE")
        self.one.receive()
        self.assertIn(b"* 1 EXPUNGE\r\n", self.one.raw)
        self.one.write(b"DONE\r\n")
        self.assertIn(b" OK IDLE completed", self.one.raw)

    def test_idle_says_that_it_is_there(self) -> None:
        # Hardening: V08.
        self.one.command("IDLE")
        self.server.clock.advance(121)
        self.one.receive()
        self.assertIn(b"* OK Still here\r\n", self.one.raw)
        self.assertIn(b" BAD ", self.one.write(b"NOPE\r\n") and self.one.raw)
        self.server.clock.advance(121)
        self.one.receive()
        self.assertEqual(self.one.raw, b"")

    def test_deleted_under_another_session(self) -> None:
        self.one.ok("CREATE box")
        self.two.ok("SELECT box")
        self.one.ok("DELETE box")
        self.two.command("NOOP")
        self.assertIn(b"* BYE [UNAVAILABLE]", self.two.raw)

    def test_deleting_the_own_mailbox(self) -> None:
        self.one.ok("CREATE box")
        self.one.ok("SELECT box")
        self.assertIn(b"* OK [CLOSED]", self.one.ok("DELETE box"))
        self.one.bad("CHECK")
        self.one.ok("SELECT INBOX")

    def test_pipelined_commands_run_in_order(self) -> None:
        # Hardening: V07.
        self.one.write(
            b"a STORE 1 +FLAGS (\\Deleted)\r\nb EXPUNGE\r\n"
            b"c FETCH 1 (UID)\r\nd NOOP\r\n"
        )
        raw = self.one.raw
        order = [raw.index(each) for each in (b"a OK", b"b OK", b"c OK", b"d OK")]
        self.assertEqual(order, sorted(order))
        self.assertIn(b"* 1 FETCH (UID 2)\r\nc OK", raw)

    def test_expunge_numbers_descend_and_are_right(self) -> None:
        self.one.ok(r"STORE 1,3:4 +FLAGS.SILENT (\Deleted)")
        raw = self.one.ok("EXPUNGE")
        self.assertTrue(
            raw.startswith(b"* 4 EXPUNGE\r\n* 3 EXPUNGE\r\n* 1 EXPUNGE\r\n"), raw
        )

    def test_expunge_spares_what_the_session_does_not_know(self) -> None:
        deliver(self.server.maildir("alice"), "1700000000.M1P1.host")
        self.two.ok("NOOP")
        self.two.ok(r"STORE 5 +FLAGS.SILENT (\Deleted)")
        self.assertNotIn(b"5 EXPUNGE", self.one.ok("EXPUNGE"))
        self.assertIn(b"* 5 EXISTS", self.one.raw)

    def test_move_tells_copyuid_first(self) -> None:
        self.one.ok("CREATE box")
        raw = self.one.ok("MOVE 2:3 box")
        self.assertRegex(
            raw,
            rb"^\* OK \[COPYUID \d+ 2:3 1:2\] [^\r]*\r\n"
            rb"\* 3 EXPUNGE\r\n\* 2 EXPUNGE\r\n",
        )
        self.assertIn(b"EXPUNGE", self.two.ok("NOOP"))

    def test_copy_to_nowhere_may_be_tried_again(self) -> None:
        self.assertIn(b"[TRYCREATE]", self.one.no("COPY 1 nowhere"))
        self.assertIn(b"[TRYCREATE]", self.one.no("MOVE 1 nowhere"))

    def test_read_only_changes_nothing(self) -> None:
        self.one.ok("EXAMINE INBOX")
        for command in (r"STORE 1 +FLAGS (\Seen)", "EXPUNGE", "MOVE 1 INBOX"):
            self.assertIn(b"[READ-ONLY]", self.one.no(command), command)
        self.assertIn(b"FLAGS ()", self.one.ok("FETCH 1 (BODY[TEXT] FLAGS)"))
        self.one.ok("CLOSE")

    def test_fetching_marks_as_seen_and_says_so(self) -> None:
        self.assertIn(rb"FLAGS (\Seen)", self.one.ok("FETCH 1 BODY[TEXT]"))
        self.assertNotIn(b"FLAGS", self.one.ok("FETCH 1 BODY[TEXT]"))
        self.assertNotIn(b"FLAGS", self.one.ok("FETCH 2 BODY.PEEK[TEXT]"))
        self.assertIn(rb"* 1 FETCH (UID 1 FLAGS (\Seen))", self.two.ok("NOOP"))
        self.assertIn(rb"FLAGS (\Seen)", self.one.ok("FETCH 3 RFC822"))
        self.assertNotIn(b"FLAGS", self.one.ok("FETCH 4 RFC822.HEADER"))


class AppendTests(unittest.TestCase):
    def setUp(self) -> None:
        self.server = Server(self)
        self.client = self.server.login(select="INBOX")

    def test_appended_is_recent_and_dated(self) -> None:
        raw = self.client.append(
            MESSAGE % (1, 1), flags=r"(\Seen $Kw)", date='"17-Jul-1996 02:44:25 -0700"'
        )
        self.assertIn(b"* 1 EXISTS\r\n* 1 RECENT\r\n", raw)
        raw = self.client.ok("FETCH 1 (FLAGS INTERNALDATE BODY.PEEK[])")
        self.assertIn(rb"FLAGS ($Kw \Recent \Seen)", raw)
        self.assertIn(b'INTERNALDATE "17-Jul-1996 09:44:25 +0000"', raw)
        self.assertIn(MESSAGE % (1, 1), raw)

    def test_multiappend_is_all_or_nothing(self) -> None:
        # Hardening: D20.
        one, two = MESSAGE % (1, 1), MESSAGE % (2, 2)
        raw = b"a APPEND INBOX {%d+}\r\n%b (\\Flagged) {%d+}\r\n%b\r\n"
        self.client.write(raw % (len(one), one, len(two), two))
        self.assertRegex(self.client.raw, rb"a OK \[APPENDUID \d+ 1:2\]")
        self.client.write(b"b APPEND INBOX {%d+}\r\n%b {0+}\r\n\r\n" % (len(one), one))
        self.assertIn(b"b NO ", self.client.raw)
        self.client.write(b"c APPEND INBOX {%d+}\r\n%b junk\r\n" % (len(one), one))
        self.assertIn(b"c BAD ", self.client.raw)
        self.assertIn(b"MESSAGES 2", self.client.ok("STATUS INBOX (MESSAGES)"))
        self.assertEqual(left_in(self.server.maildir("alice") / "tmp"), [])

    def test_refused_before_an_octet_is_sent(self) -> None:
        # Hardening: P23.
        self.assertIn(b"[TRYCREATE]", self.client.no("APPEND nowhere {5}"))
        self.assertIn(b"[TOOBIG]", self.client.no("APPEND INBOX {99999999}"))
        self.client.bad(r"APPEND INBOX (\Foo) {5}")
        self.client.bad("APPEND INBOX")
        self.client.ok("NOOP")

    def test_refused_without_waiting_is_thrown_away(self) -> None:
        # Hardening: P08.
        self.client.write(b"a APPEND nowhere {9+}\r\nb LOGOUT\n\r\nc NOOP\r\n")
        self.assertIn(b"a NO [TRYCREATE]", self.client.raw)
        self.assertIn(b"c OK", self.client.raw)
        self.assertNotIn(b"BYE", self.client.raw)

    def test_an_upload_cut_off_leaves_nothing(self) -> None:
        # Hardening: P23.
        self.client.command("APPEND INBOX {100}")
        self.client.write(b"half a message")
        self.client.hang_up()
        self.assertEqual(left_in(self.server.maildir("alice") / "tmp"), [])

    def test_mailbox_name_as_literal(self) -> None:
        self.client.write(b"a APPEND {5}\r\n")
        self.client.write(b"INBOX {%d}\r\n" % len(MESSAGE))
        self.client.write(MESSAGE + b"\r\n")
        self.assertIn(b"a OK [APPENDUID", self.client.raw)
