"""What IMAP says of messages, whatever their octets and names, and for how long."""

import os
import re
import tempfile
import time
import unittest
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.messages import MESSAGE, append, as_fetched, body, literal, size
from tests.support.server import Client, Server

PIECES = st.sampled_from(
    [
        *(b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b".", b"\r\n.\r\n", b"\x0b"),
        *(b"\x0c", b"\x1c", b"\x85", b"\x80\xff", b"From ", b"a: b", b"", b" \t"),
        *(b"x" * 2000, b"\xe2\x80\xa8", b"{3}\r\n", b"\xef\xbb\xbf", b"\x1a", b")"),
    ]
)
OCTETS = st.binary(max_size=50).map(lambda octets: octets.replace(b"\0", b""))
MESSAGES = st.lists(st.one_of(PIECES, OCTETS), min_size=1, max_size=12).map(b"".join)


class OctetTests(unittest.TestCase):
    def setUp(self) -> None:
        self.server = Server(self)
        self.client = self.server.login(select="INBOX")

    @settings(max_examples=150, deadline=None, derandomize=True)
    @given(MESSAGES.filter(bool))
    def test_what_goes_in_comes_out(self, octets: bytes) -> None:
        # Hardening: P27.
        uid = append(self.client, octets)
        whole = body(self.client, uid)
        self.assertEqual(whole, as_fetched(octets))
        self.assertEqual(size(self.client, uid), len(whole))
        parts = body(self.client, uid, "HEADER") + body(self.client, uid, "TEXT")
        self.assertEqual(parts, whole)
        start, count = len(octets) // 3, len(octets) // 2 + 1
        raw = self.client.ok(f"UID FETCH {uid} BODY.PEEK[]<{start}.{count}>")
        piece = whole[start : start + count]
        self.assertIn(b"BODY[]<%d> " % start, raw)
        if piece:
            self.assertEqual(literal(raw), piece)

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(MESSAGES.filter(bool))
    def test_what_is_delivered_comes_out(self, octets: bytes) -> None:
        # Hardening: P27.
        path = self.server.maildir("alice") / "new" / f"{time.time_ns()}.M1P1.host"
        path.write_bytes(octets)
        self.client.ok("NOOP")
        uid = int(self.client.ok("UID SEARCH UID *").split()[2])
        whole = body(self.client, uid)
        self.assertEqual(whole, as_fetched(octets))
        self.assertEqual(size(self.client, uid), len(whole))
        self.client.ok(f"UID COPY {uid} INBOX")
        self.assertEqual(body(self.client, uid + 1), whole)
        self.assertEqual(size(self.client, uid + 1), len(whole))

    def test_nul(self) -> None:
        """CHAR8 has no NUL (RFC 3501 §9): each is sent as 0x80, so no size changes."""
        # Hardening: P27.
        self.client.command("APPEND INBOX {8}")
        self.assertTrue(self.client.raw.startswith(b"+ "))
        self.client.write(b"a: b\r\0\nc\r\n")
        self.client.ok("NOOP")  # in step all the same
        path = self.server.maildir("alice") / "new" / "1700000000.M1P1.host"
        path.write_bytes(b"Subject: a\0b\n\nx\0y\n")
        self.client.ok("NOOP")
        uid = int(self.client.ok("UID SEARCH UID *").split()[2])
        whole = body(self.client, uid)
        self.assertNotIn(b"\0", whole)
        self.assertEqual(len(whole), size(self.client, uid))
        for item in ("ENVELOPE", "BODYSTRUCTURE", "BODY[TEXT]", "BODY[1]", "RFC822"):
            self.assertNotIn(b"\0", self.client.ok(f"UID FETCH {uid} {item}"), item)
        raw = self.client.ok(f"UID FETCH {uid} BODY[HEADER.FIELDS (SUBJECT)]")
        self.assertNotIn(b"\0", raw)

    def test_odd_messages(self) -> None:
        for case, octets in {
            "no final newline": b"Subject: x\r\n\r\nx",
            "header only": b"Subject: x\r\n",
            "one octet": b"x",
            "a line of a megabyte": b"Subject: x\r\n\r\n" + b"y" * (1 << 20) + b"\r\n",
            "dots": b"Subject: x\r\n\r\n.\r\n..\r\n.x\r\n",
            "all octets": bytes(range(1, 256)),
            "only line ends": b"\r\n\r\n\r\n",
        }.items():
            uid = append(self.client, octets)
            self.assertEqual(body(self.client, uid), as_fetched(octets), case)
            self.assertEqual(size(self.client, uid), len(as_fetched(octets)), case)

    def test_the_size_in_a_name_may_lie(self) -> None:
        """A wrong ,S= or ,W= must not make a FETCH announce what it does not send."""
        new = self.server.maildir("alice") / "new"
        octets = b"Subject: x\n\nbody\n"
        for number, sizes in enumerate((",S=5", ",S=999999,W=3", ",W=1", ",W=99999")):
            (new / f"170000000{number}.M1P1.host{sizes}").write_bytes(octets)
        self.client.ok("NOOP")
        for uid in range(1, 5):
            whole = body(self.client, uid)
            self.assertEqual(whole, as_fetched(octets), uid)
            self.assertEqual(size(self.client, uid), len(whole), uid)


