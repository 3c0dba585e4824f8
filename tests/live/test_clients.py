"""Clients that others wrote, as programs, against the real server over TLS."""

import os
import time
from pathlib import Path
from urllib.parse import quote

from tests.live import mail
from tests.live.base import PASSWORD
from tests.live.clients import ClientTests, make_maildir, messages
from tests.live.peers import PEER_UNDER_TEST, needs
from tests.live.process import other_user

_PEER = ("dovecot",) if PEER_UNDER_TEST else ()


@needs("curl", *_PEER)
class CurlTests(ClientTests):
    """curl, with implicit TLS, with STARTTLS, with CRAM-MD5."""

    def curl(self, path: str, *options: str, starttls: bool = False) -> str:
        port = self.server.port if starttls else self.server.tls_port
        scheme = "imap" if starttls else "imaps"
        return self.run_client(
            *("curl", "--silent", "--show-error", "--max-time", "20"),
            *("--cacert", str(self.server.ca), "--user", f"{self.user}:{PASSWORD}"),
            *(("--ssl-reqd",) if starttls else ()),
            *options,
            f"{scheme}://localhost:{port}/{path}",
        )

    def test_lists_folders(self) -> None:
        self.fill(1, "Entwürfe")
        said = self.curl("")
        self.assertIn("INBOX", said)
        self.assertIn("Entw&APw-rfe", said)

    def test_fetches_a_message_and_parts_of_it(self) -> None:
        self.fill(3)
        whole = self.curl("INBOX;UID=2")
        self.assertIn("Subject: INBOX 1", whole)
        self.assertIn("Grüße, undeclared 8-bit.", whole)
        header = self.curl("INBOX;MAILINDEX=2;SECTION=HEADER.FIELDS%20(SUBJECT)")
        self.assertEqual(header.strip(), "Subject: INBOX 1")
        self.assertNotIn("Subject", self.curl("INBOX;UID=2;SECTION=TEXT"))

    def test_searches(self) -> None:
        self.fill(8)
        said = self.curl("INBOX?" + quote('SUBJECT "INBOX 5"'))
        self.assertEqual(said.split(), ["*", "SEARCH", "6"])

    def test_uploads(self) -> None:
        upload = self.home / "upload.eml"
        upload.write_bytes(mail.message(5))
        self.curl("INBOX", "--upload-file", str(upload))
        with self.connect() as client:
            client.select("INBOX")
            row = client.fetch(b"1", b"FLAGS BODY.PEEK[]")[1]
            self.assertEqual(row[b"BODY[]"], mail.message(5))

    def test_stores_and_expunges(self) -> None:
        self.fill(2)
        self.curl("INBOX", "--request", r"STORE 1 +FLAGS (\Deleted)")
        self.curl("INBOX", "--request", "EXPUNGE")
        with self.connect() as client:
            client.select("INBOX")
            self.assertEqual(client.uids(), [2])

    def test_starttls(self) -> None:
        self.fill(1)
        self.assertIn("Subject: INBOX 0", self.curl("INBOX;UID=1", starttls=True))

    def test_every_login_mechanism(self) -> None:
        for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5"):
            for starttls in (False, True):
                with self.subTest(mechanism=mechanism, starttls=starttls):
                    option = f"AUTH={mechanism}"
                    said = self.curl("", "--login-options", option, starttls=starttls)
                    self.assertIn("INBOX", said)

    def test_a_wrong_password_is_refused(self) -> None:
        url = f"imaps://localhost:{self.server.tls_port}/"
        said = self.run_client(
            *("curl", "--silent", "--show-error", "--cacert", str(self.server.ca)),
            *("--user", f"{self.user}:wrong", url),
            statuses=(67,),  # CURLE_LOGIN_DENIED
        )
        self.assertIn("curl: (67)", said)


