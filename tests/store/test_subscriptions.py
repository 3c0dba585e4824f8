"""The file ``subscriptions``: both versions, kept as they are found."""

import errno
import os
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

from imapd.errors import ImapError, InUse, LimitReached, StoreDamaged
from imapd.ids import INBOX, MailboxPath
from imapd.limits import Limits
from imapd.store import dotlock, fsops
from imapd.store.maildir import subscriptions
from imapd.store.maildir.layout import NameEncoding
from imapd.store.maildir.subscriptions import Subscriptions, parse, unescape

READ: dict[str, tuple[bytes, list[MailboxPath]]] = {
    "empty": (b"", []),
    "header": (b"V\t2\n\n", []),
    "version 2": (b"V\t2\n\nINBOX\nA\tB\n", [INBOX, ("A", "B")]),
    "version 1": (b"inbox\nA.B\n", [INBOX, ("A", "B")]),
    "modified UTF-7": (b"V\t2\n\nEntw&APw-rfe\n", [("Entwürfe",)]),
    "UTF-8": ("Entwürfe\n".encode(), [("Entwürfe",)]),
    "twice": (b"A\nA\n", [("A",)]),
    "no line end": (b"A\nB", [("A",), ("B",)]),
    "Latin-1": (b"Entw\xfcrfe\nA\n", [("A",)]),
    "a dot in version 2": (b"V\t2\n\na.b\nA\n", [("A",)]),
    "an escaped tab": (b"V\t2\n\na\x01tb\nA\n", [("A",)]),
    "empty component": (b"V\t2\n\nA\t\tB\n", []),
    "a slash": (b"shared/x\nA\n", [("A",)]),
}


