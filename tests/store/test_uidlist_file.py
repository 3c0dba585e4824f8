"""``UidList`` by itself, octet for octet: what is read, appended, rewritten, mended."""

import os
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from imapd.errors import StoreDamaged, Unavailable
from imapd.ids import Uid
from imapd.store import fsops
from imapd.store.locks import MailboxLock
from imapd.store.maildir import uidlist
from imapd.store.maildir.uidformat import (
    LARGEST_UID,
    BrokenUidList,
    UidTable,
    header_line,
    parse,
    parse_header,
    parse_record,
    parse_records,
    record_lines,
    salvage,
    serialise,
)
from imapd.store.maildir.uidlist import UidList
from tests.store.folders import MEMORY, FolderTestCase

GUID = "0123456789abcdef0123456789abcdef"
HEADER = f"3 V7 N5 G{GUID} Xabc\n".encode()
FILE = HEADER + b"1 :a\n2 S12 W13 :b\n4 :c\n"


def nobody(uid: Uid) -> bool:
    return False


class ListCase(FolderTestCase):
    """A folder with ``FILE`` in it, and the locks."""

    parent = MEMORY

    def setUp(self) -> None:
        super().setUp()
        self.directory = os.fsencode(self.folder())
        self.path = Path(os.fsdecode(self.directory), "dovecot-uidlist")
        self.path.write_bytes(FILE)
        self.lock = self.enterContext(MailboxLock(self.directory, 1))

    def read(self) -> UidList:
        found = UidList(self.directory)
        self.assertTrue(found.refresh())
        return found

    def on_disk(self) -> bytes:
        return self.path.read_bytes()

    def write(self, octets: bytes) -> None:
        """As another program does: a new file in the place of the old one."""
        new = self.path.with_suffix(".new")
        new.write_bytes(octets)
        new.rename(self.path)

    def append(self, octets: bytes) -> None:
        with open(self.path, "ab") as file:
            file.write(octets)