_MBSYNC = """\
IMAPAccount far
Host localhost
Port {tls_port}
User {user}
Pass {password}
SSLType IMAPS
SystemCertificates no
CertificateFile {ca}
AuthMechs AUTH

IMAPStore far
Account far

MaildirStore near
Path {home}/near/
Inbox {home}/near/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState *
"""


@needs("mbsync", *_PEER)
class MbsyncTests(ClientTests):
    """mbsync in both directions."""

    def sync(self, *, mechanism: str = "*") -> str:
        rc = self.write("mbsyncrc", _MBSYNC.replace("AUTH", mechanism, 1))
        (self.home / "near").mkdir(exist_ok=True)
        return self.run_client("mbsync", "--config", rc, "--all", "--debug-net")

    def transfers(self, said: str) -> list[str]:
        """The commands of a run that move a message or a flag."""
        sent = [line for line in said.splitlines() if ">>> " in line]
        self.assertTrue(sent, said)
        words = ("BODY.PEEK[]", "APPEND", " STORE ", "EXPUNGE", "COPY", "MOVE")
        return [line for line in sent if any(word in line for word in words)]

    def near(self, folder: str = "INBOX") -> list[Path]:
        return messages(self.home / "near" / folder)

    def test_a_second_run_transfers_nothing(self) -> None:
        self.fill(24)
        self.fill(5, "Archive")
        self.assertEqual(len(self.transfers(self.sync())), 29)
        self.assertEqual([len(self.near()), len(self.near("Archive"))], [24, 5])
        for _ in range(2):
            self.assertEqual(self.transfers(self.sync()), [])

    def test_changes_travel_both_ways(self) -> None:
        self.fill(12)
        self.sync()
        with self.connect() as client:
            client.select("INBOX")
            client.store(b"3", r"+FLAGS (\Answered)")
            client.expunge(b"1")
            client.append("INBOX", mail.message(50, tag="far"))
        new = self.home / "near" / "INBOX" / "new" / f"{int(time.time())}.near.host"
        new.write_bytes(mail.message(51, tag="near").replace(b"\r\n", b"\n"))
        for path in self.near():
            text = path.read_bytes()
            if b"Subject: INBOX 4\n" in text:
                _add_flag(path, "F")
            elif b"Subject: INBOX 6\n" in text:
                _add_flag(path, "T")
        self.sync()
        with self.connect() as client:
            client.select("INBOX")
            self.assertEqual(client.uids(), [2, 3, 4, 5, 6, *range(8, 15)])
            self.assertEqual(client.uids(b'SUBJECT "near 51"'), [14])
            self.assertIn(5, client.uids(b"FLAGGED"))
        subjects = b"".join(path.read_bytes() for path in self.near())
        self.assertIn(b"Subject: far 50", subjects)
        self.assertNotIn(b"Subject: INBOX 0\n", subjects)
        self.assertEqual(len(self.near()), 12)
        third = [p for p in self.near() if b"Subject: INBOX 2\n" in p.read_bytes()]
        self.assertIn("R", third[0].name.partition(":2,")[2])
        self.assertEqual(self.transfers(self.sync()), [])

    def test_a_folder_made_here_appears_there(self) -> None:
        self.sync()
        folder = make_maildir(self.home / "near" / "Projekte")
        (folder / "new" / "1.local.host").write_bytes(b"Subject: made here\n\nx\n")
        self.sync()
        with self.connect() as client:
            self.assertIn("Projekte", client.folders())
            self.assertEqual(client.select("Projekte")[b"EXISTS"], 1)

    def test_cram_md5(self) -> None:
        self.fill(2)
        said = self.sync(mechanism="CRAM-MD5")
        self.assertIn("AUTHENTICATE CRAM-MD5", said)
        self.assertEqual(len(self.near()), 2, said)


def _add_flag(path: Path, flag: str) -> None:
    """As a local mail reader does."""
    base, _, flags = path.name.partition(":2,")
    name = f"{base}:2,{''.join(sorted({*flags, flag}))}"
    path.rename(path.parent.parent / "cur" / name)


