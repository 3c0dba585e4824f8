"""What the cache lacks of a batch is derived from one look at each file."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from imapd.errors import MessageGone, ServerBug, Unavailable
from imapd.ids import INBOX, Uid
from imapd.mailbox import completing
from imapd.mailbox.message import HEAD_OCTETS, LazyMessage
from imapd.mailbox.planning import plan
from imapd.mailbox.rendering import Rendered, render
from imapd.model import columns
from imapd.model.requests import FetchAtom, FetchItem, FetchSection
from imapd.model.structure import Section, SectionText
from imapd.store import fsops
from imapd.store.maildir.account import MaildirAccount
from tests.support.maildirs import copy_sample

FIELDS = FetchSection(
    Section(text=SectionText.HEADER_FIELDS, fields=(b"Subject", b"From")),
    peek=True,
    partial=None,
)
ENVELOPES: tuple[FetchItem, ...] = (
    *(FetchAtom.UID, FetchAtom.INTERNALDATE, FetchAtom.RFC822_SIZE),
    *(FetchAtom.ENVELOPE, FIELDS),
)
STRUCTURES = (*ENVELOPES[:3], FetchAtom.BODYSTRUCTURE)
#: An item that makes every message be read, one by one.
WHOLE = FetchSection(Section(), peek=True, partial=None)


class CompletingTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="imapd-completing-"))
        self.addCleanup(shutil.rmtree, folder)
        self.maildir = copy_sample("alice", folder)
        self.account = MaildirAccount(self.maildir)
        self.addCleanup(self.account.close)
        self.box = self.account.mailbox(INBOX)
        self.box.sync(True)

    def uids(self) -> list[Uid]:
        return sorted(self.box._core.index)

    def path(self, uid: Uid) -> Path:
        return self.maildir / os.fsdecode(self.box._core.index.path(uid) or b"")

    def forget(self) -> None:
        self.account._cache.forget(self.box._core.numbering)

    def render(self, items: Sequence[FetchItem]) -> Rendered:
        return render(self.box, plan(items), self.uids())

    def test_each_file_is_looked_at_once(self) -> None:
        for items in (ENVELOPES, STRUCTURES):
            self.forget()
            with (
                mock.patch.object(fsops, "open_status", wraps=fsops.open_status) as one,
                mock.patch.object(fsops, "status", wraps=fsops.status) as other,
            ):
                rendered = self.render(items)
            self.assertEqual(rendered.count, len(self.uids()))
            looks = [call.args[0] for call in one.mock_calls + other.mock_calls]
            paths = sorted(os.fsencode(self.path(uid)) for uid in self.uids())
            self.assertEqual(
                sorted(p for p in looks if b"imapd-" not in p[-30:]), paths
            )

    def test_it_is_what_the_cache_has_and_what_reading_gives(self) -> None:
        for items in (ENVELOPES, STRUCTURES):
            self.forget()
            fresh = self.render(items)
            self.assertEqual(fresh.errors, {})
            with mock.patch.object(fsops, "open_status", side_effect=AssertionError):
                again = self.render(items)
            self.assertEqual(fresh.columns, again.columns)
            self.forget()
            one_by_one = self.render((*items, WHOLE))
            self.assertEqual(fresh.columns, one_by_one.columns[:-1])

    def test_what_is_there_is_not_made_again(self) -> None:
        first, *rest = self.uids()
        self.render(ENVELOPES)
        whole = self.render(ENVELOPES)
        self.forget()
        render(self.box, plan(ENVELOPES), [first])
        render(self.box, plan((FetchAtom.RFC822_SIZE,)), rest[:1])
        made: list[Uid] = []
        real = LazyMessage.derive

        def derive(message: LazyMessage, kind: str) -> bytes:
            made.append(message.uid)
            return real(message, kind)

        with mock.patch.object(LazyMessage, "derive", derive):
            rendered = self.render(ENVELOPES)
        self.assertEqual(made, rest)
        self.assertEqual(rendered.columns, whole.columns)

    def test_of_a_size_that_is_known_only_the_header_is_read(self) -> None:
        octets = b"Subject: long\n\n" + b"x" * 5 * HEAD_OCTETS + b"\n"
        size = len(octets) + octets.count(b"\n")
        name = f"1700000000.made.here,S={len(octets)},W={size}:2,"
        (self.maildir / "cur" / name).write_bytes(octets)
        self.box.sync(True)
        uid = self.uids()[-1]
        read: list[int] = []
        real = fsops.read_at

        def read_at(descriptor: int, count: int, offset: int) -> bytes:
            read.append(count)
            return real(descriptor, count, offset)

        with mock.patch.object(fsops, "read_at", read_at):
            rendered = render(self.box, plan(ENVELOPES), [uid])
        self.assertEqual(read, [HEAD_OCTETS])
        meta = self.box.meta([uid])[uid]
        self.assertEqual(meta.rfc822_size, size)
        self.assertEqual(rendered.uids, [uid])

    def test_one_that_is_gone_hides_no_other(self) -> None:
        first, second, *rest = self.uids()
        self.path(first).unlink()
        self.path(second).unlink()
        self.path(second).mkdir()
        rendered = self.render(ENVELOPES)
        self.assertEqual(list(rendered.uids), rest)
        self.assertEqual(rendered.count, len(rest) + 2)
        self.assertIsInstance(rendered.errors[first], MessageGone)
        self.assertIsInstance(rendered.errors[second], Unavailable)
        rendered = self.render((FetchAtom.RFC822_SIZE,))
        self.assertEqual(list(rendered.uids), rest)
        self.assertIsInstance(rendered.errors[first], MessageGone)

    def test_a_defect_of_ours_hides_no_other(self) -> None:
        broken = self.uids()[1]
        real = LazyMessage.derive

        def derive(message: LazyMessage, kind: str) -> bytes:
            if message.uid == broken:
                raise KeyError(kind)
            return real(message, kind)

        with mock.patch.object(LazyMessage, "derive", derive):
            rendered = self.render(ENVELOPES)
        self.assertIsInstance(rendered.errors[broken], ServerBug)
        self.assertEqual(len(rendered.uids), len(self.uids()) - 1)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        value = self.box.load_column(columns.ENVELOPE, [broken])
        self.assertEqual(value, [None])

    def test_a_batch_ends_when_it_is_full(self) -> None:
        with mock.patch.object(completing, "OCTETS", 1):
            rendered = self.render(ENVELOPES)
        self.assertEqual((rendered.count, len(rendered.uids)), (1, 1))
        with mock.patch.object(completing, "MESSAGES", 2):
            rendered = self.render((FetchAtom.ENVELOPE, FetchAtom.RFC822_SIZE))
        self.assertEqual(list(rendered.uids), self.uids()[:2])

    def test_many_columns_of_one_message_are_still_bounded(self) -> None:
        lists = [
            FetchSection(
                Section(
                    text=SectionText.HEADER_FIELDS, fields=(b"Subject", b"X-%d" % n)
                ),
                peek=True,
                partial=None,
            )
            for n in range(6)
        ]
        self.assertFalse(plan(lists).is_lean)
        self.assertTrue(plan(ENVELOPES).is_lean)
        rendered = self.render(lists)
        self.assertEqual(list(rendered.uids), self.uids())