class ReadingTests(ListCase):
    def test_what_is_read(self) -> None:
        found = self.read()
        table = found.table
        self.assertEqual(table.uids, {b"a": 1, b"b": 2, b"c": 4})
        self.assertEqual(table.extras, {2: b"S12 W13"})
        self.assertEqual((table.uid_validity, table.uid_next), (7, 5))
        self.assertEqual((table.guid, table.header_extras), (GUID, b"Xabc"))
        self.assertEqual((table.last_uid, table.line_count), (4, 3))
        self.assertFalse(table.torn)
        self.assertFalse(found.needs_rewrite())
        self.assertFalse(found.changed())

    def test_no_file(self) -> None:
        found = UidList(self.directory)
        self.assertTrue(found.changed())
        self.path.unlink()
        self.assertFalse(found.refresh())
        self.assertFalse(found.changed())
        self.path.write_bytes(FILE)
        found = self.read()
        self.path.unlink()
        self.assertTrue(found.changed())
        self.assertFalse(found.refresh())
        self.assertFalse(found.changed())
        self.assertEqual(found.table.uids, {b"a": 1, b"b": 2, b"c": 4})

    def test_what_was_appended_is_read_alone(self) -> None:
        found = self.read()
        with mock.patch.object(uidlist, "parse", side_effect=AssertionError):
            for line, uids in ((b"6 :d\n", [6]), (b"7 :e\n9 Wx :f\n", [7, 9])):
                self.append(line)
                self.assertTrue(found.changed())
                self.assertTrue(found.refresh())
                self.assertFalse(found.changed())
                for uid in uids:
                    self.assertIn(uid, found.table.uids.values())
            self.assertEqual(found.table.line_count, 6)
            self.assertEqual(found.table.extras[Uid(9)], b"Wx")
            self.append(b"12 :to")
            found.refresh()
            self.assertTrue(found.table.torn)
            self.assertTrue(found.needs_rewrite())
            self.assertNotIn(b"to", found.table.uids)
            self.append(b"rn\n")
            found.refresh()
            self.assertFalse(found.table.torn)
            self.assertEqual(found.table.uids[b"torn"], 12)
            self.assertEqual(found.table.uid_next, 13)
            # Nothing new is nothing read.
            with mock.patch.object(fsops, "read_at", side_effect=AssertionError):
                found.refresh()

    def test_another_file_is_read_whole(self) -> None:
        cases: dict[str, Callable[[], object]] = {
            "another inode": lambda: self.write(HEADER + b"3 :z\n"),
            "shorter": lambda: os.truncate(self.path, len(HEADER) + 5),
            "another header": lambda: self.path.write_bytes(
                FILE.replace(b"V7", b"V8") + b"9 :z\n"
            ),
            "another last line": lambda: self.path.write_bytes(
                FILE.replace(b"4 :c", b"4 :d") + b"9 :z\n"
            ),
        }
        for name, change in cases.items():
            self.write(FILE)
            found = self.read()
            change()
            self.assertTrue(found.changed(), name)
            found.refresh()
            wanted = parse(self.on_disk())
            self.assertEqual(found.table.uids, wanted.uids, name)
            self.assertEqual(found.table.uid_validity, wanted.uid_validity, name)
            self.assertFalse(found.changed(), name)

    def test_what_is_appended_wrongly(self) -> None:
        found = self.read()
        self.append(b"3 :z\n")
        with self.assertRaises(BrokenUidList):
            found.refresh()

    def test_too_large(self) -> None:
        with mock.patch.object(uidlist, "_MOST_OCTETS", len(FILE)):
            self.read()
            self.append(b"6 :d\n")
            with self.assertRaisesRegex(BrokenUidList, "larger"):
                UidList(self.directory).refresh()
            found = UidList(self.directory)
            self.assertFalse(found.salvage())

    def test_a_file_that_was_only_touched(self) -> None:
        found = self.read()
        with mock.patch.object(uidlist, "parse", side_effect=AssertionError):
            os.utime(self.path, (1, 1))
            self.assertTrue(found.changed())
            found.refresh()
            self.assertFalse(found.changed())
            # And one that grew within the same tick of the clock.
            self.append(b"6 :d\n")
            os.utime(self.path, (1, 1))
            self.assertTrue(found.changed())
            found.refresh()
        self.assertEqual(found.table.uids[b"d"], 6)

    def test_no_descriptor_is_left(self) -> None:
        before = os.listdir("/proc/self/fd")
        found = self.read()
        found.record(self.lock, [b"d"], nobody)
        found.rewrite(self.lock, nobody)
        self.append(b"3 :z\n")
        with self.assertRaises(BrokenUidList):
            found.refresh()
        self.assertEqual(len(os.listdir("/proc/self/fd")), len(before))

    def test_a_next_uid_given_away_is_not_given_again(self) -> None:
        found = self.read()
        found.record(self.lock, [b"d", b"e"], nobody)
        self.write(FILE)
        found.refresh()
        self.assertEqual(found.table.uid_next, 7)
        self.assertTrue(found.needs_rewrite())
        self.assertEqual(found.record(self.lock, [b"f"], nobody), [7])
        self.assertIn(b" N8 ", self.on_disk())
        self.assertIn(b"\n7 :f\n", self.on_disk())
        # Under another UIDVALIDITY all is new.
        self.write(FILE.replace(b"V7", b"V8"))
        found.refresh()
        self.assertEqual(found.table.uid_next, 5)
        self.assertFalse(found.needs_rewrite())

    def test_a_guid_is_kept_or_made(self) -> None:
        found = self.read()
        self.write(b"3 V7 N5\n1 :a\n")
        found.refresh()
        self.assertEqual(found.table.guid, GUID)
        self.assertFalse(found.needs_rewrite())
        self.write(b"3 V8 N5\n1 :a\n")
        found.refresh()
        self.assertNotEqual(found.table.guid, GUID)
        self.assertEqual(len(found.table.guid), 32)
        self.assertTrue(found.needs_rewrite())


