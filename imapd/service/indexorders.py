"""What the server and its indexer say to each other: a line of JSON each.

The server sends ``Order``, one at a time, and gets any number of ``Report`` back, of
which the last has an ``end``.
"""

import json
import os
from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path

from imapd.ids import MailboxPath
from imapd.limits import Limits
from imapd.mailbox.indexing import Tally
from imapd.store.maildir.account import MaildirAccount, StoreOptions

#: An order is left for others after so long, and gone on with in its turn.
SLICE_SECONDS = 20.0


class End(Enum):
    """How an order ended."""

    DONE = "done"
    MORE = "more"  # its time was over
    CLAIMED = "claimed"  # another process does the same just now
    UNKEPT = "unkept"  # nothing can be kept for this account
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A mailbox, or all of an account."""

    root: str  # the Maildir, as ``os.fsdecode`` has it
    cache_directory: str | None
    owner: int | None
    follow_links: bool
    text_index: bool
    lock_seconds: int
    mailbox: MailboxPath | None  # None: all, in the order of ``folders``
    after: MailboxPath | None = None  # of all: go on behind this one
    seconds: float = SLICE_SECONDS

    @classmethod
    def of(cls, account: MaildirAccount, mailbox: MailboxPath | None) -> "Order":
        """Make an order for an account that is open here."""
        options = account.options
        cache = options.cache_directory
        return cls(
            root=os.fsdecode(account.root),
            cache_directory=None if cache is None else str(cache),
            owner=options.owner,
            follow_links=options.follow_links,
            text_index=options.text_index,
            lock_seconds=account.limits.lock_seconds,
            mailbox=mailbox,
        )

    @property
    def account(self) -> "Order":
        """What all orders for one account have in common."""
        return replace(self, mailbox=None, after=None, seconds=SLICE_SECONDS)

    def behind(self, mailbox: MailboxPath | None) -> "Order":
        """The rest of an order for an account."""
        return replace(self, after=mailbox)

    def open(self) -> MaildirAccount:
        """Open the account, without making anything that is not there.

        Raises:
            Unavailable: there is no Maildir that we may use.
        """
        cache = self.cache_directory
        options = StoreOptions(
            cache_directory=None if cache is None else Path(cache),
            create_missing=False,
            follow_links=self.follow_links,
            text_index=self.text_index,
            owner=self.owner,
        )
        limits = Limits(lock_seconds=self.lock_seconds)
        return MaildirAccount(Path(self.root), options=options, limits=limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How far an order has come."""

    mailbox: MailboxPath | None  # the one that was worked on last
    tally: Tally
    end: End | None = None
    reason: str = ""  # of ``FAILED``
    after: MailboxPath | None = None  # of ``MORE``: for the next order


def pack_order(order: Order) -> bytes:
    """Make a line, with its end."""
    return json.dumps(asdict(order)).encode("ascii") + b"\n"


def unpack_order(line: bytes) -> Order:
    """Read a line of ``pack_order``."""
    values = json.loads(line)
    return Order(
        **{
            **values,
            "mailbox": _path(values["mailbox"]),
            "after": _path(values["after"]),
        }
    )


def pack_report(report: Report) -> bytes:
    """Make a line, with its end."""
    values = asdict(report)
    values["end"] = None if report.end is None else report.end.value
    return json.dumps(values).encode("ascii") + b"\n"


def unpack_report(line: bytes) -> Report:
    """Read a line of ``pack_report``.

    Raises:
        ValueError, TypeError, KeyError: it is none.
    """
    values = json.loads(line)
    return Report(
        mailbox=_path(values["mailbox"]),
        tally=Tally(**values["tally"]),
        end=None if values["end"] is None else End(values["end"]),
        reason=values["reason"],
        after=_path(values["after"]),
    )


def _path(names: list[str] | None) -> MailboxPath | None:
    return None if names is None else tuple(names)
