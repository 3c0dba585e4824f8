"""What injected errors and busy neighbours brought to light, one test for each."""

import errno
import os
from collections.abc import Callable
from typing import Any
from unittest import mock

from imapd.errors import ImapError, Unavailable
from imapd.ids import INBOX, Uid
from imapd.limits import Limits
from imapd.model.flags import DELETED, SEEN, StoreMode
from imapd.store import fsops
from imapd.store.locks import MailboxLock
from imapd.store.maildir.account import MaildirAccount
from imapd.store.maildir.mailbox import MaildirMailbox
from imapd.store.maildir.scan import Directory
from imapd.store.state import AccountState
from tests.store.folders import MEMORY, FolderTestCase, append, uids_of

EIO = OSError(errno.EIO, os.strerror(errno.EIO))


def first(action: Callable[[], object]) -> Any:
    """Stand in for the lock of a folder: act just before it is first taken."""
    waiting = [action]
    real = MailboxLock.__enter__

    def enter(lock: MailboxLock) -> MailboxLock:
        if waiting:
            waiting.pop()()
        return real(lock)

    return mock.patch.object(MailboxLock, "__enter__", enter)


class OvertakenTests(FolderTestCase):
    """Another server gives out UIDs while we look for new messages."""

    parent = MEMORY

    def pair(self) -> tuple[MaildirMailbox, MaildirMailbox]:
        ours, theirs = self.open(), self.open()
        for box in (ours, theirs):
            box.sync(True)
        append(theirs, b"a: 1\r\n\r\n", [rb"\Seen"])
        for box in (ours, theirs):
            box.sync(True)
        return ours, theirs

    def test_a_uid_given_out_between_listing_and_lock_is_told_first(self) -> None:
        ours, theirs = self.pair()
        self.deliver("1600000000.M1P1.h")
        with first(lambda: append(theirs, b"a: 2\r\n\r\n", [rb"\Seen"])):
            told = uids_of(ours.sync(True))
        for _ in range(2):
            changes = ours.sync(True)
            told += uids_of(changes)
            self.assertEqual(changes.expunged, [])
        self.assertEqual(theirs.sync(True).expunged, [])
        self.assertEqual(told, [2, 3])
        self.assertEqual(ours.read(Uid(2)), b"a: 2\n\n")

    def test_numbered_anew_between_listing_and_lock(self) -> None:
        """What was listed belongs to a mailbox that is no more."""
        ours, _ = self.pair()
        self.deliver("1600000000.M1P1.h")
        uid_list = self.folder() / "dovecot-uidlist"
        fresh = self.folder() / "fresh"

        def number_anew() -> None:
            fresh.write_bytes(b"3 V99999 N1 G%b\n" % (b"0123456789abcdef" * 2))
            os.rename(fresh, uid_list)

        with first(number_anew), self.assertRaises(Unavailable):
            ours.sync(True)
        changes = ours.sync(True)
        self.assertTrue(changes.renumbered)
        self.assertEqual((ours.uid_validity, len(uids_of(changes))), (99999, 2))

    def test_a_message_that_was_given_another_uid_has_it_for_good(self) -> None:
        ours, theirs = self.pair()
        (path,) = (self.folder() / "cur").iterdir()
        with open(self.folder() / "dovecot-uidlist", "ab") as file:
            base = os.fsencode(path.name).partition(b":")[0]
            file.write(b"2 :%b\n" % base)  # as Dovecot does when it came back
        self.deliver("1600000000.M1P1.h")
        for box in (ours, theirs):
            changes = box.sync(True)
            self.assertEqual((changes.expunged, uids_of(changes)), ([1], [2, 3]))
        os.rename(path, path.with_name(path.name + "F"))
        for box in (ours, theirs, ours):
            changes = box.sync(True)
            self.assertEqual((changes.expunged, uids_of(changes)), ([], []))


class FailedDiskTests(FolderTestCase):
    # Hardening: D03.

    parent = MEMORY

    def test_no_uid_is_made_up_that_another_message_gets(self) -> None:
        # Hardening: D13.
        for name in ("fdatasync", "close"):
            box = self.open(name)
            box.sync(True)
            append(box, b"a: 1\r\n\r\n")
            self.deliver("1600000000.M1P1.h", box=name)
            real = getattr(fsops, name)

            def fail(*arguments: Any, real: Callable[..., Any] = real) -> None:
                real(*arguments)
                raise EIO

            with mock.patch.object(fsops, name, fail):
                try:
                    changes = box.sync(True)
                except ImapError:
                    changes = box.sync(True)
            self.assertEqual([uid for uid in uids_of(changes) if uid > 1], [], name)
            fresh = self.open(name)
            told = {uid: fresh.read(Uid(uid)) for uid in uids_of(fresh.sync(True))}
            self.assertEqual(len(told), 2, name)


