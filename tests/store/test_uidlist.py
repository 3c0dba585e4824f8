"""UID lists: what Dovecot would accept, and what is saved of what it would not."""

import errno
import os
import random
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest import TestCase, mock

from hypothesis import given
from hypothesis import strategies as st

from imapd.errors import ImapError, StoreDamaged
from imapd.ids import Uid
from imapd.store import fsops
from imapd.store.maildir.uidformat import (
    BrokenUidList,
    UidTable,
    parse,
    record_lines,
    salvage,
    serialise,
)
from tests.store.faults import Killed, Plan, injected
from tests.store.folders import MEMORY, FolderTestCase, append, uids_of

GUID = b"0123456789abcdef0123456789abcdef"
HEADER = b"3 V7 N5 G" + GUID + b"\n"

GOOD = {
    "empty": (HEADER, {}, 5),
    "two": (HEADER + b"1 :a\n4 :b\n", {b"a": 1, b"b": 4}, 5),
    "appended beyond N": (HEADER + b"1 :a\n9 :b\n", {b"a": 1, b"b": 9}, 10),
    "stale info": (HEADER + b"2 :a:2,S\n", {b"a": 2}, 5),
    "keys": (HEADER + b"2 S12 W13 Pxy :a,S=1\n", {b"a,S=1": 2}, 5),
    "space in name": (HEADER + b"2 :a b :c\n", {b"a b ": 2}, 5),
    "torn": (HEADER + b"2 :a\n3 :b", {b"a": 2}, 5),
    "file again": (HEADER + b"2 :a\n3 :a\n", {b"a": 3}, 5),
    "CRLF": (b"3 V7 N5\r\n2 :a\r\n", {b"a": 2}, 5),
    "version 1": (b"1 7 5\n2 a\n4 b\n", {b"a": 2, b"b": 4}, 5),
    "unknown header keys": (b"3 V7 N5 Xabc P%u\n2 :a\n", {b"a": 2}, 5),
    "lower-case key": (HEADER + b"2 x1 :a\n", {b"a": 2}, 5),
}

BROKEN = {
    "nothing": b"",
    "no line end": b"3 V7 N5",
    "version": b"2 V7 N5\n",
    "V 0": b"3 V0 N5\n",
    "no V": b"3 N5\n",
    "N 0": b"3 V7 N0\n",
    "V too large": b"3 V4294967296 N5\n",
    "GUID": b"3 V7 N5 Gxyz\n",
    "not ascending": HEADER + b"2 :a\n2 :b\n",
    "descending": HEADER + b"2 :a\n1 :b\n",
    "UID 0": HEADER + b"0 :a\n",
    "UID too large": HEADER + b"4294967295 :a\n",
    "slash": HEADER + b"2 :a/b\n",
    "no name": HEADER + b"2 :\n",
    "only info": HEADER + b"2 ::2,S\n",
    "no colon": HEADER + b"2 a\n",
    "no UID": HEADER + b":a\n",
    "empty line": HEADER + b"\n2 :a\n",
    "version 1, beyond next": b"1 7 5\n5 a\n",
    "noise": b"\x00\xff" * 30,
}


class FormatTests(FolderTestCase):
    def test_good(self) -> None:
        for name, (octets, uids, uid_next) in GOOD.items():
            table = parse(octets)
            self.assertEqual(table.uids, uids, name)
            self.assertEqual((table.uid_validity, table.uid_next), (7, uid_next), name)

    def test_broken(self) -> None:
        for name, octets in BROKEN.items():
            with self.assertRaises(BrokenUidList, msg=name):
                parse(octets)
            salvage(octets)

    def test_unknown_keys_come_back(self) -> None:
        table = parse(b"3 V7 N5 G" + GUID + b" Xabc\n2 S12 Zq :a\n3 :b\n")
        again = serialise(table)
        self.assertEqual(again, b"3 V7 N5 G" + GUID + b" Xabc\n2 S12 Zq :a\n3 :b\n")

    def test_what_dovecot_refuses_is_not_written(self) -> None:
        for record in (
            (5, b"a"),
            (6, b""),
            (6, b"a/b"),
            (2**32 - 1, b"a"),
            (6, b"a\nb"),
        ):
            with self.assertRaises(StoreDamaged):
                record_lines([Uid(record[0])], [record[1]], {}, 5)
        with self.assertRaises(StoreDamaged):
            record_lines([Uid(7), Uid(6)], [b"a", b"b"], {}, 5)
        with self.assertRaises(StoreDamaged):
            serialise(UidTable(0, 1, GUID.decode()))

    def test_salvage_keeps_what_is_certain(self) -> None:
        table = salvage(HEADER + b"1 :a\nrubbish\n3 :b\n2 :c\n70 /\n4 :d")
        self.assertEqual(table.uids, {b"a": 1, b"b": 3, b"d": 4})
        self.assertEqual((table.uid_validity, table.uid_next), (7, 71))

    @given(st.binary(max_size=200))
    def test_anything_can_be_read(self, noise: bytes) -> None:
        for octets in (noise, HEADER + noise):
            table = salvage(octets)
            uids = list(table.uids.values())
            self.assertTrue(all(uid < table.uid_next for uid in uids))
            try:
                good = parse(octets)
            except BrokenUidList:
                continue
            good.guid = GUID.decode()
            self.assertEqual(parse(serialise(good)).uids, good.uids)


