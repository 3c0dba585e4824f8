"""Answers that are asked for again: kept when asked twice, while they hold."""

import sys
from unittest import mock

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imapd.ids import Uid
from imapd.mailbox.blocks import (
    KEEP_SECONDS,
    LEAST_MESSAGES,
    BlockCache,
    BlockSource,
    MailboxBlocks,
    question_octets,
)
from imapd.mailbox.planning import Plan, plan
from imapd.model.flags import SEEN, Flags
from imapd.model.mailbox import MessageState
from imapd.model.numbered import Numbered
from imapd.model.requests import FetchAtom, FetchItem, FetchSection
from imapd.model.structure import Section, SectionText
from imapd.model.table import MessageTable
from imapd.store.maildir.mailbox import MaildirMailbox
from tests.support.server import Server

COUNT = 2 * LEAST_MESSAGES
ENVELOPES = plan((FetchAtom.FLAGS, FetchAtom.ENVELOPE))
#: Room for a block of 1000 octets, what it was made of, and what it is asked for by.
MOST_OCTETS = 1000 + 8 * COUNT + question_octets(ENVELOPES.items) + 200
NEVER: dict[str, tuple[FetchItem, ...]] = {
    "of memory": (FetchAtom.FLAGS,),
    "with a modification sequence": (FetchAtom.ENVELOPE, FetchAtom.MODSEQ),
    "read from the message": (FetchAtom.RFC822_TEXT,),
    "setting a flag": (FetchSection(Section(text=SectionText.HEADER), peek=False),),
}


def header_fields(names: tuple[bytes, ...]) -> FetchSection:
    return FetchSection(
        Section(text=SectionText.HEADER_FIELDS, fields=names), peek=True
    )


class BlockTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.cache = BlockCache(most_octets=MOST_OCTETS, clock=self.clock)
        self.blocks = MailboxBlocks(self.cache)
        self.table = MessageTable()
        self.table.add(
            MessageState(Uid(uid), Flags(), False) for uid in range(1, COUNT + 1)
        )
        self.recent: set[Uid] = set()
        self.source = self.source_of(self.blocks)
        self.asked = Numbered.of_runs(self.table.uids, [(1, COUNT)])

    def source_of(self, blocks: MailboxBlocks) -> BlockSource:
        return BlockSource(
            blocks, self.table, lambda uids: not self.recent.isdisjoint(uids)
        )

    def keep(
        self,
        octets: bytes = b"sent",
        source: BlockSource | None = None,
        items: Plan = ENVELOPES,
    ) -> None:
        for _ in range(2):
            (source or self.source).keep(items, self.asked, octets)

    def found(self) -> bytes | None:
        return self.source.find(ENVELOPES, self.asked)

    def test_what_is_asked_twice_is_kept(self) -> None:
        self.source.keep(ENVELOPES, self.asked, b"sent")
        self.assertIsNone(self.found())
        self.source.keep(ENVELOPES, self.asked, b"sent")
        self.assertEqual(self.found(), b"sent")

    def test_other_flags_are_another_answer(self) -> None:
        self.keep()
        self.table.set_flags({Uid(COUNT): Flags({SEEN})})
        self.assertIsNone(self.found())
        self.table.set_flags({Uid(COUNT): Flags()})
        self.assertEqual(self.found(), b"sent")

    def test_codes_that_mean_other_flags_are(self) -> None:
        self.keep()
        self.table.sets = [Flags({SEEN})]
        self.assertIsNone(self.found())

    def test_other_messages_and_numbers_are(self) -> None:
        self.keep()
        for first, last in ((1, COUNT - 1), (2, COUNT)):
            asked = Numbered.of_runs(self.table.uids, [(first, last)])
            self.assertIsNone(self.source.find(ENVELOPES, asked), (first, last))
        apart = Numbered.of_runs(self.table.uids, [(1, COUNT - 2), (COUNT, COUNT)])
        self.assertIsNone(self.source.find(ENVELOPES, apart))

    def test_one_that_is_gone_or_recent_is(self) -> None:
        self.keep()
        self.recent.add(Uid(3))
        self.assertIsNone(self.found())
        self.recent.clear()
        self.table.remove([Uid(3)])
        self.assertIsNone(self.found())

    def test_what_is_never_kept(self) -> None:
        for name, items in NEVER.items():
            for _ in range(2):
                self.source.keep(plan(items), self.asked, b"sent")
            self.assertIsNone(self.source.find(plan(items), self.asked), name)
        few = Numbered.of_runs(self.table.uids, [(1, LEAST_MESSAGES - 1)])
        for _ in range(2):
            self.source.keep(ENVELOPES, few, b"sent")
        self.assertEqual(self.cache.octets, 0)

    def test_all_mailboxes_together_are_bounded(self) -> None:
        sources = [self.source_of(MailboxBlocks(self.cache)) for _ in range(5)]
        for each in sources:
            self.keep(b"x" * 400, each)
            self.assertLessEqual(self.cache.octets, MOST_OCTETS)
        self.assertIsNotNone(sources[-1].find(ENVELOPES, self.asked))
        self.keep(b"x" * MOST_OCTETS)
        self.assertIsNone(self.found(), "more than all may have")
        self.keep(b"x" * 1000)
        self.assertEqual(self.found(), b"x" * 1000)
        self.assertLessEqual(self.cache.octets, MOST_OCTETS)

    def test_long_questions_take_their_own_octets(self) -> None:
        for number in range(20):
            fields = tuple(b"X-%d-%d" % (number, each) for each in range(100))
            self.source.keep(plan((header_fields(fields),)), self.asked, b"sent")
            self.assertLessEqual(self.octets_of_questions(), MOST_OCTETS)
        self.cache.bound(50 * MOST_OCTETS)
        self.keep(items=plan((header_fields((b"X" * MOST_OCTETS,)),)))
        self.assertGreater(self.octets_of_questions(), MOST_OCTETS)
        self.assertGreater(self.cache.octets, self.octets_of_questions())
        self.cache.close()
        self.assertEqual((self.cache.octets, self.blocks.answers), (0, {}))

    def octets_of_questions(self) -> int:
        """The names alone of all fields that the questions kept ask for."""
        return sum(
            sum(map(sys.getsizeof, item.section.fields))
            for items in self.blocks.answers
            for item in items
            if isinstance(item, FetchSection)
        )

    def test_what_was_asked_for_longest_ago_goes_first(self) -> None:
        sizes = plan((FetchAtom.RFC822_SIZE,))
        dates = plan((FetchAtom.INTERNALDATE,))
        self.cache.bound(3 * MOST_OCTETS)
        for each in (ENVELOPES, sizes, dates):
            self.keep(b"x" * 1000, items=each)
        self.assertIsNotNone(self.found())
        self.cache.bound(2 * MOST_OCTETS)
        self.clock.advance(KEEP_SECONDS)
        there = [
            self.source.find(each, self.asked) is not None
            for each in (ENVELOPES, sizes, dates)
        ]
        self.assertEqual(there, [True, False, True])

    def test_of_one_that_is_too_large_the_beginning_is_kept(self) -> None:
        halves = [
            Numbered.of_runs(self.table.uids, [run])
            for run in ((1, COUNT // 2), (COUNT // 2 + 1, COUNT))
        ]
        for _ in range(3):
            for half in halves:
                self.source.keep(ENVELOPES, half, b"x" * 600)
        there = [self.source.find(ENVELOPES, half) is not None for half in halves]
        self.assertEqual(there, [True, False])

    def test_less_room_is_made_in_time(self) -> None:
        self.keep(b"x" * 1000)
        self.cache.bound(1000)
        self.assertIsNotNone(self.found(), "it may be for a moment")
        self.clock.advance(KEEP_SECONDS)
        self.assertIsNone(self.found())
        self.assertEqual(self.cache.octets, 0)
        self.cache.bound(0)
        self.keep()
        self.assertEqual(self.cache.octets, 0)

    def test_what_is_not_asked_for_again_is_forgotten(self) -> None:
        self.keep()
        for _ in range(3):
            self.clock.advance(KEEP_SECONDS)
            self.assertIsNotNone(self.found())
        self.clock.pump([KEEP_SECONDS, KEEP_SECONDS])
        self.assertIsNone(self.found())
        self.assertEqual(self.cache.octets, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [], "nothing to wait for")

    def test_other_octets_take_the_place(self) -> None:
        self.keep(b"x" * 1000)
        self.table.set_flags({Uid(1): Flags({SEEN})})
        self.keep(b"y" * 1000)
        self.assertEqual(self.found(), b"y" * 1000)
        self.assertLessEqual(self.cache.octets, MOST_OCTETS)

    def test_the_blocks_of_a_mailbox_go_with_it(self) -> None:
        self.keep()
        self.blocks.close()
        self.assertEqual(self.cache.octets, 0)
        self.keep()
        self.assertIsNone(self.found(), "a FETCH outlived its mailbox")
        self.assertEqual(self.cache.octets, 0)

    def test_nothing_is_left_at_the_end(self) -> None:
        self.keep()
        self.cache.close()
        self.assertEqual(self.cache.octets, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class SessionTests(SynchronousTestCase):
    """Through a session: the same octets, until something changes."""

    def setUp(self) -> None:
        self.server = Server(self)
        inbox = self.server.maildir("alice")
        for part in ("cur", "new", "tmp"):
            (inbox / part).mkdir(parents=True)
        for number in range(COUNT):
            name = f"{1_600_000_000 + number}.made.here:2,S"
            (inbox / "cur" / name).write_bytes(b"Subject: %d\n\nx\n" % number)
        self.client = self.server.login(select="INBOX")

    def ask(self) -> bytes:
        self.client.command("FETCH 1:* (FLAGS ENVELOPE)")
        lines = self.client.raw.splitlines(keepends=True)
        return b"".join(lines[:-1])

    def test_the_same_until_something_changes(self) -> None:
        first = self.ask()
        self.assertEqual(first.count(b"FETCH"), COUNT)
        self.assertEqual(self.ask(), first)
        asked = AssertionError("the cache was asked again")
        with mock.patch.object(MaildirMailbox, "load_column", side_effect=asked):
            self.assertEqual(self.ask(), first)
        other = self.server.login(select="INBOX")
        other.ok("STORE 5 +FLAGS (\\Flagged)")
        changed = self.ask()
        self.assertIn(b"* 5 FETCH (FLAGS (\\Flagged \\Seen) ENVELOPE", changed)
        self.assertEqual(changed.count(b"\\Flagged"), 1)
        self.assertEqual(self.ask(), changed, "it was told once")
        other.ok("STORE 7 +FLAGS (\\Deleted)")
        other.ok("EXPUNGE")
        self.client.ok("NOOP")
        self.assertEqual(self.ask().count(b"FETCH"), COUNT - 1)
        self.assertNotIn(b'"6"', self.ask())
