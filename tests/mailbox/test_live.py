"""One mailbox for several sessions, with workers that take their time."""

from imapd.errors import (
    MessageGone,
    NoDestination,
    NoPermission,
    NoSuchMailbox,
    ReadOnly,
    Unavailable,
)
from imapd.ids import INBOX, Seq, Uid
from imapd.mailbox import searchrun
from imapd.mailbox.search import BATCH_MESSAGES
from imapd.model.flags import DELETED, FLAGGED, SEEN, StoreMode
from imapd.model.numbered import Numbered
from imapd.model.requests import FetchAtom
from imapd.model.search import And, HasFlag, Not, Text
from tests.mailbox.live_case import BOX, Listener, LiveCase


class SharingTests(LiveCase):
    def test_two_sessions_share_one_and_the_last_closes_it(self) -> None:
        one, two = self.select(), self.select()
        self.assertIs(one._live, two._live)
        self.assertEqual(self.live().users, 2)
        self.run_now(one.close())
        self.run_now(one.close())
        self.assertEqual(self.inbox.closed, 0)
        self.run_now(two.close())
        self.assertEqual(self.inbox.closed, 1)
        self.assertEqual(self.account._live, {})

    def test_two_sessions_that_open_at_once_share_one(self) -> None:
        opening = [
            self.start(self.account.select(INBOX, read_only=False, listener=Listener()))
            for _ in range(2)
        ]
        self.workers.finish()
        one, two = map(self.successResultOf, opening)
        self.assertIs(one._live, two._live)
        self.assertEqual(self.live().users, 2)

    def test_a_late_second_session_does_not_get_a_closed_mailbox(self) -> None:
        # Two open at once; the second's own store is being put back while the
        # first one leaves.
        first = self.start(
            self.account.select(INBOX, read_only=False, listener=Listener())
        )
        second = self.start(
            self.account.select(INBOX, read_only=False, listener=Listener())
        )
        self.workers.step()  # the first has its store and asks for a sync
        self.workers.step()  # the second has a store too, and puts it back
        self.workers.step()  # the sync of the first
        leaving = self.start(self.successResultOf(first).close())
        self.workers.step(len(self.workers.waiting) - 1)
        self.workers.finish()
        self.successResultOf(leaving)
        selected = self.successResultOf(second)
        self.assertEqual(len(selected.view), 4)
        self.run_now(selected.close())
        self.assertEqual(self.account._live, {})

    def test_a_mailbox_that_does_not_open_leaves_nothing(self) -> None:
        self.fails(
            self.account.select(("no",), read_only=False, listener=Listener()),
            NoSuchMailbox,
        )
        self.inbox.lost = True
        self.fails(
            self.account.select(INBOX, read_only=False, listener=Listener()),
            NoSuchMailbox,
        )
        self.assertEqual(self.account._live, {})

    def test_recent_is_one_sessions_own(self) -> None:
        reader = self.select(read_only=True)
        self.assertEqual(reader.view.recent, {1, 2, 3, 4})
        one, two = self.select(), self.select()
        self.assertEqual(one.view.recent, {1, 2, 3, 4})
        self.assertEqual(two.view.recent, set())
        self.inbox.deliver()
        self.run_now(two.refresh())
        for selected in (reader, one, two):
            selected.view.drain(may_expunge=True)
        self.assertIn(5, one.view.recent)
        self.assertNotIn(5, two.view.recent)

    def test_status_claims_nothing(self) -> None:
        self.assertEqual(
            self.run_now(self.account.status(INBOX, with_size=True)).recent, 4
        )
        self.assertEqual(self.select().view.recent, {1, 2, 3, 4})
        status = self.run_now(self.account.status(INBOX, with_size=False))
        self.assertEqual((status.messages, status.recent), (4, 0))
        self.assertIsNone(status.size_octets)

    def test_changes_reach_every_session(self) -> None:
        listeners = Listener(), Listener()
        one, two = (self.select(listener=each) for each in listeners)
        self.run_now(one.store([Uid(1)], StoreMode.ADD, [DELETED]))
        self.run_now(two.expunge())
        self.assertEqual([each.news for each in listeners], [2, 2])
        for selected in (one, two):
            self.assertEqual(selected.view.drain(may_expunge=True).expunged, [1])

    def test_one_look_serves_all_who_wait_for_it(self) -> None:
        # Hardening: V13.
        selected = [self.select() for _ in range(3)]
        self.inbox.deliver()
        before = self.inbox.syncs
        waiting = [self.start(each.refresh()) for each in selected * 100]
        self.workers.finish()
        for each in waiting:
            self.successResultOf(each)
        self.assertLessEqual(self.inbox.syncs - before, 2)
        self.assertTrue(all(each.view.has_news for each in selected))

    def test_a_look_that_fails_fails_for_all_who_wait_for_it(self) -> None:
        one, two = self.select(), self.select()
        self.inbox.lost = True
        waiting = [self.start(each.refresh()) for each in (one, one, two)]
        self.workers.finish()
        for each in waiting:
            self.failureResultOf(each, NoSuchMailbox)

    def test_many_who_wait_for_a_mailbox_that_goes_away(self) -> None:
        live = self.select()._live
        self.inbox.deliver()
        holding = self.start(live.refresh())
        waiting = [
            self.start(live.store_flags([Uid(1)], StoreMode.ADD, [SEEN]))
            for _ in range(50)
        ]
        live.vanish("deleted")
        self.workers.finish()
        self.successResultOf(holding)
        for each in waiting:
            self.failureResultOf(each, NoSuchMailbox)
        self.assertFalse(live._lock.locked)


