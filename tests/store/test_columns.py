"""The cache: right or empty, and never in anybody's way."""

import sqlite3
import tempfile
import threading
import unittest
from collections.abc import Iterable
from pathlib import Path
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from imapd.ids import Uid
from imapd.model.columns import BODY, ENVELOPE, FAMILIES, HEADER, KINDS
from imapd.store.cache import columns, pages
from imapd.store.cache.columns import ColumnDatabase
from imapd.store.cache.pagerows import MOST_OF_A_FAMILY, ranges

GUID = "0123456789abcdef" * 2
Values = dict[Uid, bytes]


def result(number: int) -> bytes:
    return b"%d" % number + b"s" * 3000


SOME = {Uid(uid): result(uid) for uid in (1, 2, 3, 50, 51, 128, 300, 4294967295)}


class Cache:
    """A column database that speaks of values by UID."""

    def __init__(self, path: bytes, kind: str = ENVELOPE) -> None:
        self.columns = ColumnDatabase(path)
        self.kind = kind

    def load(self, mailbox: str, uids: Iterable[Uid]) -> Values:
        wanted = sorted(uids)
        values = self.columns.load(mailbox, self.kind, wanted)
        pairs = zip(wanted, values, strict=True)
        return {uid: value for uid, value in pairs if value is not None}

    def save(self, mailbox: str, values: Values) -> None:
        self.columns.save(mailbox, self.kind, values)

    def forget(self, mailbox: str) -> None:
        self.columns.forget(mailbox)

    def prune(self, mailbox: str, gone: Iterable[Uid]) -> int:
        """Prune a mailbox that had all of ``SOME``."""
        dead = set(gone)
        alive = [uid for uid in SOME if uid not in dead]
        return self.columns.prune(mailbox, alive, dead.__contains__)

    def close(self) -> None:
        self.columns.close()


class CacheTests(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name, "imapd-cache.sqlite3")
        self.cache = self.open()

    def open(self) -> Cache:
        cache = Cache(bytes(self.path))
        self.addCleanup(cache.close)
        return cache

    def test_save_and_load(self) -> None:
        self.cache.save(GUID, SOME)
        self.assertEqual(self.open().load(GUID, SOME), SOME)
        self.assertEqual(self.cache.load(GUID, [Uid(2), Uid(9)]), {2: SOME[Uid(2)]})
        self.assertEqual(self.cache.load("f" * 32, SOME), {})
        self.assertEqual(self.cache.load(GUID, []), {})
        self.cache.save(GUID, {})
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_forget(self) -> None:
        self.cache.save(GUID, SOME)
        self.cache.forget(GUID)
        self.assertEqual(self.cache.load(GUID, SOME), {})

    def test_deleted_or_replaced_while_it_is_open(self) -> None:
        for turn in range(3):
            self.cache.save(GUID, SOME)
            self.assertEqual(self.cache.load(GUID, SOME), SOME, turn)
            self.path.unlink()
            self.assertEqual(self.cache.load(GUID, SOME), {}, turn)
        self.path.write_bytes(b"x" * 10000)
        self.assertEqual(self.cache.load(GUID, SOME), {})

    def test_every_damage(self) -> None:
        """A flipped bit in a value is found by the check sum, not by SQLite."""
        # Hardening: D15.
        self.cache.save(GUID, SOME)
        self.cache.close()
        good = self.path.read_bytes()
        cases = [good[:end] for end in range(0, len(good), 1021)]
        for at in [*range(0, 200), *range(200, len(good), 97)]:
            cases.append(good[:at] + bytes([good[at] ^ 0x21]) + good[at + 1 :])
        healed = 0
        for number, octets in enumerate(cases):
            self.path.write_bytes(octets)
            cache = Cache(bytes(self.path))
            for uid, one in cache.load(GUID, SOME).items():
                self.assertEqual(one, SOME[uid], number)
            cache.save(GUID, SOME)
            cache.save(GUID, SOME)
            found = cache.load(GUID, SOME)
            # A flip in a key may hide rows for good: they are computed each time.
            self.assertTrue(found.items() <= SOME.items(), number)
            healed += found == SOME
            cache.close()
        self.assertGreater(healed, len(cases) * 0.98)

    def test_other_things_of_that_name(self) -> None:
        # Hardening: F03.
        precious = self.path.with_name("precious")
        precious.write_bytes(b"x")
        for plant in (self.path.mkdir, lambda: self.path.symlink_to(precious)):
            plant()
            self.cache.save(GUID, SOME)
            self.assertEqual(self.cache.load(GUID, SOME), SOME)
            self.path.unlink()
        self.assertEqual(precious.read_bytes(), b"x")

    def test_a_place_that_is_not_there(self) -> None:
        cache = Cache(bytes(self.path.with_name("no") / "cache"))
        cache.save(GUID, SOME)
        cache.load(GUID, SOME)
        cache.forget(GUID)
        cache.prune(GUID, [Uid(1)])
        cache.close()

    def test_a_foreign_database_is_not_used(self) -> None:
        with sqlite3.connect(self.path) as connection:
            connection.execute("CREATE VIEW page AS SELECT 1 AS uid")
        connection.close()
        self.cache.save(GUID, SOME)
        self.assertEqual(self.cache.load(GUID, SOME), SOME)

    def test_it_is_begun_anew_when_it_is_too_large(self) -> None:
        with mock.patch.object(columns, "LARGEST_OCTETS", 40 * 4096):
            for number in range(200):
                self.cache.save(GUID, {Uid(number + 1): result(number)})
                if self.path.exists():
                    self.assertLessEqual(self.path.stat().st_size, 41 * 4096)

    def test_threads(self) -> None:
        wrong: list[object] = []

        def work() -> None:
            for _ in range(20):
                self.cache.save(GUID, SOME)
                for uid, one in self.cache.load(GUID, SOME).items():
                    if one != SOME[uid]:
                        wrong.append(one)
                self.path.unlink(missing_ok=True)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_every_kind_keeps_its_values(self) -> None:
        kinds = [*KINDS, *(f"{family}abc" for family in FAMILIES)]
        self.assertGreater(len(kinds), 4)
        for number, kind in enumerate(kinds):
            mine = {uid: value + b"%d" % number for uid, value in SOME.items()}
            cache = Cache(bytes(self.path), kind)
            self.addCleanup(cache.close)
            cache.save(GUID, mine)
            self.assertEqual(cache.load(GUID, SOME), mine, kind)

    def test_new_values_join_and_replace_those_of_their_page(self) -> None:
        self.cache.save(GUID, {Uid(1): b"one", Uid(2): b"two"})
        self.cache.save(GUID, {Uid(2): b"zwei", Uid(7): b""})
        expected = {1: b"one", 2: b"zwei", 7: b""}
        self.assertEqual(self.cache.load(GUID, map(Uid, range(1, 9))), expected)

    def test_what_is_pruned_is_gone_from_every_kind(self) -> None:
        for kind in (BODY, HEADER):
            self.cache.columns.save(GUID, kind, SOME)
            self.cache.columns.save("f" * 32, kind, SOME)
        self.assertEqual(self.cache.prune(GUID, [Uid(300), Uid(1)]), 4)
        self.assertEqual(self.cache.prune(GUID, [Uid(300), Uid(1)]), 0)
        for kind in (BODY, HEADER):
            values = self.cache.columns.load(GUID, kind, [Uid(1), Uid(2), Uid(300)])
            self.assertEqual(values, [None, SOME[Uid(2)], None], kind)
            values = self.cache.columns.load("f" * 32, kind, [Uid(1)])
            self.assertEqual(values, [SOME[Uid(1)]], kind)

    def test_lists_of_fields_that_clients_make_up_are_bounded(self) -> None:
        # Hardening: P26.
        for number in range(MOST_OF_A_FAMILY + 5):
            self.cache.columns.save(GUID, f"fields/1:{number}", SOME)
        self.cache.columns.save(GUID, "fields/1:0", {Uid(9): b"more"})
        self.cache.columns.save("f" * 32, "fields/1:99", SOME)
        kept = [
            number
            for number in range(MOST_OF_A_FAMILY + 5)
            if self.cache.columns.load(GUID, f"fields/1:{number}", [Uid(1)])[0]
        ]
        self.assertEqual(kept, list(range(MOST_OF_A_FAMILY)))
        values = self.cache.columns.load(GUID, "fields/1:0", [Uid(9)])
        self.assertEqual(values, [b"more"])
        values = self.cache.columns.load("f" * 32, "fields/1:99", [Uid(1)])
        self.assertEqual(values, [SOME[Uid(1)]])

    @given(st.sets(st.integers(-5, 400)))
    def test_ranges_cover(self, blocks: set[int]) -> None:
        found = list(ranges(blocks))
        covered = {n for first, last in found for n in range(first, last + 1)}
        self.assertLessEqual(blocks, covered)
        self.assertTrue(all(first <= last for first, last in found))
        self.assertLess(len(covered), 5 * len(blocks) + 1)


