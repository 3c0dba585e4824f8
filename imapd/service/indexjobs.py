"""What waits to be indexed, in its order, and how a long job is told of."""

from collections import OrderedDict
from typing import Final

from imapd.ids import MailboxPath
from imapd.mailbox.indexing import Tally
from imapd.service import events
from imapd.service.indexorders import Order

#: More than so many are not waited for: they are asked for again another day.
MOST_WAITING: Final = 1000
#: A job of more messages is told of, and how often.
LONG_MESSAGES: Final = 2000
TOLD_SECONDS: Final = 30.0

#: A Maildir, and a mailbox in it; None: all of them.
Key = tuple[str, MailboxPath | None]


class Job:
    """One mailbox, or all of an account, until it is done."""

    def __init__(self, order: Order) -> None:
        self.key: Key = order.root, order.mailbox
        self.order = order
        self.failures = 0
        self.meter: Meter | None = None  # of the mailbox that is worked on


class Jobs:
    """Those that wait: mailboxes first, in their order, then accounts."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._most = most
        self._mailboxes: OrderedDict[Key, Job] = OrderedDict()
        self._accounts: OrderedDict[Key, Job] = OrderedDict()

    def __len__(self) -> int:
        return len(self._mailboxes) + len(self._accounts)

    def add(self, job: Job) -> bool:
        """Put a job at the end; False: it waits already, or too many do."""
        jobs = self._accounts if job.key[1] is None else self._mailboxes
        if job.key in jobs or len(jobs) >= self._most:
            return False
        jobs[job.key] = job
        return True

    def take(self) -> Job | None:
        """Return the next one; it waits no longer."""
        for jobs in (self._mailboxes, self._accounts):
            if jobs:
                return jobs.popitem(last=False)[1]
        return None

    def clear(self) -> None:
        """Forget them all."""
        self._mailboxes.clear()
        self._accounts.clear()


class Meter:
    """Measures one mailbox, over all orders that it takes, and tells of a long one."""

    def __init__(self, order: Order, mailbox: MailboxPath, now_seconds: float) -> None:
        self.mailbox = mailbox
        self._name = f"{order.root}: {'/'.join(mailbox) or 'INBOX'}"
        self._before = 0  # messages done by earlier orders
        self._tally = Tally()
        self._began_seconds = self._told_seconds = now_seconds

    @property
    def done(self) -> int:
        """How many messages are done."""
        return self._before + self._tally.done

    def note(self, tally: Tally, now_seconds: float) -> None:
        """Take in a report of the order that runs."""
        self._tally = tally
        total = self.done + tally.left
        if total <= LONG_MESSAGES or now_seconds - self._told_seconds < TOLD_SECONDS:
            return
        self._told_seconds = now_seconds
        rate = self.done / (now_seconds - self._began_seconds)
        events.indexing(
            mailbox=self._name,
            done=self.done,
            total=total,
            per_second=rate,
            left_seconds=tally.left / rate if rate else 0.0,
        )

    def pause(self) -> None:
        """The order is over, and the mailbox is not done."""
        self._before, self._tally = self.done, Tally(left=self._tally.left)

    def finish(self, now_seconds: float) -> None:
        """The mailbox is done."""
        if self.done > LONG_MESSAGES:
            events.indexed(
                mailbox=self._name,
                messages=self.done,
                seconds=now_seconds - self._began_seconds,
                skipped=self._tally.skipped,
            )