class SearchTests(LiveCase):
    # Hardening: P13.

    def test_flags_need_no_worker(self) -> None:
        for _ in range(2500):
            self.box.deliver(b"Subject: x\r\n\r\n", SEEN)
        selected = self.select(BOX)
        del self.box.disk[Uid(7)]
        self.run_now(selected.refresh())
        searching = self.start(selected.search(HasFlag(SEEN)))
        self.assertEqual(self.workers.waiting, [])
        found = self.successResultOf(searching)
        self.assertEqual(found[5:8], [(6, 6), (8, 8), (9, 9)])
        self.assertEqual(found[-1], (2500, 2500))
        self.assertEqual(len(found), 2499)

    def test_a_search_that_computes_for_long_does_it_in_a_worker(self) -> None:
        for _ in range(2500):
            self.box.deliver(b"Subject: x\r\n\r\n", SEEN)
        selected = self.select(BOX)
        key = And((HasFlag(SEEN),) * 499)
        searching = self.start(selected.search(key))
        self.assertEqual(len(self.workers.waiting), 1)
        self.workers.finish()
        self.assertEqual(len(self.successResultOf(searching)), 2500)

    def test_large_mailboxes_are_searched_piece_by_piece(self) -> None:
        self.patch(searchrun, "STEP_SECONDS", 0)
        for _ in range(200):
            self.box.deliver(b"Subject: x\r\n\r\n")
        selected = self.select(BOX)
        searching = self.start(selected.search(Text("SUBJECT")))
        steps = 0
        while self.workers.waiting:
            self.assertEqual(len(self.workers.waiting), 1)
            self.workers.step()
            steps += 1
            self.assertLessEqual(len(self.box.reads), steps * BATCH_MESSAGES)
        self.assertEqual(len(self.successResultOf(searching)), 200)

    def test_of_one_user_two_searches_run_and_the_rest_wait_in_turn(self) -> None:
        # Hardening: V03.
        sessions = [self.select() for _ in range(4)]
        searching = [self.start(each.search(Text("x"))) for each in sessions]
        self.assertEqual(len(self.workers.waiting), 2)
        flags = self.start(sessions[0].search(Not(HasFlag(SEEN))))
        self.assertEqual(len(self.successResultOf(flags)), 4)
        while not searching[0].called:
            self.workers.step()
        self.assertEqual(len(self.workers.waiting), 2)
        self.workers.finish()
        for each in searching:
            self.assertEqual(len(self.successResultOf(each)), 4)

    def test_who_waits_in_turn_and_leaves_is_not_served(self) -> None:
        sessions = [self.select() for _ in range(3)]
        searching = [self.start(each.search(Text("x"))) for each in sessions]
        closing = self.start(sessions[2].close())
        self.workers.finish()
        self.successResultOf(closing)
        for each in searching:
            self.assertTrue(each.called)
        self.assertEqual(len(self.inbox.reads), 8)

    def test_nobody_waits_for_the_rest(self) -> None:
        for _ in range(200):
            self.box.deliver()
        self.patch(searchrun, "STEP_SECONDS", 0)
        selected = self.select(BOX)
        searching = self.start(selected.search(Text("nothing")))
        self.workers.step()
        self.workers.step()
        closing = self.start(selected.close())
        self.workers.finish()
        self.successResultOf(closing)
        self.assertTrue(searching.called)
        searching.addErrback(lambda failure: failure.trap(Unavailable))
        self.assertLessEqual(len(self.box.reads), 128)


