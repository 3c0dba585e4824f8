"""Accounts as other servers left them: what is served, what is refused."""

import errno
import os
import re
import shutil
import stat
import subprocess
import sys
import unittest
from contextlib import ExitStack
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import NoReturn
from unittest import mock

from imapd.model import utf7
from imapd.store import fsops
from imapd.store.maildir.account import StoreOptions
from tests.support import maildirs
from tests.support.accounts import (
    SYSTEM,
    AccountCase,
    courier_keywords,
    courier_numbers,
    dovecot_keywords,
    dovecot_numbers,
    files,
    letters,
)
from tests.support.messages import MESSAGE, append, as_fetched, body, size
from tests.support.server import Client, Server

CHECKOUT = Path(__file__).resolve().parents[2]


class SampleTests(AccountCase):
    def check_folder(
        self,
        client: Client,
        name: str,
        there: dict[str, tuple[bytes, str, float]],
        numbers: tuple[int, int, dict[str, int]] | None,
        keywords: dict[str, set[bytes]],
    ) -> None:
        uids = self.check_counts(client, name, there, numbers)
        client.ok(f"SELECT {name}")
        for base, (octets, flags, seconds) in there.items():
            case = (name, base)
            uid = uids.get(base)
            if uid is None:  # not numbered yet: behind all that are
                least = numbers[1] if numbers else 1
                every = client.ok("UID SEARCH ALL").split(b"\r\n")[0].split()[2:]
                new = [int(each) for each in every if int(each) >= least]
                bodies = {body(client, each): each for each in new}
                uid = bodies[as_fetched(octets)]
            self.assertEqual(body(client, uid), as_fetched(octets), case)
            self.assertEqual(size(client, uid), len(as_fetched(octets)), case)
            answer = client.ok(f"UID FETCH {uid} (FLAGS INTERNALDATE)")
            shown = re.search(rb"FLAGS \(([^)]*)\)", answer)
            wanted = {SYSTEM[each] for each in flags if each in SYSTEM}
            wanted |= keywords.get(base, set())
            self.assertIsNotNone(shown, case)
            if shown:
                # Of spellings that differ in case only, the first stands.
                found = {each.lower() for each in shown[1].split()} - {rb"\recent"}
                self.assertEqual(found, {each.lower() for each in wanted}, case)
            date = re.search(rb'INTERNALDATE "([^"]*)"', answer)
            self.assertIsNotNone(date, case)
            if date:
                told = parsedate_to_datetime(date[1].decode().replace("-", " ", 2))
                self.assertEqual(told, datetime.fromtimestamp(int(seconds), UTC), case)

    def check_counts(
        self,
        client: Client,
        name: str,
        there: dict[str, tuple[bytes, str, float]],
        numbers: tuple[int, int, dict[str, int]] | None,
    ) -> dict[str, int]:
        answer = client.ok(
            f"STATUS {name} (MESSAGES UNSEEN SIZE UIDNEXT UIDVALIDITY DELETED)"
        )
        counts = {
            name: int(number)
            for name, number in re.findall(rb"([A-Z]+) (\d+)", answer.split(b"\r\n")[0])
        }
        validity, following, uids = numbers or (0, 1, {})
        unseen = sum("S" not in flags for _, flags, _ in there.values())
        self.assertEqual(counts[b"MESSAGES"], len(there), name)
        self.assertEqual(counts[b"UNSEEN"], unseen, name)
        total = sum(len(as_fetched(octets)) for octets, _, _ in there.values())
        self.assertEqual(counts[b"SIZE"], total, name)
        unnumbered = len(there.keys() - uids.keys())
        self.assertEqual(counts[b"UIDNEXT"], following + unnumbered, name)
        if numbers:
            self.assertEqual(counts[b"UIDVALIDITY"], validity, name)
        return uids

    def read(self, folder: Path) -> dict[str, tuple[bytes, str, float]]:
        return {
            base: (path.read_bytes(), letters(path), path.stat().st_mtime)
            for base, path in files(folder).items()
        }

    def test_dovecot(self) -> None:
        maildir = self.sample("carol")
        known = {
            folder: (
                self.read(folder),
                dovecot_numbers(folder),
                dovecot_keywords(folder),
            )
            for folder in maildirs.folders(maildir)
        }
        client = self.server().login("carol")
        self.assertIn(b'(("" "."))', client.ok("NAMESPACE"))
        for folder, facts in known.items():
            name = "INBOX" if folder == maildir else folder.name[1:]
            self.check_folder(client, name, *facts)
        lines = (maildir / "subscriptions").read_text().splitlines()[2:]
        answer = client.ok('LSUB "" *')
        for line in lines:
            listed = line.replace("\t", ".").encode()
            self.assertIn(b' "." %b\r\n' % listed, answer)
        self.assertEqual(answer.count(b"* LSUB"), len(lines))

    def test_courier(self) -> None:
        maildir = self.sample("bob")
        known = {
            folder: (
                self.read(folder),
                courier_numbers(folder),
                courier_keywords(folder),
            )
            for folder in maildirs.folders(maildir)
        }
        client = self.server().login("bob")
        self.assertIn(b'(("INBOX." "."))', client.ok("NAMESPACE"))
        for folder, facts in known.items():
            name = "INBOX" if folder == maildir else f"INBOX{wire(folder.name)}"
            self.check_folder(client, name, *facts)
        answer = client.ok('LSUB "" *')
        lines = (maildir / "courierimapsubscribed").read_text("utf-8").splitlines()
        for line in lines:
            self.assertIn(b' "." %b\r\n' % wire(line).encode(), answer)
        self.assertEqual(answer.count(b"* LSUB"), len(lines))

    def test_qmail(self) -> None:
        maildir = self.sample("alice")
        there = self.read(maildir)
        client = self.server().login("alice")
        self.assertIn(b'(("" "/"))', client.ok("NAMESPACE"))
        self.check_folder(client, "INBOX", there, None, {})
        by_time = sorted(there, key=lambda base: int(base.partition(".")[0]))
        for uid, base in enumerate(by_time, 1):
            self.assertEqual(body(client, uid), as_fetched(there[base][0]), base)

    def test_recent_is_what_was_new(self) -> None:
        maildir = self.sample("alice")
        count = len(list((maildir / "new").iterdir()))
        server = self.server()
        one = server.login("alice")
        self.assertIn(b"* %d RECENT" % count, one.ok("EXAMINE INBOX"))
        self.assertIn(b"* %d RECENT" % count, one.ok("SELECT INBOX"))
        self.assertEqual(
            one.ok("SEARCH RECENT").split(b"\r\n")[0].count(b" "), count + 1
        )
        self.assertIn(b"* 0 RECENT", server.login("alice").ok("SELECT INBOX"))
        self.assertEqual(list((maildir / "new").iterdir()), [])


