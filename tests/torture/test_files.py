"""Damaged files and odd messages for some seconds each, with a seed that stays."""

import os
import tempfile
import unittest
from pathlib import Path

from tests.torture import administered, bombs, control, mime
from tests.torture.budget import chance
from tests.torture.corruption import AT, WHOLE, Corruption, every
from tests.torture.gate import keeps
from tests.torture.messages import corpus, message, mutated


class GateTests(unittest.TestCase):
    def test_odd_messages(self) -> None:
        # Hardening: P16.
        keeps(self, mime.run, 9)

    def test_bombs(self) -> None:
        # Hardening: X5, P16, P17.
        keeps(self, bombs.run, 9)

    def test_damaged_control_files(self) -> None:
        # Hardening: D15.
        keeps(self, control.run, 15)

    def test_what_an_administrator_writes(self) -> None:
        # Hardening: D15.
        keeps(self, administered.run, 2)

    @unittest.skipUnless(corpus(), "IMAPD_CORPUS names no directory of messages")
    def test_a_corpus_as_it_is(self) -> None:
        with mime.served() as (server, maildir):
            for first in range(0, len(corpus()), 16):
                some = corpus()[first : first + 16]
                mime.fetch_all(server, maildir, some, f"at {first}", chance("corpus"))


class CorruptionTests(unittest.TestCase):
    """Everything that is to be done to a file is done."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name)
        self.octets = b"one\ntwo\n"

    def test_each_kind_leaves_something_else(self) -> None:
        (self.root / "file").write_bytes(self.octets)
        all_of_them = list(every(self.root, "file"))
        self.assertEqual(len(all_of_them), len(WHOLE) + len(AT) * len(self.octets))
        for one in all_of_them:
            path = self.root / "file"
            if path.is_dir() and not path.is_symlink():
                path.rename(self.root / f"{one}")
            path.unlink(missing_ok=True)
            path.write_bytes(self.octets)
            inode = path.stat().st_ino
            one.apply(self.root)
            if path.is_symlink() or not path.is_file():
                continue
            if one.kind in AT:
                self.assertEqual(path.stat().st_ino, inode, str(one))
            if path.stat().st_size < 1 << 20:
                self.assertNotEqual(path.read_bytes(), self.octets, str(one))

    def test_the_same_again(self) -> None:
        for kind in AT:
            found = set()
            for _ in range(2):
                (self.root / "file").write_bytes(self.octets)
                Corruption("file", kind, 3).apply(self.root)
                found.add((self.root / "file").read_bytes())
            self.assertEqual(len(found), 1, kind)


class MessageTests(unittest.TestCase):
    def test_the_same_for_a_seed(self) -> None:
        for number in range(50):
            made = {message(chance(f"x:{number}")) for _ in range(2)}
            self.assertEqual(len(made), 1)
        self.assertNotEqual(message(chance("x:1")), message(chance("x:2")))
        self.assertEqual(mutated(b"", chance("y")), mutated(b"", chance("y")))

    def test_a_corpus_that_is_named_is_there(self) -> None:
        if os.environ.get("IMAPD_CORPUS"):
            self.assertTrue(corpus())