class UidNextTests(FolderTestCase):
    """A client looks for new mail from UIDNEXT on: it is not told one too many."""

    parent = MEMORY

    def test_a_next_uid_that_no_file_says_is_not_told(self) -> None:
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        box = self.open()
        box.sync(True)
        append(box, b"a: 1\r\n\r\n")
        self.deliver("1600000000.M1P1.h")
        with (
            mock.patch.object(fsops, "open_append", side_effect=full),
            mock.patch.object(fsops, "replace_file", side_effect=full),
        ):
            for _ in range(2):
                box.sync(True)
                with self.assertRaises(ImapError):
                    append(box, b"a: 2\r\n\r\n")
                self.assertEqual(box.uid_next, 2)
        told = box.uid_next
        # Another process knows nothing of it, and gives out what was told.
        other = self.open()
        self.assertEqual(uids_of(other.sync(True)), [1, 2])
        self.assertGreaterEqual(other.uid_next, told)
        self.assertEqual(uids_of(box.sync(True)), [2])
        fresh = self.open()
        fresh.sync(False)
        self.assertEqual(box.uid_next, fresh.uid_next)
        uid = append(box, b"a: 3\r\n\r\n")
        self.assertGreaterEqual(uid, 3)
        self.assertEqual(box.uid_next, uid + 1)


class DoneTests(FolderTestCase):
    """What is done is not answered with NO for want of a look at it afterwards."""

    parent = MEMORY

    def box(self, name: str) -> MaildirMailbox:
        box = self.open(name)
        box.sync(True)
        append(box, b"a: 1\r\n\r\n", [DELETED])
        append(box, b"a: 2\r\n\r\n", [DELETED])
        return box

    def test_a_directory_that_cannot_be_looked_at_after_the_change(self) -> None:
        actions: dict[str, Callable[[MaildirMailbox, MaildirMailbox], object]] = {
            "store": lambda one, _: one.store_flags([Uid(1)], StoreMode.ADD, [SEEN]),
            "expunge": lambda one, _: one.expunge([Uid(1)]),
            "move": lambda one, other: other.copy_from(one, [Uid(1)], True, False),
            "append": lambda one, _: append(one, b"a: 3\r\n\r\n"),
        }
        for name, action in actions.items():
            one, other = self.box(name), self.box(name + "2")
            real = Directory.adopt

            def adopt(
                directory: Directory,
                mark: int | None,
                real: Callable[[Directory, int | None], None] = real,
            ) -> None:
                with mock.patch.object(fsops, "status", side_effect=EIO):
                    real(directory, mark)

            with self.subTest(name):
                with mock.patch.object(Directory, "adopt", adopt):
                    action(one, other)
                self.assertTrue(one.changed())  # what it is like is not known now
                changes = one.sync(False)
                self.assertEqual((changes.added, changes.expunged), ([], []))


