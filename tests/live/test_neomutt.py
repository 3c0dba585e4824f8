"""NeoMutt, which is made for a terminal, played by the keys one would press."""

import shlex

from tests.live.client import Value
from tests.live.clients import ClientTests
from tests.live.peers import PEER_UNDER_TEST, needs

_PEER = ("dovecot",) if PEER_UNDER_TEST else ()

_RC = """\
set folder = "imaps://localhost:{tls_port}/"
set spool_file = "+INBOX" record = "+Sent" postponed = "+Drafts" trash = "+Trash"
set imap_user = "{user}" imap_pass = "{password}"
set certificate_file = "{ca}" ssl_force_tls = yes
set header_cache = "{home}/headers" message_cachedir = "{home}/bodies"
set fast_reply = yes postpone = yes recall = no
set from = "me@example.org" realname = "Me" hostname = "example.org"
set sendmail = "/bin/true" editor = "/bin/true" tmpdir = "{home}"
set confirm_append = no confirm_create = no move = no delete = yes quit = yes
set abort_unmodified = no wait_key = no beep = no sleep_time = 0 sort = mailbox-order
set mail_check = 1 imap_idle = yes timeout = 1 pager_stop = yes
unset autocrypt
"""


@needs("neomutt", "script", *_PEER)
class NeomuttTests(ClientTests):
    """Each test is a session or two of NeoMutt over one account."""

    def setUp(self) -> None:
        super().setUp()
        self.rc = self.write("muttrc", _RC)

    def play(self, keys: str, *options: str, statuses: tuple[int, ...] = (0,)) -> str:
        """Press keys in a terminal; quit at the end."""
        command = ["neomutt", "-n", "-F", self.rc, *options]
        command += ["-e", f'push "{keys}<quit>"']
        return self.run_client(
            *("env", "TERM=xterm", "LINES=40", "COLUMNS=120"),
            *("script", "--quiet", "--return", "--flush"),
            *("--command", shlex.join(command), "/dev/null"),
            statuses=statuses,
        )

    def in_folder(self, folder: str = "INBOX") -> dict[int, list[Value]]:
        """UIDs with their flags."""
        found: dict[int, list[Value]] = {}
        with self.connect() as client:
            client.select(folder)
            for uid, row in client.fetch(b"1:*", b"FLAGS").items():
                flags = row[b"FLAGS"]
                assert isinstance(flags, list)
                found[uid] = flags
        return found

    def test_reads_and_marks(self) -> None:
        self.fill(4)
        with self.connect() as client:
            client.select("INBOX")
            client.command(b"STORE 1:* FLAGS ()")
        said = self.play(
            "<first-entry><display-message><exit>"
            "<next-entry><flag-message><next-entry><set-flag>O<sync-mailbox>"
        )
        self.assertIn("INBOX 1", said)  # a subject, in the index
        flags = self.in_folder()
        self.assertIn(rb"\Seen", flags[1])
        self.assertIn(rb"\Flagged", flags[2])
        self.assertNotIn(rb"\Seen", flags[4])

    def test_again_with_what_it_kept(self) -> None:
        """The second session goes by UIDVALIDITY and UIDNEXT of its cache."""
        self.fill(3)
        self.play("<last-entry>")
        self.fill(2)
        said = self.play("<last-entry><flag-message><sync-mailbox>")
        self.assertIn("INBOX 2", said)
        flags = self.in_folder()
        self.assertEqual(sorted(flags), [1, 2, 3, 4, 5])
        self.assertIn(rb"\Flagged", flags[5])

    def test_moves_and_deletes(self) -> None:
        self.fill(5)
        self.play(
            "<first-entry><save-message>=Archive/2020<enter>"
            "<sync-mailbox><first-entry><delete-message><sync-mailbox>"
        )
        self.assertEqual(len(self.in_folder()), 3)
        self.assertEqual(len(self.in_folder("Archive/2020")), 1)
        self.assertEqual(len(self.in_folder("Trash")), 1)

    def test_searches_on_the_server(self) -> None:
        self.fill(8)
        self.play("<tag-pattern>=s 'INBOX 5'<enter><tag-prefix><flag-message>")
        self.assertIn(rb"\Flagged", self.in_folder()[6])
        self.assertNotIn(rb"\Flagged", self.in_folder()[5])

    def test_sends_and_keeps_a_copy(self) -> None:
        self.fill(1, "Sent")  # NeoMutt makes none: it has no ear for TRYCREATE here
        self.fill(1, "Drafts")
        self.fill(1)
        self.play("<mail>you@example.org<enter>Kept<enter><send-message>")
        with self.connect() as client:
            client.select("Sent")
            (row,) = client.fetch(b"2", b"FLAGS BODY.PEEK[]").values()
        self.assertIn(b"Subject: Kept", row[b"BODY[]"] or b"")
        self.assertIn(b"\\Seen", row[b"FLAGS"] or [])

    def test_writes_a_draft_and_goes_on_with_it(self) -> None:
        self.fill(1, "Sent")  # NeoMutt makes none: it has no ear for TRYCREATE here
        self.fill(1, "Drafts")
        self.fill(1)
        self.play("<mail>you@example.org<enter>Later<enter><postpone-message>")
        self.assertEqual(len(self.in_folder("Drafts")), 2)
        self.play("<recall-message><last-entry><select-entry><send-message>")
        self.assertEqual(len(self.in_folder("Drafts")), 1)
        self.assertEqual(len(self.in_folder("Sent")), 2)

    def test_new_mail_by_its_exit_status(self) -> None:
        """``-z``: nothing there; ``-Z``: nothing new."""
        mailboxes = ("-e", 'mailboxes "+INBOX"')
        self.play("", "-z", statuses=(1,))
        self.play("", *mailboxes, "-Z", statuses=(1,))
        self.fill(1)
        self.play("", "-z")
