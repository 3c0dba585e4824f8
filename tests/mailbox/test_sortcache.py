"""What SORT and THREAD keep in memory: right whatever is asked, and bounded."""

import gc
import unittest

from hypothesis import given
from hypothesis import strategies as st

from imapd.ids import Uid
from imapd.mailbox.sortcache import MOST_ANSWERS, Column, KeyCache, MailboxKeys
from imapd.model.numbered import uid_array

UIDS = st.integers(1, 30).map(Uid)
BATCHES = st.lists(st.dictionaries(UIDS, st.binary(max_size=3)), max_size=8)


class Mailbox:
    """Anything that has an identity."""


class ColumnTests(unittest.TestCase):
    @given(BATCHES, st.sets(UIDS))
    def test_it_finds_what_was_put_in(
        self, batches: list[dict[Uid, bytes]], asked: set[Uid]
    ) -> None:
        column = Column()
        known: dict[Uid, bytes] = {}
        for batch in batches:
            column.add(batch)
            known = batch | known  # what was there stays
        self.assertEqual(list(column.uids), sorted(known))
        for uids in (sorted(asked), sorted(known), list(range(1, 31))):
            self.assertEqual(
                column.find(uid_array(uids)), [known.get(Uid(uid)) for uid in uids]
            )
        left = column.only(asked)
        self.assertEqual(list(left.uids), sorted(asked & known.keys()))
        self.assertEqual(list(column.uids), sorted(known))
        self.assertLessEqual(left.octets, column.octets)


class MailboxKeysTests(unittest.TestCase):
    def test_an_answer_is_of_its_messages_alone(self) -> None:
        keys = MailboxKeys()
        some = uid_array((1, 2, 3))
        keys.remember("x", some, [2, 0, 1])
        self.assertEqual(keys.answer("x", some), [2, 0, 1])
        self.assertEqual(keys.answer("x", uid_array((1, 2, 3))), [2, 0, 1])
        for others in ((), (1, 2), (1, 2, 4), (1, 2, 3, 4)):
            self.assertIsNone(keys.answer("x", uid_array(others)), others)
        self.assertIsNone(keys.answer("y", some))

    def test_few_answers_are_kept(self) -> None:
        keys, some = MailboxKeys(), uid_array((1,))
        for number in range(10):
            keys.remember(number, some, [0])
            keys.answer(0, some)  # one that is asked for again and again stays
        kept = [number for number in range(10) if keys.answer(number, some)]
        self.assertEqual(len(kept), MOST_ANSWERS)
        self.assertIn(0, kept)

    def test_what_was_expunged_is_forgotten_in_time(self) -> None:
        keys = MailboxKeys()
        many = {Uid(uid): b"x" for uid in range(1, 5001)}
        keys.column("a").add(many)
        working = keys.column("a")
        keys.prune(uid_array(range(1, 4501)))
        self.assertEqual(len(keys.column("a").uids), 5000, "not worth it yet")
        keys.prune(uid_array(range(1, 11)))
        self.assertEqual(list(keys.column("a").uids), list(range(1, 11)))
        self.assertEqual(len(working.uids), 5000, "somebody works with it")


class KeyCacheTests(unittest.TestCase):
    def fill(self, cache: KeyCache, mailbox: Mailbox) -> None:
        keys = cache.of(mailbox)
        keys.column("a").add({Uid(1): b"x" * 1000})
        keys.grown = True
        cache.trim(keys)

    def kept(self, cache: KeyCache, mailboxes: list[Mailbox]) -> list[int]:
        return [at for at, each in enumerate(mailboxes) if cache.of(each).octets]

    def test_those_not_asked_for_lately_are_forgotten(self) -> None:
        cache = KeyCache(most_octets=3500)
        mailboxes = [Mailbox() for _ in range(5)]
        for mailbox in mailboxes:
            self.fill(cache, mailbox)
            cache.of(mailboxes[0])
        self.assertEqual(self.kept(cache, mailboxes), [0, 3, 4])

    def test_one_that_is_too_large_is_forgotten(self) -> None:
        cache, mailbox = KeyCache(most_octets=10), Mailbox()
        self.fill(cache, mailbox)
        self.assertEqual(self.kept(cache, [mailbox]), [])

    def test_they_go_with_their_mailbox(self) -> None:
        cache, mailbox = KeyCache(), Mailbox()
        self.fill(cache, mailbox)
        del mailbox
        gc.collect()
        self.assertEqual(len(cache._mailboxes), 0)
