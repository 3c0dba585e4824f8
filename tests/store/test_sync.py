"""One sync: listings that race with other programs, and what is told of them."""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from imapd.errors import Unavailable
from imapd.ids import Uid
from imapd.model.flags import DELETED, FLAGGED, SEEN, StoreMode
from imapd.model.mailbox import Changes, MessageState
from imapd.store import fsops
from imapd.store.maildir import snapshot
from imapd.store.maildir.mailbox import MaildirMailbox
from tests.store.folders import FolderTestCase, append, settle, uids_of

#: Gets the names of one listing, may change the disk, and says what was listed.
Race = Callable[[list[bytes]], list[bytes]]


def without(*lost: str) -> Race:
    """A listing that misses files, as one does beside renames."""
    return lambda names: [name for name in names if os.fsdecode(name) not in lost]


class RacingTests(FolderTestCase):
    """Listings are not exact as long as the directory was just changed."""

    # Hardening: X7, D09.

    def setUp(self) -> None:
        super().setUp()
        for number in range(1, 4):
            self.deliver(f"{number}.x.host:2,", b"%d\n\n" % number, part="cur")
        self.box = self.open()
        self.settled()
        self.cur = self.folder() / "cur"
        self.new = self.folder() / "new"

    def settled(self) -> None:
        self.box.sync(False)
        settle()
        self.box.sync(False)

    def race(self, part: str, *races: Race) -> Any:
        """Let the first listings of a directory meet what other programs do."""
        real = fsops.entries
        left = iter(races)

        def entries(directory: bytes) -> tuple[list[bytes], list[bytes]]:
            found, odd = real(directory)
            if os.path.basename(directory) != part.encode():
                return found, odd
            return next(left, list)(found), odd

        return mock.patch.object(fsops, "entries", entries)

    def numbered(self, uid: int, base: str) -> None:
        """Another server gives a message its UID."""
        with open(self.folder() / "dovecot-uidlist", "a") as file:
            file.write(f"{uid} :{base}\n")

    def contents(self) -> dict[Uid, bytes]:
        """What there is, as a session that was told everything would know it."""
        self.settled()
        index = self.box._core.index
        return {uid: self.box.read(uid)[:1] for uid in sorted(index)}

    def test_gone_before_the_exact_listing(self) -> None:
        """What only an earlier listing saw is not taken for a message."""
        path = self.deliver("4.x.host:2,", b"4\n\n", part="cur")
        self.numbered(4, "4.x.host")

        def first(names: list[bytes]) -> list[bytes]:
            self.assertIn(b"4.x.host:2,", names)
            path.unlink()
            return without("1.x.host:2,")(names)

        with self.race("cur", first):
            changes = self.box.sync(False)
        self.assertEqual(changes, Changes())
        self.assertNotIn(Uid(4), self.box._core.index)
        self.assertEqual(self.contents(), {1: b"1", 2: b"2", 3: b"3"})

    def overlooked(self, times: int) -> Race:
        """Listings beside renames that never stop, the first of which miss a file."""
        left = itertools.count()

        def listing(names: list[bytes]) -> list[bytes]:
            os.utime(self.cur)
            return without("4.x.host:2,")(names) if next(left) < times else names

        return listing

    def two_more(self) -> None:
        """Another server has numbered two messages."""
        for number in (4, 5):
            self.deliver(f"{number}.x.host:2,", b"%d\n\n" % number, part="cur")
            self.numbered(number, f"{number}.x.host")

    def test_overlooked_while_later_ones_are_seen(self) -> None:
        """It keeps its UID, which would be below one that was told."""
        self.two_more()
        listing = self.overlooked(6)
        with self.race("cur", *[listing] * 20):
            changes = self.box.sync(False)
        self.assertEqual([state.uid for state in changes.added], [4, 5])
        self.assertEqual(self.contents(), {n: b"%d" % n for n in range(1, 6)})

    def test_overlooked_each_time(self) -> None:
        """Its line stays in the list, and it is looked for until a listing is exact."""
        self.two_more()
        listing = self.overlooked(1000)
        with self.race("cur", *[listing] * 1000):
            changes = self.box.sync(False)
            self.assertEqual([state.uid for state in changes.added], [5])
            self.assertFalse(self.box._core.is_gone(Uid(4)))
            self.assertTrue(self.box.changed())
            with self.box._core.lock() as lock:
                self.box._core.uidlist.rewrite(lock, self.box._core.is_gone)
        self.assertIn(b"4 :4.x.host", (self.folder() / "dovecot-uidlist").read_bytes())

    def test_seen_to_go_while_nothing_is_certain(self) -> None:
        self.two_more()
        listing = self.overlooked(1000)
        with self.race("cur", *[listing] * 1000):
            self.box.sync(False)
            self.box.store_flags([Uid(5)], StoreMode.ADD, [DELETED])
            self.box.expunge([Uid(5)])
            self.assertTrue(self.box._core.is_gone(Uid(5)))
            self.assertFalse(self.box._core.is_gone(Uid(4)))

    def test_renamed_and_then_gone(self) -> None:
        os.rename(self.cur / "1.x.host:2,", self.cur / "1.x.host:2,S")

        def first(names: list[bytes]) -> list[bytes]:
            (self.cur / "1.x.host:2,S").unlink()
            return without("2.x.host:2,")(names)

        with self.race("cur", first):
            changes = self.box.sync(False)
        self.assertEqual(changes, Changes(expunged=[Uid(1)]))
        self.assertEqual(self.contents(), {2: b"2", 3: b"3"})

    def test_renamed_and_then_again(self) -> None:
        os.rename(self.cur / "1.x.host:2,", self.cur / "1.x.host:2,S")

        def first(names: list[bytes]) -> list[bytes]:
            os.rename(self.cur / "1.x.host:2,S", self.cur / "1.x.host:2,F")
            return without("2.x.host:2,")(names)

        with self.race("cur", first):
            changes = self.box.sync(False)
        self.assertEqual(changes, Changes(flags={Uid(1): frozenset({FLAGGED})}))
        self.assertEqual(self.contents(), {1: b"1", 2: b"2", 3: b"3"})

    def test_renamed_and_then_back(self) -> None:
        os.rename(self.cur / "1.x.host:2,", self.cur / "1.x.host:2,S")

        def first(names: list[bytes]) -> list[bytes]:
            os.rename(self.cur / "1.x.host:2,S", self.cur / "1.x.host:2,")
            return without("2.x.host:2,")(names)

        with self.race("cur", first):
            changes = self.box.sync(False)
        self.assertEqual(changes, Changes())
        self.assertEqual(self.contents(), {1: b"1", 2: b"2", 3: b"3"})

    def test_a_second_file_of_one_base_is_no_rename(self) -> None:
        """The UID stays with its file, if a listing missed it and the next did not."""
        # Hardening: D12.
        self.deliver("1.x.host:2,S", b"X\n\n", part="cur")
        with self.race("cur", without("1.x.host:2,", "2.x.host:2,")):
            changes = self.box.sync(False)
        self.assertEqual(changes, Changes())
        self.assertEqual(self.contents(), {1: b"1", 2: b"2", 3: b"3", 4: b"X"})

    def test_where_no_listing_becomes_exact(self) -> None:
        """The last one counts, and of what it misses the one before."""

        def busy(*lost: str) -> Race:
            def listing(names: list[bytes]) -> list[bytes]:
                os.utime(self.cur)
                return without(*lost)(names)

            return listing

        def back(names: list[bytes]) -> list[bytes]:
            os.rename(self.cur / "1.x.host:2,S", self.cur / "1.x.host:2,")
            return busy("2.x.host:2,")(names)

        os.rename(self.cur / "1.x.host:2,", self.cur / "1.x.host:2,S")
        lost = ("1.x.host:2,S", "2.x.host:2,")
        with self.race("cur", busy("2.x.host:2,"), *[busy(*lost)] * 3):
            changes = self.box.sync(False)
        self.assertEqual(changes, Changes(flags={Uid(1): frozenset({SEEN})}))
        self.assertTrue(self.box.changed())
        with self.race("cur", back, *[busy("2.x.host:2,")] * 3):
            changes = self.box.sync(False)
        self.assertEqual(changes, Changes(flags={Uid(1): frozenset()}))
        self.assertEqual(self.contents(), {1: b"1", 2: b"2", 3: b"3"})

    def test_back_to_new_between_the_two_listings(self) -> None:
        """A client that marks a message as new again does not expunge it."""
        os.utime(self.cur)
        settle()

        def after_new(names: list[bytes]) -> list[bytes]:
            os.rename(self.cur / "1.x.host:2,", self.new / "1.x.host")
            settle()  # however long it takes until the other one is listed
            return names

        with self.race("new", after_new):
            changes = self.box.sync(False)
        self.assertEqual(changes, Changes())
        self.assertEqual(self.contents(), {1: b"1", 2: b"2", 3: b"3"})

    def test_what_is_no_file_in_the_listing_and_one_afterwards(self) -> None:
        """Put there between the two looks it is a message, and gone it is nothing."""
        aside = self.root / "aside"
        real = fsops.status_or_none
        for name, act, count in (
            ("a.x.host", lambda path: os.rename(aside, path), 1),
            ("b.x.host", os.unlink, 0),
        ):
            path = self.new / name
            path.symlink_to("/dev/null")
            aside.write_bytes(b"4\n\n")
            waiting = [act]

            def look(at: bytes, waiting: Any = waiting, path: Path = path) -> Any:
                if waiting and at == os.fsencode(path):
                    waiting.pop()(path)
                return real(at)

            with mock.patch.object(fsops, "status_or_none", look):
                found = uids_of(self.box.sync(False))
            self.assertEqual(waiting, [], name)
            self.assertEqual(len(found), count, name)
            self.assertEqual(uids_of(self.box.sync(False)), [], name)
        self.assertEqual(len(self.contents()), 4)

    def test_what_was_no_file_and_is_one_now(self) -> None:
        """Another program puts a message in the place of something else at once."""
        aside = self.root / "aside"
        for part in (self.cur, self.new):
            path = part / f"{part.name}.x.host"
            path.symlink_to("/dev/null")
            (part / "line\nend").write_bytes(b"")  # no name of a message ever
            self.settled()
            self.settled()
            aside.write_bytes(b"4\n\n")
            os.rename(aside, path)
            found = uids_of(self.box.sync(False))
            settle()
            found += uids_of(self.box.sync(False))
            self.assertEqual(len(found), 1, part)
        self.assertEqual(len(self.contents()), 5)

    def test_what_we_published_is_gone_before_it_is_listed(self) -> None:
        """It does not keep a snapshot from being saved, for good."""
        self.deliver("4.x.host:2,", b"4\n\n", part="cur")
        self.numbered(4, "4.x.host")  # so that the folder is listed

        def removed(names: list[bytes]) -> list[bytes]:
            (name,) = names
            (self.new / os.fsdecode(name)).unlink()
            return []

        with self.race("new", removed):
            append(self.box, b"a: b\r\n\r\n")
        self.assertEqual(self.contents().keys(), {1, 2, 3, 4})
        with mock.patch.object(snapshot, "LEAST_MESSAGES", 1):
            self.box.close()
        self.assertEqual(len(self.cache.snapshots), 1)