_OFFLINEIMAP = """\
[general]
accounts = test
metadata = {home}/metadata
socktimeout = 20

[Account test]
localrepository = near
remoterepository = far

[Repository near]
type = Maildir
localfolders = {home}/near

[Repository far]
type = IMAP
remotehost = localhost
remoteport = {tls_port}
remoteuser = {user}
remotepass = {password}
ssl = yes
sslcacertfile = {ca}
ssl_version = tls1_2
maxconnections = 2
"""


@needs("offlineimap", *_PEER)
class OfflineimapTests(ClientTests):
    def sync(self) -> str:
        rc = self.write("offlineimaprc", _OFFLINEIMAP)
        return self.run_client("offlineimap", "-c", rc, "-o", "-u", "basic")

    def near(self, folder: str = "INBOX") -> list[Path]:
        return messages(self.home / "near" / folder)

    def test_two_runs(self) -> None:
        self.fill(15)
        self.fill(4, "Archive")
        first = self.sync()
        self.assertEqual(len(self.near()), 15, first)
        self.assertEqual(len(self.near("Archive")), 4, first)
        self.assertIn("Copy message", first)
        second = self.sync()
        self.assertNotIn("Copy message", second)
        self.assertNotIn("ERROR", second)

    def test_changes_travel_both_ways(self) -> None:
        self.fill(6)
        self.sync()
        with self.connect() as client:
            client.select("INBOX")
            client.store(b"2", r"+FLAGS (\Flagged)")
            client.expunge(b"1")
            client.append("INBOX", mail.message(50, tag="far"))
        local = self.home / "near" / "INBOX" / "new" / f"{int(time.time())}.near.host"
        local.write_bytes(mail.message(51, tag="near").replace(b"\r\n", b"\n"))
        said = self.sync()
        with self.connect() as client:
            client.select("INBOX")
            self.assertEqual(len(client.uids(b'SUBJECT "near 51"')), 1, said)
            self.assertEqual(len(client.uids()), 7, said)
        text = b"".join(path.read_bytes() for path in self.near())
        self.assertIn(b"Subject: far 50", text)
        self.assertEqual(len(self.near()), 7, said)
        self.assertNotIn("Copy message", self.sync())


_GETMAIL = """\
[retriever]
type = SimpleIMAPSSLRetriever
server = localhost
port = {tls_port}
username = {user}
password = {password}
ca_certs = {ca}
timeout = 20
mailboxes = ("INBOX", "Archive")

[destination]
type = Maildir
path = {home}/near/

[options]
read_all = false
delete = DELETE
message_log = {home}/log
"""


@needs("getmail", *_PEER)
class GetmailTests(ClientTests):
    def retrieve(self, *, delete: bool = False) -> str:
        rc = self.write("getmailrc", _GETMAIL.replace("DELETE", str(delete).lower()))
        if not (self.home / "near").exists():
            make_maildir(self.home / "near")
        home = str(self.home)
        # It delivers nothing as root; no more than Dovecot does.
        prefix = other_user() if os.getuid() == 0 else ()
        return self.run_client(*prefix, "getmail", "--rcfile", rc, "--getmaildir", home)

    def test_retrieves_every_message_once(self) -> None:
        self.fill(9)
        self.fill(3, "Archive")
        said = self.retrieve()
        self.assertEqual(len(messages(self.home / "near")), 12, said)
        again = self.retrieve()
        self.assertEqual(len(messages(self.home / "near")), 12, again)
        self.assertIn("0 messages (0 bytes) retrieved", again)
        with self.connect() as client:
            self.assertEqual(client.select("INBOX")[b"EXISTS"], 9)

    def test_deletes_what_it_retrieved(self) -> None:
        self.fill(4)
        self.fill(1, "Archive")
        self.retrieve(delete=True)
        self.assertEqual(len(messages(self.home / "near")), 5)
        with self.connect() as client:
            self.assertEqual(client.select("INBOX")[b"EXISTS"], 0)
