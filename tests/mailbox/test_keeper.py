"""Mailboxes kept for the next session: found loaded, bounded, closed in the end."""

from imapd.errors import NoSuchMailbox
from imapd.ids import INBOX, Uid
from tests.mailbox.live_case import BOX, Listener, LiveCase


class KeeperTests(LiveCase):
    kept_octets = 1 << 20

    def leave(self, path: tuple[str, ...] = INBOX) -> None:
        self.run_now(self.select(path).close())

    def test_the_next_session_finds_it_loaded(self) -> None:
        self.leave()
        syncs = self.inbox.syncs
        self.assertEqual(list(self.select().view.uids), [1, 2, 3, 4])
        self.assertEqual((self.inbox.syncs, self.inbox.closed), (syncs, 0))

    def test_what_happened_meanwhile_is_seen(self) -> None:
        self.leave()
        del self.inbox.disk[Uid(2)]
        new = self.inbox.deliver()
        selected = self.select()
        self.assertEqual(list(selected.view.uids), [1, 3, 4, 5])
        self.assertEqual(selected.view.recent, {new})

    def test_recent_is_told_once(self) -> None:
        first = self.select()
        self.assertEqual(len(first.view.recent), 4)
        self.run_now(first.close())
        self.assertEqual(len(self.select().view.recent), 0)

    def test_deleted_or_renamed_while_it_is_kept(self) -> None:
        self.leave(BOX)
        self.run_now(self.account.delete(BOX))
        self.assertEqual((self.box.closed, len(self.account._keeper)), (1, 0))
        self.fails(
            self.account.select(BOX, read_only=False, listener=Listener()),
            NoSuchMailbox,
        )
        self.run_now(self.account.create(BOX))
        self.assertEqual(list(self.select(BOX).view.uids), [])

    def test_numbered_anew_while_it_is_kept(self) -> None:
        self.leave()
        self.inbox.renumber()
        selected = self.select()
        self.assertEqual(selected.uid_validity, 2)
        self.assertEqual(list(selected.view.uids), [1, 2, 3, 4])
        self.assertEqual(self.inbox.closed, 1)

    def test_the_one_unused_for_longest_goes_first(self) -> None:
        self.leave(BOX)
        self.leave(INBOX)
        keeper = self.account._keeper
        self.assertEqual(len(keeper), 2)
        keeper._most_octets = keeper._octets - 1
        self.leave(INBOX)
        self.workers.finish()
        self.assertEqual((self.box.closed, self.inbox.closed), (1, 0))
        self.leave(BOX)
        self.workers.finish()
        self.assertEqual((self.box.closed, self.inbox.closed), (1, 1))
        self.assertEqual(len(keeper), 1)

    def test_the_account_closes_them(self) -> None:
        self.leave(BOX)
        held = self.select(INBOX)
        self.run_now(self.account.close())
        self.assertEqual((self.box.closed, self.inbox.closed), (1, 0))
        self.assertEqual(len(self.account._keeper), 0)
        self.run_now(held.close())
