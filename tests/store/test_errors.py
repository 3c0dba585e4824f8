"""Whatever the file system answers, callers hear of it as an ``ImapError``."""

import contextlib
import errno
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from imapd.errors import ImapError, NoSuchMailbox
from imapd.ids import INBOX, Uid
from imapd.limits import Limits
from imapd.model.columns import META
from imapd.model.flags import DELETED, SEEN, StoreMode
from imapd.model.mailbox import Changes
from imapd.store import fsops, quiet
from imapd.store.maildir.account import MaildirAccount
from imapd.store.maildir.mailbox import MaildirMailbox
from tests.store.faults import faults
from tests.store.folders import MEMORY, FolderTestCase, append, settle

ERRNOS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE),
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR),
    *(errno.ELOOP, errno.ESTALE, errno.EINTR, errno.ENOMEM, errno.EEXIST),
    *(errno.ENAMETOOLONG, errno.EBUSY, errno.EINVAL, errno.EISDIR, errno.EXDEV),
)
WORDS = [b"word%d" % number for number in range(30)]


def deliver(box: MaildirMailbox) -> object:
    delivery = box.begin_delivery()
    try:
        delivery.begin([SEEN, *WORDS], 1_500_000_000)
        delivery.write(b"a: b\r\n\r\nc\nd\r")
        delivery.end()
        return box.commit(delivery, False)
    finally:
        delivery.abort()


def start_anew(box: MaildirMailbox, other: MaildirMailbox) -> object:
    del other
    box.close()
    return box.sync(True)


ACTIONS: dict[str, Callable[[MaildirMailbox, MaildirMailbox], object]] = {
    "changed": lambda box, other: box.changed(),
    "first sync": start_anew,
    "sync": lambda box, other: box.sync(True),
    "store": lambda box, other: box.store_flags([Uid(1)], StoreMode.ADD, WORDS),
    "replace": lambda box, other: box.store_flags([Uid(2)], StoreMode.REPLACE, []),
    "expunge": lambda box, other: box.expunge([Uid(2), Uid(3)]),
    "deliver": lambda box, other: deliver(box),
    "copy": lambda box, other: other.copy_from(box, [Uid(1), Uid(2)], False, False),
    "move": lambda box, other: other.copy_from(box, [Uid(1), Uid(2)], True, False),
    "meta": lambda box, other: box.meta([Uid(1), Uid(2), Uid(9)]),
    "read": lambda box, other: box.read(Uid(1)),
    "load": lambda box, other: box.load_column(META, [Uid(1)]),
    "save": lambda box, other: box.save_column(META, {Uid(1): bytes(16)}),
    "numbers": lambda box, other: (box.uid_next, box.guid, box.keywords),
}