class LossTests(LiveCase):
    def test_deleted_under_a_session(self) -> None:
        listener = Listener()
        selected = self.select(BOX, listener=listener)
        self.run_now(self.account.delete(BOX))
        self.assertEqual(len(listener.lost), 1)
        self.fails(selected.store([Uid(1)], StoreMode.ADD, [SEEN]), NoSuchMailbox)
        self.run_now(selected.close())
        self.store.create(BOX)
        self.assertEqual(len(self.select(BOX).view), 0)

    def test_renamed_under_a_session(self) -> None:
        listener = Listener()
        self.store.create(("box", "child"))
        self.select(("box", "child"), listener=listener)
        self.run_now(self.account.rename(BOX, ("other",)))
        self.assertEqual(len(listener.lost), 1)

    def test_numbered_anew(self) -> None:
        listener = Listener()
        one = self.select(listener=listener)
        self.inbox.renumber()
        # A session that enters now must not get the old numbers.
        two = self.select()
        self.assertEqual(len(listener.lost), 1)
        self.assertEqual((two.uid_validity, len(two.view)), (2, 4))
        self.assertIsNot(one._live, two._live)
        status = self.run_now(self.account.status(INBOX, with_size=False))
        self.assertEqual((status.uid_validity, status.messages), (2, 4))

    def test_who_enters_while_it_is_numbered_anew_gets_the_new_numbers(self) -> None:
        one = self.select()
        self.inbox.renumber()
        del self.inbox.disk[Uid(1)]
        looking = self.start(one.refresh())
        entering = self.start(
            self.account.select(INBOX, read_only=False, listener=Listener())
        )
        self.workers.finish()
        self.failureResultOf(looking, Unavailable)
        two = self.successResultOf(entering)
        self.assertEqual((two.uid_validity, list(two.view.uids)), (2, [2, 3, 4]))
        self.assertFalse(two._live.gone)

    def test_who_enters_while_it_is_deleted_gets_nothing(self) -> None:
        self.select(BOX)
        self.box.deliver()
        entering = self.start(
            self.account.select(BOX, read_only=False, listener=Listener())
        )
        self.live(BOX).vanish("The mailbox was deleted or renamed")
        self.workers.finish()
        self.failureResultOf(entering, NoSuchMailbox)

    def test_what_waited_while_it_was_numbered_anew_is_not_told_it_is_gone(
        self,
    ) -> None:
        one = self.select()
        append = self.run_now(self.account.begin_append(INBOX))
        append.begin((), None)
        self.inbox.renumber()
        looking = self.start(one.refresh())
        storing = self.start(append.commit())
        asking = self.start(self.account.status(INBOX, with_size=False))
        self.workers.finish()
        self.failureResultOf(looking, Unavailable)
        # Neither TRYCREATE nor NONEXISTENT: clients would believe it.
        self.failureResultOf(storing, Unavailable)
        status = self.successResultOf(asking)
        self.assertEqual((status.uid_validity, status.messages), (2, 4))

    def test_status_of_a_mailbox_numbered_anew_counts_the_new(self) -> None:
        self.select()
        self.inbox.renumber()
        self.inbox.deliver()
        status = self.run_now(self.account.status(INBOX, with_size=False))
        self.assertEqual(
            (status.uid_validity, status.messages, status.uid_next), (2, 5, 6)
        )

    def test_what_was_read_under_new_numbers_is_not_sent(self) -> None:
        one, two = self.select(), self.select()

        async def fetch() -> list[bytes]:
            messages = Numbered.of((Seq(n), Uid(n)) for n in (1, 2))
            batches = one.fetch(messages, (FetchAtom.RFC822_HEADER,), with_uid=True)
            return [batch async for batch in batches]

        fetching = self.start(fetch())
        self.inbox.renumber()
        looking = self.start(two.refresh())
        self.workers.step(1)  # the look is done before the reading is
        self.failureResultOf(looking, Unavailable)
        self.workers.finish()
        self.failureResultOf(fetching, Unavailable)

    def test_renaming_inbox_is_done_even_if_it_cannot_be_looked_at(self) -> None:
        selected = self.select()
        renaming = self.start(self.account.rename(INBOX, ("old",)))
        self.workers.step()
        leaving = self.start(selected.close())
        self.workers.finish()
        self.successResultOf(leaving)
        self.successResultOf(renaming)
        self.assertEqual(len(self.store.boxes[("old",)].disk), 4)

    def test_a_store_that_does_not_close_fails_nobody(self) -> None:
        def close(*_: object) -> None:
            raise Unavailable("no")

        for box in (self.inbox, self.box):
            setattr(box, "close", close)  # noqa: B010
        selected = self.select()
        copied = self.run_now(selected.copy([Uid(1)], BOX, move=False))
        self.assertEqual(copied, (1, [(1, 1)]))
        appending = self.run_now(self.account.begin_append(BOX))
        appending.begin((), None)
        self.assertEqual(self.run_now(appending.commit()).uids, [2])
        self.run_now(selected.close())
        self.assertEqual(len(self.flushLoggedErrors(Unavailable)), 3)


