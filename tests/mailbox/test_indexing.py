"""What is made ahead of need: all of it, nothing else, and no harm to anybody."""

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from imapd.errors import Unavailable
from imapd.ids import INBOX, Uid
from imapd.mailbox import derivers, indexing
from imapd.mailbox.derivers import DERIVERS, Held
from imapd.mailbox.indexing import CannotKeep, Claimed, Indexing, Tally, version
from imapd.mailbox.planning import plan
from imapd.mailbox.rendering import render
from imapd.model import columns
from imapd.model.flags import DELETED, StoreMode
from imapd.model.mailbox import MessageMeta
from imapd.model.requests import FetchAtom, FetchItem, FetchSection
from imapd.model.structure import Section, SectionText
from imapd.store import fsops, quiet
from imapd.store.maildir.account import MaildirAccount
from imapd.store.maildir.mailbox import MaildirMailbox
from tests.support.maildirs import copy_sample

CACHE = "imapd-cache.sqlite3"


def fields(names: bytes) -> FetchSection:
    listed = tuple(names.split(b" "))
    section = Section(text=SectionText.HEADER_FIELDS, fields=listed)
    return FetchSection(section, peek=True, partial=None)


#: What is asked of a message that a column answers.
ITEMS: tuple[FetchItem, ...] = (
    FetchAtom.ENVELOPE,
    FetchAtom.BODY,
    FetchAtom.BODYSTRUCTURE,
    FetchAtom.INTERNALDATE,
    FetchAtom.RFC822_SIZE,
    FetchAtom.RFC822_HEADER,
    fields(columns.USUAL_FIELDS[0]),
)


class IndexingCase(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="imapd-indexing-"))
        self.addCleanup(shutil.rmtree, folder)
        self.maildir = copy_sample("alice", folder)
        self.account = self.open_account()
        self.box = self.open()

    def open_account(self) -> MaildirAccount:
        account = MaildirAccount(self.maildir)
        self.addCleanup(account.close)
        return account

    def open(self, account: MaildirAccount | None = None) -> MaildirMailbox:
        box = (account or self.account).mailbox(INBOX)
        box.sync(False)
        return box

    def deliver(self, count: int, octets: bytes = b"Subject: x\n\nbody\n") -> None:
        for _ in range(count):
            name = f"{1_600_000_000 + next(NUMBERS)}.made.here"
            (self.maildir / "tmp" / name).write_bytes(octets)
            os.rename(self.maildir / "tmp" / name, self.maildir / "new" / name)

    def uids(self, box: MaildirMailbox | None = None) -> list[Uid]:
        return sorted((box or self.box)._core.index)

    def columns_of(self, uids: Sequence[Uid]) -> dict[str, list[bytes | None]]:
        rows = derivers.table(self.account._cache.asked_fields())
        kinds = [kind for row in rows for kind in row.kinds]
        box = self.open(self.open_account())
        return {kind: box.load_column(kind, uids) for kind in kinds}

    def assert_complete(self) -> None:
        uids = self.uids(self.open())
        for kind, values in self.columns_of(uids).items():
            self.assertNotIn(None, values, kind)


NUMBERS = itertools.count()