class SummaryTests(ListCase):
    def test_it_goes_on_where_it_was(self) -> None:
        found = self.read()
        summary = {**found.summary(), "key": list(found.summary()["key"])}
        self.assertEqual(bytes.fromhex(summary["header"]), HEADER)
        self.assertEqual(bytes.fromhex(summary["tail"]), b"4 :c\n")
        self.assertEqual(summary["offset"], len(FILE))
        again = UidList(self.directory)
        table = again.resume(summary)
        self.assertIs(table, again.table)
        assert table is not None
        self.assertEqual(table.uids, {})
        self.assertEqual((table.uid_validity, table.uid_next), (7, 5))
        self.assertEqual((table.guid, table.header_extras), (GUID, b"Xabc"))
        self.assertEqual((table.last_uid, table.line_count), (4, 3))
        self.assertFalse(again.changed())
        self.assertEqual(again.summary(), found.summary())
        table.uids.update(found.table.uids)
        with mock.patch.object(uidlist, "parse", side_effect=AssertionError):
            self.append(b"8 :d\n")
            again.refresh()
        self.assertEqual(table.uids[b"d"], 8)
        self.assertEqual(again.record(self.lock, [b"e"], nobody), [9])
        self.assertEqual(self.on_disk(), FILE + b"8 :d\n9 :e\n")

    def test_of_another_file_it_says_nothing(self) -> None:
        found = self.read()
        summary = {**found.summary(), "key": list(found.summary()["key"])}
        for name, change in {
            "longer": lambda: self.append(b"8 :d\n"),
            "later": lambda: os.utime(self.path, (1, 1)),
            "another": lambda: self.write(FILE),
            "none": self.path.unlink,
        }.items():
            change()
            again = UidList(self.directory)
            self.assertIsNone(again.resume(summary), name)
            self.assertEqual(again.table.uid_validity, 0, name)