def wire(name: str) -> str:
    """A UTF-8 name as the wire has it."""
    return ".".join(utf7.encode(part).decode() for part in name.split("."))


class NamespaceTests(AccountCase):
    def test_never_flips(self) -> None:
        later = {
            "Courier's": ("courierimapuiddb", "courierimapsubscribed"),
            "Dovecot's": ("dovecot-uidvalidity", "dovecot.index", "subscriptions"),
        }
        for user in maildirs.USERS:
            for whose, names in later.items():
                for lost in ((), ("imapd-state.sqlite3",), ("imapd-cache.sqlite3",)):
                    shutil.rmtree(self.root, ignore_errors=True)
                    maildir = self.sample(user)
                    client = self.server().login(user)
                    before = client.ok("NAMESPACE").split(b"\r\n")[0]
                    folders = set(client.ok('LIST "" *').splitlines()[:-1])
                    client.ok("SELECT INBOX")
                    append(client, MESSAGE)
                    client.ok("SUBSCRIBE INBOX")
                    client.hang_up()
                    for name in names:
                        if not (maildir / name).exists():
                            (maildir / name).write_bytes(b"")
                    for name in lost:
                        (maildir / name).unlink(missing_ok=True)
                    client = self.server().login(user)
                    case = (user, whose, lost)
                    after = client.ok("NAMESPACE").split(b"\r\n")[0]
                    self.assertEqual(after, before, case)
                    again = set(client.ok('LIST "" *').splitlines()[:-1])
                    self.assertEqual(again, folders, case)