class DamageTests(FolderTestCase):
    # Hardening: D13, D15.

    parent = MEMORY

    def setUp(self) -> None:
        super().setUp()
        for number in range(4):
            self.deliver(f"{1600000000 + number}.M1P1.h:2,S", part="cur")
        box = self.open()
        box.sync(True)
        self.list = self.folder() / "dovecot-uidlist"
        self.good = self.list.read_bytes()
        self.was = box.uid_validity

    def reopen(self, case: str) -> tuple[dict[str, int], int]:
        box = self.open()
        changes = box.sync(True)
        self.assertEqual(len(changes.added), 4, case)
        append(box, b"a: b\r\n\r\n")
        parse(self.list.read_bytes())
        for path in (self.folder() / "new").iterdir():
            path.unlink()
        contents = {
            path.name[:10]: int(uid)
            for path in (self.folder() / "cur").iterdir()
            for base, uid in parse(self.list.read_bytes()).uids.items()
            if base == os.fsencode(path.name.partition(":")[0])
        }
        return contents, box.uid_validity

    def test_every_truncation(self) -> None:
        for length in range(len(self.good)):
            self.list.write_bytes(self.good[:length])
            uids, validity = self.reopen(f"cut at {length}")
            if self.good[:length].count(b"\n") >= 2:
                self.assertEqual(validity, self.was, length)
                self.assertEqual(uids["1600000000"], 1)

    def test_every_octet(self) -> None:
        chooser = random.Random(1)
        for place in range(len(self.good)):
            octets = bytearray(self.good)
            octets[place] = chooser.choice((0, 0xFF, octets[place] ^ 1, 0x0A))
            self.list.write_bytes(octets)
            self.reopen(f"octet {place}")

    def test_the_broken_file_is_kept(self) -> None:
        self.list.write_bytes(self.good.replace(b"3 :", b"0 :"))
        uids, validity = self.reopen("zero")
        self.assertEqual(validity, self.was)
        self.assertEqual([uids[f"160000000{n}"] for n in (0, 1, 3)], [1, 2, 4])
        self.assertGreater(uids["1600000002"], 10_000)
        kept = [p for p in self.folder().iterdir() if ".broken-" in p.name]
        self.assertEqual(len(kept), 1)
        self.assertIn(b"0 :", kept[0].read_bytes())

    def test_new_numbers_get_a_new_guid(self) -> None:
        self.list.write_bytes(self.good.replace(b"3 V", b"3 V0 X", 1).split(b"\n")[0])
        was = parse(self.good).guid
        box = self.open()
        box.sync(True)
        self.assertNotEqual((box.uid_validity, box.guid), (self.was, was))
        self.assertNotEqual(box.guid, was)

    def test_special_files_in_its_place(self) -> None:
        # Hardening: F03.
        def directory(path: Path) -> None:
            path.mkdir()

        for name, make in {"directory": directory, "fifo": os.mkfifo}.items():
            self.list.unlink(missing_ok=True)
            make(self.list)
            self.reopen(name)
        self.list.unlink()
        self.list.symlink_to("/etc/passwd")
        with self.assertRaises(ImapError):
            self.open().sync(True)

    def test_a_list_removed_under_us_comes_back(self) -> None:
        box = self.open()
        box.sync(True)
        self.list.unlink()
        uid = append(box, b"a: b\r\n\r\n")
        self.assertEqual((uid, box.uid_validity), (5, self.was))
        self.assertEqual(uids_of(self.open().sync(True)), [1, 2, 3, 4, 5])

    def test_sizes_that_another_server_wrote_there(self) -> None:
        """Believed where they can be: the octets are not counted again."""
        octets = b"Subject: x\n\nbody\n"
        self.deliver("9.x.host", octets, box="sizes", part="cur")
        uid_list = self.folder("sizes") / "dovecot-uidlist"
        on_disk, sent = len(octets), len(octets) + 3
        for extras, size in (
            (f"S{on_disk} W{sent - 1}", sent - 1),
            (f"Pxy S{on_disk} Bguid W{sent - 1}", sent - 1),
            (f"S{on_disk} W{'9' * 15}", sent),
            (f"S{on_disk} W{'9' * 16}", sent),
            (f"S{on_disk - 1} W{sent - 1}", sent),
            (f"S{on_disk} Wx", sent),
            ("Pxy", sent),
        ):
            uid_list.write_text(f"3 V7 N2 G{GUID.decode()}\n1 {extras} :9.x.host\n")
            self.cache.kept.clear()
            box = self.open("sizes")
            box.sync(True)
            self.assertEqual(box.meta([Uid(1)])[Uid(1)].rfc822_size, size, extras)
            box.close()

    def test_another_server_renumbered(self) -> None:
        box = self.open()
        box.sync(True)
        self.list.write_bytes(b"3 V99999 N1 G" + GUID + b"\n")
        changes = box.sync(True)
        self.assertTrue(changes.renumbered)
        self.assertEqual(uids_of(changes), [1, 2, 3, 4])
        self.assertEqual(box.uid_validity, 99999)

    def test_lines_another_server_dropped_come_back(self) -> None:
        box = self.open()
        box.sync(True)
        lines = self.good.splitlines(keepends=True)
        new = self.list.with_suffix(".x")
        new.write_bytes(lines[0].replace(b"N1 ", b"N5 ") + lines[1] + lines[4])
        new.rename(self.list)
        changes = box.sync(True)
        self.assertEqual((changes.expunged, changes.added), ([], []))
        append(box, b"a: b\r\n\r\n")
        self.assertEqual(uids_of(self.open().sync(True)), [1, 2, 3, 4, 5])

    def test_waste_is_dropped(self) -> None:
        box = self.open()
        box.sync(True)
        for _ in range(3):
            delivery = box.begin_delivery()
            for _ in range(40):
                delivery.begin([rb"\Deleted"], None)
                delivery.write(b"x: y\r\n\r\n")
                delivery.end()
            uids = box.commit(delivery, False).uids
            box.expunge(uids)
        append(box, b"x: y\r\n\r\n")
        self.assertLess(len(self.list.read_bytes().splitlines()), 60)
        self.assertEqual(parse(self.list.read_bytes()).uid_next, box.uid_next)


