"""The indexer: a process that fills caches, and leaves the machine to everybody else.

Started by ``indexing.py``: ``python -m imapd.service.indexer``.  It ends when nothing
is asked of it for a minute, and at once when its standard input does: with the server,
however that ends.  What it was doing is gone on with another time.
"""

import os
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    formatEvent,
    globalLogBeginner,
)
from zope.interface import implementer

from imapd.errors import ImapError, InUse
from imapd.ids import MailboxPath
from imapd.mailbox.indexing import CannotKeep, Claimed, Indexing, Tally
from imapd.service import humble
from imapd.service.indexorders import (
    End,
    Order,
    Report,
    pack_report,
    unpack_order,
)
from imapd.store.maildir.account import MaildirAccount
from imapd.store.maildir.mailbox import MaildirMailbox

#: Without an order for so long it ends.
IDLE_SECONDS: Final = 60.0
#: Mailboxes and accounts that stay open: mail comes to the same ones again.
MOST_MAILBOXES: Final = 8
MOST_OCTETS: Final = 64 << 20
MOST_ACCOUNTS: Final = 4
#: Between two reports of one order.
REPORT_SECONDS: Final = 1.0

_Key = tuple[Order, MailboxPath]


class Indexer:
    """Carries out orders, one after the other."""

    def __init__(self, say: Callable[[Report], None]) -> None:
        self._say = say
        self._accounts: OrderedDict[Order, MaildirAccount] = OrderedDict()
        self._mailboxes: OrderedDict[_Key, MaildirMailbox] = OrderedDict()

    def carry_out(self, order: Order) -> None:
        """Do what is ordered, for as long as it says; report."""
        report = Report(mailbox=order.mailbox, tally=Tally())
        try:
            for report in self._reports(order):
                if report.end is None:
                    self._say(report)
        except CannotKeep:
            report = replace(report, end=End.UNKEPT)
        except (Claimed, InUse):
            report = replace(report, end=End.CLAIMED)
        except (ImapError, OSError) as error:
            report = replace(report, end=End.FAILED, reason=str(error))
        if report.end is not None:
            self._say(report)
        else:
            self._say(replace(report, end=End.DONE))

    def _reports(self, order: Order) -> Iterator[Report]:
        until = time.monotonic() + order.seconds
        account = self._account(order.account)
        if order.mailbox is not None:
            yield self._fill(order, order.mailbox, until)
            return
        if order.after is None:
            account.tidy_cache()
        paths = [folder.path for folder in account.folders()]
        after = order.after
        start = paths.index(after) + 1 if after in paths else 0
        for path in paths[start:]:
            report = Report(mailbox=path, tally=Tally())
            with suppress(Claimed, ImapError):  # the others still want to be filled
                report = self._fill(order, path, until)
            if report.end is not None:
                yield replace(report, after=after)
                return
            yield report
            after = path
            if time.monotonic() >= until:
                yield Report(mailbox=path, tally=Tally(), end=End.MORE, after=after)
                return

    def _fill(self, order: Order, path: MailboxPath, until: float) -> Report:
        """Fill one mailbox; ``end`` is ``MORE`` if the time was not enough."""
        told = time.monotonic()

        def tell(tally: Tally) -> None:
            nonlocal told
            if time.monotonic() - told >= REPORT_SECONDS:
                told = time.monotonic()
                self._say(Report(mailbox=path, tally=tally))

        key = order.account, path
        try:
            indexing = Indexing(self._mailbox(key))
            tally = indexing.run(lambda: time.monotonic() >= until, tell)
        except (ImapError, OSError):  # deleted, renamed: to be opened again then
            self._drop(key)
            raise
        self._trim()
        end = None if tally.finished else End.MORE
        return Report(mailbox=path, tally=tally, end=end)

    def _account(self, which: Order) -> MaildirAccount:
        account = self._accounts.get(which)
        if account is None:
            account = self._accounts[which] = which.open()
        self._accounts.move_to_end(which)
        if len(self._accounts) > MOST_ACCOUNTS:
            oldest, closed = self._accounts.popitem(last=False)
            for key in [key for key in self._mailboxes if key[0] == oldest]:
                self._drop(key)
            closed.close()
        return account

    def _mailbox(self, key: _Key) -> MaildirMailbox:
        mailbox = self._mailboxes.pop(key, None)
        if mailbox is None:
            mailbox = self._account(key[0]).mailbox(key[1])
        self._mailboxes[key] = mailbox
        return mailbox

    def _drop(self, key: _Key) -> None:
        mailbox = self._mailboxes.pop(key, None)
        if mailbox is not None:
            mailbox.close()

    def _trim(self) -> None:
        octets = sum(each.memory_octets for each in self._mailboxes.values())
        while octets > MOST_OCTETS or len(self._mailboxes) > MOST_MAILBOXES:
            _, oldest = self._mailboxes.popitem(last=False)
            octets -= oldest.memory_octets
            oldest.close()

    def forget(self) -> None:
        """Let go of everything: it is not known any more what is right."""
        for mailbox in self._mailboxes.values():
            mailbox.close()
        for account in self._accounts.values():
            account.close()
        self._mailboxes.clear()
        self._accounts.clear()


def _read_orders(orders: "SimpleQueue[bytes]") -> None:
    """In a thread of its own: whatever is being done ends with the server."""
    rest = b""
    while octets := os.read(0, 1 << 16):
        *lines, rest = (rest + octets).split(b"\n")
        for line in lines:
            orders.put(line)
    os._exit(0)


def _say(report: Report) -> None:
    octets = pack_report(report)
    while octets:
        octets = octets[os.write(1, octets) :]


@implementer(ILogObserver)
def _log_line(event: LogEvent) -> None:
    words = formatEvent(event).partition("\n")[0]
    failure = event.get("log_failure")
    if failure is not None:
        words += f": {failure.type.__name__}"
    print(words, file=sys.stderr, flush=True)


def main() -> None:
    """Carry out what is ordered on standard input."""
    humble.stand_back()
    observer = FilteringLogObserver(
        _log_line, [LogLevelFilterPredicate(defaultLogLevel=LogLevel.warn)]
    )
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    orders: SimpleQueue[bytes] = SimpleQueue()
    Thread(target=_read_orders, args=(orders,), daemon=True).start()
    indexer = Indexer(_say)
    with suppress(Empty):
        while True:
            indexer.carry_out(unpack_order(orders.get(timeout=IDLE_SECONDS)))
    indexer.forget()
    os._exit(0)  # the thread may hold what the interpreter's end waits for


if __name__ == "__main__":
    main()