class ErrorTests(FolderTestCase):
    parent = MEMORY
    count = 0

    def prepare(self) -> tuple[MaildirAccount, MaildirMailbox, MaildirMailbox]:
        ErrorTests.count += 1
        root = self.root / f"account{ErrorTests.count}" / "Maildir"
        account = MaildirAccount(root, limits=Limits(lock_seconds=1))
        account.create(("Other",))
        box, other = account.mailbox(INBOX), account.mailbox(("Other",))
        box.sync(True)
        other.sync(True)
        for _ in range(3):
            append(box, b"a: b\r\n\r\nc\r\n", [DELETED, b"Old"])
        account.close()  # what follows opens its databases too
        (root / "new" / "1600000000.M1P1.h").write_bytes(b"a: b\n\n")
        return account, box, other

    def attempt(self, name: str, k: int, number: int) -> bool:
        """Let the k-th operation fail; return whether there was one."""
        account, box, other = self.prepare()
        case = f"{name}, {errno.errorcode[number]} at {k}"
        with faults(k, number) as state, mock.patch("time.sleep"):
            try:
                ACTIONS[name](box, other)
            except ImapError:
                self.assertTrue(state.hit, case)
            except Exception as error:
                raise AssertionError(f"{case} ({state.hit}): {error!r}") from error
        # And it works afterwards, or says why not.
        try:
            box.sync(True)
            self.assertGreaterEqual(len(box.meta([Uid(n) for n in range(1, 9)])), 1)
        except ImapError:
            self.assertTrue(box.read_only or name == "first sync", case)
        account.close()
        return bool(state.hit)

    def test_every_operation_with_every_errno(self) -> None:
        """Every operation of every method fails once, the errnos taking turns."""
        # Hardening: D03, D05, D19.
        turn = 0
        for name in ACTIONS:
            k = 1
            while self.attempt(name, k, ERRNOS[turn % len(ERRNOS)]):
                turn, k = turn + 1, k + 1
                self.assertLess(k, 400, name)
            turn += 1

    def test_a_sync_that_failed_is_made_up_for(self) -> None:
        """Nothing that it had found already is forgotten."""
        for number in (errno.EIO, errno.EMFILE, errno.ENOSPC):
            k, hit = 1, True
            while hit:
                account, box, _ = self.prepare()
                cur = Path(os.fsdecode(box._core.cur.path))
                paths = [box._core.index.path(Uid(uid)) or b"" for uid in (1, 2)]
                old = [cur.parent / os.fsdecode(path) for path in paths]
                old[0].rename(cur / (old[0].name + "S"))
                old[1].unlink()
                (cur / "1600000001.M1P1.h:2,F").write_bytes(b"")
                case = f"{errno.errorcode[number]} at {k}"
                told: dict[int, bool] = {}
                with faults(k, number) as state, mock.patch("time.sleep"):
                    with contextlib.suppress(ImapError):
                        self.note(told, box.sync(True))
                    hit = bool(state.hit)
                if not box.read_only:
                    settle()
                    for _ in range(3):
                        self.note(told, box.sync(True))
                    # UIDs that could not be written down may be burnt.
                    gone = [told.pop(1), told.pop(2), *told.values()]
                    self.assertEqual(gone, [False, True, False, False], case)
                account.close()
                k += 1

    def note(self, told: dict[int, bool], changes: Changes) -> None:
        """Whether each message that was told of is gone."""
        told.update(dict.fromkeys(changes.flags, False))
        told.update(dict.fromkeys(changes.expunged, True))
        told.update((state.uid, False) for state in changes.added)

    def test_a_folder_that_is_gone(self) -> None:
        """Deleted by another program: sessions must hear that it is no more."""
        for name, opened in (("open", True), ("not yet synced", False)):
            _, box, other = self.prepare()
            if not opened:
                other.close()
            directory = Path(os.fsdecode(other._core.directory))
            shutil.rmtree(directory)
            self.assertTrue(other.changed(), name)
            for _ in range(2):
                with self.assertRaises(NoSuchMailbox, msg=name):
                    other.sync(True)
            with self.assertRaises(ImapError, msg=name):
                other.copy_from(box, [Uid(1)], True, False)
            self.assertEqual(box.read(Uid(1)), b"a: b\n\nc\n", name)
            self.assertFalse(directory.exists(), name)

    def test_what_fails_at_every_call_is_logged_once(self) -> None:
        seen: list[LogEvent] = []

        @implementer(ILogObserver)
        def observe(event: LogEvent) -> None:
            seen.append(event)

        account, box, other = self.prepare()
        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        quiet.forget()
        self.addCleanup(quiet.forget)
        for number in (errno.EIO, errno.ENOSPC):
            failure = OSError(number, "no", b"x")
            with (
                mock.patch.object(fsops, "status", side_effect=failure),
                mock.patch.object(fsops, "open_exclusive", side_effect=failure),
                mock.patch("sqlite3.connect", side_effect=sqlite3.OperationalError),
            ):
                for _ in range(20):
                    for name in ("sync", "store", "deliver", "meta", "load", "copy"):
                        with contextlib.suppress(ImapError):
                            ACTIONS[name](box, other)
        lines = [event for event in seen if "store" in str(event["log_namespace"])]
        self.assertLess(len(lines), 24, [event["log_format"] for event in lines])
        self.assertGreater(len(lines), 0)
        account.close()

    def test_databases_that_fail(self) -> None:
        # Hardening: D04.
        for error in (
            sqlite3.OperationalError("database is locked"),
            sqlite3.OperationalError("database or disk is full"),
            sqlite3.OperationalError("disk I/O error"),
            sqlite3.DatabaseError("database disk image is malformed"),
            OSError(errno.EIO, "no"),
        ):
            for name, action in ACTIONS.items():
                account, box, other = self.prepare()
                with (
                    mock.patch("sqlite3.connect", side_effect=error),
                    self.subTest(f"{name}: {error!r}"),
                ):
                    try:
                        action(box, other)
                    except ImapError:
                        self.assertIn(name, ("store", "deliver", "replace", "sync"))
                account.close()
