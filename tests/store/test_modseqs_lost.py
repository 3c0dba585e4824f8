"""Modification sequences after crashes, odd clocks, damage, and over versions."""

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import time
import unittest
import zlib
from array import array
from collections.abc import Callable
from unittest import mock

from imapd.errors import Unavailable
from imapd.ids import Uid
from imapd.model.flags import SEEN
from imapd.store import fsops, modseqtable
from imapd.store.maildir.mailbox import MaildirMailbox
from imapd.store.state import AccountState
from tests.store.test_modseqs import ADD, ALL, CLOCK, REMOVE, ModSeqCase


class LossTests(ModSeqCase):
    """Whatever is lost: what was told is never above what comes."""

    # Hardening: D14.

    def test_killed_before_anything_was_written(self) -> None:
        first = self.tracked()
        told = self.flag(first, 1)  # and no close: the process is gone
        again = self.tracked()
        self.assertGreater(self.kept(again).floor, told)
        self.assertTrue(all(n > told for n in self.numbers(again).values()))

    def test_killed_before_the_last_was_written(self) -> None:
        first = self.tracked()
        self.write(first)
        told = self.flag(first, 1)
        first.store_flags([Uid(2)], ADD, [rb"\Deleted"])
        told_gone = first.expunge([Uid(2)]).modseq
        again = self.tracked()
        self.assertGreater(self.numbers(again)[1], told)
        self.assertLess(self.numbers(again)[3], told)
        self.assertGreater(self.kept(again).highest, told_gone)
        self.assertEqual(self.kept(again).vanished(told_gone, ALL), [(2, 2)])

    def write(self, mailbox: MaildirMailbox) -> None:
        save = mailbox.unsaved()
        assert save is not None
        save()
        self.assertIsNone(mailbox.unsaved())

    def test_a_process_that_is_really_killed(self) -> None:
        script = """
import os, signal, sys
from pathlib import Path
from imapd.ids import Uid
from imapd.model.flags import StoreMode
from imapd.store.maildir.mailbox import MaildirMailbox
from imapd.store.state import AccountState

mailbox = MaildirMailbox(
    (), Path(sys.argv[2]), cache=None, overflow=None, take_over=lambda path: None,
    new_uid_validity=lambda: 1001, modseqs=AccountState(os.fsencode(sys.argv[1])),
)
mailbox.sync(False)
mailbox.track()
mailbox.unsaved()()
print(mailbox.store_flags([Uid(1)], StoreMode.ADD, [b"$a"]).modseq, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
        box = self.folder()
        done = subprocess.run(
            [sys.executable, "-c", script, str(self.root), str(box)],
            stdout=subprocess.PIPE,
            check=False,
        )
        self.assertEqual(done.returncode, -signal.SIGKILL)
        told = int(done.stdout)
        numbers = self.numbers(self.tracked())
        self.assertGreater(numbers[1], told)
        self.assertTrue(all(numbers[uid] < told for uid in (2, 3, 4, 5)))

    def test_killed_and_the_clock_set_back(self) -> None:
        hour = 3600 * 1_000_000
        past = time.time() - 8000
        for part in ("cur", "new"):
            os.utime(self.folder() / part, (past, past))
        with mock.patch(CLOCK, lambda: time.time_ns() // 1000 - 2 * hour):
            first = self.tracked()
            self.write(first)
        told = self.flag(first, 1)
        with mock.patch(CLOCK, lambda: time.time_ns() // 1000 - hour):
            again = self.tracked()
            found = self.numbers(again)[1]
            self.assertGreater(found, told)
            self.assertGreater(self.flag(again, 2), found)

    def test_the_clock_set_back_under_us(self) -> None:
        # Hardening: D07.
        mailbox = self.tracked()
        last = self.kept(mailbox).highest
        with mock.patch(CLOCK, return_value=5):
            for uid in range(1, 6):
                number = self.flag(mailbox, uid)
                self.assertGreater(number, last)
                last = number

    def test_a_time_of_modification_from_nowhere(self) -> None:
        os.utime(self.folder() / "cur", (1 << 40, 1 << 40))
        mailbox = self.tracked()
        self.assertLess(self.kept(mailbox).highest, 1 << 52)

    def test_a_folder_that_cannot_be_looked_at_just_now(self) -> None:
        """What was found before is told all the same: it is not found again."""
        mailbox = self.open()
        mailbox.sync(claim_recent=False)
        self.deliver("new.x.y")
        look = fsops.status_or_none

        def fail(path: bytes) -> os.stat_result | None:
            if path.endswith(b"/cur"):
                raise OSError(errno.EIO, "no")
            return look(path)

        with mock.patch.object(fsops, "status_or_none", fail):
            changes = mailbox.track()
        self.assertEqual([state.uid for state in changes.added], [6])
        self.assertEqual(set(self.numbers(mailbox)), set(range(1, 7)))
        # It may have been changed a moment ago, by whoever has another clock.
        self.assertGreater(self.kept(mailbox).highest, time.time_ns() // 1000)

    def test_the_state_lost_while_we_are_away(self) -> None:
        mailbox = self.tracked()
        told = self.flag(mailbox, 1)
        mailbox.close()
        self.state.close()
        os.unlink(self.root / "imapd-state.sqlite3")
        again = self.tracked()
        self.assertTrue(all(n > told for n in self.numbers(again).values()))
        self.assertIsNone(self.kept(again).vanished(told, ALL))

    def test_the_state_lost_under_us(self) -> None:
        mailbox = self.tracked()
        self.write(mailbox)
        first = self.flag(mailbox, 1)
        os.unlink(self.root / "imapd-state.sqlite3")
        mailbox.close()
        again = self.tracked()
        self.assertEqual(self.numbers(again)[1], first)
        self.assertEqual(len(self.numbers(again)), 5)

    def test_the_state_cannot_be_written(self) -> None:
        mailbox = self.tracked()
        self.write(mailbox)
        with mock.patch.object(
            self.state, "merge_modseqs", side_effect=Unavailable("no")
        ):
            told = self.flag(mailbox, 1)
            save = mailbox.unsaved()
            assert save is not None
            save()
        mailbox.close()  # tries again
        self.assertEqual(self.numbers(self.tracked())[1], told)

    def test_history_that_was_cut(self) -> None:
        mailbox = self.tracked()
        before = self.kept(mailbox).highest
        with mock.patch("imapd.model.modseqs.HISTORY_RANGES", 2):
            told = []
            for uid in (1, 3, 5):
                mailbox.store_flags([Uid(uid)], ADD, [rb"\Deleted"])
                told.append(mailbox.expunge([Uid(uid)]).modseq)
            mailbox.close()
            kept = self.kept(self.tracked())
        self.assertIsNone(kept.vanished(before, ALL))
        self.assertIsNone(kept.vanished(told[0], ALL))
        self.assertEqual(kept.vanished(told[1], ALL), [(5, 5)])
        self.assertEqual(kept.floor, told[1])


class DamageTests(ModSeqCase):
    """Any octet of the state wrong, any part of it cut off."""

    # Hardening: D14, D15.

    def setUp(self) -> None:
        super().setUp()
        mailbox = self.tracked()
        self.flag(mailbox, 2)
        mailbox.store_flags([Uid(3)], ADD, [rb"\Deleted"])
        mailbox.expunge([Uid(3)])
        self.before = self.numbers(mailbox)
        self.highest = self.kept(mailbox).highest
        mailbox.close()
        self.state.close()
        self.path = self.root / "imapd-state.sqlite3"
        self.whole = self.path.read_bytes()

    def check(self, octets: bytes, case: str) -> None:
        self.path.write_bytes(octets)
        self.modseqs = state = AccountState(os.fsencode(self.root))
        try:
            mailbox = self.tracked()
            after = self.numbers(mailbox)
            self.assertEqual(set(after), set(self.before), case)
            for uid, number in after.items():
                self.assertTrue(
                    number == self.before[uid] or number > self.highest,
                    f"{case}: {uid} was {self.before[uid]} and is {number}",
                )
            vanished = self.kept(mailbox).vanished(self.highest - 1, ALL)
            self.assertIn(vanished, (None, [(3, 3)]), case)
            changes = mailbox.store_flags([Uid(1)], ADD, [SEEN])
            self.assertGreater(changes.modseq, self.highest, case)
            mailbox.store_flags([Uid(1)], REMOVE, [SEEN])
        finally:
            state.close()
            for each in self.root.glob("imapd-state.sqlite3*"):
                os.unlink(each)

    def test_flipped_octets(self) -> None:
        used = [at for at, octet in enumerate(self.whole) if octet]
        step = max(1, len(used) // 60)
        for at in used[::step]:
            octets = bytearray(self.whole)
            octets[at] ^= 0x55
            self.check(bytes(octets), f"octet {at}")

    def test_cut_off(self) -> None:
        for size in range(0, len(self.whole), 1024):
            self.check(self.whole[:size], f"{size} octets")

    def test_flipped_octets_of_the_rows(self) -> None:
        """Past the check that SQLite makes of its own pages."""
        for table, column in (("modseq", "head"), ("modseq_chunk", "messages")):
            for at in range(0, 200, 3):
                image = self.with_wrong_row(table, column, at)
                if image is not None:
                    self.check(image, f"{table} {at}")

    def with_wrong_row(self, table: str, column: str, at: int) -> bytes | None:
        """The file with one octet of a row flipped; None: the row ends before."""
        self.path.write_bytes(self.whole)
        connection = sqlite3.connect(self.path)
        try:
            ((packed,),) = connection.execute(f"SELECT {column} FROM {table}")
            if at >= len(packed):
                return None
            wrong = bytearray(packed)
            wrong[at] ^= 1 + at % 255
            connection.execute(f"UPDATE {table} SET {column} = ?", (bytes(wrong),))
            connection.commit()
        finally:
            connection.close()
        return self.path.read_bytes()

    def test_what_a_head_must_be(self) -> None:
        self.assertIsNone(modseqtable._unpack(b"x", "Q", 100))
        numbers = {
            "nothing": b"",
            "too large": b"\xff" * 40,
            "half a number": b"\0" * 7,
            "fewer chunks than it says": array("Q", [1, 2, 3, 4, 2, 0]).tobytes(),
            "half an entry of history": array("Q", [1, 2, 3, 4, 0, 9, 9]).tobytes(),
        }
        for name, octets in numbers.items():
            packed = zlib.compress(octets)
            row = (packed, zlib.crc32(packed, zlib.crc32(b"m")))
            with sqlite3.connect(":memory:") as connection:
                for statement in modseqtable.STATEMENTS:
                    connection.execute(statement)
                connection.execute("INSERT INTO modseq VALUES ('m', ?, ?)", row)
                self.assertIsNone(modseqtable.read(connection, "m"), name)
            connection.close()

    def test_what_a_chunk_must_be(self) -> None:
        def unpack(octets: bytes, version: object = 1) -> object:
            crc = modseqtable._chunk_crc("m", 0, 1, octets)
            return modseqtable._unpack_chunk("m", 0, version, octets, crc)  # type: ignore[arg-type]

        good = modseqtable._pack_chunk({1: (7, 8), 2: (9, 10)})
        self.assertEqual(unpack(good), {1: (7, 8), 2: (9, 10)})
        for name, octets in {
            "not compressed": b"x",
            "a word too many": zlib.compress(b"\0" * 36),
            "of another chunk": modseqtable._pack_chunk({1 << 31: (7, 8)}),
        }.items():
            self.assertIsNone(unpack(octets), name)
        self.assertIsNone(unpack(good, "1"))
        self.assertIsNone(modseqtable._unpack_chunk("m", 0, 1, "text", 0))
        self.assertIsNone(modseqtable._unpack_chunk("m", 0, 1, good, 0))


class UpgradeTests(ModSeqCase):
    def test_a_state_of_the_first_version_is_kept(self) -> None:
        self.state.note_uid_validity(4711)
        self.state.set("g", {7: frozenset((b"later",))})
        self.state.close()
        with sqlite3.connect(self.root / "imapd-state.sqlite3") as connection:
            connection.execute("DROP TABLE modseq")
            connection.execute("DROP TABLE modseq_chunk")
            connection.execute("PRAGMA user_version=1")
        connection.close()
        self.assertEqual(self.state.uid_validity, 4711)
        self.assertEqual(self.state.keywords("g"), {7: {b"later"}})
        mailbox = self.tracked()
        highest = self.kept(mailbox).highest
        mailbox.close()
        self.assertEqual(self.kept(self.tracked()).highest, highest)
        self.assertEqual(list(self.root.glob("*damaged*")), [])

    def test_a_state_of_a_later_version_is_not_touched(self) -> None:
        self.state.note_uid_validity(4711)
        self.state.close()
        with sqlite3.connect(self.root / "imapd-state.sqlite3") as connection:
            connection.execute("PRAGMA user_version=3")
        connection.close()
        self.assertEqual(self.state.uid_validity, 0)
        self.assertEqual(len(list(self.root.glob("*damaged*"))), 1)

    def test_a_state_that_may_only_be_read(self) -> None:
        self.state.note_uid_validity(4711)
        self.state.close()
        with sqlite3.connect(self.root / "imapd-state.sqlite3") as connection:
            connection.execute("DROP TABLE modseq")
            connection.execute("DROP TABLE modseq_chunk")
            connection.execute("PRAGMA user_version=1")
        connection.close()
        reading: Callable[..., bool] = lambda *args, **kwargs: False  # noqa: E731
        with mock.patch("imapd.store.database.os.access", reading):
            state = self.new_state()
            self.assertEqual(state.uid_validity, 4711)
            self.assertIsNone(state.load_modseqs("g"))


if __name__ == "__main__":
    unittest.main()
