"""What is given to the indexer, when, and what becomes of it: with and without one."""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.task import Clock, deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from imapd.ids import INBOX
from imapd.mailbox.accounts import Accounts
from imapd.mailbox.indexing import CLAIM_SECONDS, CannotKeep, Indexing, Tally, version
from imapd.mailbox.threads import InlineWorkers
from imapd.mailbox.watch import PollingWatch
from imapd.model.flags import DELETED, StoreMode
from imapd.model.requests import FetchAtom
from imapd.model.sets import SequenceSet
from imapd.service import events, indexer, indexing, indexjobs
from imapd.service.indexer import Indexer
from imapd.service.indexing import Background, OnDemand
from imapd.service.indexjobs import Job, Jobs, Meter
from imapd.service.indexorders import (
    End,
    Order,
    Report,
    pack_order,
    pack_report,
    unpack_order,
    unpack_report,
)
from imapd.store.maildir.account import MaildirAccount
from imapd.store.maildir.mailbox import MaildirMailbox
from tests.support.maildirs import copy_sample

ORDER = Order(
    root="/mail/\udcff\U0001f4e7",
    cache_directory=None,
    owner=None,
    follow_links=False,
    text_index=True,
    lock_seconds=30,
    mailbox=("a", "ü\n"),
    after=INBOX,
)


SENT, DRAFTS = ("Sent",), ("Drafts",)


class Listener:
    def mailbox_changed(self) -> None:
        pass

    def mailbox_lost(self, why: str) -> None:
        pass


class Transport:
    """A child process that says nothing by itself."""

    pid = 4711

    def __init__(self) -> None:
        self.written: list[Order] = []
        self.signals: list[str] = []
        self.stdin_closed = False

    def write(self, octets: bytes) -> None:
        self.written.append(unpack_order(octets))

    def closeStdin(self) -> None:
        self.stdin_closed = True

    def signalProcess(self, name: str) -> None:
        self.signals.append(name)


class Reactor(Clock):
    """A clock that has children, and fails to have them when told."""

    def __init__(self) -> None:
        super().__init__()
        self.children: list[Any] = []
        self.refuse = False

    def spawnProcess(self, protocol: Any, *arguments: Any, **more: Any) -> None:
        if self.refuse:
            raise OSError("no more processes")
        protocol.transport = Transport()
        self.children.append(protocol)


class AccountCase(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="imapd-indexing-"))
        self.addCleanup(shutil.rmtree, folder)
        self.maildir = copy_sample("alice", folder)
        self.account = MaildirAccount(self.maildir)
        self.addCleanup(self.account.close)

    def is_complete(self, path: tuple[str, ...] = INBOX) -> bool:
        account = MaildirAccount(self.maildir)
        box = account.mailbox(path)
        box.sync(False)
        assert box.derived is not None
        try:
            return box.derived.is_complete(version(box.derived))
        finally:
            account.close()