class MissingTests(AccountCase):
    def test_made_at_the_first_login(self) -> None:
        # Hardening: F05.
        server = self.server()
        client = server.login("alice")
        self.assertIn(b'* LIST (\\HasNoChildren) "/" INBOX\r\n', client.ok('LIST "" *'))
        self.assertIn(b"* 0 EXISTS", client.ok("SELECT INBOX"))
        for path in [server.maildir("alice"), *server.maildir("alice").rglob("*")]:
            if path.name.startswith("dovecot-uidvalidity."):
                continue  # empty, and readable as Dovecot makes them
            self.assertEqual(stat.S_IMODE(path.stat().st_mode) & 0o077, 0, path)

    def refused(self, server: Server, case: str) -> None:
        before = self.logged(str(server.maildir("alice")))
        client = server.connect()
        answer = client.no("LOGIN alice wonderland")
        self.assertIn(b"[UNAVAILABLE]", answer, case)
        self.assertNotIn(b"Maildir", answer, case)
        self.assertNotIn(b"/", answer, case)
        after = self.logged(str(server.maildir("alice")))
        self.assertGreater(after, before, case)
        client.bad("SELECT INBOX")
        client.ok("NOOP")
        client.hang_up()

    def test_not_made_where_none_may_be(self) -> None:
        server = self.server(options=StoreOptions(create_missing=False))
        self.refused(server, "missing")
        self.assertFalse(server.maildir("alice").exists())

    def test_what_is_no_maildir(self) -> None:
        # Hardening: F03.
        server = self.server()
        maildir = server.maildir("alice")
        other = self.top / "other"
        (other / "cur").mkdir(parents=True)

        def a_file() -> None:
            maildir.write_bytes(b"From x\n")

        def no_cur() -> None:
            (maildir / "stuff").mkdir(parents=True)

        def dangling_link() -> None:
            maildir.symlink_to(self.top / "nowhere")

        def link_elsewhere() -> None:
            maildir.symlink_to(other)

        def link_to_itself() -> None:
            maildir.symlink_to(maildir)

        def a_fifo() -> None:
            os.mkfifo(maildir)

        def cur_is_a_link() -> None:
            maildir.mkdir()
            (maildir / "cur").symlink_to(other / "cur")

        def parent_is_a_file() -> None:
            maildir.parent.rmdir()
            maildir.parent.write_bytes(b"")

        for case in (
            *(a_file, no_cur, dangling_link, link_elsewhere, link_to_itself),
            *(a_fifo, cur_is_a_link),
        ):
            shutil.rmtree(maildir.parent, ignore_errors=True)
            maildir.parent.mkdir(parents=True)
            case()
            self.refused(server, case.__name__)
        self.assertEqual(os.listdir(other), ["cur"])
        self.assertFalse((self.top / "nowhere").exists())
        # And once it is mended, the next login finds it.
        shutil.rmtree(maildir.parent)
        maildir.parent.mkdir()
        server.login("alice").ok("SELECT INBOX")

    def test_somebody_else_s(self) -> None:
        """The user's record says whose the mail is."""
        server = self.server()
        server.login("alice").hang_up()
        owner = server.maildir("alice").stat().st_uid
        self.server(options=StoreOptions(owner=owner)).login("alice").hang_up()
        other = self.server(options=StoreOptions(owner=owner + 1))
        other.login("alice").hang_up()  # the files are ours all the same
        with mock.patch.object(os, "geteuid", return_value=owner + 2):
            self.refused(other, "not the owner")
            self.server(options=StoreOptions(owner=owner)).login("alice").hang_up()

    @unittest.skipIf(os.geteuid() == 0, "root may read everything")
    def test_unreadable(self) -> None:
        server = self.server()
        server.login("alice").hang_up()
        server.maildir("alice").chmod(0)
        self.addCleanup(server.maildir("alice").chmod, 0o700)
        self.refused(server, "unreadable")