uids = st.integers(1, 2**32 - 1)


class PageTests(unittest.TestCase):
    @given(
        st.dictionaries(st.integers(256, 383), st.binary(max_size=99)), st.booleans()
    )
    def test_what_is_packed_comes_back(
        self, values: dict[int, bytes], compress: bool
    ) -> None:
        page = pages.pack(values, compress=compress)
        found = pages.unpack(page, compressed=compress)
        assert found is not None
        self.assertEqual(dict(zip(*found, strict=True)), values)
        self.assertEqual(list(found[0]), sorted(values))

    @given(st.binary(max_size=200), st.booleans())
    def test_what_is_no_page_is_none(self, octets: bytes, compressed: bool) -> None:
        found = pages.unpack(octets, compressed=compressed)
        if found is not None:
            self.assertEqual(len(found[0]), len(found[1]))

    def test_what_ends_elsewhere_is_none(self) -> None:
        page = pages.pack({256: b"one", 257: b"two"}, compress=False)
        for octets in (page[:-1], page + b"x"):
            self.assertIsNone(pages.unpack(octets, compressed=False))

    @given(st.lists(uids, unique=True).map(sorted))
    def test_groups_cover_in_order(self, some: list[int]) -> None:
        groups = pages.groups(some)
        self.assertEqual([uid for _, a, b in groups for uid in some[a:b]], some)
        blocks = [block for block, _, _ in groups]
        self.assertEqual(blocks, sorted(set(blocks)))
        for block, start, stop in groups:
            self.assertEqual({pages.block_of(uid) for uid in some[start:stop]}, {block})

    def test_numbers_have_four_octets(self) -> None:
        self.assertEqual(pages.pack({7: b"ab"}, compress=False)[:4], b"\1\0\0\0")
        self.assertEqual(len(pages.pack({7: b"ab"}, compress=False)), 14)
