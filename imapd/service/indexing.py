"""Lets caches be filled ahead of need, by a process of its own.

To compute in a thread of the server would take the interpreter from its sessions.
So an indexer (``indexer.py``) is started when there is something to do; it ends when
there is nothing more.  With workers, each has one: what the sessions of a worker need
is known there, and the cache itself sees to it that two do not fill one mailbox.
"""

import os
import sys
from collections import OrderedDict
from collections.abc import Hashable
from contextlib import suppress
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessExitedAlready, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from imapd.mailbox import ahead
from imapd.mailbox.indexing import version
from imapd.mailbox.live import LiveMailbox
from imapd.service import events
from imapd.service.children import environment
from imapd.service.indexjobs import Job, Jobs, Key, Meter
from imapd.service.indexorders import (
    End,
    Order,
    Report,
    pack_order,
    unpack_report,
)
from imapd.store.api import AccountStore
from imapd.store.maildir.account import MaildirAccount
from imapd.store.maildir.mailbox import MaildirMailbox

_log = Logger(namespace="imapd")

#: Changes of a mailbox are gathered for so long.
GATHER_SECONDS: Final = 3.0
MOST_DELAYS: Final = 10  # while messages are read: what that makes is made once
#: A mailbox rests for so many times what it cost: a listing of a large one is dear.
REST_FACTOR: Final = 20.0
#: Another process is at it; we look again after so long.
CLAIMED_SECONDS: Final = 45.0
#: All folders of an account are looked through so long after a login, and so often.
LOGIN_SECONDS: Final = 30.0
ACCOUNT_SECONDS: Final = 6 * 3600.0
#: Where nothing can be kept, or the indexer ended twice, nobody tries for so long.
HOPELESS_SECONDS: Final = 3600.0
MOST_FAILURES: Final = 2
#: An indexer that ended is followed by another after so long, twice as long each time.
FIRST_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 300.0
#: How long an indexer may take to end when we stop.
END_SECONDS: Final = 2.0
#: Messages that went leave the cache after so long where there is no indexer.
PRUNE_SECONDS: Final = 60.0

_MODULE: Final = "imapd.service.indexer"
_LINE_OCTETS: Final = 1 << 16
_MOST_TIMES: Final = 10_000


class Ahead(ahead.Ahead, Protocol):
    """What the service stops in the end."""

    def close(self) -> "Deferred[None]":
        """Begin nothing more; fires when no process is left."""


class Times:
    """Moments by key, of which only so many are kept."""

    def __init__(self) -> None:
        self._times: OrderedDict[Hashable, float] = OrderedDict()

    def get(self, key: Hashable) -> float:
        """The moment, or 0."""
        return self._times.get(key, 0.0)

    def set(self, key: Hashable, seconds: float) -> None:
        """Keep a moment."""
        self._times[key] = seconds
        self._times.move_to_end(key)
        if len(self._times) > _MOST_TIMES:
            self._times.popitem(last=False)


