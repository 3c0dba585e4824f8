"""One user's account: opened, changed, and shared with the real Dovecot."""

import errno
import os
import shutil
import stat
import subprocess
import tempfile
import threading
import unittest
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from imapd.errors import (
    AlreadyExists,
    Cannot,
    HasChildren,
    ImapError,
    LimitReached,
    NoPermission,
    NoSuchMailbox,
    Unavailable,
    UnsupportedUse,
)
from imapd.ids import INBOX, MailboxPath
from imapd.limits import Limits
from imapd.model.mailbox import Folder, NamespaceStyle
from imapd.store import fsops
from imapd.store.maildir import uidvalidity
from imapd.store.maildir.account import MaildirAccount, StoreOptions
from imapd.store.maildir.folders import FolderTree
from imapd.store.maildir.handback import hand_back_to_courier
from tests.store.test_folders import stop_at

MESSAGE = b"From: a@example.org\nSubject: test\n\nbody\n"


class AccountCase(unittest.TestCase):
    def setUp(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.top = Path(self.directory.name)
        self.root = self.top / "users" / "alice" / "Maildir"

    def open(
        self, options: StoreOptions | None = None, limits: Limits | None = None
    ) -> MaildirAccount:
        account = MaildirAccount(
            self.root, options=options, limits=limits or Limits(lock_seconds=2)
        )
        self.addCleanup(account.close)
        return account

    def paths(self, account: MaildirAccount) -> list[MailboxPath]:
        return [folder.path for folder in account.folders()]

    def plain_maildir(self) -> None:
        for part in ("cur", "new", "tmp"):
            (self.root / part).mkdir(parents=True)

    def uid_validity(self, account: MaildirAccount, path: MailboxPath) -> int:
        mailbox = account.mailbox(path)
        try:
            mailbox.sync(claim_recent=False)
            return mailbox.uid_validity
        finally:
            mailbox.close()


class OpeningTests(AccountCase):
    def test_a_missing_one_is_made(self) -> None:
        account = self.open()
        self.assertEqual(account.folders(), [Folder(INBOX)])
        self.assertIs(account.namespace_style, NamespaceStyle.SLASH)
        for path in [self.root, *self.root.rglob("*")]:
            self.assertEqual(stat.S_IMODE(path.stat().st_mode) & 0o077, 0, path)

    def test_a_missing_one_is_not_made(self) -> None:
        with self.assertRaises(Unavailable):
            self.open(StoreOptions(create_missing=False))
        self.assertFalse(self.root.exists())

    def test_whether_it_is_still_what_was_opened(self) -> None:
        self.plain_maildir()
        elsewhere = self.top / "elsewhere"

        def replaced() -> None:
            self.root.rename(elsewhere)
            shutil.copytree(elsewhere, self.root)

        def cleared() -> None:
            (self.root / "cur").rename(self.top / "cur")
            (self.root / "cur").mkdir()

        changes: dict[str, Callable[[], object]] = {
            "removed": lambda: self.root.rename(elsewhere),
            "replaced": replaced,
            "cleared": cleared,
            "closed to us": lambda: self.root.chmod(0o500),
        }
        for name, change in changes.items():
            account = self.open()
            self.assertTrue(account.is_as_opened(), name)
            (self.root / "new" / "1.mail").write_bytes(b"")
            (self.root / ".Folder").mkdir()
            self.assertTrue(account.is_as_opened(), f"mail is no change ({name})")
            change()
            self.assertFalse(account.is_as_opened(), name)
            for each in (self.root, elsewhere, self.top / "cur"):
                if each.exists():
                    each.chmod(0o700)
                    shutil.rmtree(each)
            self.plain_maildir()

    def test_stopped_while_it_is_made(self) -> None:
        # Hardening: D01.
        stopped = 0
        for step in range(60):
            shutil.rmtree(self.top / "users", ignore_errors=True)
            if stop_at(step, self.open):
                stopped += 1
            self.assertEqual(self.paths(self.open()), [INBOX], step)
        self.assertGreater(stopped, 3)

    def test_what_is_no_maildir_is_refused(self) -> None:
        def a_file() -> None:
            self.root.write_bytes(b"")

        def other_content() -> None:
            self.root.mkdir()
            (self.root / "thesis.doc").write_bytes(b"")

        def cur_is_a_file() -> None:
            self.root.mkdir()
            (self.root / "cur").write_bytes(b"")

        def a_link() -> None:
            for part in ("cur", "new", "tmp"):
                (self.top / "bob" / part).mkdir(parents=True, exist_ok=True)
            self.root.symlink_to(self.top / "bob")

        def tmp_is_a_link() -> None:
            a_link()
            self.root.unlink()
            (self.root / "cur").mkdir(parents=True)
            (self.root / "tmp").symlink_to(self.top / "bob" / "tmp")

        for case in (a_file, other_content, cur_is_a_file, tmp_is_a_link, a_link):
            shutil.rmtree(self.root.parent, ignore_errors=True)
            self.root.parent.mkdir(parents=True)
            case()
            with self.assertRaises(Unavailable, msg=case.__name__) as raised:
                self.open()
            self.assertNotIn("/", str(raised.exception), case.__name__)
        self.open(StoreOptions(follow_links=True))

    def test_a_directory_nobody_may_look_into(self) -> None:
        self.plain_maildir()
        with (
            mock.patch("os.access", return_value=False),
            self.assertRaises(Unavailable),
        ):
            self.open()

    def test_read_only(self) -> None:
        # Hardening: D06.
        self.plain_maildir()
        for part in ("cur", "new", "tmp"):
            (self.root / ".A" / part).mkdir(parents=True)
        before = sorted(os.listdir(self.root))
        real = os.access

        def no_writing(path: object, mode: int, **kwargs: bool) -> bool:
            return not mode & os.W_OK and real(path, mode, **kwargs)  # type: ignore[arg-type]

        def no_making(path: bytes, mode: int = 0) -> int:
            raise PermissionError(13, "no")

        with (
            mock.patch("os.access", no_writing),
            mock.patch.object(fsops, "open_exclusive", no_making),
        ):
            account = self.open()
            self.assertEqual(self.paths(account), [INBOX, ("A",)])
            for change in (
                lambda: account.create(("B",)),
                lambda: account.delete(("A",)),
                lambda: account.rename(("A",), ("B",)),
                lambda: account.subscribe(("A",)),
            ):
                with self.assertRaises(NoPermission):
                    change()
            account.mailbox(("A",)).sync(claim_recent=False)
        self.assertEqual(sorted(os.listdir(self.root)), before)

    def test_special_uses_made_at_the_first_login_only(self) -> None:
        options = StoreOptions(
            special_use={rb"\Sent": "Sent", rb"\Trash": "Trash", rb"\Junk": "a.b"}
        )
        account = self.open(options)
        self.assertEqual(self.paths(account), [INBOX, ("Sent",), ("Trash",)])
        self.assertEqual(account.subscriptions(), [("Sent",), ("Trash",)])
        account.delete(("Trash",))
        self.assertEqual(self.paths(self.open(options)), [INBOX, ("Sent",)])

    def test_special_uses_are_made_later_where_the_disk_was_full(self) -> None:
        options = StoreOptions(special_use={rb"\Sent": "Sent", rb"\Trash": "Trash"})
        self.open()  # the Maildir is there: what fails are the folders
        for error in (OSError(errno.ENOSPC, "x"), OSError(errno.EIO, "x")):
            with mock.patch.object(FolderTree, "create", side_effect=error):
                self.assertEqual(self.paths(self.open(options)), [INBOX])
        account = self.open(options)
        self.assertEqual(self.paths(account), [INBOX, ("Sent",), ("Trash",)])
        self.assertEqual(account.subscriptions(), [("Sent",), ("Trash",)])
        account.delete(("Trash",))
        self.assertEqual(self.paths(self.open(options)), [INBOX, ("Sent",)])

    def test_a_special_use_that_a_folder_has_is_not_made_again(self) -> None:
        """At a later login with other options, as an administrator changes them."""
        self.open().create(("Gesendet",), rb"\Sent")
        options = StoreOptions(special_use={rb"\Sent": "Sent", rb"\Trash": "Trash"})
        account = self.open(options)
        self.assertEqual(self.paths(account), [INBOX, ("Gesendet",), ("Trash",)])

    def test_namespace_is_decided_once(self) -> None:
        cases = {
            "nothing": ((), NamespaceStyle.SLASH),
            "a delivery agent's folders": ((".A/cur/",), NamespaceStyle.SLASH),
            "Courier's": (("courierimapuiddb",), NamespaceStyle.COURIER),
            "Courier's list": (("courierimapsubscribed",), NamespaceStyle.COURIER),
            "Dovecot's": (("dovecot-uidlist",), NamespaceStyle.DOVECOT),
            "both": (
                ("dovecot.index.log", "courierimapuiddb"),
                NamespaceStyle.DOVECOT,
            ),
        }
        for name, (files, style) in cases.items():
            shutil.rmtree(self.top / "users", ignore_errors=True)
            self.plain_maildir()
            for file in files:
                if file.endswith("/"):
                    (self.root / file).mkdir(parents=True)
                else:
                    (self.root / file).write_bytes(b"")
            self.assertIs(self.open().namespace_style, style, name)
            (self.root / "dovecot.index").write_bytes(b"")
            self.assertIs(self.open().namespace_style, style, f"{name}, again")
            # The state is lost: the clients' names stay.
            (self.root / "imapd-state.sqlite3").unlink()
            self.assertIs(self.open().namespace_style, style, f"{name}, state lost")
            said = self.open(StoreOptions(namespace=NamespaceStyle.COURIER))
            self.assertIs(said.namespace_style, NamespaceStyle.COURIER, name)
            self.assertIs(self.open().namespace_style, style, f"{name}, unsaid")


class SampleTests(AccountCase):
    """Maildirs of real shape, as Courier, Dovecot and qmail left them."""

    def test_every_sample(self) -> None:
        samples = Path(__file__).resolve().parents[2] / "maildirs-sample"
        found = sorted(samples.glob("*/*/Maildir"))
        if not found:
            self.skipTest("no maildirs-sample in this checkout")
        for sample in found:
            shutil.rmtree(self.top / "users", ignore_errors=True)
            shutil.copytree(sample, self.root)
            (self.root / "cur").mkdir(exist_ok=True)
            validities: dict[MailboxPath, int] = {}
            for turn in range(2):
                account = self.open()
                there = self.paths(account)
                directories = {
                    name for name in os.listdir(sample) if name.startswith(".")
                }
                self.assertEqual(len(there), len(directories) + 1, sample)
                for path in there:
                    validity = self.uid_validity(account, path)
                    self.assertEqual(validities.setdefault(path, validity), validity)
                subscribed = account.subscriptions()
                known = [path for path in subscribed if path in there]
                # A name may be subscribed and gone, but not most of them.
                self.assertGreaterEqual(2 * len(known), len(subscribed), f"{turn}")
                account.close()


class FolderTests(AccountCase):
    def test_create_and_delete(self) -> None:
        account = self.open()
        account.create(("A", "B"))
        self.assertEqual(self.paths(account), [INBOX, ("A", "B")])
        with self.assertRaises(AlreadyExists):
            account.create(("A", "B"))
        with self.assertRaises(NoSuchMailbox):
            account.mailbox(("A",))
        with self.assertRaises(HasChildren):
            account.delete(("A",))
        account.create(("A",))
        account.delete(("A",))
        self.assertEqual(self.paths(account), [INBOX, ("A", "B")])
        account.delete(("A", "B"))
        with self.assertRaises(NoSuchMailbox):
            account.delete(("A", "B"))
        for path in (INBOX, ("..",), ("a/b",), ("\0",)):
            with self.assertRaises(ImapError, msg=path):
                account.delete(path)

    def test_uid_validity_grows(self) -> None:
        # Hardening: D07.
        account = self.open()
        seen = []
        for _ in range(5):
            account.create(("A",))
            seen.append(self.uid_validity(account, ("A",)))
            account.delete(("A",))
        self.assertEqual(seen, sorted(set(seen)))

    def test_uid_validity_grows_though_files_are_lost(self) -> None:
        # Hardening: D13.
        account = self.open()
        account.create(("A",))
        uidlist = self.root / ".A" / "dovecot-uidlist"
        far = 4_000_000_000
        for lost in ("dovecot-uidvalidity*", "imapd-state*"):
            uidlist.write_bytes(b"3 V%d N1 G%032x\n" % (far, far))
            account.delete(("A",))
            account.close()
            for path in self.root.glob(lost):
                path.unlink()
            account = self.open()
            account.create(("A",))
            value = self.uid_validity(account, ("A",))
            self.assertGreater(value, far, lost)
            far = value + 1000

    def test_names_that_look_the_same(self) -> None:
        account = self.open()
        account.create(("é",))
        with self.assertRaises(AlreadyExists):
            account.create(("e\u0301",))
        account.rename(("é",), ("e\u0301",))
        self.assertEqual(self.paths(account), [INBOX, ("e\u0301",)])

    def test_encoding_follows_the_account(self) -> None:
        account = self.open()
        account.create(("ü",))
        self.assertTrue((self.root / ".&APw-").is_dir())
        for name in (".ö", ".ä"):
            (self.root / name / "cur").mkdir(parents=True)
        account.create(("ß",))
        self.assertTrue((self.root / ".ß").is_dir())
        account.rename(("ü",), ("üü",))
        self.assertTrue((self.root / ".&APwA,A-").is_dir())

    def test_limits(self) -> None:
        # Hardening: F09.
        account = self.open(limits=Limits(mailbox_count=10, subscription_count=10))
        for number in range(9):
            account.create((str(number),))
        with self.assertRaises(LimitReached):
            account.create(("more",))
        for number in range(10):
            account.subscribe((str(number),))
        with self.assertRaises(LimitReached):
            account.subscribe(("more",))

    def test_special_use(self) -> None:
        account = self.open()
        account.create(("Sent",))
        account.create(("Outbox",), rb"\Sent")
        self.assertIn(Folder(("Outbox",), rb"\Sent"), account.folders())
        self.assertIn(Folder(("Sent",)), account.folders())
        for use in (rb"\Sent", rb"\All", b"Sent"):
            with self.assertRaises(UnsupportedUse, msg=use):
                account.create(("Other",), use)
        account.rename(("Outbox",), ("Gone out",))
        self.assertIn(Folder(("Gone out",), rb"\Sent"), self.open().folders())
        account.delete(("Gone out",))
        self.assertIn(Folder(("Sent",), rb"\Sent"), account.folders())
        account.create(("Gone out",))
        self.assertIn(Folder(("Gone out",)), account.folders())

    def test_rename_a_tree(self) -> None:
        # Hardening: D16.
        account = self.open()
        for path in (("A",), ("A", "B"), ("A", "B", "C"), ("AB",)):
            account.create(path)
        numbers = self.uid_validity(account, ("A", "B"))
        account.rename(("A",), ("X", "Y"))
        self.assertEqual(
            self.paths(account),
            [INBOX, ("AB",), ("X", "Y"), ("X", "Y", "B"), ("X", "Y", "B", "C")],
        )
        self.assertEqual(self.uid_validity(account, ("X", "Y", "B")), numbers)
        account.rename(("X",), ("Z",))
        self.assertIn(("Z", "Y", "B"), self.paths(account))
        cases: dict[str, tuple[MailboxPath, MailboxPath, type[ImapError]]] = {
            "missing": (("no",), ("yes",), NoSuchMailbox),
            "taken": (("AB",), ("Z", "Y"), AlreadyExists),
            "below itself": (("Z",), ("Z", "Q"), Cannot),
            "to INBOX": (("AB",), INBOX, AlreadyExists),
            "itself": (("Z", "Y"), ("Z", "Y"), AlreadyExists),
            "a bad name": (("AB",), ("a.b",), Cannot),
            "too long below": (("Z",), ("z" * 249,), Cannot),
        }
        before = self.paths(account)
        for name, (old, new, error) in cases.items():
            with self.assertRaises(error, msg=name):
                account.rename(old, new)
            self.assertEqual(self.paths(account), before, name)

    def test_rename_inbox(self) -> None:
        account = self.open()
        for number in range(3):
            (self.root / "new" / f"{number}.M1P1.host").write_bytes(MESSAGE)
        validity = self.uid_validity(account, INBOX)
        account.rename(INBOX, ("Old",))
        inbox = account.mailbox(INBOX)
        self.assertEqual(inbox.sync(claim_recent=False).added, [])
        self.assertEqual((inbox.uid_validity, inbox.uid_next), (validity, 4))
        moved = account.mailbox(("Old",)).sync(claim_recent=False).added
        self.assertEqual([state.uid for state in moved], [1, 2, 3])

    def test_stopped_at_every_operation(self) -> None:
        """Whatever a crash leaves, the next open works and nothing is half there."""
        # Hardening: D01, D16.
        works = {
            "create": lambda account: account.create(("N",)),
            "delete": lambda account: account.delete(("A",)),
            "rename": lambda account: account.rename(("A",), ("N",)),
            "subscribe": lambda account: account.subscribe(("N",)),
        }
        for name, work in works.items():
            for step in range(100):
                shutil.rmtree(self.top / "users", ignore_errors=True)
                account = self.open()
                for path in (("A",), ("A", "B"), ("A", "C")):
                    account.create(path)
                if not stop_at(step, lambda: work(account)):  # noqa: B023
                    break
                account.close()
                again = self.open()
                paths = self.paths(again)
                self.assertIn(len(paths), (3, 4, 5), f"{name} at {step}: {paths}")
                renamed = ("N", "B") in paths
                self.assertEqual(("N", "C") in paths, renamed, f"{name} at {step}")
                left = [n for n in os.listdir(self.root / "tmp") if "imapd-n" in n]
                self.assertEqual(left, [], f"{name} at {step}")
                again.subscribe(("M",))
                again.create(("M",))
                again.close()
            self.assertGreater(step, 3, name)

    def test_threads(self) -> None:
        account = self.open(limits=Limits(lock_seconds=30))
        errors: list[BaseException] = []

        def work(number: int) -> None:
            try:
                for turn in range(5):
                    account.create((f"{number}-{turn}",))
                    account.subscribe((f"{number}-{turn}",))
                    account.rename((f"{number}-{turn}",), (f"{number}+{turn}",))
                    account.delete((f"{number}+{turn}",))
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(errors, [])
        self.assertEqual(self.paths(account), [INBOX])
        self.assertEqual(len(account.subscriptions()), 20)

    def test_links_are_not_followed(self) -> None:
        # Hardening: F03.
        account = self.open()
        bob = self.top / "users" / "bob" / "Maildir"
        (bob / "cur").mkdir(parents=True)
        (bob / "subscriptions").write_bytes(b"V\t2\n\nSecret\n")
        (self.root / ".Bob").symlink_to(bob)
        self.assertEqual(self.paths(account), [INBOX])
        with self.assertRaises(NoSuchMailbox):
            account.mailbox(("Bob",))
        (self.root / "subscriptions").symlink_to(bob / "subscriptions")
        with self.assertRaises(ImapError):
            account.subscriptions()

    def test_every_error_is_one_for_the_client(self) -> None:
        """A disk that fails anywhere gives an ``ImapError``, not an ``OSError``."""
        for number in (5, 13, 28, 30):
            for step in range(60):
                shutil.rmtree(self.top / "users", ignore_errors=True)
                account = self.open()
                account.create(("A",))
                with failing_at(step, number) as failed:
                    for work in (
                        lambda: account.create(("N",)),  # noqa: B023
                        lambda: account.rename(("A",), ("B",)),  # noqa: B023
                        lambda: account.delete(("B",)),  # noqa: B023
                    ):
                        try:
                            work()
                        except ImapError:
                            break
                account.close()
                self.open().close()
                if not failed:
                    break


@contextmanager
def failing_at(step: int, number: int) -> Iterator[list[str]]:
    """Let the step-th changing operation fail once."""
    count, failed = 0, list[str]()

    def wrap(name: str):  # type: ignore[no-untyped-def]
        real = getattr(fsops, name)

        def operation(*args, **kwargs):  # type: ignore[no-untyped-def]
            nonlocal count
            count += 1
            if count == step + 1:
                failed.append(name)
                raise OSError(number, os.strerror(number))
            return real(*args, **kwargs)

        return operation

    names = ("rename", "rename_new", "fsync", "write", "open_exclusive", "mkdir")
    patches = [mock.patch.object(fsops, name, wrap(name)) for name in names]
    for patch in patches:
        patch.start()
    try:
        yield failed
    finally:
        for patch in patches:
            patch.stop()


DOVEADM = shutil.which("doveadm") or "/usr/bin/doveadm"
CONFIGURATION = """
log_path = {top}/log
base_dir = {top}/run
mail_location = maildir:{root}
mail_uid = {uid}
mail_gid = {gid}
first_valid_uid = 0
first_valid_gid = 0
ssl = no
protocols =
namespace inbox {{
  inbox = yes
  separator = /
}}
"""


@unittest.skipUnless(Path(DOVEADM).exists(), "no dovecot (doveadm) on this machine")
class DovecotTests(AccountCase):
    """The same Maildir, worked on by Dovecot in between."""

    def setUp(self) -> None:
        super().setUp()
        if os.geteuid() == 0:
            # Dovecot refuses to serve mail as root.
            self.uid, self.gid = 65534, 65534
        else:
            self.uid, self.gid = os.geteuid(), os.getegid()
        self.top.chmod(0o755)
        (self.top / "run").mkdir()
        (self.top / "d.conf").write_text(
            CONFIGURATION.format(
                top=self.top, root=self.root, uid=self.uid, gid=self.gid
            )
        )

    def give(self) -> None:
        """Let Dovecot's user have all."""
        for path in [self.top, *self.top.rglob("*")]:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def doveadm(self, *arguments: str) -> str:
        self.give()
        done = subprocess.run(
            [DOVEADM, "-c", str(self.top / "d.conf"), *arguments],
            env={"USER": "nobody", "HOME": str(self.top), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_dovecot_reads_what_we_write(self) -> None:
        account = self.open()
        for path in (("Entwürfe",), ("A", "B"), ("R&D",), ("日本",)):
            account.create(path)
            account.subscribe(path)
        listed = self.doveadm("mailbox", "list").split("\n")
        for name in ("Entwürfe", "A/B", "R&D", "日本"):
            self.assertIn(name, listed)
        subscribed = self.doveadm("mailbox", "list", "-s").split("\n")
        for name in ("Entwürfe", "A/B", "R&D", "日本"):
            self.assertIn(name, subscribed)
        status = self.doveadm("mailbox", "status", "uidvalidity guid", "A/B")
        self.assertIn(f"uidvalidity={self.uid_validity(account, ('A', 'B'))}", status)
        uidlist = (self.root / ".A.B" / "dovecot-uidlist").read_bytes()
        self.assertIn(uidvalidity.guid_of_directory(bytes(self.root / ".A.B")), status)
        self.assertTrue(uidlist.startswith(b"3 "), uidlist)

    def test_we_read_what_dovecot_writes(self) -> None:
        self.open()
        for name in ("Entwürfe", "A/B", "R&D"):
            self.doveadm("mailbox", "create", "-s", name)
        account = self.open()
        there = [("A", "B"), ("Entwürfe",), ("R&D",)]
        self.assertEqual(self.paths(account), [INBOX, *there])
        self.assertEqual(account.subscriptions(), there)
        status = self.doveadm("mailbox", "status", "uidvalidity", "A/B")
        validity = self.uid_validity(account, ("A", "B"))
        self.assertIn(f"uidvalidity={validity}", status)

    def test_uid_validity_is_counted_together(self) -> None:
        account = self.open()
        values = []
        for turn in range(6):
            if turn % 2:
                self.doveadm("mailbox", "create", "A")
            else:
                account.create(("A",))
            values.append(self.uid_validity(account, ("A",)))
            if turn % 3:
                self.doveadm("mailbox", "delete", "A")
            else:
                account.delete(("A",))
        self.assertEqual(values, sorted(set(values)))

    def test_dovecot_renames_and_unsubscribes(self) -> None:
        account = self.open()
        for path in (("A",), ("A", "B")):
            account.create(path)
            account.subscribe(path)
        numbers = self.uid_validity(account, ("A", "B"))
        self.doveadm("mailbox", "rename", "-s", "A", "N")
        self.assertEqual(self.paths(account), [INBOX, ("N",), ("N", "B")])
        self.assertEqual(self.uid_validity(account, ("N", "B")), numbers)
        account.rename(("N",), ("M",))
        self.assertIn("M/B", self.doveadm("mailbox", "list").split("\n"))
        self.doveadm("mailbox", "unsubscribe", "N", "A")
        self.assertNotIn(("N",), account.subscriptions())

    def test_messages_after_a_hand_back(self) -> None:
        """Dovecot finds nothing to complain about beside Courier's files."""
        account = self.open()
        (self.root / "new" / "1.M1P1.host").write_bytes(MESSAGE)
        hand_back_to_courier(account)
        found = self.doveadm("fetch", "uid", "mailbox", "INBOX", "all")
        self.assertIn("uid: 1", found)