class BackgroundTests(AccountCase):
    def setUp(self) -> None:
        super().setUp()
        self.patch(indexing, "LOGIN_SECONDS", 1e6)  # but where it is what counts
        for path in (SENT, DRAFTS):
            self.account.create(path)
            folder = self.maildir / f".{path[0]}"
            (folder / "new" / "1600000000.x.here").write_bytes(b"Subject: x\n\nx\n")
        self.reactor = Reactor()
        self.background = Background(self.reactor)
        self.accounts = Accounts(
            InlineWorkers(), PollingWatch(self.reactor), ahead=self.background
        )

    def select(self, path: tuple[str, ...] = INBOX) -> Any:
        async def run() -> Any:
            account = await self.accounts.acquire("alice", lambda: self.account)
            return await account.select(path, read_only=False, listener=Listener())

        return self.successResultOf(Deferred.fromCoroutine(run()))

    def orders(self) -> list[Order]:
        return [
            each for child in self.reactor.children for each in child.transport.written
        ]

    def answer(self, end: End | None, **more: Any) -> None:
        order = self.orders()[-1]
        report = Report(
            mailbox=order.mailbox, tally=Tally(finished=True), end=end, **more
        )
        self.reactor.children[-1].childDataReceived(1, pack_report(report))

    def die(self, *, code: int | None = None, number: int | None = None) -> None:
        error = ProcessTerminated(code, number) if code or number else ProcessDone(0)
        self.reactor.children[-1].processEnded(Failure(error))

    def gather(self) -> None:
        self.reactor.advance(indexing.GATHER_SECONDS)

    def test_a_mailbox_that_was_selected(self) -> None:
        self.select()
        self.assertEqual(self.orders(), [])
        self.gather()
        (order,) = self.orders()
        self.assertEqual(order, Order.of(self.account, INBOX))
        self.assertEqual(order.root, str(self.maildir))

    def fetch(self, selected: Any) -> None:
        async def run() -> None:
            every = selected.view.select(SequenceSet(((1, 1),)), uid=False)
            async for _ in selected.fetch(every, (FetchAtom.ENVELOPE,), with_uid=False):
                pass

        self.successResultOf(Deferred.fromCoroutine(run()))

    def test_who_reads_a_mailbox_makes_what_is_read(self) -> None:
        selected = self.select()
        for _ in range(3):
            self.fetch(selected)
            self.gather()
            self.assertEqual(self.orders(), [])
        self.gather()
        self.assertEqual(len(self.orders()), 1)

    def test_who_never_stops_reading_keeps_nothing_from_being_made(self) -> None:
        selected = self.select()
        for _ in range(indexing.MOST_DELAYS + 1):
            self.fetch(selected)
            self.assertEqual(self.orders(), [])
            self.gather()
        self.assertEqual(len(self.orders()), 1)

    def test_one_that_is_complete_starts_nothing(self) -> None:
        box = self.account.mailbox(INBOX)
        Indexing(box).run()
        self.select()
        self.gather()
        self.assertEqual(self.reactor.children, [])

    def test_new_messages_are_gathered(self) -> None:
        selected = self.select()
        self.gather()
        self.answer(End.DONE)
        for number in range(5):
            path = self.maildir / "new" / f"16000000{number}.x.here"
            path.write_bytes(b"Subject: x\n\nx\n")
            os.utime(self.maildir / "new", (number, number))
            self.successResultOf(Deferred.fromCoroutine(selected.refresh()))
        self.gather()
        self.assertEqual(len(self.orders()), 2)

    def test_a_dear_mailbox_rests(self) -> None:
        selected = self.select()
        self.gather()
        self.reactor.advance(10)  # so long it took
        self.answer(End.DONE)
        path = self.maildir / "new" / "1600000000.x.here"
        path.write_bytes(b"Subject: x\n\nx\n")
        self.successResultOf(Deferred.fromCoroutine(selected.refresh()))
        self.reactor.advance(10 * indexing.REST_FACTOR - 1)
        self.assertEqual(len(self.orders()), 1)
        self.reactor.advance(1)
        self.assertEqual(len(self.orders()), 2)

    def test_one_at_a_time_and_mailboxes_before_accounts(self) -> None:
        with mock.patch.object(indexing, "LOGIN_SECONDS", 1.0):
            self.select()
        self.reactor.advance(1)
        self.assertEqual([each.mailbox for each in self.orders()], [None])
        self.select(SENT)
        self.reactor.pump([1.0] * 10)
        self.assertEqual(len(self.orders()), 1)
        self.answer(End.MORE, after=SENT)
        for _ in range(2):
            self.answer(End.DONE)
        self.assertEqual(
            [(each.mailbox, each.after) for each in self.orders()],
            [(None, None), (INBOX, None), (SENT, None), (None, SENT)],
        )
        self.assertEqual(len(self.reactor.children), 1)

    def test_an_account_only_once_in_hours(self) -> None:
        for _ in range(3):
            self.background.opened(self.account)
            self.reactor.advance(indexing.LOGIN_SECONDS)
        self.assertEqual(len(self.orders()), 1)
        self.answer(End.DONE)
        self.reactor.advance(indexing.ACCOUNT_SECONDS)
        self.background.opened(self.account)
        self.reactor.advance(indexing.LOGIN_SECONDS)
        self.assertEqual(len(self.orders()), 2)

    def test_an_account_that_cannot_be_written(self) -> None:
        self.account.read_only = True
        self.background.opened(self.account)
        self.select()
        self.reactor.pump([10.0] * 10)
        self.assertEqual(self.reactor.children, [])

    def test_a_cache_that_cannot_be_written_is_left_alone_for_an_hour(self) -> None:
        self.select()
        self.gather()
        self.answer(End.UNKEPT)
        self.select(SENT)
        self.gather()
        self.assertEqual(len(self.orders()), 1)
        self.reactor.advance(indexing.HOPELESS_SECONDS)
        self.select(DRAFTS)
        self.gather()
        self.assertGreater(len(self.orders()), 1)

    def test_what_another_process_does_is_looked_at_later(self) -> None:
        self.select()
        self.gather()
        self.answer(End.CLAIMED)
        self.reactor.advance(indexing.CLAIMED_SECONDS)
        self.assertEqual([each.mailbox for each in self.orders()][:2], [INBOX, INBOX])

    def test_one_that_dies_is_followed_by_another(self) -> None:
        self.select()
        self.gather()
        self.die(number=9)
        self.assertEqual(len(self.reactor.children), 1)
        self.reactor.advance(indexing.FIRST_SECONDS)
        self.assertEqual(len(self.reactor.children), 2)
        self.assertEqual([each.mailbox for each in self.orders()], [INBOX, INBOX])
        self.die(code=1)  # twice over the same mailbox: it is let be
        self.reactor.advance(2 * indexing.FIRST_SECONDS)
        self.assertEqual(len(self.orders()), 2)

    def test_one_that_ended_as_it_was_asked_again(self) -> None:
        self.select()
        self.gather()
        self.die()
        self.reactor.advance(indexing.FIRST_SECONDS)
        self.answer(End.DONE)
        self.die()  # now it had nothing to do
        self.reactor.advance(5)
        self.assertEqual(len(self.reactor.children), 2)

    def test_one_that_cannot_be_started(self) -> None:
        self.reactor.refuse = True
        self.select()
        self.gather()
        self.reactor.refuse = False
        self.reactor.advance(indexing.FIRST_SECONDS)
        self.assertEqual([each.mailbox for each in self.orders()], [INBOX])

    def test_one_that_talks_nonsense_is_ended(self) -> None:
        self.select()
        self.gather()
        for line in (b"x", b"[]", b"{}", b'{"mailbox": 7}', b"\xff"):
            self.reactor.children[0].childDataReceived(1, line + b"\n")
        self.reactor.children[0].childDataReceived(2, b"Traceback\n")
        self.assertEqual(self.reactor.children[0].transport.signals, ["KILL"] * 5)

    def test_the_end(self) -> None:
        self.select()
        self.gather()
        self.select(SENT)
        closed = self.background.close()
        transport = self.reactor.children[0].transport
        self.assertTrue(transport.stdin_closed)
        self.assertNoResult(closed)
        self.reactor.advance(indexing.END_SECONDS)
        self.assertEqual(transport.signals, ["KILL"])
        self.die(number=9)
        self.successResultOf(closed)
        self.select(DRAFTS)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(len(self.orders()), 1)

    def test_the_end_of_a_long_job_is_told_once(self) -> None:
        self.select()
        self.gather()
        child, done = self.reactor.children[0], Tally(done=3000, finished=True)
        with mock.patch.object(events, "indexed") as told:
            for end in (None, End.DONE):
                report = Report(mailbox=INBOX, tally=done, end=end)
                child.childDataReceived(1, pack_report(report))
        told.assert_called_once()

    def test_the_end_without_a_beginning(self) -> None:
        self.successResultOf(self.background.close())


