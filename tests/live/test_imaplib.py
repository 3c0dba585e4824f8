"""Python's imaplib against the real server over TLS."""

import contextlib
import imaplib
import ssl
import time
from collections.abc import Iterator
from typing import Any

from tests.live import mail
from tests.live.base import PASSWORD
from tests.live.clients import ClientTests
from tests.live.peers import PEER_UNDER_TEST, needs

_PEER = ("dovecot",) if PEER_UNDER_TEST else ()


@needs(*_PEER)
class ImaplibTests(ClientTests):
    """What programs do that are written with it."""

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.server.ca))

    @contextlib.contextmanager
    def session(self) -> Iterator[imaplib.IMAP4]:
        with imaplib.IMAP4_SSL(
            "localhost", self.server.tls_port, ssl_context=self.context(), timeout=20
        ) as session:
            self.ok(session.login(self.user, PASSWORD))
            yield session

    def ok(self, answer: tuple[str, Any]) -> list[Any]:
        self.assertEqual(answer[0], "OK", answer)
        data: list[Any] = answer[1]
        return data

    def texts(self, answer: tuple[str, Any]) -> list[str]:
        return [one.decode() for one in self.ok(answer) if isinstance(one, bytes)]

    def test_starttls_then_every_login(self) -> None:
        for how in ("LOGIN", "CRAM-MD5", "PLAIN"):
            with (
                self.subTest(how=how),
                imaplib.IMAP4("localhost", self.server.port, timeout=20) as session,
            ):
                self.assertIn("STARTTLS", session.capabilities)
                self.ok(session.starttls(self.context()))
                self.assertNotIn("STARTTLS", session.capabilities)
                if how == "LOGIN":
                    self.ok(session.login(self.user, PASSWORD))
                elif how == "CRAM-MD5":
                    self.assertIn("AUTH=CRAM-MD5", session.capabilities)
                    self.ok(session.login_cram_md5(self.user, PASSWORD))
                else:
                    self.ok(session.authenticate("PLAIN", self.plain))
                self.ok(session.select())

    def plain(self, _challenge: bytes) -> bytes:
        return f"\0{self.user}\0{PASSWORD}".encode()

    def test_a_wrong_password_leaves_a_usable_connection(self) -> None:
        with imaplib.IMAP4_SSL(
            "localhost", self.server.tls_port, ssl_context=self.context(), timeout=20
        ) as session:
            with self.assertRaisesRegex(imaplib.IMAP4.error, "AUTHENTICATIONFAILED"):
                session.login(self.user, "wrong")
            self.ok(session.noop())
            self.ok(session.login(self.user, PASSWORD))

    def test_folders(self) -> None:
        with self.session() as session:
            for name in ("Sent", "Work", "&AMQ-rger"):
                self.ok(session.create(f'"{name}"'))
            self.assertEqual(session.create("Sent")[0], "NO")
            listed = " ".join(self.texts(session.list()))
            for name in ("INBOX", "Sent", "Work", "&AMQ-rger"):
                self.assertIn(name, listed)
            self.assertEqual(len(self.texts(session.list('""', "W*"))), 1)
            self.ok(session.subscribe("Work"))
            self.assertEqual(len(self.texts(session.lsub())), 1)
            self.ok(session.rename("Work", "Play"))
            self.ok(session.delete("Sent"))
            self.assertEqual(session.select("Sent")[0], "NO")
            self.assertEqual(session.select("Play")[0], "OK")
            self.assertEqual(session.delete("nowhere")[0], "NO")
            self.assertEqual(session.delete("INBOX")[0], "NO")

    def test_status_and_namespace(self) -> None:
        self.fill(3)
        with self.session() as session:
            items = "(MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN)"
            said = self.texts(session.status("INBOX", items))[0]
            self.assertIn("MESSAGES 3", said)
            self.assertIn("UIDNEXT 4", said)
            self.assertIn("UNSEEN 2", said)
            self.assertIn('(("" ', self.texts(session.namespace())[0])

    def test_append_and_fetch(self) -> None:
        octets = mail.message(1)
        when = imaplib.Time2Internaldate(1_500_000_000)
        with self.session() as session:
            answer = session.append("INBOX", r"(\Seen keyword)", when, octets)
            self.assertIn("APPENDUID", self.texts(answer)[0])
            missing = session.append("nowhere", "", when, octets)
            self.assertEqual(missing[0], "NO")
            self.assertIn("TRYCREATE", str(missing[1]))
            self.assertEqual(self.texts(session.select()), ["1"])
            items = "(FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])"
            fetched = self.ok(session.fetch("1", items))[0]
            assert isinstance(fetched, tuple)
            head, body = fetched
            self.assertEqual(body, octets)
            self.assertIn(b"RFC822.SIZE %d" % len(octets), head)
            told = imaplib.Internaldate2tuple(head)
            self.assertEqual(time.mktime(told or time.gmtime(0)), 1_500_000_000)
            self.assertLessEqual({b"\\Seen", b"keyword"}, set(imaplib.ParseFlags(head)))
            envelope = self.texts(session.fetch("1", "(ENVELOPE BODYSTRUCTURE)"))[0]
            self.assertIn('"live 1"', envelope)
            self.assertIn('"text" "plain"', envelope.lower())

    def test_partial_and_header_fetch(self) -> None:
        self.fill(2)
        with self.session() as session:
            self.ok(session.select(readonly=True))
            for items, octets in (
                ("BODY.PEEK[HEADER.FIELDS (SUBJECT)]", b"Subject: INBOX 0\r\n\r\n"),
                ("BODY.PEEK[TEXT]", b"Plain text.\r\n"),
                ("BODY.PEEK[TEXT]<6.4>", b"text"),
                ("BODY[]<0.5>", b"From:"),
            ):
                fetched = self.ok(session.fetch("1", f"({items})"))[0]
                assert isinstance(fetched, tuple)
                self.assertEqual(fetched[1], octets, items)
            self.assertEqual(self.texts(session.search(None, "SEEN")), ["2"])

    def test_search(self) -> None:
        self.fill(12)
        with self.session() as session:
            self.ok(session.select())
            for key, expected in (
                ("ALL", " ".join(str(n) for n in range(1, 13))),
                ("SEEN FLAGGED", "4 8 12"),
                ('SUBJECT "INBOX 5"', "6"),
                ('OR SUBJECT "INBOX 5" SUBJECT "INBOX 6"', "6 7"),
                ("NOT 3:12", "1 2"),
                ("UID 4:5", "4 5"),
                ("LARGER 200000", "6 12"),
                ("ON 1-Jan-1990", ""),
            ):
                self.assertEqual(self.texts(session.search(None, key)), [expected], key)
            vars(session)["literal"] = "Grüße".encode()
            found = session.uid("SEARCH", "CHARSET", "UTF-8", "TEXT")
            self.assertEqual(self.texts(found), ["2 8"])

    def test_store_copy_expunge(self) -> None:
        self.fill(6)
        with self.session() as session:
            self.ok(session.create("Archive"))
            self.ok(session.select())
            said = self.texts(session.store("1:2", "+FLAGS", r"(\Deleted work)"))
            self.assertEqual(len(said), 2)
            self.assertIn("work", said[0])
            self.assertEqual(session.copy("1:3", "nowhere")[0], "NO")
            self.ok(session.copy("1:3", "Archive"))
            # Each number as it was when its message went; the order is the server's.
            left = list(range(1, 7))
            for sequence_number in self.texts(session.expunge()):
                del left[int(sequence_number) - 1]
            self.assertEqual(left, [3, 4, 5, 6])
            self.assertEqual(self.texts(session.uid("SEARCH", "ALL")), ["3 4 5 6"])
            self.ok(session.uid("STORE", "6", "+FLAGS.SILENT", r"(\Deleted)"))
            self.ok(session.close())
            self.assertEqual(self.texts(session.select()), ["3"])
            self.assertEqual(self.texts(session.select("Archive")), ["3"])

    def test_read_only_stays_so(self) -> None:
        self.fill(2)
        with self.session() as session:
            self.ok(session.select(readonly=True))
            self.ok(session.fetch("1", "(BODY[])"))
            session.store("1", "+FLAGS", r"(\Flagged)")  # OK at some, NO at others
            self.assertEqual(self.texts(session.search(None, "UNSEEN FLAGGED")), [""])

    def test_idle_tells_of_what_another_session_does(self) -> None:
        self.fill(1)
        with self.session() as session:
            self.assertIn("IDLE", session.capabilities)
            self.ok(session.select())
            session.send(b"i1 IDLE\r\n")
            self.assertTrue(session.readline().startswith(b"+"))
            with self.connect() as other:
                other.append("INBOX", mail.message(9))
            line = b""
            end = time.monotonic() + 20
            while b"2 EXISTS" not in line and time.monotonic() < end:
                line = session.readline()
            self.assertIn(b"2 EXISTS", line)
            session.send(b"DONE\r\n")
            while not line.startswith(b"i1 "):
                line = session.readline()
            self.assertIn(b"OK", line)