class UnsyncedTests(FolderTestCase):
    """Numbers that another process wrote, and may have died before it synced them."""

    parent = MEMORY

    def setUp(self) -> None:
        super().setUp()
        self.box = self.open()
        self.box.sync(True)
        self.list = self.folder() / "dovecot-uidlist"
        self.synced: list[int] = []

    def synced_by(self, work: Callable[[], object]) -> int:
        """How many octets of the list were synced; 0: it was not."""
        self.synced.clear()

        def fdatasync(descriptor: int) -> None:
            if os.path.samestat(os.fstat(descriptor), self.list.stat()):
                self.synced.append(os.fstat(descriptor).st_size)

        with mock.patch.object(fsops, "fdatasync", fdatasync):
            work()
        return max(self.synced, default=0)

    def die_in_append(self) -> None:
        counts = frozenset({"fdatasync"})
        with injected(Plan(1, counts=counts)), self.assertRaises(Killed):
            append(self.box, b"a: b\r\n\r\n")

    def test_are_synced_before_they_are_told(self) -> None:
        box = self.open()
        box.sync(True)
        self.die_in_append()
        size = self.list.stat().st_size
        for name, reader in {"first": self.open(), "again": box}.items():
            synced = self.synced_by(partial(reader.sync, True))
            self.assertEqual(synced, size, name)
            self.assertEqual(reader.uid_next, 2, name)

    def test_are_not_synced_twice_nor_long_after(self) -> None:
        self.die_in_append()
        reader = self.open()
        reader.sync(True)
        self.assertEqual(self.synced_by(partial(reader.sync, True)), 0)
        os.utime(self.list, (1_600_000_000, 1_600_000_000))
        self.assertEqual(self.synced_by(partial(self.open().sync, True)), 0)

    def test_can_be_read_where_they_cannot_be_synced(self) -> None:
        self.die_in_append()
        no = mock.patch.object(fsops, "fdatasync", side_effect=OSError(errno.EIO, "no"))
        with no:
            reader = self.open()
            self.assertEqual(uids_of(reader.sync(True)), [1])


class LaterTests(TestCase):
    """Records that are read when somebody asks for them, from whatever thread."""

    def test_whoever_asks_meanwhile_waits(self) -> None:
        begun, go = threading.Event(), threading.Event()

        def load() -> tuple[dict[bytes, Uid], dict[Uid, bytes]]:
            begun.set()
            go.wait(10)
            return {b"a": Uid(1)}, {Uid(1): b"W3"}

        table, found = UidTable(), []
        table.load_later(load)
        first = threading.Thread(target=lambda: found.append(table.uids))
        second = threading.Thread(target=lambda: found.append(table.uids))
        first.start()
        begun.wait(10)
        second.start()
        go.set()
        first.join(10)
        second.join(10)
        self.assertEqual(found, [{b"a": 1}] * 2)
        self.assertEqual(table.extras, {1: b"W3"})

    def test_what_failed_is_tried_again(self) -> None:
        attempts: list[int] = []

        def load() -> tuple[dict[bytes, Uid], dict[Uid, bytes]]:
            attempts.append(1)
            if len(attempts) == 1:
                raise OSError("not now")
            return {b"a": Uid(1)}, {}

        table = UidTable()
        table.load_later(load)
        with self.assertRaises(OSError):
            len(table.uids)
        self.assertEqual(table.uids, {b"a": 1})