class FlagTests(unittest.TestCase):
    def setUp(self) -> None:
        self.server = Server(self)
        self.maildir = self.server.maildir("alice")
        self.client = self.server.login(select="INBOX")
        self.client.ok("CREATE Work")

    def flags(self, uid: int, client: Client | None = None) -> set[bytes]:
        raw = (client or self.client).ok(f"UID FETCH {uid} (FLAGS)")
        found = re.search(rb"FETCH \([^(]*FLAGS \(([^)]*)\)", raw)
        self.assertIsNotNone(found, raw)
        return set(found[1].split()) - {rb"\Recent"} if found else set()

    def names(self, folder: str = "") -> list[str]:
        return sorted(os.listdir(self.maildir / folder / "cur"))

    def test_date_stays(self) -> None:
        date = '"17-Jul-1996 02:44:25 -0700"'
        wanted = b'INTERNALDATE "17-Jul-1996 09:44:25 +0000"'
        self.client.append(MESSAGE, "INBOX", "", date)
        self.client.ok(r"STORE 1 +FLAGS (\Seen $kw)")
        self.assertIn(wanted, self.client.ok("FETCH 1 INTERNALDATE"))
        self.client.ok("COPY 1 Work")
        self.client.ok("MOVE 1 Work")
        self.client.ok("SELECT Work")
        self.assertEqual(self.client.ok("FETCH 1:2 INTERNALDATE").count(wanted), 2)
        self.client.hang_up()
        again = Server(self, root=self.server.root).login(select="Work")
        self.assertEqual(again.ok("FETCH 1:2 INTERNALDATE").count(wanted), 2)

    def test_keywords_follow_by_name(self) -> None:
        append(self.client, MESSAGE, "Work", "(first second)")
        append(self.client, MESSAGE, "INBOX", "(second third)")
        self.client.ok("COPY 1 Work")
        self.client.ok("MOVE 1 Work")
        self.client.ok("SELECT Work")
        self.assertEqual(self.flags(1), {b"first", b"second"})
        self.assertEqual(self.flags(2), {b"second", b"third"})
        self.assertEqual(self.flags(3), {b"second", b"third"})

    def test_more_keywords_than_letters(self) -> None:
        # Hardening: F09.
        words = {b"kw%d" % number for number in range(40)}
        uid = append(
            self.client, MESSAGE, "INBOX", f"({b' '.join(sorted(words)).decode()})"
        )
        self.assertEqual(self.flags(uid), words)
        self.client.ok(f"UID COPY {uid} Work")
        other = self.server.login(select="Work")
        self.assertEqual(self.flags(1, other), words)
        other.ok("STORE 1 -FLAGS (kw39 kw0)")
        self.assertEqual(self.flags(1, other), words - {b"kw39", b"kw0"})
        self.assertEqual(self.flags(uid), words)
        self.client.ok(f"UID MOVE {uid} Work")
        other.ok("NOOP")
        self.assertEqual(self.flags(2, other), words)
        # Case is kept as first spelled, and has no meaning: RFC 3501 §2.3.2.
        other.ok("STORE 1 +FLAGS (KW0 KW39)")
        self.assertEqual(self.flags(1, other), words)
        for client in (self.client, other):
            client.hang_up()
        again = Server(self, root=self.server.root).login(select="Work")
        self.assertEqual(self.flags(1, again), words)
        self.assertEqual(self.flags(2, again), words)

    def test_keywords_beyond_letters_do_not_pass_to_others(self) -> None:
        """They are kept by UID: a UID of another numbering is another message."""
        many = " ".join(f"kw{number}" for number in range(40))
        append(self.client, MESSAGE, "Work", f"({many})")
        self.client.ok("DELETE Work")
        self.client.ok("CREATE Work")
        self.assertEqual(append(self.client, MESSAGE, "Work"), 1)
        self.client.ok("SELECT Work")
        self.assertEqual(self.flags(1), set())

    def test_unknown_letters_and_extras_stay(self) -> None:
        cur = self.maildir / "cur"
        (cur / "1700000000.M1P1.host:2,PSXZ,backup=1,x").write_bytes(b"a: b\n\nx\n")
        self.client.ok("NOOP")
        self.client.ok(r"STORE 1 +FLAGS (\Flagged \Deleted)")
        self.client.ok(r"STORE 1 -FLAGS (\Seen)")
        (name,) = self.names()
        self.assertTrue(name.endswith(":2,FPTXZ,backup=1,x"), name)
        self.client.ok(r"STORE 1 FLAGS (\Answered)")
        (name,) = self.names()
        letters, _, extra = name.rpartition(":2,")[2].partition(",")
        self.assertEqual(set("RXZ") - set(letters), set(), name)
        self.assertEqual(extra, "backup=1,x")
        self.client.ok("COPY 1 Work")
        self.client.ok("MOVE 1 Work")
        for name in self.names(".Work"):
            letters, _, extra = name.rpartition(":2,")[2].partition(",")
            self.assertEqual(set("RXZ") - set(letters), set(), name)
            self.assertEqual(extra, "backup=1,x", name)

    def test_flags_set_by_renaming_show(self) -> None:
        append(self.client, MESSAGE)
        cur = self.maildir / "cur"
        (name,) = self.names()
        base = name.partition(":")[0]
        for letters, flags in {
            "S": {rb"\Seen"},
            "DFRST": {rb"\Draft", rb"\Flagged", rb"\Answered", rb"\Seen", rb"\Deleted"},
            "": set(),
        }.items():
            (name,) = self.names()
            os.rename(cur / name, cur / f"{base}:2,{letters}")
            self.assertIn(b"FETCH (", self.client.ok("NOOP"), letters)
            self.assertEqual(self.flags(1), flags)
        os.rename(cur / f"{base}:2,", cur / base)  # no info at all
        self.client.ok("NOOP")
        self.assertEqual(self.flags(1), set())
        self.assertEqual(body(self.client, 1), MESSAGE)

    def test_restart(self) -> None:
        for number in range(5):
            append(self.client, b"Subject: %d\r\n\r\nx\r\n" % number)
        self.client.ok(r"STORE 2 FLAGS (\Seen $Work Other)")
        self.client.ok(r"STORE 5 +FLAGS (\Deleted)")
        self.client.ok("EXPUNGE")
        self.client.ok("SUBSCRIBE Work")
        self.client.ok("SUBSCRIBE gone")
        questions = (
            "STATUS INBOX (MESSAGES UIDNEXT UIDVALIDITY UNSEEN SIZE)",
            "STATUS Work (MESSAGES UIDNEXT UIDVALIDITY)",
            "UID FETCH 1:* (FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY.PEEK[])",
            'LSUB "" *',
            'LIST "" *',
            "NAMESPACE",
        )
        self.client.ok("NOOP")
        before = [
            set(self.client.ok(question).splitlines()[:-1]) for question in questions
        ]
        root = self.server.root
        self.server.close()
        for lost in ((), ("imapd-cache.sqlite3",), ("imapd-state.sqlite3",)):
            for name in lost:
                for path in self.maildir.glob(name + "*"):
                    path.unlink()
            server = Server(self, root=root)
            client = server.login(select="INBOX")
            after = [
                set(client.ok(question).splitlines()[:-1]) for question in questions
            ]
            for question, one, other in zip(questions, before, after, strict=True):
                self.assertEqual(plain(one), plain(other), (lost, question))
            self.assertEqual(append(client, MESSAGE, "Work") > 0, True)
            client.ok("SELECT Work")
            client.ok(r"STORE 1:* +FLAGS.SILENT (\Deleted)")
            client.ok("EXPUNGE")
            before[1] = set(client.ok(questions[1]).splitlines()[:-1])
            server.close()


