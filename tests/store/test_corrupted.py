"""Files beside the mail that are no files, or not all of them: the mail is there."""

import os
from collections.abc import Callable
from pathlib import Path

from imapd.ids import Uid
from imapd.model.flags import FLAGGED, StoreMode
from tests.store.folders import MEMORY, FolderTestCase, append, uids_of


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


NO_FILES: dict[str, Callable[[Path], object]] = {
    "directory": Path.mkdir,
    "link": lambda path: path.symlink_to("/etc/passwd"),
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path),
    "pipe": os.mkfifo,
    "enormous": sparse,
}


class NoFileTests(FolderTestCase):
    parent = MEMORY

    def prepare(self, box: str) -> None:
        mailbox = self.open(box)
        mailbox.sync(True)
        append(mailbox, b"a: b\n\nc\n", [b"word", FLAGGED])
        mailbox.close()

    def test_keywords(self) -> None:
        for name, make in NO_FILES.items():
            self.prepare(name)
            path = self.folder(name) / "dovecot-keywords"
            path.unlink()
            make(path)
            mailbox = self.open(name)
            (message,) = mailbox.sync(True).added
            self.assertEqual(message.flags, {FLAGGED, b"unknown-0"}, name)
            changes = mailbox.store_flags([Uid(1)], StoreMode.ADD, [b"other"])
            flags = {FLAGGED, b"unknown-0", b"other"}
            self.assertEqual(changes.flags, {1: flags}, name)
            # What was there is there, for whoever can mend it.
            (aside,) = path.parent.glob("dovecot-keywords.broken-*")
            self.assertTrue(os.path.lexists(aside), name)
            self.assertEqual(path.read_bytes(), b"1 other\n", name)
            self.assertFalse(mailbox.sync(True), name)
            mailbox.close()

    def test_uid_list(self) -> None:
        for name, make in NO_FILES.items():
            if "link" in name:  # whose target may have the numbers: not touched
                continue
            self.prepare(name)
            path = self.folder(name) / "dovecot-uidlist"
            path.unlink()
            make(path)
            mailbox = self.open(name)
            self.assertEqual(uids_of(mailbox.sync(True)), [10_001], name)
            self.assertEqual(mailbox.uid_validity, self.validity, name)
            (aside,) = path.parent.glob("dovecot-uidlist.broken-*")
            self.assertTrue(os.path.lexists(aside), name)
            self.assertTrue(path.is_file() and not path.is_symlink(), name)
            mailbox.close()
