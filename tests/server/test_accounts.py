"""Accounts as other servers left them: what is served, what is refused."""

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from twisted.logger import formatEvent, globalLogPublisher

from imapd.model import utf7
from imapd.store.maildir.account import StoreOptions
from tests.support import maildirs
from tests.support.messages import MESSAGE, append, as_fetched, body, size
from tests.support.server import Client, Server

SYSTEM = {"D": rb"\Draft", "F": rb"\Flagged", "R": rb"\Answered"}
SYSTEM |= {"S": rb"\Seen", "T": rb"\Deleted"}
CHECKOUT = Path(__file__).resolve().parents[2]


class AccountCase(unittest.TestCase):
    def setUp(self) -> None:
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.top = Path(place.name)
        self.root = self.top / "example.org"
        self.log: list[str] = []

        def observe(event: Any) -> None:
            self.log.append(formatEvent(event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)

    def sample(self, user: str) -> Path:
        return maildirs.copy_sample(user, self.top)

    def server(self, **more: Any) -> Server:
        self.root.mkdir(exist_ok=True)
        return Server(self, root=self.root, **more)

    def logged(self, *words: str) -> int:
        return sum(all(word in line for word in words) for line in self.log)


# -- what the files say, read with as little as possible ----------------------


def files(folder: Path) -> dict[str, Path]:
    """The message files by base name."""
    return {
        path.name.partition(":")[0]: path
        for part in ("cur", "new")
        for path in (folder / part).iterdir()
        if not path.name.startswith(".")
    }


def dovecot_numbers(folder: Path) -> tuple[int, int, dict[str, int]]:
    """UIDVALIDITY, the least UIDNEXT, UIDs by base."""
    head, *rest = (folder / "dovecot-uidlist").read_text().splitlines()
    words = {word[0]: word[1:] for word in head.split()[1:]}
    uids = {line.partition(" :")[2]: int(line.split()[0]) for line in rest}
    return int(words["V"]), int(words["N"]), uids


def courier_numbers(folder: Path) -> tuple[int, int, dict[str, int]]:
    head, *rest = (folder / "courierimapuiddb").read_text().splitlines()
    pairs = (line.split(" ", 1) for line in rest)
    _, validity, following = head.split()
    return int(validity), int(following), {base: int(uid) for uid, base in pairs}


def dovecot_keywords(folder: Path) -> dict[str, set[bytes]]:
    table = folder / "dovecot-keywords"
    names = {}
    if table.exists():
        for line in table.read_bytes().splitlines():
            number, name = line.split(b" ")
            names[chr(ord("a") + int(number))] = name
    return {
        base: {names[each] for each in letters(path) if each in names}
        for base, path in files(folder).items()
    }


def courier_keywords(folder: Path) -> dict[str, set[bytes]]:
    place = folder / "courierimapkeywords"
    found: dict[str, set[bytes]] = {}
    if not place.exists():
        return found
    names, _, lines = (place / ":list").read_bytes().partition(b"\n\n")
    for line in lines.splitlines():
        base, _, numbers = line.rpartition(b":")
        words = {names.splitlines()[int(number)] for number in numbers.split()}
        found[base.decode()] = words
    for path in place.glob("[!:.]*"):
        found[path.name] = set(path.read_bytes().split())
    return found


def letters(path: Path) -> str:
    return path.name.partition(":2,")[2].partition(",")[0]


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
            name = line.replace("\t", ".").encode()
            self.assertIn(b' "." %b\r\n' % name, answer)
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
        server = self.server()
        client = server.login("alice")
        self.assertIn(b'* LIST (\\HasNoChildren) "/" INBOX\r\n', client.ok('LIST "" *'))
        self.assertIn(b"* 0 EXISTS", client.ok("SELECT INBOX"))
        for path in [server.maildir("alice"), *server.maildir("alice").rglob("*")]:
            if path.name.startswith("dovecot-uidvalidity."):
                continue  # empty, and readable as Dovecot makes them
            self.assertEqual(stat.S_IMODE(path.stat().st_mode) & 0o077, 0, path)

    def refused(self, server: Server, case: str) -> None:
        del self.log[:]
        client = server.connect()
        answer = client.no("LOGIN alice wonderland")
        self.assertIn(b"[UNAVAILABLE]", answer, case)
        self.assertNotIn(b"Maildir", answer, case)
        self.assertNotIn(b"/", answer, case)
        self.assertTrue(self.logged(str(server.maildir("alice"))), (case, self.log))
        client.bad("SELECT INBOX")
        client.ok("NOOP")
        client.hang_up()

    def test_not_made_where_none_may_be(self) -> None:
        server = self.server(options=StoreOptions(create_missing=False))
        self.refused(server, "missing")
        self.assertFalse(server.maildir("alice").exists())

    def test_what_is_no_maildir(self) -> None:
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

    @unittest.skipIf(os.geteuid() == 0, "root may read everything")
    def test_unreadable(self) -> None:
        server = self.server()
        server.login("alice").hang_up()
        server.maildir("alice").chmod(0)
        self.addCleanup(server.maildir("alice").chmod, 0o700)
        self.refused(server, "unreadable")


class ArchiveTests(AccountCase):
    """See ``archive_checks``: they need a file system that cannot be written."""

    def test_mounted_read_only(self) -> None:
        for user in maildirs.USERS:
            self.sample(user)
        script = (
            'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1"'
            ' && shift && exec "$@"'
        )
        apart = ["unshare", "--mount"]
        if os.geteuid():
            apart += ["--user", "--map-root-user"]
        test = [sys.executable, "-m", "unittest", "-q", "tests.server.archive_checks"]
        try:
            subprocess.run([*apart, "true"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            self.skipTest(f"no mount name space of our own: {error}")
        done = subprocess.run(
            [*apart, "sh", "-c", script, "sh", str(self.root), *test],
            env={**os.environ, "ARCHIVE": str(self.root)},
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)


class CacheTests(AccountCase):
    ITEMS = "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE)"

    def answers(self, client: Client) -> bytes:
        answer = client.ok(f"FETCH 1:* {self.ITEMS}").rpartition(b"\r\nt")[0]
        return answer.replace(rb"(\Recent)", b"()")

    def test_lost_and_damaged_under_a_running_server(self) -> None:
        maildir = self.sample("carol")
        client = self.server().login("carol", select="INBOX")
        wanted = self.answers(client)
        cache = maildir / "imapd-cache.sqlite3"

        def deleted() -> None:
            cache.unlink(missing_ok=True)

        def garbage() -> None:
            cache.write_bytes(b"garbage" * 1000)

        def emptied() -> None:
            os.truncate(cache, 0)

        def cut() -> None:
            os.truncate(cache, cache.stat().st_size // 2)

        def a_directory() -> None:
            cache.unlink()
            cache.mkdir()

        def gone_again() -> None:
            shutil.rmtree(cache) if cache.is_dir() else cache.unlink(missing_ok=True)

        def zeros_in_the_middle() -> None:
            self.answers(client)
            length = cache.stat().st_size
            with cache.open("r+b") as file:
                file.seek(length // 3)
                file.write(bytes(length // 3))

        for case in (deleted, garbage, emptied, cut, a_directory, gone_again):
            for damage in (case, zeros_in_the_middle):
                if damage is case or cache.is_file():
                    damage()
                for _ in range(2):
                    self.assertEqual(self.answers(client), wanted, case.__name__)
            client.ok("STATUS Sent (SIZE MESSAGES)")
        client.ok(r"STORE 1 +FLAGS (\Flagged)")

    def test_elsewhere(self) -> None:
        self.sample("carol")
        place = self.top / "cache" / "carol"
        server = self.server(options=StoreOptions(cache_directory=place))
        wanted = self.answers(server.login("carol", select="INBOX"))
        self.assertTrue((place / "imapd-cache.sqlite3").exists())
        self.assertFalse((server.maildir("carol") / "imapd-cache.sqlite3").exists())
        shutil.rmtree(place)
        self.assertEqual(self.answers(server.login("carol", select="INBOX")), wanted)

    def test_state_lost(self) -> None:
        maildir = self.sample("bob")
        client = self.server().login("bob", select="INBOX")
        questions = (
            "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)",
            'LSUB "" *',
            'LIST "" *',
            "STATUS INBOX.Sent (MESSAGES UIDNEXT UIDVALIDITY)",
        )
        before = [set(client.ok(each).splitlines()[:-1]) for each in questions]
        for damage in (b"", b"garbage" * 500, None):
            client.hang_up()
            for path in maildir.glob("imapd-state.sqlite3*"):
                path.unlink()
            if damage is not None:
                (maildir / "imapd-state.sqlite3").write_bytes(damage)
            client = self.server().login("bob", select="INBOX")
            after = [set(client.ok(each).splitlines()[:-1]) for each in questions]
            after[0] = {line.replace(rb"\Recent ", b"") for line in after[0]}
            before[0] = {
                re.sub(rb" ?\\Recent", b"", line).replace(rb"( ", b"(")
                for line in before[0]
            }
            self.assertEqual(after, before, damage)
            client.ok("CREATE INBOX.new")  # and everything works
            client.ok("DELETE INBOX.new")

    def test_accounts_never_see_each_other(self) -> None:
        places = (None, self.top / "cache")
        for place in places:
            for user in ("alice", "bob"):
                shutil.rmtree(self.root / user, ignore_errors=True)
            server = self.server(options=StoreOptions())
            if place is not None:
                shared = StoreOptions(cache_directory=place)
                server = self.server(options=shared)  # one directory for both, even
            clients = {user: server.login(user) for user in ("alice", "bob")}
            for user, client in clients.items():
                client.ok("CREATE Same")
                append(
                    client,
                    b"Subject: canary-%b\r\n\r\n%b\r\n"
                    % (user.encode(), user.encode()),
                    "Same",
                    f"(kw-{user})",
                )
                client.ok(f"SUBSCRIBE only-{user}")
            # The same GUID and numbers in both, as a copied account has them.
            first, second = (
                server.maildir(user) / ".Same" for user in ("alice", "bob")
            )
            for client in clients.values():
                client.ok("SELECT Same")
                client.ok(f"FETCH 1 {self.ITEMS}")
            for user, other in (("alice", b"bob"), ("bob", b"alice")):
                client = clients[user]
                for command in (
                    f"FETCH 1 {self.ITEMS}",
                    "FETCH 1 BODY[]",
                    "SEARCH TEXT canary",
                    'LIST "" *',
                    'LSUB "" *',
                    "SELECT Same",
                ):
                    answer = client.ok(command)
                    self.assertNotIn(b"canary-" + other, answer, command)
                    self.assertNotIn(b"kw-" + other, answer, command)
                    self.assertNotIn(b"only-" + other, answer, command)
                outside = f"../../{other.decode()}/Maildir/.Same"
                for name in (outside, f"~{other.decode()}", f"/{other.decode()}"):
                    client.no(f'SELECT "{name}"')
            self.assertNotEqual(first, second)
