"""Fills the cache with what can be derived of the messages of a mailbox.

Nothing depends on it: what is not there is derived when it is asked for.  So it may
be interrupted anywhere, and begin again; it may run beside servers and beside others
of its kind.  It needs a process, or the patience, of its own: it computes all the
time.

A page of the cache is filled at once, and each message is read once.
"""

import os
import socket
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

from twisted.logger import Logger

from imapd.errors import ImapError, MessageGone
from imapd.ids import Uid
from imapd.mailbox import derivers, searchindex
from imapd.mailbox.derivers import Deriver, Held
from imapd.model.texts import MessageWords
from imapd.store.filling import DerivedStore, FilledMailbox
from imapd.store.quiet import is_due

_log = Logger()

#: A page is written in parts where its values are larger than this.
MOST_OCTETS: Final = 8 << 20
#: A value larger than this is derived on demand: it would push out those of others.
LARGEST_VALUE_OCTETS: Final = 1 << 20
#: So many in a row that cannot be read: it is not the messages, and we try later.
MOST_UNREADABLE: Final = 32
#: Others leave a mailbox alone for so long after each sign of life.
CLAIM_SECONDS: Final = 60.0


#: Messages of which only the words are wanted, between two looks around.
_RUN: Final = 128


def version(derived: DerivedStore) -> str:
    """Name what everything is that is derived of a mailbox."""
    return derivers.VERSION + ("+text" if derived.has_texts else "")


class CannotKeep(Exception):
    """There is no cache, or it cannot be written: all of it would be for nothing."""


class Claimed(Exception):
    """Another process fills this mailbox just now."""


@dataclass(slots=True)
class Tally:
    """What was done, and what there is to do."""

    done: int = 0  # messages that have all now
    left: int = 0  # those in pages that lack something, an upper bound
    skipped: int = 0  # could not be read, or had too large a value
    pruned: int = 0  # pages that had something of messages that are gone
    finished: bool = False


@dataclass(slots=True)
class _Fresh:
    """Values of a page that are not saved yet."""

    values: dict[str, dict[Uid, bytes]] = field(default_factory=dict)
    octets: int = 0

    def add(self, uid: Uid, values: dict[str, bytes]) -> None:
        for kind, value in values.items():
            self.values.setdefault(kind, {})[uid] = value
            self.octets += len(value)


class _Words:
    """Words for the text index, which wants many messages at once."""

    def __init__(self, mailbox: FilledMailbox) -> None:
        self._mailbox = mailbox
        self._lot: dict[Uid, MessageWords] = {}
        self._octets = 0

    def add(self, uid: Uid, words: MessageWords) -> None:
        """Keep those of one message, until there are enough."""
        self._lot[uid] = words
        self._octets += len(words.body) + len(words.header)
        full = len(self._lot) >= searchindex.LOT_MESSAGES
        if full or self._octets >= searchindex.LOT_OCTETS:
            self.save()

    def save(self) -> None:
        """Tell the index."""
        if self._lot:
            lot, self._lot, self._octets = self._lot, {}, 0
            self._mailbox.index_texts(lot)