class _Counted(list[MessageState]):
    """Knows how often somebody went through all of it."""

    passes = 0

    def __iter__(self) -> Iterator[MessageState]:
        self.passes += 1
        return super().__iter__()


class ForgetTests(FolderTestCase):
    """Many messages that are gone at once."""

    count = 200

    def setUp(self) -> None:
        super().setUp()
        for number in range(self.count):
            self.deliver(f"1{number:04}.x.host:2,", part="cur")
        self.uids = [Uid(number + 1) for number in range(self.count)]
        settle()

    def remove(self, *, odd: bool) -> list[Uid]:
        """Another program removes every second message."""
        gone = self.uids[0 if odd else 1 :: 2]
        for uid in gone:
            (self.folder() / "cur" / f"1{uid - 1:04}.x.host:2,").unlink()
        settle()
        return gone

    def counted(self, box: MaildirMailbox) -> _Counted:
        """What the next sync tells as added."""
        added = _Counted()
        box._core._untold = Changes(added=added)
        return added

    def test_added_and_gone_in_one_sync_are_never_told(self) -> None:
        with mock.patch.object(snapshot, "LEAST_MESSAGES", 1):
            box = self.open()
            box.sync(True)
            box.close()
        self.assertEqual(len(self.cache.snapshots), 1)
        gone = self.remove(odd=True)
        box = self.open()
        added = self.counted(box)
        changes = box.sync(False)
        self.assertEqual(changes.expunged, [])
        self.assertEqual(uids_of(changes), self.uids[1::2])
        self.assertLess(added.passes, 10)  # not one for each that is gone
        self.assertTrue(all(uid not in box._core.index for uid in gone))

    def test_those_that_were_told_are_told_once(self) -> None:
        box = self.open()
        box.sync(True)
        gone = self.remove(odd=True)
        self.deliver("20000.x.host:2,", part="cur")
        settle()
        added = self.counted(box)
        changes = box.sync(False)
        self.assertEqual(changes.expunged, gone)
        self.assertEqual(uids_of(changes), [self.count + 1])
        self.assertLess(added.passes, 10)
        self.assertFalse(box.sync(False))

    def test_those_that_got_other_numbers(self) -> None:
        """Another UID list, and one message of which nobody was told under the old."""
        box = self.open()
        box.sync(True)
        added = self.counted(box)
        self.deliver("20000.x.host")
        with mock.patch.object(fsops, "rename_new", side_effect=OSError(5, "")):
            self.assertRaises(Unavailable, box.sync, True)
        self.assertEqual(len(added), 1)  # and not told yet
        path = self.folder() / "dovecot-uidlist"
        header, *lines = path.read_text().splitlines()
        header = header.replace(f"N{self.count + 1} ", "N1001 ")
        moved = [
            f"{500 + number} :{line.partition(':')[2]}"
            for number, line in enumerate(lines, 1)
        ]
        fresh = self.root / "fresh"
        fresh.write_text("\n".join((header, *moved, "")))
        os.rename(fresh, path)
        changes = box.sync(False)
        self.assertEqual(changes.expunged, self.uids)
        self.assertEqual(uids_of(changes), list(range(501, 502 + self.count)))
        self.assertLess(added.passes, 10)