class Background:
    """Decides what is to be indexed, and gives it to the indexer, one at a time."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._jobs = Jobs()
        self._gathering: dict[Key, Any] = {}  # delayed calls
        self._not_before = Times()  # by mailbox
        self._hopeless_until = Times()  # by account, and by mailbox
        self._process: IndexerProcess | None = None
        self._job: Job | None = None
        self._job_began_seconds = 0.0
        self._marked_seconds = 0.0  # when it reported last, or began
        self._pause: Any = None  # delayed call: no process before that
        self._pause_seconds = FIRST_SECONDS
        self._closed: Deferred[None] | None = None

    # What may be needed.

    def opened(self, account: AccountStore) -> None:
        """Look through all folders, some time."""
        if not isinstance(account, MaildirAccount) or account.read_only:
            return
        key: Key = os.fsdecode(account.root), None
        if self._reactor.seconds() >= self._not_before.get(key):
            self._not_before.set(key, self._reactor.seconds() + ACCOUNT_SECONDS)
            self._gather(key, LOGIN_SECONDS, self._add, Order.of(account, None))

    def changed(self, account: AccountStore, live: LiveMailbox) -> None:
        """Fill the mailbox, unless all is there."""
        if not isinstance(account, MaildirAccount) or account.read_only:
            return
        if live.store.read_only:
            return
        key: Key = os.fsdecode(account.root), live.path
        wait = self._not_before.get(key) - self._reactor.seconds()
        what = account, live, live.reads, MOST_DELAYS
        self._gather(key, max(wait, GATHER_SECONDS), self._look, *what)

    def _gather(self, key: Key, seconds: float, call: Any, *arguments: Any) -> None:
        if self._closed is None and key not in self._gathering:
            self._gathering[key] = self._reactor.callLater(
                seconds, self._gathered, key, call, *arguments
            )

    def _gathered(self, key: Key, call: Any, *arguments: Any) -> None:
        del self._gathering[key]
        call(*arguments)

    def _look(
        self, account: MaildirAccount, live: LiveMailbox, reads: int, delays: int
    ) -> None:
        if live.reads != reads and delays:
            key: Key = os.fsdecode(account.root), live.path
            more = live.reads, delays - 1
            self._gather(key, GATHER_SECONDS, self._look, account, live, *more)
            return
        looked = Deferred.fromCoroutine(self._ask(account, live))
        looked.addErrback(lambda failure: _log.failure("looking at a cache", failure))

    async def _ask(self, account: MaildirAccount, live: LiveMailbox) -> None:
        derived = getattr(live.store, "derived", None)
        if live.gone or derived is None:
            return
        if not await live.workers.run(derived.is_complete, version(derived)):
            self._add(Order.of(account, live.path))

    def _add(self, order: Order) -> None:
        now = self._reactor.seconds()
        keys = (order.root, None), (order.root, order.mailbox)
        if self._closed is None and all(
            now >= self._hopeless_until.get(key) for key in keys
        ):
            self._jobs.add(Job(order))
            self._go_on()

    # The process.

    def _go_on(self) -> None:
        """Give the next job to the indexer, if both are there."""
        if self._job is not None or self._pause is not None or self._closed is not None:
            return
        job = self._jobs.take()
        if job is None:
            return
        self._job = job
        self._job_began_seconds = self._marked_seconds = self._reactor.seconds()
        if self._process is None:
            process = IndexerProcess(self)
            try:
                process.start(self._reactor)
            except Exception as error:  # no memory, no descriptors
                self._ended_early(f"{type(error).__name__}: {error}")
                return
            self._process = process
        self._process.send(pack_order(job.order))

    def reported(self, report: Report) -> None:
        """The indexer says something about its job."""
        job, now = self._job, self._reactor.seconds()
        if job is None:
            return
        self._measure(job, report, now)
        if report.end is None:
            return
        self._job = None
        self._pause_seconds = FIRST_SECONDS
        _ENDS[report.end](self, job, report)
        cost = now - self._job_began_seconds
        if job.key[1] is not None:
            self._not_before.set(job.key, now + REST_FACTOR * cost)
        self._go_on()

    def _measure(self, job: Job, report: Report, now_seconds: float) -> None:
        # The other ends say once more what was reported before.
        if report.mailbox is None or report.end not in (None, End.MORE):
            return
        if job.meter is None or job.meter.mailbox != report.mailbox:
            job.meter = Meter(job.order, report.mailbox, self._marked_seconds)
        job.meter.note(report.tally, now_seconds)
        self._marked_seconds = now_seconds
        if report.end is End.MORE:
            job.meter.pause()
        elif report.tally.finished:
            job.meter.finish(now_seconds)
            job.meter = None

    def _more(self, job: Job, report: Report) -> None:
        job.order = job.order.behind(report.after)
        self._jobs.add(job)

    def _claimed(self, job: Job, report: Report) -> None:
        self._gather(job.key, CLAIMED_SECONDS, self._add, job.order)

    def _unkept(self, job: Job, report: Report) -> None:
        now = self._reactor.seconds()
        self._hopeless_until.set((job.order.root, None), now + HOPELESS_SECONDS)

    def _failed(self, job: Job, report: Report) -> None:
        _log.warn(
            "indexing of {root!r} {mailbox!r} ended: {reason}",
            root=job.order.root,
            mailbox=job.order.mailbox,
            reason=report.reason,
        )

    def ended(self, process: "IndexerProcess", reason: str) -> None:
        """The process is gone."""
        if self._process is not process:
            return
        self._process = None
        if self._closed is not None:
            self._closed.callback(None)
        elif self._job is not None:
            self._ended_early(reason)

    def _ended_early(self, reason: str) -> None:
        """It could not be started, or ended with a job."""
        job, self._job = self._job, None
        if job is not None and reason != _GOOD_END:  # else it had waited long enough
            job.failures += 1
            events.indexer_ended(reason=reason, seconds=self._pause_seconds)
        if job is not None and job.failures >= MOST_FAILURES:
            until = self._reactor.seconds() + HOPELESS_SECONDS
            self._hopeless_until.set(job.key, until)
        elif job is not None:
            self._jobs.add(job)
        self._pause = self._reactor.callLater(self._pause_seconds, self._paused)
        self._pause_seconds = min(2 * self._pause_seconds, LONGEST_SECONDS)

    def _paused(self) -> None:
        self._pause = None
        self._go_on()

    def close(self) -> "Deferred[None]":
        """Begin nothing more; fires when the process is gone."""
        self._jobs.clear()
        calls = [*self._gathering.values(), self._pause]
        for call in calls:
            if call is not None and call.active():
                call.cancel()
        self._gathering.clear()
        self._pause = None
        self._closed = Deferred()
        if self._process is None:
            self._closed.callback(None)
            return self._closed
        process = self._process
        process.end()
        impatient = self._reactor.callLater(END_SECONDS, process.kill)

        def gone(_: object) -> None:
            if impatient.active():
                impatient.cancel()

        return self._closed.addCallback(gone)


_ENDS: Final = {
    End.DONE: lambda background, job, report: None,
    End.MORE: Background._more,
    End.CLAIMED: Background._claimed,
    End.UNKEPT: Background._unkept,
    End.FAILED: Background._failed,
}
_GOOD_END: Final = "exit status 0"


class IndexerProcess(ProcessProtocol):
    """One indexer, and the pipes to it."""

    transport: Any

    def __init__(self, background: Background) -> None:
        """Start nothing yet."""
        self._background = background
        self._rest = {1: b"", 2: b""}

    def start(self, reactor: Any) -> None:
        """Start the program.

        Raises:
            OSError: the system does not let us.
        """
        # -P: nothing is imported from the folder that we happen to be in.
        command = [sys.executable, "-P", "-m", _MODULE]
        reactor.spawnProcess(self, sys.executable, command, env=environment())

    def send(self, line: bytes) -> None:
        """Order something."""
        self.transport.write(line)

    def end(self) -> None:
        """Let it end: it does so at once when nobody can order anything more."""
        self.transport.closeStdin()

    def kill(self) -> None:
        """End it."""
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")

    def childDataReceived(self, childFD: int, data: bytes) -> None:  # noqa: N802, N803
        """Take its reports; log what it says beside them."""
        *lines, rest = (self._rest[childFD] + data).split(b"\n")
        self._rest[childFD] = rest[:_LINE_OCTETS]
        for line in lines:
            if childFD == 1:
                self._report(line)
            else:
                words = line[:1000].decode("utf-8", "replace")
                _log.warn("indexer: {line}", line=words)

    def _report(self, line: bytes) -> None:
        try:
            report = unpack_report(line)
        except (ValueError, TypeError, KeyError):
            _log.error("indexer: {line!r} is no report", line=line[:1000])
            self.kill()
            return
        self._background.reported(report)

    def processEnded(self, reason: Failure) -> None:  # noqa: N802 - Twisted's name
        """It is gone, and so are its pipes."""
        words = _GOOD_END
        if reason.check(ProcessTerminated) is not None:
            end: Any = reason.value
            words = (
                f"signal {end.signal}" if end.signal else f"exit status {end.exitCode}"
            )
        self._background.ended(self, words)


class OnDemand:
    """Nothing is made ahead; what is of messages that went is dropped after a while."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._waiting: dict[LiveMailbox, Any] = {}  # delayed calls

    def opened(self, account: AccountStore) -> None:
        """Do nothing."""

    def changed(self, account: AccountStore, live: LiveMailbox) -> None:
        """Prune later."""
        store = live.store
        unpruned = isinstance(store, MaildirMailbox) and store.unpruned
        if unpruned and live not in self._waiting:
            self._waiting[live] = self._reactor.callLater(
                PRUNE_SECONDS, self._prune, live
            )

    def _prune(self, live: LiveMailbox) -> None:
        del self._waiting[live]
        derived = getattr(live.store, "derived", None)
        if not live.gone and derived is not None:
            pruned = live.workers.run(derived.prune)
            pruned.addErrback(lambda failure: _log.failure("pruning a cache", failure))

    def close(self) -> "Deferred[None]":
        """Prune nothing more: mailboxes do when they are closed."""
        for call in self._waiting.values():
            call.cancel()
        self._waiting.clear()
        return succeed(None)


def make_ahead(reactor: Any, index: str) -> Ahead:
    """Make what the setting ``index`` says; nothing is started yet."""
    return Background(reactor) if index == "background" else OnDemand(reactor)