class Indexing:
    """Fills the cache of one mailbox."""

    def __init__(self, mailbox: FilledMailbox, *, owner: str = "") -> None:
        """Look at nothing yet.

        Args:
            mailbox: may be synced already; nobody else syncs it meanwhile.
            owner: names this process among others.

        Raises:
            CannotKeep: the mailbox has no cache that can be written.
        """
        derived = mailbox.derived
        if derived is None or not derived.is_kept:
            raise CannotKeep
        self.tally = Tally()
        self._version = version(derived)
        self._mailbox = mailbox
        self._derived = derived
        self._owner = owner or f"{socket.gethostname()} {os.getpid()}"
        self._skipped: set[Uid] = set()
        self._unindexed: set[Uid] = set()  # the text index does not know them
        self._words = _Words(mailbox)
        self._unreadable = 0  # in a row
        self._claimed_seconds = 0.0

    def run(
        self,
        stop: Callable[[], bool] = lambda: False,
        progress: Callable[[Tally], None] = lambda tally: None,
    ) -> Tally:
        """Derive all that is missing, and drop what is of messages that are gone.

        Args:
            stop: asked between two messages; what was derived by then is kept.
            progress: told after each page.

        Raises:
            Claimed: another does the same just now.
            ImapError: the mailbox cannot be looked at.
        """
        self._mailbox.sync(False)
        if self._derived.is_complete(self._version):
            self.tally.finished = True
            return self.tally
        if not self._derived.claim(self._owner, CLAIM_SECONDS):
            raise Claimed
        try:
            self._claimed_seconds = time.monotonic()
            self._run(stop, progress)
        finally:
            self._words.save()
            self._derived.release(self._owner)
        return self.tally

    def _without_text(self, pages: list[list[Uid]]) -> list[list[Uid]]:
        """What is in none of the pages, and the text index does not know."""
        unindexed = self._mailbox.unindexed(self._derived.uids())
        self._unindexed = set(unindexed)
        there = {uid for page in pages for uid in page}
        more = [uid for uid in unindexed if uid not in there]
        return [more[at : at + _RUN] for at in range(0, len(more), _RUN)]

    def _run(self, stop: Callable[[], bool], progress: Callable[[Tally], None]) -> None:
        tally, derived = self.tally, self._derived
        # First, so that nothing of them outlives an interruption.
        tally.pruned = derived.prune()
        if tally.pruned:
            self._mailbox.tidy_texts()
        rows = derivers.table(derived.asked_fields())
        kinds = [kind for row in rows for kind in row.kinds]
        pages = derived.gaps(kinds)
        pages += self._without_text(pages)
        tally.left = sum(map(len, pages))
        self._skipped = set(derived.skipped(self._version))
        progress(tally)
        for uids in pages:
            with closing(self._page(rows, kinds, uids)) as messages:
                for derived_something in messages:
                    tally.done += 1
                    tally.left -= 1
                    if derived_something and stop():  # else it might never go on
                        return
            self._stay()
            progress(tally)
        self._words.save()
        derived.complete(self._version, self._skipped)
        tally.skipped = len(self._skipped)
        tally.finished = True
        if tally.pruned:
            derived.shrink()

    def _page(
        self, rows: Sequence[Deriver], kinds: Sequence[str], uids: list[Uid]
    ) -> Generator[bool, None, None]:
        """Fill one page; yield for each message whether anything was derived.

        What was derived is saved also where the caller does not go on.
        """
        fresh = _Fresh()
        try:
            for uid, missing in self._missing(kinds, uids):
                lacks = bool(missing) or uid in self._unindexed
                lacks = lacks and uid not in self._skipped
                if lacks:
                    fresh.add(uid, self._message(rows, uid, missing))
                    if fresh.octets >= MOST_OCTETS:
                        self._mailbox.save_columns(fresh.values)
                        fresh = _Fresh()
                yield lacks
        finally:
            if fresh.values:
                self._mailbox.save_columns(fresh.values)

    def _missing(
        self, kinds: Sequence[str], uids: list[Uid]
    ) -> list[tuple[Uid, frozenset[str]]]:
        lacking: dict[Uid, set[str]] = {uid: set() for uid in uids}
        for kind in kinds:
            values = self._mailbox.load_column(kind, uids)
            for uid, value in zip(uids, values, strict=True):
                if value is None:
                    lacking[uid].add(kind)
        return [(uid, frozenset(missing)) for uid, missing in lacking.items()]

    def _message(
        self, rows: Sequence[Deriver], uid: Uid, missing: frozenset[str]
    ) -> dict[str, bytes]:
        try:
            octets, meta = self._mailbox.read_dated(uid)
            held = Held(self._mailbox, octets, meta)
            found = derivers.derive(rows, held, missing)
            if uid in self._unindexed:
                self._words.add(uid, searchindex.words(held.lazy))
        except MessageGone:
            return {}
        except ImapError as error:
            self._unreadable += 1
            if self._unreadable >= MOST_UNREADABLE:
                raise
            return self._skip(uid, str(error))
        except Exception:  # a defect of ours must not keep the others waiting
            _log.failure("deriving from message {uid}", uid=uid)
            return self._skip(uid, "")
        self._unreadable = 0
        small = {
            kind: value
            for kind, value in found.items()
            if len(value) <= LARGEST_VALUE_OCTETS
        }
        if len(small) != len(found):
            self._skipped.add(uid)
        return small

    def _skip(self, uid: Uid, why: str) -> dict[str, bytes]:
        self._skipped.add(uid)
        if why and is_due("indexing", why):
            _log.warn("message {uid} passed over: {why}", uid=uid, why=why)
        return {}

    def _stay(self) -> None:
        """Tell the others that we still live."""
        now = time.monotonic()
        if now - self._claimed_seconds > CLAIM_SECONDS / 4:
            self._claimed_seconds = now
            self._derived.claim(self._owner, CLAIM_SECONDS)