class WritingTests(ListCase):
    # Hardening: D13.

    def test_appended(self) -> None:
        found = self.read()
        self.assertEqual(found.record(self.lock, [b"d", b"e"], nobody), [5, 6])
        self.assertEqual(self.on_disk(), FILE + b"5 :d\n6 :e\n")
        self.assertEqual(found.table.uid_next, 7)
        self.assertEqual(found.table.uids[b"e"], 6)
        self.assertFalse(found.changed())
        self.assertFalse(found.needs_rewrite())
        self.assertEqual(found.record(self.lock, [], nobody), [])
        self.assertEqual(self.on_disk(), FILE + b"5 :d\n6 :e\n")
        self.assertEqual(found.record(self.lock, [b"f"], nobody), [7])
        self.assertEqual(self.on_disk(), FILE + b"5 :d\n6 :e\n7 :f\n")
        self.assertEqual(self.read().table, found.table)

    def test_synced_before_anybody_is_told(self) -> None:
        found = self.read()
        failing = mock.patch.object(fsops, "fdatasync", side_effect=OSError(5, "no"))
        with failing, self.assertRaises(OSError):
            found.record(self.lock, [b"d"], nobody)
        self.assertTrue(found.needs_rewrite())
        self.assertNotIn(b"d", found.table.uids)
        self.assertEqual(found.record(self.lock, [b"e"], nobody), [6])
        self.assertEqual(self.on_disk(), FILE.replace(b"N5", b"N7") + b"6 :e\n")
        self.assertFalse(found.needs_rewrite())

    def test_a_file_that_changed_under_its_lock(self) -> None:
        found = self.read()
        self.append(b"5 :z\n")
        with self.assertRaisesRegex(Unavailable, "changed under"):
            found.record(self.lock, [b"d"], nobody)
        found = self.read()
        self.write(self.on_disk())
        with self.assertRaisesRegex(Unavailable, "changed under"):
            found.record(self.lock, [b"d"], nobody)
        self.assertNotIn(b":d", self.on_disk())

    def test_written_to_by_two_at_once(self) -> None:
        found = self.read()
        real = fsops.write

        def twice(descriptor: int, octets: bytes) -> None:
            real(descriptor, octets)
            self.append(b"9 :z\n")

        with (
            mock.patch.object(fsops, "write", twice),
            self.assertRaisesRegex(Unavailable, "two at once"),
        ):
            found.record(self.lock, [b"d"], nobody)
        self.assertTrue(found.needs_rewrite())

    def test_the_lock_is_looked_at(self) -> None:
        lost = mock.Mock()
        lost.check.side_effect = Unavailable("lost")
        found = self.read()
        for change in (
            lambda: found.record(lost, [b"d"], nobody),
            lambda: found.rewrite(lost, nobody),
            lambda: found.create(lost, UidTable(9)),
            lambda: found.repair(lost, lambda: 9),
        ):
            with self.assertRaises(Unavailable):
                change()
            self.assertEqual(self.on_disk(), FILE)

    def test_rewritten(self) -> None:
        found = self.read()
        found.rewrite(self.lock, lambda uid: uid == 1)
        wanted = HEADER + b"2 S12 W13 :b\n4 :c\n"
        self.assertEqual(self.on_disk(), wanted)
        self.assertEqual(found.table.uids, {b"b": 2, b"c": 4})
        self.assertEqual(found.table.line_count, 2)
        self.assertFalse(found.changed())
        found.record(self.lock, [b"d"], nobody)
        self.assertEqual(self.on_disk(), wanted + b"5 :d\n")
        with mock.patch.object(uidlist, "parse", side_effect=AssertionError):
            self.append(b"6 :e\n")
            found.refresh()
        self.assertEqual(found.table.uids[b"e"], 6)

    def test_a_rewrite_that_fails_is_made_up_for(self) -> None:
        found = self.read()
        failing = mock.patch.object(fsops, "replace_file", side_effect=OSError(5, "no"))
        with failing, self.assertRaises(OSError):
            found.rewrite(self.lock, nobody)
        self.assertTrue(found.needs_rewrite())
        self.assertEqual(found.record(self.lock, [b"d"], nobody), [5])
        self.assertEqual(self.on_disk(), FILE.replace(b"N5", b"N6") + b"5 :d\n")
        self.assertFalse(found.needs_rewrite())

    def test_version_1_is_rewritten(self) -> None:
        self.path.write_bytes(b"1 7 5\n1 a\n4 c\n")
        found = self.read()
        self.assertTrue(found.needs_rewrite())
        found.record(self.lock, [b"d"], nobody)
        guid = found.table.guid.encode()
        self.assertEqual(self.on_disk(), b"3 V7 N6 G%b\n1 :a\n4 :c\n5 :d\n" % guid)

    def test_a_torn_line_is_rewritten(self) -> None:
        self.append(b"5 :to")
        found = self.read()
        found.record(self.lock, [b"d"], nobody)
        self.assertEqual(self.on_disk(), FILE.replace(b"N5", b"N6") + b"5 :d\n")

    def test_waste(self) -> None:
        """Looked for at 64 lines, dropped at three quarters, and seldom."""
        asked: list[int] = []

        def gone(least: int) -> Callable[[Uid], bool]:
            def is_gone(uid: Uid) -> bool:
                asked.append(uid)
                return uid < least

            return is_gone

        for lines, least, looked, dropped in (
            (63, 63, False, False),
            (64, 49, True, True),
            (64, 48, True, False),
            (100, 75, True, False),
            (100, 76, True, True),
        ):
            case = f"{lines} lines, gone below {least}"
            body = b"".join(b"%d :m%d\n" % (n, n) for n in range(1, lines + 1))
            self.write(b"3 V7 N%d G%b\n" % (lines + 1, GUID.encode()) + body)
            found = self.read()
            asked.clear()
            found.record(self.lock, [b"new"], gone(least))
            self.assertEqual(bool(asked), looked, case)
            left = lines - least + 1 if dropped else lines
            self.assertEqual(self.on_disk().count(b"\n"), 1 + left + 1, case)
            self.assertEqual(self.read().table.uids[b"new"], lines + 1, case)
            if looked and not dropped:
                # Again only when it has become a quarter longer.
                asked.clear()
                more = lines * 5 // 4 - lines - 1
                found.record(self.lock, [b"x%d" % n for n in range(more)], gone(0))
                self.assertEqual(asked, [], case)
                found.record(self.lock, [b"y"], gone(0))
                self.assertNotEqual(asked, [], case)

    def test_waste_after_a_rewrite(self) -> None:
        body = b"".join(b"%d :m%d\n" % (n, n) for n in range(1, 101))
        self.write(b"3 V7 N101 G%b\n" % GUID.encode() + body)
        found = self.read()
        found.rewrite(self.lock, nobody)
        never = mock.Mock(side_effect=AssertionError)
        found.record(self.lock, [b"x%d" % n for n in range(25)], never)
        asked = mock.Mock(return_value=False)
        found.record(self.lock, [b"y"], asked)
        self.assertEqual(asked.call_count, 125)
        # Of a short list, at 64 lines as ever.
        self.write(FILE)
        found.refresh()
        found.rewrite(self.lock, nobody)
        found.record(self.lock, [b"x%d" % n for n in range(61)], never)
        found.record(self.lock, [b"y"], asked)
        self.assertEqual(asked.call_count, 125 + 64)

    def test_the_last_numbers(self) -> None:
        self.write(b"3 V7 N%d G%b\n" % (LARGEST_UID - 2, GUID.encode()))
        found = self.read()
        with self.assertRaisesRegex(Unavailable, "run out"):
            found.record(self.lock, [b"a", b"b", b"c"], nobody)
        self.assertEqual(
            found.record(self.lock, [b"a", b"b"], nobody),
            [LARGEST_UID - 2, LARGEST_UID - 1],
        )

    def test_created(self) -> None:
        self.path.unlink()
        found = UidList(self.directory)
        found.create(self.lock, UidTable(12, 3, header_extras=b"Xa"))
        guid = found.table.guid
        self.assertEqual(len(guid), 32)
        self.assertEqual(self.on_disk(), b"3 V12 N3 G%b Xa\n" % guid.encode())
        self.assertFalse(found.changed())
        table = parse(FILE)
        found.create(self.lock, table)
        self.assertEqual(found.table.guid, GUID)
        self.assertEqual(self.on_disk(), FILE)

    def test_restored(self) -> None:
        found = self.read()
        found.restore(Uid(3), b"z")
        self.assertTrue(found.needs_rewrite())
        self.assertEqual(found.table.uid_next, 5)
        found.restore(Uid(9), b"y")
        self.assertEqual(found.record(self.lock, [b"d"], nobody), [10])
        lines = b"1 :a\n2 S12 W13 :b\n3 :z\n4 :c\n9 :y\n10 :d\n"
        self.assertEqual(self.on_disk(), HEADER.replace(b"N5", b"N11") + lines)