class DerivedTests(IndexingCase):
    def test_all_is_what_fetch_derives_on_demand(self) -> None:
        uids = self.uids()
        self.assertGreater(len(uids), 5)
        on_demand = render(self.box, plan(ITEMS), uids)
        self.account._cache.forget(self.box._core.numbering)
        tally = Indexing(self.box).run()
        self.assertEqual((tally.done, tally.left), (len(uids), 0))
        self.assertTrue(tally.finished)
        with mock.patch.object(MaildirMailbox, "read", side_effect=AssertionError):
            ahead = render(self.box, plan(ITEMS), uids)
        self.assertEqual(ahead.count, len(uids))
        self.assertEqual(on_demand.count, len(uids))
        self.assertEqual(ahead.columns, on_demand.columns)
        self.assert_complete()
        self.assertEqual(self.box.unindexed(uids), [])

    def test_a_text_index_that_is_lost_is_made_anew(self) -> None:
        Indexing(self.box).run()
        for path in self.maildir.glob("imapd-text*"):
            path.unlink()
        self.deliver(1)
        box = self.open()
        self.assertGreater(len(box.unindexed(self.uids(box))), 5)
        Indexing(box).run()
        self.assertEqual(box.unindexed(self.uids(box)), [])

    def test_every_kind_that_stands_alone_has_a_row(self) -> None:
        made = [kind for row in DERIVERS for kind in row.kinds]
        self.assertEqual(sorted(made), sorted(columns.KINDS))

    def test_each_row_makes_what_it_says(self) -> None:
        octets = b"From: a@b.c\nSubject: x\n\nbody\n"
        held = Held(self.box, octets, MessageMeta(Uid(1), 5, 30))  # type: ignore[arg-type]
        for row in derivers.table(["fields/2:from to"]):
            self.assertEqual(set(row.derive(held)), set(row.kinds), row.kinds)

    def test_each_message_is_read_once(self) -> None:
        reads: list[bytes] = []
        with mock.patch("imapd.store.fsops.open_status", _counting(reads)):
            Indexing(self.box).run()
        messages = [path for path in reads if b"/cur/" in path or b"/new/" in path]
        self.assertEqual(len(messages), len(self.uids()))
        self.assertEqual(len(set(messages)), len(messages))

    def test_lists_that_a_client_asked_for_are_made_for_all(self) -> None:
        uids = self.uids()
        asked = fields(b"X-Mailer From")
        self.box.save_columns({columns.fields_kind((b"x-odd",)): {uids[0]: b"\r\n"}})
        render(self.box, plan([asked]), uids[:1])
        Indexing(self.box).run()
        kind = columns.fields_kind((b"from", b"x-mailer"))
        self.assertNotIn(None, self.box.load_column(kind, uids))
        self.assert_complete()

    def test_of_lists_only_a_few_are_made_ahead(self) -> None:
        asked = [f"fields/2:x-{number}" for number in range(20)]
        kinds = [kind for row in derivers.table(asked) for kind in row.kinds]
        self.assertEqual(
            len(kinds),
            len(columns.KINDS) + len(columns.USUAL_FIELDS) + derivers.MOST_ASKED_FIELDS,
        )