class CopyTests(LiveCase):
    def test_both_ways_at_once(self) -> None:
        self.box.deliver()
        one, two = self.select(), self.select(BOX)
        there = self.start(one.copy([Uid(1), Uid(2)], BOX, move=True))
        back = self.start(two.copy([Uid(1)], INBOX, move=True))
        within = self.start(one.copy([Uid(3)], INBOX, move=False))
        self.workers.finish()
        self.assertEqual(self.successResultOf(there), (1, [(1, 2), (2, 3)]))
        self.assertEqual(self.successResultOf(back), (1, [(1, 5)]))
        self.assertEqual(self.successResultOf(within), (1, [(3, 6)]))
        one.view.drain(may_expunge=True)
        two.view.drain(may_expunge=True)
        self.assertEqual(list(one.view.uids), [3, 4, 5, 6])
        self.assertEqual(list(two.view.uids), [2, 3])

    def test_refusals(self) -> None:
        reader = self.select(read_only=True)
        self.fails(reader.copy([Uid(1)], BOX, move=True), ReadOnly)
        self.fails(reader.copy([Uid(1)], ("no",), move=False), NoDestination)
        # READ-ONLY would tell the client that its own mailbox is.
        self.box.read_only = True
        self.fails(reader.copy([Uid(1)], BOX, move=False), NoPermission)
        self.fails(self.account.begin_append(BOX), NoPermission)
        self.fails(self.account.begin_append(("no",)), NoDestination)
        del self.inbox.disk[Uid(1)]
        self.run_now(reader.refresh())
        self.fails(reader.copy([Uid(1)], BOX, move=False), MessageGone)
        self.run_now(reader.close())
        self.assertEqual(self.account._live, {})

    def test_every_failing_step_of_copy_gives_back_what_it_held(self) -> None:
        # Hardening: D20.
        for name in ("mailbox", "copy_from", "close"):
            with self.subTest(name):
                self.setUp()
                selected = self.select()
                owner = self.store if name == "mailbox" else self.box

                def fail(*_: object, **__: object) -> None:
                    raise Unavailable("no")

                setattr(owner, name, fail)
                done = self.start(selected.copy([Uid(1)], BOX, move=False))
                self.workers.finish()
                if name == "close":
                    self.successResultOf(done)
                    self.flushLoggedErrors(Unavailable)
                else:
                    self.failureResultOf(done, Unavailable)
                self.assertEqual(list(self.account._live), [INBOX])
                self.run_now(selected.store([Uid(1)], StoreMode.ADD, [FLAGGED]))


