"""``imapd-admin index``: what it fills, shows and answers."""

import io
import os
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

from imapd.errors import Unavailable
from imapd.ids import INBOX, Uid
from imapd.mailbox.indexing import Tally, version
from imapd.model.mailbox import MessageMeta
from imapd.service import adminindex
from imapd.store.maildir.account import MaildirAccount
from imapd.store.maildir.mailbox import MaildirMailbox
from tests.service.test_admin import run
from tests.support.maildirs import copy_sample

READ_DATED = MaildirMailbox.read_dated


class IndexTests(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="imapd-adminindex-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.maildirs = {
            name: copy_sample(name, self.folder) for name in ("alice", "bob")
        }
        users = self.folder / "users"
        users.write_text(
            "alice@example.org:{PLAIN}x::::::\nbob@example.org:{PLAIN}x::::::\n"
        )
        self.config = self.folder / "imapd.toml"
        self.write(f"passwdfile:{users}")

    def write(self, auth: str) -> None:
        self.config.write_text(
            f'mail = "{self.folder}/{{domain}}/{{local}}/Maildir"\nauth = "{auth}"\n'
            'imap = "tcp:143"\n'
        )

    def index(self, *arguments: str) -> tuple[int, str, str]:
        return run("index", "--config", str(self.config), *arguments)

    def is_complete(self, user: str, path: tuple[str, ...] = INBOX) -> bool:
        account = MaildirAccount(self.maildirs[user])
        box = account.mailbox(path)
        box.sync(False)
        assert box.derived is not None
        try:
            return box.derived.is_complete(version(box.derived))
        finally:
            account.close()

    def paths(self, user: str) -> list[tuple[str, ...]]:
        account = MaildirAccount(self.maildirs[user])
        try:
            return [folder.path for folder in account.folders()]
        finally:
            account.close()

    def test_everybody(self) -> None:
        code, output, errors = self.index()
        self.assertEqual((code, errors), (0, ""))
        for user in self.maildirs:
            count = len(self.paths(user))
            self.assertIn(f"{user}@example.org: {count} folders, ", output)
            for path in self.paths(user):
                self.assertTrue(self.is_complete(user, path), path)
        self.assertNotIn("\r", output)

    def test_one_user(self) -> None:
        self.assertEqual(self.index("bob@example.org")[0], 0)
        self.assertTrue(self.is_complete("bob"))
        self.assertFalse(self.is_complete("alice"))

    def test_one_mailbox(self) -> None:
        code, output, _ = self.index("--mailbox", "inbox", "alice@example.org")
        self.assertEqual(code, 0)
        self.assertIn("alice@example.org: 1 folders, ", output)
        self.assertEqual(
            [path for path in self.paths("alice") if self.is_complete("alice", path)],
            [INBOX],
        )

    def test_what_is_not_there(self) -> None:
        for arguments, words in (
            (("nobody@example.org",), "nobody@example.org: "),
            (("--mailbox", "a/b", "bob@example.org"), "bob@example.org: a/b: "),
        ):
            code, _, errors = self.index(*arguments)
            self.assertEqual(code, 1, arguments)
            self.assertIn(words, errors)
        self.assertEqual(self.index("nobody@example.org", "bob@example.org")[0], 1)
        self.assertTrue(self.is_complete("bob"))

    def test_logins_that_list_nobody(self) -> None:
        self.write("memory:alice:secret")
        code, _, errors = self.index()
        self.assertEqual(code, 1)
        self.assertIn("memory cannot list its users", errors)
        self.assertNotIn("secret", errors)
        self.assertEqual(self.index("alice@example.org")[0], 0)

    def test_a_cache_that_cannot_be_written(self) -> None:
        with mock.patch(
            "imapd.store.maildir.derived.FolderDerived.is_kept",
            new_callable=mock.PropertyMock,
            return_value=False,
        ):
            code, _, errors = self.index("bob@example.org")
        self.assertEqual(code, 1)
        self.assertIn("the cache cannot be written", errors)

    def test_messages_that_cannot_be_read(self) -> None:
        def read_dated(box: MaildirMailbox, uid: Uid) -> tuple[bytes, MessageMeta]:
            if uid == 1:
                raise Unavailable("The message cannot be read")
            return READ_DATED(box, uid)

        with mock.patch.object(
            MaildirMailbox, "read_dated", autospec=True, side_effect=read_dated
        ):
            code, output, _ = self.index("--mailbox", "INBOX", "alice@example.org")
        self.assertEqual(code, 0)
        self.assertIn("1 passed over", output)

    def test_interrupted(self) -> None:
        before = signal.getsignal(signal.SIGINT)

        def read_dated(box: MaildirMailbox, uid: Uid) -> Any:
            os.kill(os.getpid(), signal.SIGINT)
            return READ_DATED(box, uid)

        with mock.patch.object(
            MaildirMailbox, "read_dated", autospec=True, side_effect=read_dated
        ) as reads:
            code, output, errors = self.index()
        self.assertEqual(code, 130)
        self.assertEqual(reads.call_count, 1)
        self.assertIn("stopped", errors)
        self.assertIn("1 messages looked at", output)
        self.assertIs(signal.getsignal(signal.SIGINT), before)
        with mock.patch.object(
            MaildirMailbox, "read_dated", autospec=True, side_effect=READ_DATED
        ) as reads:
            self.assertEqual(
                self.index("--mailbox", "INBOX", "alice@example.org")[0], 0
            )
        messages = list(self.maildirs["alice"].glob("cur/*"))
        messages += self.maildirs["alice"].glob("new/*")
        self.assertEqual(reads.call_count, len(messages) - 1)

    def test_beside_another(self) -> None:
        account = MaildirAccount(self.maildirs["bob"])
        self.addCleanup(account.close)
        box = account.mailbox(INBOX)
        box.sync(False)
        derived = box.derived
        assert derived is not None
        derived.claim("another", 60.0)
        with mock.patch("time.sleep", lambda seconds: derived.release("another")):
            code, _, errors = self.index("--mailbox", "INBOX", "bob@example.org")
        self.assertEqual(code, 0)
        self.assertEqual(errors.count("another process is at it"), 1)
        self.assertTrue(self.is_complete("bob"))

    def test_on_a_terminal_there_is_a_bar(self) -> None:
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "imapd.service.admin", "index"]
        process = subprocess.Popen(
            [*command, "--config", str(self.config), "bob@example.org"],
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        output = b""
        with open(ours, "rb", buffering=0) as terminal:
            try:
                while piece := terminal.read(4096):
                    output += piece
            except OSError:  # how Linux says that the other end is closed
                pass
        self.assertEqual(process.wait(), 0, output)
        self.assertIn(b"\r[....................] bob@example.org: INBOX: 0/", output)
        self.assertIn(b"\r\x1b[Kbob@example.org: INBOX: ", output)
        self.assertIn(b"passed over\r\n", output)


class ProgressTests(unittest.TestCase):
    def test_the_bar_grows(self) -> None:
        stream = io.StringIO()
        bar = adminindex.Bar(stream, "u: \x1b[2Jbox")
        with mock.patch.object(adminindex.Bar, "wait_seconds", 0.0):
            for done in (0, 1, 2, 3, 4):
                bar.show(Tally(done=done, left=4 - done))
        bar.end()
        states = stream.getvalue().split("\r")[1:]
        self.assertEqual([each.count("#") for each in states], [0, 5, 10, 15, 20, 0])
        self.assertTrue(states[-1].startswith("\x1b[Ku: ?[2Jbox: 4/4 messages, "))

    def test_lines_are_seldom(self) -> None:
        written: list[str] = []
        stream = io.StringIO()
        with (
            mock.patch("time.monotonic", side_effect=iter(range(1000))),
            mock.patch("builtins.print", lambda line, **more: written.append(line)),
            adminindex.shown(stream, "u: box") as progress,
        ):
            for done in range(0, 100, 2):
                progress.show(Tally(done=done, left=100 - done))
        self.assertEqual(len(written), 2)
        self.assertRegex(written[0], r"^u: box: 58/100 messages, 2/s, \d+s left$")
        self.assertRegex(written[1], r"^u: box: 98/100 messages, ")