class PowerLossTests(FolderTestCase):
    """What harnesses that let the power go brought to light."""

    parent = MEMORY

    def test_lines_are_dropped_of_messages_that_cannot_come_back(self) -> None:
        """Else they come back without their UIDs, and get others."""
        box = self.open()
        box.sync(True)
        delivery = box.begin_delivery()
        for number in range(70):
            delivery.begin([DELETED], None)
            delivery.write(b"n: %d\r\n\r\n" % number)
            delivery.end()
        box.commit(delivery, False)
        box.expunge([Uid(uid) for uid in range(1, 68)])
        done: list[bytes] = []
        real_sync, real_replace = fsops.fsync_directory, fsops.replace_file

        def sync(path: bytes, *opened: int) -> None:
            done.append(os.path.basename(path))
            real_sync(path, *opened)

        def replace(path: bytes, octets: bytes) -> None:
            done.append(os.path.basename(path))
            real_replace(path, octets)

        with (
            mock.patch.object(fsops, "fsync_directory", sync),
            mock.patch.object(fsops, "replace_file", replace),
        ):
            append(box, b"a: b\r\n\r\n")
        written = done.index(b"dovecot-uidlist")
        self.assertIn(b"cur", done[:written])
        self.assertIn(b"new", done[:written])

    def test_a_commit_to_the_state_is_not_undone(self) -> None:
        """CREATE for a use is durable: the end of the journal is synced too."""
        state = AccountState(os.fsencode(self.root))
        self.addCleanup(state.close)
        with state._database.transaction(write=False) as connection:
            (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
            (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        self.assertEqual((synchronous, mode), (3, "delete"))  # 3: EXTRA

    def synced(self, action: Callable[[], object]) -> list[bytes]:
        """Which directories an action syncs."""
        done: list[bytes] = []
        real = fsops.fsync_directory

        def sync(path: bytes, *opened: int) -> None:
            done.append(os.path.relpath(path, os.fsencode(self.root)))
            real(path, *opened)

        with mock.patch.object(fsops, "fsync_directory", sync):
            action()
        return done

    def test_nothing_is_kept_below_what_the_dead_have_not_synced(self) -> None:
        """A process made the folder, or its UID list, and died before its sync."""
        self.open().sync(True)
        box = self.open()
        box.sync(True)
        done = self.synced(lambda: append(box, b"a: 1\r\n\r\n"))
        self.assertLessEqual({b".", b"box", b"box/new"}, set(done))
        done = self.synced(lambda: append(box, b"a: 2\r\n\r\n"))
        self.assertEqual(done, [b"box/new"])  # once is enough
        (self.root / "copy").write_bytes(
            (self.folder() / "dovecot-uidlist").read_bytes()
        )
        os.rename(self.root / "copy", self.folder() / "dovecot-uidlist")
        done = self.synced(lambda: append(box, b"a: 3\r\n\r\n"))
        self.assertIn(b"box", done)  # another process replaced it
        real = fsops.look
        old = mock.patch.object(
            fsops, "look", lambda *names: real(*names)._replace(born_seconds=1.0)
        )
        with old:
            box = self.open()
            box.sync(True)
            done = self.synced(lambda: append(box, b"a: 4\r\n\r\n"))
        self.assertEqual(done, [b"box/new"])


class AccountFaultTests(FolderTestCase):
    # Hardening: D03.

    parent = MEMORY

    def account(self) -> MaildirAccount:
        account = MaildirAccount(self.root / "Maildir", limits=Limits(lock_seconds=1))
        self.addCleanup(account.close)
        return account

    def paths(self, account: MaildirAccount) -> list[str]:
        return ["/".join(folder.path) for folder in account.folders() if folder.path]

    def test_what_is_renamed_durably_is_not_answered_with_no(self) -> None:
        account = self.account()
        account.create(("A",))
        real = fsops.unlink

        def unlink(path: bytes) -> None:
            if path.endswith(b"imapd-rename.json"):
                raise EIO
            real(path)

        with mock.patch.object(fsops, "unlink", unlink):
            account.rename(("A",), ("B",))
        self.assertEqual(self.paths(account), ["B"])
        account.create(("A",))  # and the journal that stayed renames nothing else
        self.assertEqual(self.paths(account), ["A", "B"])

    def test_a_folder_that_cannot_be_looked_at_is_not_left_behind(self) -> None:
        account = self.account()
        for path in (("A",), ("A", "b")):
            account.create(path)
        real = fsops.status

        def status(path: bytes) -> os.stat_result:
            if path.endswith(b"/.A/cur"):
                raise EIO
            return real(path)

        with mock.patch.object(fsops, "status", status):
            for action in (
                account.folders,
                lambda: account.rename(("A",), ("B",)),
                lambda: account.mailbox(("A",)),
                lambda: account.delete(("A",)),
            ):
                with self.assertRaises(Unavailable):
                    action()
        self.assertEqual(self.paths(account), ["A", "A/b"])

    def test_rename_of_inbox_leaves_no_mailbox_when_it_fails(self) -> None:
        account = self.account()
        box = account.mailbox(INBOX)
        append(box, b"a: 1\r\n\r\n")
        with (
            mock.patch("imapd.store.maildir.publish._Placing.place", side_effect=EIO),
            self.assertRaises(ImapError),
        ):
            account.rename(INBOX, ("Old",))
        self.assertEqual(self.paths(account), [])
        account.rename(INBOX, ("Old",))
        self.assertEqual(len(account.mailbox(("Old",)).sync(True).added), 1)

    def test_a_subscription_whose_sync_failed_is_written_again(self) -> None:
        account = self.account()
        for change in (account.subscribe, account.unsubscribe):
            with (
                mock.patch.object(fsops, "fsync_directory", side_effect=EIO),
                self.assertRaises(ImapError),
            ):
                change(("A",))
            real = fsops.fsync_directory
            with mock.patch.object(fsops, "fsync_directory", side_effect=real) as sync:
                change(("A",))
            sync.assert_called_once()