class OnDemandTests(AccountCase):
    def test_nothing_is_started_and_what_went_is_dropped(self) -> None:
        reactor = Reactor()
        ahead = indexing.make_ahead(reactor, "off")
        self.assertIsInstance(ahead, OnDemand)
        accounts = Accounts(InlineWorkers(), PollingWatch(reactor), ahead=ahead)

        async def run() -> None:
            account = await accounts.acquire("alice", lambda: self.account)
            selected = await account.select(INBOX, read_only=False, listener=Listener())
            uids = list(selected.view.uids)
            await selected.store(uids, StoreMode.ADD, [DELETED])
            await selected.expunge(uids)

        with mock.patch.object(MaildirMailbox, "load_column"):
            self.successResultOf(Deferred.fromCoroutine(run()))
        with mock.patch(
            "imapd.store.maildir.derived.FolderDerived.prune", return_value=1
        ) as prune:
            reactor.advance(indexing.PRUNE_SECONDS)
        prune.assert_called_once()
        self.assertEqual(reactor.children, [])
        self.successResultOf(ahead.close())


class IndexerTests(AccountCase):
    def setUp(self) -> None:
        super().setUp()
        self.reports: list[Report] = []
        self.indexer = Indexer(self.reports.append)
        self.addCleanup(self.indexer.forget)

    def order(self, mailbox: tuple[str, ...] | None, **more: Any) -> Report:
        order = Order.of(self.account, mailbox)
        self.indexer.carry_out(
            unpack_order(pack_order(Order(**{**_values(order), **more})))
        )
        for report in self.reports[:-1]:
            self.assertIs(report.end, None)
        last = self.reports[-1]
        self.reports.clear()
        return unpack_report(pack_report(last))

    def test_a_mailbox(self) -> None:
        report = self.order(INBOX)
        self.assertIs(report.end, End.DONE)
        self.assertGreater(report.tally.done, 5)
        self.assertTrue(self.is_complete())
        self.assertIs(self.order(INBOX).end, End.DONE)

    def test_all_of_an_account_in_slices(self) -> None:
        after: tuple[str, ...] | None = None
        slices = 0
        while True:
            report = self.order(None, seconds=0.0, after=after)
            if report.end is End.DONE:
                break
            self.assertIs(report.end, End.MORE)
            after = report.after
            slices += 1
            self.assertLess(slices, 1000)
        self.assertGreater(slices, len(self.account.folders()))
        for folder in self.account.folders():
            self.assertTrue(self.is_complete(folder.path), folder.path)

    def test_each_end(self) -> None:
        self.assertIs(self.order(("no such",)).end, End.FAILED)
        self.assertIs(self.order(INBOX, root="/no/such").end, End.FAILED)
        box = self.account.mailbox(INBOX)
        box.sync(False)
        assert box.derived is not None
        box.derived.claim("another", CLAIM_SECONDS)
        self.assertIs(self.order(INBOX).end, End.CLAIMED)
        with mock.patch.object(indexer, "Indexing", side_effect=CannotKeep):
            self.assertIs(self.order(INBOX).end, End.UNKEPT)

    def test_a_mailbox_that_was_deleted_and_made_again(self) -> None:
        self.account.create(("x",))
        self.assertIs(self.order(("x",)).end, End.DONE)
        self.account.delete(("x",))
        self.assertIs(self.order(("x",)).end, End.FAILED)
        self.account.create(("x",))
        self.assertIs(self.order(("x",)).end, End.DONE)

    def test_only_so_many_stay_open(self) -> None:
        for number in range(indexer.MOST_MAILBOXES + 3):
            self.account.create((f"box{number}",))
            self.order((f"box{number}",))
        self.assertEqual(len(self.indexer._mailboxes), indexer.MOST_MAILBOXES)


