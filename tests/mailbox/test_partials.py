"""A message fetched in pieces is read once, and not kept for ever."""

import unittest
from unittest import mock

from imapd.ids import Seq, Uid
from imapd.mailbox import partials
from imapd.mailbox.message import LazyMessage
from imapd.mailbox.partials import PARTIALS, PartialCache
from imapd.mailbox.selected import Selected
from imapd.model.numbered import Numbered
from imapd.model.requests import FetchSection
from imapd.model.structure import Partial, Section
from tests.mailbox.live_case import LiveCase
from tests.support.memory import MemoryMailbox, OpenMailbox

BODY = b"Subject: x\r\n\r\n" + b"0123456789abcde\n" * 20_000


class PieceTests(LiveCase):
    def fetch(self, selected: Selected, uid: Uid, first: int, count: int) -> bytes:
        item = FetchSection(Section(), True, Partial(first, count))
        seq = selected.view.seq(uid) or Seq(0)

        async def collect() -> bytes:
            messages = Numbered.of([(seq, uid)])
            batches = selected.fetch(messages, (item,), with_uid=False)
            return b"".join([batch async for batch in batches])

        return self.run_now(collect())

    def test_it_is_read_once_for_all_pieces(self) -> None:
        uid = self.inbox.deliver(BODY)
        selected = self.select()
        wire = BODY.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        got = b""
        while len(got) < len(wire):
            answer = self.fetch(selected, uid, len(got), 65536)
            got += answer.partition(b"}\r\n")[2].removesuffix(b")\r\n")
        self.assertEqual(got, wire)
        self.assertEqual(self.inbox.reads, [uid])
        self.assertEqual(len(PARTIALS), 1)
        self.run_now(selected.close())
        self.assertEqual(len(PARTIALS), 0)

    def test_it_is_let_go_when_the_session_idles(self) -> None:
        uid = self.inbox.deliver(BODY)
        selected = self.select()
        self.fetch(selected, uid, 0, 10)
        self.assertEqual(len(PARTIALS), 1)
        selected.watch(True)
        self.assertEqual(len(PARTIALS), 0)
        self.run_now(selected.close())

    def test_a_small_one_is_not_kept(self) -> None:
        selected = self.select()
        self.fetch(selected, Uid(1), 0, 10)
        self.assertEqual(len(PARTIALS), 0)
        self.run_now(selected.close())


class CacheTests(unittest.TestCase):
    def message(self, octets: int, uid: int = 1) -> LazyMessage:
        box = MemoryMailbox()
        for _ in range(uid):
            box.deliver(b"x" * octets)
        message = LazyMessage(OpenMailbox(box), Uid(uid), whole=True)
        self.assertEqual(len(message.stored), octets)
        return message

    def test_all_together_are_bounded(self) -> None:
        # Hardening: P26.
        with mock.patch.object(partials, "LEAST_OCTETS", 10):
            cache = PartialCache(100)
            cache.keep("a", self.message(60))
            cache.keep("b", self.message(30))
            self.assertIsNotNone(cache.find("a", Uid(1)))
            cache.keep("c", self.message(30))  # "a" was there first
            self.assertIsNone(cache.find("a", Uid(1)))
            self.assertIsNotNone(cache.find("b", Uid(1)))
            cache.keep("d", self.message(101))
            cache.keep("e", self.message(9))
            self.assertEqual(len(cache), 2)

    def test_each_session_has_one(self) -> None:
        with mock.patch.object(partials, "LEAST_OCTETS", 10):
            cache = PartialCache(100)
            cache.keep("a", self.message(60, 1))
            cache.keep("a", self.message(70, 2))
            self.assertIsNone(cache.find("a", Uid(1)))
            self.assertIsNotNone(cache.find("a", Uid(2)))
            cache.forget("a")
            cache.forget("a")
            self.assertEqual((len(cache), cache._octets), (0, 0))
