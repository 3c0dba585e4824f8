r"""Modification sequences of a folder: kept, found again, and never going back."""

import os
import re
import sqlite3
import unittest
from unittest import mock

from imapd.ids import Uid
from imapd.model.flags import FLAGGED, SEEN, StoreMode
from imapd.model.modseqs import ModSeqs
from imapd.store import fsops
from imapd.store.maildir import modseqmerge, scan
from imapd.store.maildir.mailbox import MaildirMailbox
from imapd.store.state import AccountState
from tests.store.folders import FolderTestCase, settle

ADD, REMOVE = StoreMode.ADD, StoreMode.REMOVE
ALL = [(1, 2**32 - 1)]
CLOCK = "imapd.store.maildir.modseqmerge.now_microseconds"


class ModSeqCase(FolderTestCase):
    count = 5

    def setUp(self) -> None:
        super().setUp()
        self.folder()
        self.state = self.new_state()
        self.modseqs = self.state
        for number in range(self.count):
            self.deliver(f"{number}.x.y:2,", part="cur")

    def new_state(self) -> AccountState:
        state = AccountState(os.fsencode(self.root))
        self.addCleanup(state.close)
        return state

    def tracked(self) -> MaildirMailbox:
        """A process opens the folder, and a client asks."""
        mailbox = self.open()
        mailbox.sync(claim_recent=False)
        mailbox.track()
        return mailbox

    def kept(self, mailbox: MaildirMailbox) -> ModSeqs:
        kept = mailbox.modseqs
        assert kept is not None
        return kept

    def numbers(self, mailbox: MaildirMailbox) -> dict[int, int]:
        kept = self.kept(mailbox)
        return {uid: kept.of(uid) for uid in mailbox._core.index}

    def flag(self, mailbox: MaildirMailbox, *uids: int) -> int:
        """Add a flag; return the number it got."""
        changes = mailbox.store_flags(map(Uid, uids), ADD, [FLAGGED])
        self.assertEqual(set(changes.flags), set(uids))
        return changes.modseq