def _values(order: Order) -> dict[str, Any]:
    return {name: getattr(order, name) for name in Order.__dataclass_fields__}


class LineTests(SynchronousTestCase):
    def test_what_is_packed_comes_back(self) -> None:
        self.assertEqual(unpack_order(pack_order(ORDER)), ORDER)
        for end in (None, *End):
            report = Report(
                mailbox=INBOX, tally=Tally(1, 2, 3, 4), end=end, reason="é", after=None
            )
            self.assertEqual(unpack_report(pack_report(report)), report)
            self.assertEqual(pack_report(report).count(b"\n"), 1)


class JobTests(SynchronousTestCase):
    def job(self, mailbox: tuple[str, ...] | None) -> Job:
        return Job(Order(**{**_values(ORDER), "mailbox": mailbox}))

    def test_no_more_wait_than_may(self) -> None:
        jobs = Jobs(most=3)
        added = [jobs.add(self.job((str(number % 4),))) for number in range(8)]
        self.assertEqual(added, [True] * 3 + [False] * 5)
        self.assertTrue(jobs.add(self.job(None)))
        self.assertEqual(len(jobs), 4)
        taken = [jobs.take() for _ in range(5)]
        self.assertEqual(
            [each and each.key[1] for each in taken],
            [("0",), ("1",), ("2",), None, None],
        )

    def lines(self, work: Callable[[Meter], None]) -> list[str]:
        found: list[str] = []
        with (
            mock.patch.object(
                events, "indexing", lambda **all: found.append(f"at {all}")
            ),
            mock.patch.object(
                events, "indexed", lambda **all: found.append(f"end {all}")
            ),
        ):
            work(Meter(ORDER, INBOX, 100.0))
        return found

    def test_a_long_job_is_told_of(self) -> None:
        def work(meter: Meter) -> None:
            for second in range(1, 71):
                before = 4000 if second > 40 else 0  # another order goes on
                tally = Tally(done=100 * second - before, left=9000 - 100 * second)
                meter.note(tally, 100.0 + second)
                if second == 40:
                    meter.pause()
            meter.finish(190.0)

        first, second, end = self.lines(work)
        self.assertIn("'done': 3000, 'total': 9000, 'per_second': 100.0", first)
        self.assertIn("'left_seconds': 60.0", first)
        self.assertIn("'total': 9000", second)
        self.assertIn("'messages': 7000, 'seconds': 90.0", end)

    def test_a_short_job_is_not(self) -> None:
        def work(meter: Meter) -> None:
            meter.note(Tally(done=10, left=indexjobs.LONG_MESSAGES - 10), 200.0)
            meter.note(Tally(done=indexjobs.LONG_MESSAGES, left=0), 400.0)
            meter.finish(500.0)

        self.assertEqual(self.lines(work), [])


