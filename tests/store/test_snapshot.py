"""A folder that did not change is taken up without a listing, and never wrongly."""

import json
import os
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from imapd.errors import Unavailable
from imapd.ids import Uid
from imapd.model.flags import FLAGGED, SEEN, StoreMode
from imapd.model.mailbox import MessageState
from imapd.store import fsops
from imapd.store.maildir import scan, snapshot
from imapd.store.maildir.mailbox import MaildirMailbox
from tests.store.folders import FolderTestCase, append, settle, uids_of

State = dict[Uid, MessageState]


def state(box: MaildirMailbox, *, claim_recent: bool = False) -> State:
    changes = box.sync(claim_recent)
    found = {each.uid: each for each in changes.added}
    for uid, flags in changes.flags.items():  # they come after what was added
        found[uid] = MessageState(uid, flags, found[uid].recent)
    return found


class SnapshotCase(FolderTestCase):
    """A folder of which a snapshot was saved."""

    def setUp(self) -> None:
        super().setUp()
        patched = mock.patch.object(snapshot, "LEAST_MESSAGES", 1)
        patched.start()
        self.addCleanup(patched.stop)
        for number in range(5):
            self.deliver(f"1{number}.x.host:2,{'SF'[: number % 3]}", part="cur")
        self.deliver("20.x.host")
        box = self.open()
        box.sync(False)
        box.store_flags([Uid(1)], StoreMode.ADD, [b"$Word"])
        time.sleep(scan.CONFIRM_SECONDS + 0.05)
        self.known = {}
        for uid, flags in box._core.index.flags.items():
            self.known[uid] = MessageState(uid, flags, recent=uid == 6)
        box.sync(False)
        box.close()
        self.assertEqual(len(self.cache.snapshots), 1)

    @contextmanager
    def listings(self) -> Iterator[set[bytes]]:
        """Note which directories are listed."""
        listed: set[bytes] = set()

        def noting(real: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
            def note(directory: bytes) -> Any:
                listed.add(os.path.basename(directory))
                return real(directory)

            return note

        with (
            mock.patch.object(fsops, "names", noting(fsops.names)),
            mock.patch.object(fsops, "entries", noting(fsops.entries)),
        ):
            yield listed


class SnapshotTests(SnapshotCase):
    def test_what_did_not_change_is_not_listed(self) -> None:
        box = self.open()
        with self.listings() as listed:
            self.assertEqual(state(box), self.known)
            self.assertFalse(box.changed())
        self.assertEqual(listed, {b""})  # tmp/, for litter
        self.assertEqual(box.uid_next, 7)
        self.assertEqual(box.keywords, (b"$Word",))
        self.assertEqual(box.read(Uid(6)), b"Subject: x\n\nbody\n")

    def test_everything_works_on_it(self) -> None:
        box = self.open()
        box.sync(False)
        self.assertEqual(append(box, b"a: b\r\n\r\n"), 7)
        box.store_flags([Uid(2), Uid(7)], StoreMode.ADD, [SEEN])
        other = self.open("other")
        other.sync(False)
        copied = other.copy_from(box, [Uid(1)], False, False)
        self.assertEqual(copied.target.added[0].flags, {b"$Word"})
        self.deliver("30.x.host")
        settle()
        self.assertEqual(sorted(each.uid for each in box.sync(True).added), [8])
        fresh = self.open()
        self.cache.snapshots.clear()
        self.assertEqual(sorted(state(fresh)), list(range(1, 9)))

    def test_what_changed_meanwhile_is_found(self) -> None:
        cur = self.folder() / "cur"
        changes = {
            "flag": lambda: os.rename(cur / "12.x.host:2,SF", cur / "12.x.host:2,"),
            "gone": lambda: os.unlink(cur / "11.x.host:2,S"),
            "new": lambda: self.deliver("40.x.host", part="cur"),
            "moved": lambda: os.rename(
                self.folder() / "new/20.x.host", cur / "20.x.host:2,"
            ),
        }
        for name, change in changes.items():
            kept = dict(self.cache.snapshots)
            change()
            settle()
            with_it = state(self.open())
            self.cache.snapshots.clear()
            self.assertEqual(with_it, state(self.open()), name)
            self.cache.snapshots.update(kept)

    def test_a_uid_list_that_others_wrote_is_read(self) -> None:
        path = self.folder() / "dovecot-uidlist"
        lines = path.read_bytes()
        path.write_bytes(lines)  # in place: another mtime
        with self.listings() as listed:
            self.assertEqual(state(self.open()), self.known)
        self.assertEqual(listed, {b"", b"cur", b"new"})
        path.write_bytes(lines.replace(b" V", b" V9", 1))
        settle()
        box = self.open()
        box.sync(False)
        self.assertNotEqual(box.uid_validity, 0)
        self.assertIn(b"V%d " % box.uid_validity, path.read_bytes())

    def test_keywords_that_were_renamed(self) -> None:
        path = self.folder() / "dovecot-keywords"
        path.write_bytes(b"0 $Other\n")
        box = self.open()
        self.assertEqual(state(box)[Uid(1)].flags, {b"$Other"})

    def test_extras_of_the_uid_list_survive(self) -> None:
        path = self.folder() / "dovecot-uidlist"
        lines = path.read_bytes().replace(b"\n2 :", b"\n2 Pold-id W77 :")
        path.write_bytes(lines)
        box = self.open()
        box.sync(False)
        settle()
        box.sync(False)
        box.close()
        again = self.open()
        again.sync(False)
        again._core.uidlist._rewrite = True
        append(again, b"a: b\r\n\r\n")
        self.assertIn(b"\n2 Pold-id W77 :", path.read_bytes())
        again.close()

    def test_every_damage(self) -> None:
        # Hardening: D15.
        (folder,) = self.cache.snapshots
        good = self.cache.snapshots[folder]
        cases = [good[:end] for end in range(0, len(good), 7)]
        cases += [b"", b"x" * 99, good + b"x", good.replace(b"10.x", b"10.y")]
        for name in (b'"cur"', b'"uidlist"', b'"key"', b'"in_new"'):
            cases.append(good.replace(name, b'"x"'))
        for octets in cases:
            self.cache.snapshots[folder] = octets
            box = self.open()
            found = state(box)
            if octets not in (good + b"x", good.replace(b"10.x", b"10.y")):
                # Those two are no damage that anybody could see.
                self.assertEqual(found, self.known, octets)

    def test_nothing_is_kept_of_what_is_not_sure(self) -> None:
        self.cache.snapshots.clear()
        box = self.open()
        self.deliver("50.x.host")  # the listing is too young to be exact
        box.sync(False)
        if box.changed():
            box.close()
            self.assertEqual(self.cache.snapshots, {})

    def test_what_may_hide_another_programs_change_is_confirmed(self) -> None:
        # Hardening: D08.
        box = self.open()
        box.sync(False)
        with mock.patch.object(scan, "CONFIRM_SECONDS", 60.0):
            box.store_flags([Uid(3)], StoreMode.ADD, [FLAGGED])
        box.close()
        again = self.open()
        with self.listings() as listed:
            again.sync(False)
            again.sync(False)
        self.assertIn(b"cur", listed)

    def test_it_is_saved_once(self) -> None:
        with mock.patch.object(
            self.cache, "save_snapshot", wraps=self.cache.save_snapshot
        ) as saved:
            box = self.open()
            box.sync(False)
            box.close()
            self.assertEqual(saved.call_count, 0)

    def test_an_archive_has_none(self) -> None:
        box = self.open(read_only=True)
        self.cache.snapshots.clear()
        box.sync(False)
        box.close()
        self.assertEqual(self.cache.snapshots, {})


class DoctoredTests(SnapshotCase):
    """What a snapshot says is believed only if all of it can be so."""

    def setUp(self) -> None:
        super().setUp()
        (self.name,) = self.cache.snapshots
        self.magic, self.head, self.rest = self.cache.snapshots[self.name].split(
            b"\n", 2
        )

    def doctor(self, rest: bytes | None = None, **head: object) -> None:
        """Let it say something else."""
        said = json.dumps(json.loads(self.head) | head).encode()
        rest = self.rest if rest is None else rest
        self.cache.snapshots[self.name] = b"\n".join((self.magic, said, rest))

    def with_uids(self, *uids: int) -> bytes:
        return array("I", uids).tobytes() + self.rest[4 * len(uids) :]

    def test_it_is_believed_as_it_is(self) -> None:
        """Else the tests below would say nothing."""
        self.doctor()
        self.assertFalse(self.is_listed())

    def is_listed(self) -> bool:
        """Whether an opening lists the folder; what it finds is right in any case."""
        box = self.open()
        with self.listings() as listed:
            found = state(box)
        self.assertEqual(found, self.known)
        self.assertEqual(box.uid_next, 7)
        self.assertEqual(box.read(Uid(6)), b"Subject: x\n\nbody\n")
        return b"cur" in listed

    def test_uids_out_of_order(self) -> None:
        cases = {
            "not ascending": self.with_uids(1, 2, 4, 3, 5, 6),
            "one twice": self.with_uids(1, 2, 3, 3, 5, 6),
            "none": self.with_uids(0, 2, 3, 4, 5, 6),
            "one not given out yet": self.with_uids(1, 2, 3, 4, 5, 7),
        }
        for name, rest in cases.items():
            self.doctor(rest)
            self.assertTrue(self.is_listed(), name)

    def test_names_that_cannot_be(self) -> None:
        self.assertIn(b"11.x.host:2,S\0", self.rest)
        self.doctor(self.rest.replace(b"11.x.host:2,S\0", b"10.x.host:2,a\0"))
        self.assertIn(b"10.x.host:2,a\0", self.rest)
        self.assertTrue(self.is_listed(), "one name twice")
        for at in (6, 999, -7, "x"):
            self.doctor(in_new=[at])
            self.assertTrue(self.is_listed(), at)

    def test_a_highest_uid_below_one_that_is_there(self) -> None:
        self.doctor(highest=5)
        self.assertTrue(self.is_listed())

    def test_the_uid_list_is_another_file(self) -> None:
        """Of another UIDVALIDITY, though as long and as old as the one that was."""
        path = self.folder() / "dovecot-uidlist"
        status, octets = path.stat(), path.read_bytes()
        validity = octets.split(b" ")[1]
        other = b"V9" + validity[2:]
        self.assertNotEqual(other, validity)
        fresh = self.folder() / "fresh"
        fresh.write_bytes(octets.replace(validity, other, 1))
        os.utime(fresh, ns=(status.st_atime_ns, status.st_mtime_ns))
        os.rename(fresh, path)
        self.assertTrue(self.is_listed())
        self.assertEqual(b"V%d" % self.open_and_sync().uid_validity, other)

    def test_numbers_are_taken_back_only_from_what_can_be(self) -> None:
        """A UID list that lost its lines gets them from there: never wrong ones."""
        box = self.open_and_sync()
        uid_next, by_base = snapshot.numbers(box._core)
        self.assertEqual((uid_next, sorted(by_base.values())), (7, [1, 2, 3, 4, 5, 6]))
        said = json.loads(self.head)["uidlist"]
        for name, rest, head in (
            ("another mailbox", None, {"uidlist": said | {"guid": "f" * 32}}),
            ("numbered anew", None, {"uidlist": said | {"validity": 9}}),
            ("one not given out", None, {"uidlist": said | {"next": 6}}),
            ("no next UID", None, {"uidlist": said | {"next": "x"}}),
            ("not ascending", self.with_uids(1, 2, 4, 3, 5, 6), {}),
            ("one twice", self.with_uids(1, 2, 2, 4, 5, 6), {}),
            ("another machine's", None, {"order": "middle"}),
            ("no order", None, {"order": None}),
        ):
            self.doctor(rest, **head)
            self.assertEqual(snapshot.numbers(box._core), (0, {}), name)

    def open_and_sync(self) -> MaildirMailbox:
        box = self.open()
        box.sync(False)
        return box

    def test_keywords_without_letters_are_those_of_today(self) -> None:
        box = self.open_and_sync()
        self.overflow.set(box._core.numbering, {2: frozenset({b"late"})})
        known = state(self.open())
        self.assertEqual(known[Uid(2)].flags, self.known[Uid(2)].flags | {b"late"})

    def test_extras_with_odd_octets(self) -> None:
        path = self.folder() / "dovecot-uidlist"
        octets = path.read_bytes().replace(b"\n2 :", b"\n2 Pold\rid\x0c\x1c :")
        path.write_bytes(octets)
        box = self.open_and_sync()
        settle()
        box.sync(False)
        box.close()
        extras = self.open_and_sync()._core.uidlist.table.extras
        self.assertEqual(extras[Uid(2)], b"Pold\rid\x0c\x1c")

    def test_what_was_not_told_yet_is_told_once(self) -> None:
        """Two syncs fail: as soon as they list, or when all was listed."""
        path = self.folder() / "dovecot-uidlist"
        for at, failing in enumerate(("entries", "rename_new")):
            self.cache.snapshots.clear()
            box = self.open_and_sync()
            octets = path.read_bytes()
            path.write_bytes(octets.replace(octets.split(b" ")[1], b"V9%d" % at, 1))
            self.cache.snapshots[self.name] = b"damaged"
            for _ in range(2):
                with mock.patch.object(fsops, failing, side_effect=OSError(5, "")):
                    self.assertRaises(Unavailable, box.sync, True)
            changes = box.sync(False)
            self.assertTrue(changes.renumbered, failing)
            self.assertEqual(uids_of(changes), sorted(self.known), failing)
            self.assertEqual(changes.expunged, [], failing)