class KeepingTests(ModSeqCase):
    def test_nothing_is_kept_before_somebody_asks(self) -> None:
        mailbox = self.open()
        mailbox.sync(claim_recent=False)
        self.assertEqual(mailbox.store_flags([Uid(1)], ADD, [SEEN]).modseq, 0)
        self.assertIsNone(mailbox.modseqs)
        self.assertIsNone(mailbox.unsaved())
        mailbox.close()
        self.assertFalse((self.root / "imapd-state.sqlite3").exists())

    def test_a_mailbox_that_did_not_change(self) -> None:
        first = self.tracked()
        before, highest = self.numbers(first), self.kept(first).highest
        self.assertEqual(len(set(before.values())), 1)
        first.close()
        second = self.tracked()
        self.assertEqual(self.numbers(second), before)
        self.assertEqual(self.kept(second).highest, highest)
        self.assertEqual(self.kept(second).vanished(highest, ALL), [])
        self.assertIsNone(second.unsaved())  # nothing is written for it

    def test_each_operation_gets_one_number_above_the_last(self) -> None:
        mailbox = self.tracked()
        last = self.kept(mailbox).highest
        delivery = mailbox.begin_delivery()
        delivery.begin([rb"\Deleted"], None)
        delivery.write(b"x")
        delivery.end()
        for operation in (
            lambda: mailbox.store_flags([Uid(1), Uid(2)], ADD, [SEEN]),
            lambda: mailbox.commit(delivery, claim_recent=False).target,
            lambda: mailbox.expunge([Uid(6)]),
            lambda: mailbox.copy_from(mailbox, [Uid(1)], False, False).target,
        ):
            changes = operation()
            self.assertGreater(changes.modseq, last)
            last = changes.modseq
            self.assertEqual(self.kept(mailbox).highest, last)
        numbers = self.numbers(mailbox)
        self.assertEqual(numbers[1], numbers[2])
        self.assertEqual(self.kept(mailbox).vanished(numbers[5], ALL), [(6, 6)])
        self.assertEqual(mailbox.store_flags([Uid(1)], ADD, [SEEN]).modseq, 0)

    def test_move_counts_in_both(self) -> None:
        source, target = self.tracked(), self.open("other")
        target.sync(claim_recent=False)
        target.track()
        copied = target.copy_from(source, [Uid(2)], True, False)
        self.assertEqual(self.kept(source).highest, copied.source.modseq)
        self.assertEqual(self.numbers(target), {1: copied.target.modseq})

    def test_changes_are_there_after_the_next_open(self) -> None:
        mailbox = self.tracked()
        first = self.kept(mailbox).highest
        flagged = self.flag(mailbox, 2)
        mailbox.store_flags([Uid(3)], ADD, [rb"\Deleted"])
        gone = mailbox.expunge([Uid(3)]).modseq
        mailbox.close()
        again = self.tracked()
        self.assertEqual(
            self.numbers(again), {1: first, 2: flagged, 4: first, 5: first}
        )
        kept = self.kept(again)
        self.assertEqual(kept.highest, gone)
        self.assertEqual(kept.vanished(flagged, ALL), [(3, 3)])
        self.assertEqual(kept.vanished(gone, ALL), [])
        self.assertIsNone(kept.vanished(first - 1, ALL))

    def test_what_other_programs_did_while_we_were_away(self) -> None:
        mailbox = self.tracked()
        highest = self.kept(mailbox).highest
        mailbox.close()
        cur = self.folder() / "cur"
        os.rename(cur / "0.x.y:2,", cur / "0.x.y:2,F")
        os.unlink(cur / "1.x.y:2,")
        self.deliver("new.x.y")
        settle()
        again = self.tracked()
        numbers = self.numbers(again)
        changed = {uid for uid, number in numbers.items() if number > highest}
        self.assertEqual(len(changed), 2)
        self.assertEqual(len(numbers), 5)
        self.assertEqual(len(self.kept(again).vanished(highest, ALL) or ()), 1)

    def test_a_change_of_others_beside_one_of_ours(self) -> None:
        """The directory seems to have changed by us alone: it is listed later."""
        settle()
        mailbox = self.tracked()
        name = mailbox._core.index.name(Uid(2))
        assert name is not None
        other = os.fsencode(self.folder() / "cur") + b"/" + name
        rename = fsops.rename_new

        def both(old: bytes, new: bytes, cur: int) -> None:
            rename(old, new, cur)
            os.rename(other, other + b"F")

        with (
            mock.patch.object(fsops, "rename_new", both),
            mock.patch.object(scan, "CONFIRM_SECONDS", 60.0),
        ):
            ours = self.flag(mailbox, 1)
        self.assertFalse(mailbox.changed())
        changes = mailbox.track()
        self.assertEqual(set(changes.flags), {2})
        self.assertGreater(self.numbers(mailbox)[2], ours)

    def test_what_came_and_went_while_nobody_kept_numbers(self) -> None:
        mailbox = self.tracked()
        highest = self.kept(mailbox).highest
        mailbox.close()
        plain = self.open()
        plain.sync(claim_recent=False)
        plain.copy_from(plain, [Uid(1)], False, False)
        plain.store_flags([Uid(6)], ADD, [rb"\Deleted"])
        plain.expunge([Uid(6)])
        plain.close()
        again = self.tracked()
        self.assertEqual(self.kept(again).vanished(highest, ALL), [(6, 6)])

    def test_many_chunks(self) -> None:
        self.count = 0
        for number in range(1030):
            self.deliver(f"m{number}.x.y:2,", part="cur")
        mailbox = self.tracked()
        flagged = self.flag(mailbox, 1, 1024, 1035)
        mailbox.close()
        again = self.tracked()
        numbers = self.numbers(again)
        self.assertEqual(
            {uid for uid, n in numbers.items() if n == flagged}, {1, 1024, 1035}
        )
        self.flag(again, 1030)
        again.close()
        with sqlite3.connect(self.root / "imapd-state.sqlite3") as connection:
            rows = connection.execute("SELECT chunk, version FROM modseq_chunk")
            self.assertEqual(sorted(rows), [(0, 1), (1, 2)])
        connection.close()

    def test_a_uid_near_the_largest(self) -> None:
        mailbox = self.tracked()
        highest = self.kept(mailbox).highest
        mailbox.close()
        uidlist = self.folder() / "dovecot-uidlist"
        head, *rest = uidlist.read_text().splitlines(keepends=True)
        head = re.sub(r" N\d+", " N4294967290", head)
        uidlist.write_text(head + "".join(rest))
        again = self.tracked()
        self.assertEqual(self.kept(again).vanished(highest, ALL), [(6, 4294967289)])
        again.close()
        self.assertEqual(len(self.numbers(self.tracked())), 5)

    def test_a_folder_that_cannot_be_written_has_none(self) -> None:
        mailbox = self.open(read_only=True)
        mailbox.sync(claim_recent=False)
        mailbox.track()
        self.assertIsNone(mailbox.modseqs)

    def test_a_deleted_mailbox_leaves_nothing(self) -> None:
        mailbox = self.tracked()
        key = mailbox._core.numbering
        mailbox.close()
        self.assertIsNotNone(self.state.load_modseqs(key))
        self.state.forget_mailbox(key)
        self.assertIsNone(self.state.load_modseqs(key))