class SubscriptionTests(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name)
        (self.root / "tmp").mkdir()
        self.path = self.root / "subscriptions"
        self.file = self.open()

    def open(self, **limits: int) -> Subscriptions:
        return Subscriptions(bytes(self.root), Limits(lock_seconds=1, **limits))

    def test_read(self) -> None:
        for name, (octets, paths) in READ.items():
            self.assertEqual(parse(octets).paths(), paths, name)

    def test_what_cannot_be_read_stays(self) -> None:
        for name, (octets, paths) in READ.items():
            self.path.write_bytes(octets)
            self.file.add(("New",), NameEncoding.UTF7)
            self.assertEqual(self.file.paths(), sorted([*paths, ("New",)]), name)
            self.file.remove(("New",))
            expected = octets if octets.endswith(b"\n") else octets + b"\n"
            self.assertEqual(
                self.path.read_bytes(), expected if octets else b"V\t2\n\n", name
            )

    def test_encodings(self) -> None:
        self.file.add(("ü", "R&D"), NameEncoding.UTF7)
        self.file.add(("ö",), NameEncoding.UTF8)
        self.assertEqual(
            self.path.read_bytes(), b"V\t2\n\n&APw-\tR&-D\n" + "ö\n".encode()
        )
        self.assertEqual(self.file.paths(), [("ö",), ("ü", "R&D")])
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_twice_is_no_error(self) -> None:
        for _ in range(2):
            self.file.add(("A",), NameEncoding.UTF7)
        self.assertEqual(self.file.paths(), [("A",)])
        for _ in range(2):
            self.file.remove(("A",))
        self.assertEqual(self.file.paths(), [])

    def test_what_is_on_the_disk_is_not_written_again(self) -> None:
        self.file.add(("A",), NameEncoding.UTF7)
        later = mock.Mock(time=lambda: time.time() + 3600)
        with (
            mock.patch.object(subscriptions, "time", later),
            mock.patch.object(fsops, "replace_file") as replaced,
        ):
            self.file.add(("A",), NameEncoding.UTF7)
            self.file.remove(("B",))
        self.assertEqual(replaced.call_count, 0)

    def test_replaced_by_others(self) -> None:
        """Those that stay keep their place, and what cannot be read stays."""
        self.path.write_bytes(b"V\t2\n\nB\nshared/x\nA\nC\n")
        self.file.replace([("D",), ("A",), ("B",)], NameEncoding.UTF7)
        self.assertEqual(self.path.read_bytes(), b"V\t2\n\nB\nshared/x\nA\nD\n")

    def test_limit(self) -> None:
        # Hardening: F09.
        file = self.open(subscription_count=10)
        for number in range(10):
            file.add((str(number),), NameEncoding.UTF7)
        with self.assertRaises(LimitReached):
            file.add(("more",), NameEncoding.UTF7)
        self.assertEqual(len(file.paths()), 10)

    def test_unknown_version_is_left_alone(self) -> None:
        for octets in (b"V\t3\n\nA\n", b"V\t2\nheader\n\nA\n", b"V\t2\n\x01\nA\n"):
            self.path.write_bytes(octets)
            with self.assertRaises(StoreDamaged, msg=octets):
                self.file.paths()
            with self.assertRaises(StoreDamaged, msg=octets):
                self.file.add(("A",), NameEncoding.UTF7)
            self.assertEqual(self.path.read_bytes(), octets)

    def test_every_truncation_and_flip(self) -> None:
        # Hardening: D15.
        good = b"V\t2\n\nINBOX\nSent\nA\tEntw&APw-rfe\n"
        names = {("Sent",), ("A", "Entwürfe")}
        cut = [good[:end] for end in range(len(good))]
        flipped = [
            good[:at] + bytes([octet]) + good[at + 1 :]
            for at in range(len(good))
            for octet in (0, 255, good[at] ^ 1, good[at] ^ 128)
        ]
        healthy = 0
        for octets in cut + flipped:
            self.path.write_bytes(octets)
            try:
                before = self.file.paths()
                self.file.add(("New",), NameEncoding.UTF7)
            except ImapError:
                self.assertEqual(self.path.read_bytes(), octets)
                continue
            healthy += bool(set(before) & names)
            self.assertEqual(self.file.paths(), sorted([*before, ("New",)]))
        self.assertGreater(healthy, 50)

    def test_lock(self) -> None:
        lock = self.root / "subscriptions.lock"
        lock.write_bytes(b"V\t2\n\n")  # as Dovecot's, which writes the file into it
        with self.assertRaises(InUse):
            self.file.add(("A",), NameEncoding.UTF7)
        with mock.patch.object(dotlock, "STALE_SECONDS", -1):
            self.file.add(("A",), NameEncoding.UTF7)
        self.assertFalse(lock.exists())
        lock.write_text(f"{os.getpid()}:{os.uname().nodename}")  # an earlier life
        self.file.add(("B",), NameEncoding.UTF7)
        lock.write_text(f"{os.getppid()}:{os.uname().nodename}")
        with self.assertRaises(InUse):
            self.file.add(("C",), NameEncoding.UTF7)
        lock.unlink()
        self.assertEqual(os.listdir(self.root / "tmp"), [])

    def test_other_things_of_that_name(self) -> None:
        # Hardening: F03.
        os.mkfifo(self.path)
        with self.assertRaises(StoreDamaged):
            self.file.paths()
        self.path.unlink()
        self.path.symlink_to("/etc/passwd")
        with self.assertRaises(StoreDamaged):
            self.file.paths()

    def test_a_disk_that_fails_is_no_damage(self) -> None:
        """The file may be whole: nothing is said of it, and nothing written."""
        self.path.write_bytes(b"V\t2\n\nA\n")
        failure = OSError(errno.EIO, "the disk")
        with mock.patch.object(fsops, "read_file", side_effect=failure):
            for use in (
                self.file.read,
                lambda: self.file.add(("B",), NameEncoding.UTF7),
            ):
                with self.assertRaises(OSError) as caught:
                    use()
                self.assertIs(caught.exception, failure)
        self.assertEqual(self.path.read_bytes(), b"V\t2\n\nA\n")

    def test_unescape(self) -> None:
        for escaped, plain in {
            b"a\x01tb": b"a\tb",
            b"\x011": b"\x01",
            b"\x01n\x01r\x010": b"\n\r\0",
            b"a\x01": b"a",
        }.items():
            self.assertEqual(unescape(escaped), plain)