class RepairTests(ListCase):
    # Hardening: D15.

    def test_from_the_file(self) -> None:
        broken = FILE.replace(b"2 S12", b"x S12")
        self.path.write_bytes(broken)
        found = UidList(self.directory)
        self.assertTrue(found.repair(self.lock, lambda: 99))
        wanted = HEADER.replace(b"N5", b"N10005") + b"1 :a\n4 :c\n"
        self.assertEqual(self.on_disk(), wanted.replace(b"N5", b"N10005"))
        self.assertFalse(found.needs_rewrite())
        (aside,) = self.path.parent.glob("dovecot-uidlist.broken-*")
        self.assertEqual(aside.read_bytes(), broken)
        self.assertRegex(aside.name, r"\Adovecot-uidlist\.broken-[0-9]{16}\Z")

    def test_from_memory_and_the_file(self) -> None:
        found = self.read()
        self.path.write_bytes(b"3 V7 N30 G\n6 Pq :e\n4 Wother :c\n")
        self.assertTrue(found.repair(self.lock, lambda: 99))
        lines = b"1 :a\n2 S12 W13 :b\n4 :c\n6 Pq :e\n"
        self.assertEqual(self.on_disk(), HEADER.replace(b"N5", b"N10030") + lines)
        # What a broken file cannot say, memory does; and the other way round.
        self.path.write_bytes(b"garbage")
        self.assertTrue(found.repair(self.lock, lambda: 99))
        self.assertEqual(self.on_disk(), HEADER.replace(b"N5", b"N20030") + lines)
        # A file of other numbers is another mailbox.
        self.path.write_bytes(b"3 V8 N2 G%b\n1 :q\n0 :w\n" % GUID.encode())
        self.assertTrue(found.repair(self.lock, lambda: 99))
        self.assertEqual(found.table.uids, {b"q": 1})
        self.assertEqual(found.table.uid_validity, 8)

    def test_from_nothing(self) -> None:
        for name, octets in {
            "no records": HEADER + b"x\n",
            "no validity": b"3 N5\n1 :a\n",
        }.items():
            self.path.write_bytes(octets)
            found = UidList(self.directory)
            self.assertFalse(found.repair(self.lock, lambda: 99), name)
            self.assertEqual(found.table.uid_validity, 99, name)
            self.assertNotEqual(found.table.guid, GUID, name)
            self.assertEqual(self.read().table, found.table)
        self.path.write_bytes(b"3 V7 N4294967295\n1 :a\n0 :b\n")
        found = UidList(self.directory)
        self.assertTrue(found.repair(self.lock, lambda: 99))
        self.assertEqual(found.table.uid_next, LARGEST_UID)

    def test_so_many_copies(self) -> None:
        found = self.read()
        for number in range(10):
            self.path.write_bytes(FILE + b"x%d\n" % number)
            found.repair(self.lock, lambda: 99)
        copies = list(self.path.parent.glob("dovecot-uidlist.broken-*"))
        self.assertEqual(len(copies), 8)
        # What is no file has to go, however many there are.
        self.path.unlink()
        self.path.mkdir()
        found.repair(self.lock, lambda: 99)
        copies = list(self.path.parent.glob("dovecot-uidlist.broken-*"))
        self.assertEqual(len(copies), 9)

    def test_into_memory_only(self) -> None:
        self.path.write_bytes(HEADER + b"1 :a\nx\n")
        found = UidList(self.directory)
        self.assertTrue(found.salvage())
        self.assertEqual(found.table.uids, {b"a": 1})
        self.assertEqual(self.on_disk(), HEADER + b"1 :a\nx\n")
        for octets in (HEADER, b"3 N5\n1 :a\n", b""):
            self.path.write_bytes(octets)
            self.assertFalse(UidList(self.directory).salvage(), octets)
        self.path.unlink()
        self.assertFalse(UidList(self.directory).salvage())