class TwoProcessesTests(ModSeqCase):
    def second(self) -> MaildirMailbox:
        self.modseqs = self.new_state()
        return self.tracked()

    def flush(self, mailbox: MaildirMailbox) -> None:
        save = mailbox.unsaved()
        if save is not None:
            save()

    def test_each_sees_what_the_other_did(self) -> None:
        first = self.tracked()
        self.flush(first)
        second = self.second()
        self.assertEqual(self.numbers(first), self.numbers(second))
        told = self.flag(first, 1)
        settle()
        second.track()
        self.assertGreater(self.numbers(second)[1], told)
        self.flush(first)
        self.flush(second)
        first.track()
        second.track()
        self.assertEqual(self.numbers(first), self.numbers(second))

    def test_a_flag_set_and_cleared_between_two_looks(self) -> None:
        first = self.tracked()
        self.flush(first)
        second = self.second()
        told = self.flag(first, 1)
        first.store_flags([Uid(1)], REMOVE, [FLAGGED])
        self.flush(first)
        second.track()
        self.assertGreater(self.numbers(second)[1], told)

    def test_expunges_of_the_other_are_remembered(self) -> None:
        # Hardening: D14.
        first = self.tracked()
        self.flush(first)
        second = self.second()
        before = self.kept(second).highest
        first.copy_from(first, [Uid(1)], False, False)
        first.store_flags([Uid(6)], ADD, [rb"\Deleted"])
        first.expunge([Uid(6)])  # the second has never seen it
        self.flush(first)
        second.track()
        self.assertEqual(self.kept(second).vanished(before, ALL), [(6, 6)])

    def test_one_writes_what_the_other_does_not_know(self) -> None:
        first = self.tracked()
        self.flush(first)
        second = self.second()
        first.copy_from(first, [Uid(1)], False, False)
        self.flush(first)
        told = self.numbers(first)[6]
        self.flag(second, 5)  # of the same chunk
        self.flush(second)
        first.close()
        second.close()
        self.assertEqual(self.numbers(self.tracked())[6], told)

    def test_while_the_clock_is_behind(self) -> None:
        # Hardening: D07.
        first = self.tracked()
        self.flush(first)
        second = self.second()
        with mock.patch(CLOCK, return_value=5):
            numbers = [self.flag(first, 1), self.flag(second, 2), self.flag(first, 3)]
        self.assertEqual(numbers, sorted(set(numbers)))

    def test_a_number_from_the_time_when_the_clock_was_ahead(self) -> None:
        """The one told 2,000 what the other numbers by time, 1,600."""
        first = self.tracked()
        self.flush(first)
        second = self.second()
        ahead = modseqmerge.now_microseconds() + 3_600_000_000
        with mock.patch(CLOCK, return_value=ahead):
            self.flag(first, 1)
        ours = self.flag(second, 2)
        self.assertLess(ours, ahead)
        self.flush(first)
        told = self.kept(first).highest
        second.track()
        self.assertGreater(self.numbers(second)[2], told)

    def test_the_same_when_it_was_written_before_we_knew(self) -> None:
        first = self.tracked()
        self.flush(first)
        second = self.second()
        ahead = modseqmerge.now_microseconds() + 3_600_000_000
        with mock.patch(CLOCK, return_value=ahead):
            told = self.flag(first, 1)
        self.flush(first)
        self.assertLess(self.flag(second, 2), told)
        second.store_flags([Uid(3)], ADD, [rb"\Deleted"])
        second.expunge([Uid(3)])
        self.flush(second)
        second.track()
        self.assertGreater(self.numbers(second)[2], told)
        self.assertEqual(self.kept(second).vanished(told, ALL), [(3, 3)])

    def test_the_other_has_told_what_it_writes_only_later(self) -> None:
        self.tell_before_it_is_written(ours_is_written=False)

    def test_the_same_when_ours_is_written_first(self) -> None:
        self.tell_before_it_is_written(ours_is_written=True)

    def tell_before_it_is_written(self, *, ours_is_written: bool) -> None:
        """Then the clock is set back, and ours gives numbers without knowing."""
        first, second = self.tracked(), self.second()
        told = self.kept(second).highest
        with mock.patch(CLOCK, return_value=told - 7_200_000_000):
            first.store_flags([Uid(2)], ADD, [rb"\Deleted"])
            first.expunge([Uid(2)])
            self.flag(first, 4)
            self.assertLess(self.kept(first).highest, told)
            if ours_is_written:
                self.flush(first)
            self.flush(second)
            self.flag(second, 1)
            settle()
            first.sync(claim_recent=False)  # takes a number that is above both
            first.track()
        self.assertEqual(self.kept(first).vanished(told, ALL), [(2, 2)])
        self.assertGreater(self.numbers(first)[4], told)
        self.assertEqual(self.numbers(first)[5], told, "it did not change")
        self.flush(first)
        third = self.second()
        self.assertEqual(self.kept(third).vanished(told, ALL), [(2, 2)])
        self.assertGreater(self.numbers(third)[4], told)


if __name__ == "__main__":
    unittest.main()