class InterruptedTests(IndexingCase):
    def test_stopped_after_any_message_and_gone_on_with(self) -> None:
        self.deliver(150)
        self.box.sync(False)
        count = len(self.uids())
        turns = itertools.count(1)
        with mock.patch.object(
            MaildirMailbox, "read_dated", autospec=True, side_effect=_read_dated
        ) as reads:
            while True:
                calls = itertools.count(1)
                most = next(turns)
                tally = Indexing(self.open()).run(
                    lambda: next(calls) >= most  # noqa: B023
                )
                self.assertLess(most, count)
                if tally.finished:
                    break
        self.assertEqual(reads.call_count, count)
        self.assert_complete()

    def test_a_complete_mailbox_costs_no_look_at_a_page(self) -> None:
        Indexing(self.box).run()
        with mock.patch.object(MaildirMailbox, "load_column") as loads:
            self.assertTrue(Indexing(self.open()).run().finished)
        loads.assert_not_called()

    def test_new_mail_costs_one_page(self) -> None:
        self.deliver(600)
        Indexing(self.open()).run()
        self.deliver(1)
        tally = Indexing(self.open()).run()
        self.assertLessEqual(tally.done, 128)
        self.assert_complete()

    def test_the_cache_goes_while_it_is_filled(self) -> None:
        self.deliver(300)

        def lose(tally: Tally) -> None:
            (self.maildir / CACHE).unlink(missing_ok=True)

        Indexing(self.open()).run(progress=lose)
        (self.maildir / CACHE).unlink(missing_ok=True)
        self.assertFalse(self.is_complete())
        Indexing(self.open()).run()
        self.assert_complete()

    def is_complete(self) -> bool:
        derived = self.open().derived
        assert derived is not None
        return derived.is_complete(version(derived))

    def test_messages_go_while_it_is_filled(self) -> None:
        self.deliver(300)
        box, other = self.open(), self.open(self.open_account())
        gone: list[Uid] = []

        def expunge(tally: Tally) -> None:
            some = [uid for uid in self.uids(other) if uid % 7 == len(gone) % 7][:20]
            other.store_flags(some, StoreMode.ADD, [DELETED])
            gone.extend(other.expunge(some).expunged)

        self.assertTrue(Indexing(box).run(progress=expunge).finished)
        self.assertGreater(len(gone), 40)
        self.assertFalse(self.is_complete())
        Indexing(self.open()).run()
        self.assert_complete()
        self.assertEqual(self.kept(), set(self.uids(self.open())))

    def kept(self) -> set[Uid]:
        """All messages of which the cache has anything."""
        cache = self.account._cache
        candidates = [Uid(uid) for uid in range(1, 2000)]
        kinds = [kind for row in DERIVERS for kind in row.kinds]
        numbering = self.box._core.numbering
        return {
            uid
            for kind in kinds
            for uid, value in zip(
                candidates, cache.load(numbering, kind, candidates), strict=True
            )
            if value is not None
        }

    def test_what_is_of_messages_gone_goes(self) -> None:
        self.deliver(300)
        box = self.open()
        Indexing(box).run()
        gone = self.uids(box)[10:200:3]
        box.store_flags(gone, StoreMode.ADD, [DELETED])
        box.expunge(gone)
        self.assertLessEqual(set(gone), self.kept())  # EXPUNGE itself is quick
        tally = Indexing(self.open()).run()
        self.assertGreater(tally.pruned, 0)
        self.assertEqual(self.kept(), set(self.uids(box)))
        self.assertEqual(Indexing(self.open()).run().pruned, 0)

    def test_it_goes_with_the_next_values_of_its_page_too(self) -> None:
        box = self.open()
        Indexing(box).run()
        gone = self.uids(box)[0]
        box.store_flags([gone], StoreMode.ADD, [DELETED])
        box.expunge([gone])
        box.save_column(columns.BODY, {self.uids(box)[1]: b"body"})
        numbering = box._core.numbering
        cache = self.account._cache
        self.assertEqual(cache.load(numbering, columns.BODY, [gone]), [None])

    def test_what_another_process_saw_come_stays(self) -> None:
        old = self.open(self.open_account())
        self.deliver(1)
        Indexing(self.open()).run()
        assert old.derived is not None
        old.derived.prune()
        self.assert_complete()

    def test_mailboxes_that_are_no_more(self) -> None:
        Indexing(self.box).run()
        self.account._cache.save("f" * 32 + ".1", columns.BODY, {Uid(1): b"x"})
        self.account.tidy_cache()
        values = self.account._cache.load("f" * 32 + ".1", columns.BODY, [Uid(1)])
        self.assertEqual(values, [None])
        self.assert_complete()

    def test_nothing_is_dropped_beside_a_mailbox_without_a_uid_list(self) -> None:
        """What it has in the cache is under a name that no file says."""
        Indexing(self.box).run()
        os.unlink(self.account.tree.directory(b"") + b"/dovecot-uidlist")
        self.account._cache.save("f" * 32 + ".1", columns.BODY, {Uid(1): b"x"})
        self.account.tidy_cache()
        values = self.account._cache.load("f" * 32 + ".1", columns.BODY, [Uid(1)])
        self.assertEqual(values, [b"x"])