def run_apart(test: unittest.TestCase, mount: str, folder: Path, module: str) -> None:
    """Run the tests of a module where something else is mounted for them alone."""
    script = f'{mount} || exit 77; shift; exec "$@"'
    apart = ["unshare", "--mount"]
    if os.geteuid():
        apart += ["--user", "--map-root-user"]
    try:
        subprocess.run(
            [*apart, sys.executable, "-c", ""], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        test.skipTest(f"no mount name space of our own: {error}")
    done = subprocess.run(
        [
            *(*apart, "sh", "-c", script, "sh", str(folder)),
            *(sys.executable, "-m", "unittest", "-q", module),
        ],
        env={**os.environ, "FOLDER": str(folder)},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode == 77:
        test.skipTest(f"nothing may be mounted: {done.stderr}")
    test.assertEqual(done.returncode, 0, done.stderr)


class ArchiveTests(AccountCase):
    """See ``archive_checks``: they need a file system that cannot be written."""

    def test_mounted_read_only(self) -> None:
        # Hardening: D06.
        for user in maildirs.USERS:
            self.sample(user)
        run_apart(
            self,
            '{ mount --bind "$1" "$1" && mount -o remount,ro,bind "$1"; }',
            self.root,
            "tests.server.archive_checks",
        )


class FullTests(AccountCase):
    """See ``full_disk_checks``: they need a small file system of their own."""

    def test_a_full_disk(self) -> None:
        # Hardening: D04.
        self.root.mkdir()
        run_apart(
            self,
            'mount -t tmpfs -o size=1m,mode=700 none "$1"',
            self.root,
            "tests.server.full_disk_checks",
        )


class DiskTests(AccountCase):
    def test_a_disk_that_cannot_be_written_any_more(self) -> None:
        """Refused clearly, read all the same; and right again when it is mended."""
        # Hardening: D06.
        maildir = self.sample("carol")
        server = self.server()
        client = server.login("carol", select="INBOX")
        client.ok("NOOP")
        before = client.ok("FETCH 1:* FLAGS").splitlines()[:-1]

        def failing(*args: object, **named: object) -> NoReturn:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        writers = (
            *("rename", "rename_new", "move_new", "open_exclusive"),
            *("link", "mkdir", "unlink"),
        )
        with ExitStack() as stack:
            for name in writers:
                stack.enter_context(mock.patch.object(fsops, name, failing))
            for command in (
                r"STORE 1 -FLAGS (\Seen)",
                r"STORE 1 +FLAGS (new)",
                "COPY 1 Sent",
                "MOVE 1 Sent",
                "APPEND INBOX {3+}\r\nabc",
                "CREATE new",
                "RENAME Sent Gesendet",
                "DELETE Trash",
                "SUBSCRIBE new",
            ):
                answer = client.no(command)
                self.assertRegex(answer, rb"NO \[(READ-ONLY|NOPERM|UNAVAILABLE)\]")
                self.assertNotIn(b"/", answer.rpartition(b" NO ")[2], command)
            client.command("FETCH 1:* BODY[]")  # \Seen cannot be set
            self.assertIn(b"Subject: First", client.raw)
            self.assertIn(b"OK FETCH", client.raw)
            self.assertEqual(client.ok("FETCH 1:* FLAGS").splitlines()[:-1], before)
        client.ok("UNSELECT")
        client.ok("SELECT INBOX")
        client.ok(r"STORE 1 -FLAGS (\Seen)")
        self.assertEqual(len(files(maildir)), 8)