def plain(lines: set[bytes]) -> set[bytes]:
    r"""Without \Recent, which belongs to one session."""
    return {re.sub(rb"\\Recent ?", b"", line) for line in lines}


class RenumberedTests(unittest.TestCase):
    def test_the_cache_does_not_outlive_its_numbers(self) -> None:
        """Dovecot numbers a broken folder anew, and keeps the mailbox's GUID."""
        with tempfile.TemporaryDirectory() as place:
            server = Server(self, root=Path(place))
            client = server.login(select="INBOX")
            for subject in (b"first", b"second"):
                append(
                    client,
                    b"Subject: %b\r\n\r\n%b\r\n" % (subject, subject * len(subject)),
                )
            items = "(UID ENVELOPE RFC822.SIZE INTERNALDATE BODYSTRUCTURE)"
            client.ok(f"FETCH 1:2 {items}")
            client.ok("LOGOUT")
            path = server.maildir("alice") / "dovecot-uidlist"
            lines = path.read_bytes().splitlines()
            head = re.sub(rb" V(\d+)", lambda m: b" V%d" % (int(m[1]) + 1), lines[0])
            one, two = (line.partition(b" ")[2] for line in lines[1:3])
            path.write_bytes(b"\n".join([head, b"1 " + two, b"2 " + one, b""]))
            client = server.login(select="INBOX")
            answer = client.ok("FETCH 1 (ENVELOPE RFC822.SIZE BODY.PEEK[])")
            self.assertIn(b'"second"', answer)
            self.assertEqual(size(client, 1), len(body(client, 1)))