class RealTests(TestCase):
    """With the program itself."""

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor: Any = reactor
        folder = Path(tempfile.mkdtemp(prefix="imapd-indexing-"))
        self.addCleanup(shutil.rmtree, folder)
        self.maildir = copy_sample("alice", folder)
        self.account = MaildirAccount(self.maildir)
        self.addCleanup(self.account.close)
        self.background = Background(reactor)
        self.patch(indexing, "GATHER_SECONDS", 0.0)
        self.patch(indexing, "REST_FACTOR", 0.0)
        self.patch(indexing, "FIRST_SECONDS", 0.0)
        self.addCleanup(self.background.close)

    def is_complete(self) -> bool:
        box = self.account.mailbox(INBOX)
        box.sync(False)
        assert box.derived is not None
        return box.derived.is_complete(version(box.derived))

    async def until(self, true: Callable[[], bool]) -> None:
        for _ in range(600):
            if true():
                return
            await deferLater(self.reactor, 0.05)
        self.fail("it never came")

    async def test_it_fills_the_cache_and_ends_with_us(self) -> None:
        self.background._add(Order.of(self.account, INBOX))
        await self.until(self.is_complete)
        process = self.background._process
        assert process is not None
        pid = process.transport.pid
        self.assertEqual(os.getpriority(os.PRIO_PROCESS, pid), 19)
        await self.background.close()
        with self.assertRaises(ProcessLookupError):
            os.kill(pid, 0)

    async def test_killed_it_is_started_again_when_it_is_needed(self) -> None:
        self.background._add(Order.of(self.account, INBOX))
        await self.until(self.is_complete)
        first = self.background._process
        assert first is not None
        await self.until(lambda: self.background._job is None)
        os.kill(first.transport.pid, signal.SIGKILL)
        await self.until(lambda: self.background._process is None)
        (self.maildir / "imapd-cache.sqlite3").unlink()
        self.background._add(Order.of(self.account, INBOX))
        await self.until(self.is_complete)
        self.assertIsNot(self.background._process, None)
        self.assertIsNot(self.background._process, first)

    async def test_without_work_it_ends_by_itself(self) -> None:
        """A server that has stopped reading keeps it no more than one that died."""
        self.background._add(Order.of(self.account, INBOX))
        await self.until(self.is_complete)
        process = self.background._process
        assert process is not None
        process.end()  # what the end of the server does to it
        await self.until(lambda: self.background._process is None)
