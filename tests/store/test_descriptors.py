"""No operation that fails keeps a descriptor: whoever has none left gets them back."""

import contextlib
import errno
import os
import shutil
import sqlite3

from imapd.errors import ImapError
from imapd.store.api import WouldBlock
from imapd.store.maildir.account import MaildirAccount
from tests.store.faults import POSSIBLE, Plan, injected
from tests.store.folders import MEMORY, FolderTestCase
from tests.store.test_swapped import COMMANDS, OCTETS, fill

LOCKS = ("dovecot-uidlist.lock", "courier.lock", "subscriptions.lock")


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


class DescriptorTests(FolderTestCase):
    """Hardening: D05.  Each command fails at each operation, once or from there on."""

    parent = MEMORY

    def setUp(self) -> None:
        super().setUp()
        self.pristine = self.root / "pristine"
        fill(self.pristine, OCTETS)
        MaildirAccount(self.pristine).close()
        self.maildir = self.root / "m"

    def attempt(self, command: str, plan: Plan) -> bool:
        """Let it fail there; whether there is such an operation."""
        shutil.rmtree(self.maildir, ignore_errors=True)
        shutil.copytree(self.pristine, self.maildir)
        before = descriptors()
        account = MaildirAccount(self.maildir)
        with injected(plan) as faults:
            # Where nothing could be listed there is no first message.
            with contextlib.suppress(ImapError, OSError, WouldBlock, IndexError):
                COMMANDS[command][0](account)
            with contextlib.suppress(ImapError, OSError, sqlite3.Error):
                account.close()
        account.close()
        self.assertEqual(len(descriptors()), len(before), f"{command}, {plan}")
        if plan.number == errno.EMFILE:
            kept = [name for name in LOCKS for _ in self.maildir.rglob(name)]
            self.assertEqual(kept, [], f"{command}, {plan}")
        return bool(faults.hit)

    def check(self, number: int, *, lasting: bool) -> None:
        counts = POSSIBLE.get(number)
        for command in COMMANDS:
            at = 1
            while self.attempt(command, Plan(at, number, None, lasting, counts=counts)):
                at += 1
            self.assertGreater(at, 8, command)

    def test_there_is_none_left_for_a_moment(self) -> None:
        self.check(errno.EMFILE, lasting=False)

    def test_there_is_none_left(self) -> None:
        """Locks are given back all the same."""
        self.check(errno.EMFILE, lasting=True)

    def test_the_disk_fails_for_a_moment(self) -> None:
        self.check(errno.EIO, lasting=False)
