"""One whole message is read on the spot: it alone, and of the right number."""

import os
import unittest
from collections.abc import Coroutine
from typing import Any, TypeVar
from unittest import mock

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.trial.unittest import SynchronousTestCase

from imapd.errors import Unavailable
from imapd.ids import Uid
from imapd.mailbox.live import LiveMailbox
from imapd.mailbox.planning import Plan, plan
from imapd.mailbox.selected import Selected
from imapd.mailbox.threads import InlineWorkers
from imapd.model.columns import fields_kind
from imapd.model.requests import FetchAtom, FetchItem, FetchSection
from imapd.model.structure import Section, SectionText
from tests.store.folders import FolderTestCase

T = TypeVar("T")

WHOLE = FetchSection(section=Section(), partial=None, peek=True)
FIELDS = FetchSection(
    section=Section(text=SectionText.HEADER_FIELDS, fields=(b"to",)),
    partial=None,
    peek=True,
)


class PlanTests(unittest.TestCase):
    def test_what_is_a_matter_of_a_moment(self) -> None:
        cases: dict[str, tuple[list[FetchItem], bool]] = {
            "whole": ([WHOLE], True),
            "with flags": ([FetchAtom.UID, FetchAtom.FLAGS, WHOLE], True),
            "with the size": ([FetchAtom.RFC822_SIZE, WHOLE], False),
            "fields": ([FIELDS], False),
            "many": ([WHOLE, FIELDS, FIELDS], False),
        }
        for name, (items, quick) in cases.items():
            self.assertIs(plan(items).whole_at is not None, quick, name)

    def test_names_of_fields_are_not_mixed_up(self) -> None:
        kinds = {
            fields_kind((b"a\nb", b"\xe9")),
            fields_kind((b"a", b"b", b"\xe9")),
            fields_kind((b"a", b"b\n\xe9")),
        }
        self.assertEqual(len(kinds), 3)


class _Listener:
    def mailbox_changed(self) -> None:
        """Nobody is told."""

    def mailbox_lost(self, why: str) -> None:
        """Nor of this."""


class NumberTests(FolderTestCase, SynchronousTestCase):
    def test_numbered_anew_behind_our_back(self) -> None:
        for number in range(2):
            name = f"{number}.x.host:2,"
            self.deliver(name, b"Subject: %d\n\n" % number, part="cur")
        box = self.open()
        live = LiveMailbox(box, InlineWorkers())
        selected = Selected(
            live,
            read_only=False,
            listener=_Listener(),
            watch=mock.Mock(),
            use=mock.Mock(),
            turns=DeferredSemaphore(2),
            release=mock.Mock(),
        )
        self.now(live.join(selected))
        before = self.now(selected._render(self.whole(), [Uid(1)]))
        self.assertEqual(before.count, 1)
        fresh = self.folder() / "fresh"
        header = b"3 V77 N3 G" + b"b" * 32 + b"\n"
        fresh.write_bytes(header + b"1 :1.x.host\n2 :0.x.host\n")
        os.rename(fresh, self.folder() / "dovecot-uidlist")
        box.sync(False)  # in another thread; the session has not heard of it yet
        again = Deferred.fromCoroutine(selected._render(self.whole(), [Uid(1)]))
        self.failureResultOf(again, Unavailable)

    def whole(self) -> Plan:
        return plan([WHOLE])

    def now(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.successResultOf(Deferred.fromCoroutine(coroutine))