class TableTests(FolderTestCase):
    """The numbers at their edges, and records one by one and at once."""

    # Hardening: D13.

    def test_added_and_extended(self) -> None:
        one, all_at_once = UidTable(7, 5, GUID), UidTable(7, 5, GUID)
        for uid, base in ((2, b"a"), (9, b"b")):
            one.add(Uid(uid), base)
        all_at_once.extend([Uid(2), Uid(9)], [b"a", b"b"])
        self.assertEqual(one, all_at_once)
        self.assertEqual((one.last_uid, one.line_count, one.uid_next), (9, 2, 10))
        self.assertFalse(one.renumbered or all_at_once.renumbered)
        all_at_once.extend([], [])
        self.assertEqual(one, all_at_once)
        low = UidTable(7, 50, GUID)
        low.extend([Uid(2)], [b"a"])
        low.add(Uid(3), b"b")
        self.assertEqual(low.uid_next, 50)

    def test_a_base_that_is_there_gets_its_newer_uid(self) -> None:
        for name, take in {
            "added": lambda table: table.add(Uid(3), b"a"),
            "extended": lambda table: table.extend([Uid(3)], [b"a"]),
        }.items():
            table = UidTable(7, 5, GUID)
            table.add(Uid(1), b"a", b"Px")
            self.assertEqual(table.extras, {1: b"Px"})
            take(table)
            self.assertEqual((table.uids, table.extras), ({b"a": 3}, {}), name)
            self.assertTrue(table.renumbered, name)
            self.assertEqual(table.line_count, 2, name)
        table = UidTable(7, 5, GUID)
        table.extend([Uid(1), Uid(2)], [b"a", b"a"])
        self.assertEqual((table.uids, table.line_count), ({b"a": 2}, 2))
        self.assertTrue(table.renumbered)

    def test_headers(self) -> None:
        most = 2**32 - 1
        for text, validity, following in (
            (b"3 V%d N1" % most, most, 1),
            (b"3 V1 N%d" % most, 1, most),
            (b"3 N2 V1", 1, 2),
            (b"1 %d 1" % most, most, 1),
            (b"1  7   9 \r", 7, 9),
            (b"3 V7 N9 G%b Xa  Yb\r" % GUID.upper().encode(), 7, 9),
        ):
            table = parse_header(text)
            self.assertEqual(
                (table.uid_validity, table.uid_next), (validity, following)
            )
            self.assertEqual(table.version, int(text[:1]))
        self.assertEqual((table.guid, table.header_extras), (GUID, b"Xa Yb"))
        for text in (
            *(b"3 V%d N1" % (most + 1), b"3 V1 N%d" % (most + 1)),
            *(
                b"3 V1",
                b"3 N1",
                b"3 V0 N1",
                b"3 V1 N0",
                b"1 0 1",
                b"1 1 0",
                b"1 x 1",
                b"1 1",
                b"4 1 1",
            ),
            *(b"3 V7x N1", b"3 V12345678901 N1", b"3 V7 N9 G%b0" % GUID.encode()),
        ):
            with self.assertRaises(BrokenUidList, msg=text):
                parse_header(text)

    def test_records(self) -> None:
        for version, line, wanted in (
            (3, b"%d :a" % LARGEST_UID, (LARGEST_UID, b"a", b"")),
            (3, b"1 S1 W2 :a:2,S\r", (1, b"a", b"S1 W2")),
            (3, b"1   :a", (1, b"a", b"")),
            (3, b"1 A1 Z2 @3 [4 :a", (1, b"a", b"A1 Z2")),
            (3, b"1 P :a b :c", (1, b"a b ", b"P")),
            (1, b"7  a b", (7, b"a b", b"")),
        ):
            self.assertEqual(parse_record(line, version), wanted, line)
        for version, line in (
            *((3, b"%d :a" % (LARGEST_UID + 1)), (3, b"0 :a"), (3, b"1:a")),
            *((3, b"1 P a"), (3, b"1 :a\0"), (3, b"1 :a/b"), (3, b"x :a"), (1, b"1 ")),
        ):
            with self.assertRaises(BrokenUidList, msg=line):
                parse_record(line, version)

    def test_records_after_others(self) -> None:
        table = UidTable(7, 5, GUID)
        octets = b"1 :a\n2 :b\n3 :to"
        self.assertEqual(parse_records(table, octets, 0), 10)
        self.assertTrue(table.torn)
        self.assertEqual(parse_records(table, octets, 10), 10)
        self.assertTrue(table.torn)
        self.assertEqual(parse_records(table, b"xx3 :c\n", 2), 7)
        self.assertFalse(table.torn)
        self.assertEqual(parse_records(table, b"xx", 2), 2)
        self.assertFalse(table.torn)
        self.assertEqual(table.uids, {b"a": 1, b"b": 2, b"c": 3})
        old = UidTable(7, 5, GUID, version=1)
        parse_records(old, b"4 a\n", 0)
        with self.assertRaises(BrokenUidList):
            parse_records(old, b"5 b\n", 0)

    def test_written(self) -> None:
        most = 2**32 - 1
        good = UidTable(7, most, GUID, b"Xa")
        self.assertEqual(
            header_line(good), b"3 V7 N%d G%b Xa\n" % (most, GUID.encode())
        )
        self.assertEqual(
            header_line(UidTable(most, 1, GUID)),
            b"3 V%d N1 G%b\n" % (most, GUID.encode()),
        )
        for bad in (
            UidTable(0, 1, GUID),
            UidTable(most + 1, 1, GUID),
            UidTable(1, most + 1, GUID),
            UidTable(1, 5, GUID, last_uid=5),
            UidTable(1, 1, GUID[1:]),
        ):
            with self.assertRaises(StoreDamaged):
                header_line(bad)
        self.assertEqual(
            record_lines([Uid(6), Uid(LARGEST_UID)], [b"a", b"b"], {}, 5),
            b"6 :a\n%d :b\n" % LARGEST_UID,
        )
        self.assertEqual(
            record_lines([Uid(6), Uid(7)], [b"a", b"b"], {Uid(7): b"P1"}, 0),
            b"6 :a\n7 P1 :b\n",
        )
        self.assertEqual(record_lines([], [], {}, 5), b"")
        for uids, bases in (
            ([5], [b"a"]),
            ([LARGEST_UID + 1], [b"a"]),
            ([7, 7], [b"a", b"b"]),
            ([7, 8], [b"a", b""]),
            ([7], [b"a\0"]),
        ):
            with self.assertRaises(StoreDamaged):
                record_lines(list(map(Uid, uids)), bases, {}, 5)
        table = parse(FILE)
        self.assertEqual(serialise(table), FILE)

    def test_salvaged(self) -> None:
        most = 2**32 - 1
        for octets, validity, following, uids in (
            (b"3 V7 Nx\n2 :a\n", 7, 3, {b"a": 2}),
            (b"3 V7 N0\n", 7, 1, {}),
            (b"3 V7 N9 Gx\n2 :a\n", 7, 9, {b"a": 2}),
            (b"3 V%d N9999999999\n" % (most + 1), 0, most, {}),
            (b"3 V%d Nx\n" % most, most, 1, {}),
            (b"3 Vx N7\r\n", 0, 7, {}),
            (b"1 7\n3 a\n", 0, 4, {b"a": 3}),
            (b"3 V7 N2\n5 x\n%d :a/b\n" % LARGEST_UID, 7, LARGEST_UID + 1, {}),
            (b"3 V7 N2\n%d :a\n" % (LARGEST_UID + 1), 7, 2, {}),
            (b"3 V7 N2\n3 :a\n3 :b\n", 7, 4, {b"a": 3}),
        ):
            table = salvage(octets)
            found = (table.uid_validity, table.uid_next, table.uids)
            self.assertEqual(found, (validity, following, uids), octets)
        kept = salvage(b"3 V7 G%b Nx\n2 P1 :a\n" % GUID.upper().encode())
        self.assertEqual((kept.guid, kept.extras), (GUID, {2: b"P1"}))