class AppendTests(LiveCase):
    def test_written_committed_and_told(self) -> None:
        selected = self.select()
        appending = self.run_now(self.account.begin_append(INBOX))
        appending.begin([SEEN], 5)
        self.run_now(appending.write(b"Subject: "))
        self.run_now(appending.write(b"x" * (300 << 10)))
        self.run_now(appending.end())
        appended = self.run_now(appending.commit())
        self.run_now(appending.abort())
        self.assertEqual(list(appended.uids), [5])
        self.assertEqual(len(self.inbox.disk[Uid(5)].octets), 9 + (300 << 10))
        self.assertEqual(selected.view.drain(may_expunge=False).exists, 5)
        self.assertEqual(self.live().users, 1)

    def test_appended_before_anybody_looked(self) -> None:
        # One upload goes on; another is done, and its client looks at the mailbox.
        slow = self.run_now(self.account.begin_append(BOX))
        quick = self.run_now(self.account.begin_append(BOX))
        quick.begin((), None)
        self.run_now(quick.commit())
        self.assertEqual(list(self.select(BOX).view.uids), [1])
        self.run_now(slow.abort())

    def test_a_failed_commit_is_aborted_and_given_back(self) -> None:
        def fail(*_: object) -> None:
            raise Unavailable("no")

        setattr(self.inbox, "commit", fail)  # noqa: B010
        appending = self.run_now(self.account.begin_append(INBOX))
        appending.begin((), None)
        self.fails(appending.commit(), Unavailable)
        self.assertTrue(appending._delivery.aborted)  # type: ignore[attr-defined]
        self.assertEqual(self.account._live, {})

    def test_deleted_while_it_is_uploaded(self) -> None:
        appending = self.run_now(self.account.begin_append(BOX))
        appending.begin((), None)
        self.run_now(self.account.delete(BOX))
        self.fails(appending.commit(), NoDestination)
        self.assertEqual(self.account._live, {})


class StoreFailureTests(LiveCase):
    def test_every_failing_call_leaves_the_mailbox_usable(self) -> None:
        def fail(*_: object, **__: object) -> None:
            raise Unavailable("no")

        for name in ("sync", "store_flags", "expunge", "meta"):
            with self.subTest(name):
                self.setUp()
                selected = self.select()
                self.run_now(selected.store([Uid(1)], StoreMode.ADD, [DELETED]))
                original = getattr(self.inbox, name)
                setattr(self.inbox, name, fail)
                self.inbox.deliver()
                for each in (
                    selected.refresh(),
                    selected.store([Uid(2)], StoreMode.ADD, [SEEN]),
                    selected.expunge(),
                    self.account.status(INBOX, with_size=True),
                    self.account.select(INBOX, read_only=False, listener=Listener()),
                ):
                    done = self.start(each)
                    self.workers.finish()
                    done.addErrback(lambda failure: failure.trap(Unavailable))
                    self.assertTrue(done.called)
                setattr(self.inbox, name, original)
                self.run_now(selected.refresh())
                self.run_now(selected.expunge())
                selected.view.drain(may_expunge=True)
                self.assertEqual(list(selected.view.uids), [2, 3, 4, 5])
