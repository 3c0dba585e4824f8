"""The cache: right or empty, and never in anybody's way."""

import sqlite3
import tempfile
import threading
import unittest
from pathlib import Path
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from imapd.ids import Octets, Uid
from imapd.model.mailbox import Derived
from imapd.store.cache import derived
from imapd.store.cache.derived import DerivedDatabase, ranges

GUID = "0123456789abcdef" * 2


def result(number: int) -> Derived:
    text = b"%d" % number
    return Derived(number, Octets(number * 2), b"e" + text, b"b" + text, b"s" * 3000)


SOME = {Uid(uid): result(uid) for uid in (1, 2, 3, 50, 51, 4294967295)}


class CacheTests(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name, "imapd-cache.sqlite3")
        self.cache = self.open()

    def open(self) -> DerivedDatabase:
        cache = DerivedDatabase(bytes(self.path))
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
        self.cache.forget(GUID, [Uid(1), Uid(4)])
        self.assertEqual(set(self.cache.load(GUID, SOME)), set(SOME) - {1})
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
        self.cache.save(GUID, SOME)
        self.cache.close()
        good = self.path.read_bytes()
        cases = [good[:end] for end in range(0, len(good), 1021)]
        for at in [*range(0, 200), *range(200, len(good), 97)]:
            cases.append(good[:at] + bytes([good[at] ^ 0x21]) + good[at + 1 :])
        healed = 0
        for number, octets in enumerate(cases):
            self.path.write_bytes(octets)
            cache = DerivedDatabase(bytes(self.path))
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
        precious = self.path.with_name("precious")
        precious.write_bytes(b"x")
        for plant in (self.path.mkdir, lambda: self.path.symlink_to(precious)):
            plant()
            self.cache.save(GUID, SOME)
            self.assertEqual(self.cache.load(GUID, SOME), SOME)
            self.path.unlink()
        self.assertEqual(precious.read_bytes(), b"x")

    def test_a_place_that_is_not_there(self) -> None:
        cache = DerivedDatabase(bytes(self.path.with_name("no") / "cache"))
        cache.save(GUID, SOME)
        cache.load(GUID, SOME)
        cache.forget(GUID, [Uid(1)])
        cache.close()

    def test_a_foreign_database_is_not_used(self) -> None:
        with sqlite3.connect(self.path) as connection:
            connection.execute("CREATE VIEW derived AS SELECT 1 AS uid")
        connection.close()
        self.cache.save(GUID, SOME)
        self.assertEqual(self.cache.load(GUID, SOME), SOME)

    def test_it_is_begun_anew_when_it_is_too_large(self) -> None:
        with mock.patch.object(derived, "LARGEST_OCTETS", 40 * 4096):
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

    @given(st.sets(st.integers(-5, 400)))
    def test_ranges_cover(self, uids: set[int]) -> None:
        found = list(ranges(uids))
        covered = {n for first, last in found for n in range(first, last + 1)}
        self.assertLessEqual({uid for uid in uids if uid > 0}, covered)
        self.assertTrue(all(first <= last for first, last in found))
        self.assertLess(len(covered), 17 * len(uids) + 1)
