"""The file of a large message is closed, however its FETCH ends."""

import os
import unittest
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, TypeVar
from unittest import mock

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.trial.unittest import SynchronousTestCase

from imapd.errors import Unavailable
from imapd.ids import Seq, Uid
from imapd.mailbox import rendering
from imapd.mailbox.live import LiveMailbox
from imapd.mailbox.planning import plan
from imapd.mailbox.selected import Selected
from imapd.mailbox.threads import InlineWorkers
from imapd.model.numbered import Numbered
from imapd.model.requests import FetchAtom, FetchItem, FetchSection
from imapd.model.structure import Section
from tests.store.folders import FolderTestCase

T = TypeVar("T")

OPEN_FILES = "/proc/self/fd"
WHOLE = FetchSection(section=Section(), partial=None, peek=True)
SEEN_TOO = FetchSection(section=Section(), partial=None, peek=False)


class _Listener:
    def mailbox_changed(self) -> None:
        """Nobody is told."""

    def mailbox_lost(self, why: str) -> None:
        """Nor of this."""


@unittest.skipUnless(os.path.isdir(OPEN_FILES), "open files cannot be counted here")
class LargeTests(FolderTestCase, SynchronousTestCase):
    # Hardening: V11.

    def setUp(self) -> None:
        super().setUp()
        small = mock.patch.object(rendering, "LARGE_OCTETS", 1000)
        small.start()
        self.addCleanup(small.stop)
        self.deliver("1.x.host:2,", b"Subject: x\n\n" + b"body\n" * 1000, part="cur")
        self.box = self.open()
        self.selected = Selected(
            LiveMailbox(self.box, InlineWorkers()),
            read_only=False,
            listener=_Listener(),
            watch=mock.Mock(),
            use=mock.Mock(),
            turns=DeferredSemaphore(2),
            release=mock.Mock(),
        )
        self.now(self.selected._live.join(self.selected))

    def now(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def held(self) -> list[str]:
        """Our messages that somebody has open."""
        found = []
        for name in os.listdir(OPEN_FILES):
            try:
                path = os.readlink(f"{OPEN_FILES}/{name}")
            except FileNotFoundError:  # the one by which they are listed
                continue
            if path.startswith(str(self.root / "box/cur")):
                found.append(path)
        return found

    def fetch(self, item: FetchSection) -> AsyncGenerator[bytes, None]:
        messages = Numbered.of([(Seq(1), Uid(1))])
        items: list[FetchItem] = [FetchAtom.UID, item]
        return self.selected.fetch(messages, items, with_uid=True)

    def next_of(self, answer: AsyncGenerator[bytes, None]) -> "Deferred[bytes]":
        async def step() -> bytes:
            return await anext(answer)

        return Deferred.fromCoroutine(step())

    def test_it_is_open_as_long_as_it_is_sent(self) -> None:
        answer = self.fetch(WHOLE)
        head = self.successResultOf(self.next_of(answer))
        self.assertEqual(head, b"* 1 FETCH (UID 1 BODY[] {6014}\r\n")
        self.assertEqual(len(self.held()), 1)
        while self.successResultOf(self.next_of(answer)) != b")\r\n":
            pass
        self.failureResultOf(self.next_of(answer), StopAsyncIteration)
        self.assertEqual(self.held(), [])

    def test_where_the_client_leaves(self) -> None:
        answer = self.fetch(WHOLE)
        self.successResultOf(self.next_of(answer))
        self.now(answer.aclose())
        self.assertEqual(self.held(), [])

    def test_where_the_messages_were_numbered_anew(self) -> None:
        fresh = self.root / "fresh"
        fresh.write_bytes(b"3 V77 N2 G" + b"b" * 32 + b"\n1 :1.x.host\n")
        os.rename(fresh, self.folder() / "dovecot-uidlist")
        self.box.sync(False)  # in another thread; the session has not heard of it yet
        rendered = self.box_renders()
        self.assertEqual(len(self.held()), 1)
        rendered.close()
        self.failureResultOf(self.next_of(self.fetch(WHOLE)), Unavailable)
        self.assertEqual(self.held(), [])

    def box_renders(self) -> rendering.Rendered:
        """What is checked then: the file is open already."""
        return rendering.render(self.box, plan([WHOLE]), [Uid(1)])

    def test_where_seen_cannot_be_set(self) -> None:
        def broken(*args: object) -> None:
            self.assertEqual(len(self.held()), 1)
            raise ZeroDivisionError

        with mock.patch.object(self.selected._live, "store_flags", broken):
            answer = self.next_of(self.fetch(SEEN_TOO))
        self.failureResultOf(answer, ZeroDivisionError)
        self.assertEqual(self.held(), [])