class UnreadableTests(IndexingCase):
    def setUp(self) -> None:
        super().setUp()
        quiet.forget()
        self.bad = set(self.uids()[1:3])

    def refusing(self) -> "mock._patch[mock.Mock]":
        def read_dated(box: MaildirMailbox, uid: Uid) -> tuple[bytes, MessageMeta]:
            if uid in self.bad:
                raise Unavailable("The message cannot be read")
            return READ_DATED(box, uid)

        return mock.patch.object(
            MaildirMailbox, "read_dated", autospec=True, side_effect=read_dated
        )

    def test_they_are_passed_over_and_not_tried_again(self) -> None:
        with self.refusing() as reads:
            tally = Indexing(self.box).run()
            self.assertEqual(reads.call_count, len(self.uids()))
        self.assertEqual((tally.skipped, tally.finished), (2, True))
        self.deliver(1)
        with self.refusing() as reads:
            box = self.open()
            self.assertTrue(Indexing(box).run().finished)
            self.assertEqual(reads.call_count, 1)
        for uid, value in zip(
            self.uids(), box.load_column(columns.BODY, self.uids()), strict=True
        ):
            self.assertEqual(value is None, uid in self.bad, uid)

    def test_a_disk_that_fails_is_tried_again(self) -> None:
        self.deliver(50)
        box = self.open()
        self.bad = set(self.uids(box))
        with self.refusing(), self.assertRaises(Unavailable):
            Indexing(box).run()
        self.assertTrue(Indexing(box).run().finished)
        self.assert_complete()

    def test_a_defect_of_ours_is_logged_and_passed_over(self) -> None:
        defect = derivers.Deriver((columns.BODY,), _broken)
        with mock.patch.object(derivers, "DERIVERS", (defect,)):
            tally = Indexing(self.box).run()
        self.assertEqual(tally.skipped, len(self.uids()))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), tally.skipped)

    def test_a_value_that_is_too_large_is_left_to_demand(self) -> None:
        self.deliver(1, b"Subject: " + b"x" * 3000 + b"\n\nbody\n")
        with mock.patch.object(indexing, "LARGEST_VALUE_OCTETS", 2000):
            tally = Indexing(box := self.open()).run()
        self.assertGreaterEqual(tally.skipped, 1)
        last = self.uids(box)[-1:]
        self.assertEqual(box.load_column(columns.ENVELOPE, last), [None])
        self.assertNotEqual(box.load_column(columns.META, last), [None])

    def test_pages_of_large_values_are_saved_in_parts(self) -> None:
        with mock.patch.object(indexing, "MOST_OCTETS", 1):
            Indexing(self.box).run()
        self.assert_complete()


class ManyTests(IndexingCase):
    def test_of_two_one_has_it(self) -> None:
        self.deliver(300)
        second = Indexing(self.open(self.open_account()), owner="second")

        def try_too(tally: Tally) -> None:
            with self.assertRaises(Claimed):
                second.run()

        self.assertTrue(
            Indexing(self.box, owner="first").run(progress=try_too).finished
        )
        self.assertTrue(second.run().finished)

    def test_one_that_died_is_waited_for_no_longer_than_said(self) -> None:
        assert self.box.derived is not None
        self.box.derived.claim("dead", indexing.CLAIM_SECONDS)
        with self.assertRaises(Claimed):
            Indexing(self.box).run()
        with mock.patch("time.time", return_value=2e9):
            self.box.derived.claim("of another clock", indexing.CLAIM_SECONDS)
        self.assertTrue(Indexing(self.box).run().finished)

    def test_a_place_that_cannot_be_written(self) -> None:
        (self.maildir / CACHE).unlink(missing_ok=True)
        with (
            mock.patch("imapd.store.fsops.open_exclusive", side_effect=PermissionError),
            self.assertRaises(CannotKeep),
        ):
            Indexing(self.open(self.open_account()))


class SizeTests(IndexingCase):
    def test_room_is_given_back(self) -> None:
        self.deliver(2000, b"X-Long: " + os.urandom(2000).hex().encode() + b"\n\n")
        box = self.open()
        Indexing(box).run()
        cache = self.maildir / CACHE
        full = cache.stat().st_size
        gone = self.uids(box)[:-10]
        box.store_flags(gone, StoreMode.ADD, [DELETED])
        box.expunge(gone)
        with mock.patch("imapd.store.cache.columns._SPARE_PAGES", 10):
            Indexing(self.open()).run()
        self.assertLess(cache.stat().st_size, full // 4)
        self.assert_complete()


READ_DATED = MaildirMailbox.read_dated


def _read_dated(box: MaildirMailbox, uid: Uid) -> tuple[bytes, MessageMeta]:
    return READ_DATED(box, uid)


def _broken(held: Held) -> dict[str, bytes]:
    raise KeyError(held)


def _counting(
    reads: list[bytes],
) -> Callable[[bytes], tuple[int, os.stat_result]]:
    real = fsops.open_status

    def open_status(path: bytes) -> tuple[int, os.stat_result]:
        reads.append(path)
        return real(path)

    return open_status
