r"""What IMAP lets a server say of a mailbox: a reference, written from the RFCs alone.

``Box`` is what is so, whoever made it so; ``View`` what one session was told of it.
Where the RFCs leave the server a choice the model takes any of them and remembers
which: the number of a change is not foretold, but from then on it is that number for
everybody, and the next one is above it.

What another program did, the server may not know yet: until it had to look
(``Box.look``) the old flags are an answer too.  RFC 3501 §2.3, §5.2, §5.5, §7.3, §7.4;
RFC 2180; RFC 7162.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

#: In lower case, without ``\recent``, which is not the message's but a session's.
Flags = frozenset[str]


class Difference(AssertionError):
    """The server said or did what it must not."""


def demand(so: bool, *words: object) -> None:
    """Raise ``Difference`` if it is not so."""
    if not so:
        raise Difference(" ".join(map(str, words)))


@dataclass(slots=True)
class Stamp:
    """A modification sequence: known, or (0) only known to be above another."""

    modseq: int
    above: int = 0

    def is_above(self, modseq: int) -> bool | None:
        """Whether it is; None: it may be."""
        if self.modseq:
            return self.modseq > modseq
        return True if self.above >= modseq else None


@dataclass(eq=False, slots=True)
class Message:
    """One message, from its arrival until it is gone."""

    base: str
    subject: str
    flags: Flags
    fresh: bool  # it can be told that nobody was told of it
    uid: int = 0
    noticed: Flags = frozenset()  # when the server last looked
    stale: set[Flags] = field(default_factory=set)  # what it had since then
    glimpsed_above: int | None = None  # a change may have been seen; then above this
    stamps: list[Stamp] = field(default_factory=list)  # one of these it has
    #: Flags and stamps when sequences were last kept, while they are not.
    asleep: tuple[Flags, list[Stamp]] | None = None
    #: Flags since sequences were last written down for good.
    unwritten: list[Flags] = field(default_factory=list)
    crashed: bool = False  # the server, and has not looked at sequences since
    claimants: set["View"] = field(default_factory=set)  # it may be recent to them
    recent_to: "View | None" = None

    @property
    def is_hidden(self) -> bool:
        """Whether a crash leaves no trace of a change: flags it had are there again.

        The one thing that may be lost of what was not written down yet:
        docs/durability.rst.
        """
        return self.crashed and len(set(self.unwritten)) < len(self.unwritten)

    def is_above(self, modseq: int) -> bool | None:
        """Whether it changed after ``modseq``; None: both answers are right."""
        if self.stale:
            return None
        answers = {stamp.is_above(modseq) for stamp in self.stamps}
        return answers.pop() if len(answers) == 1 else None

    def stamped(self, modseq: int) -> None:
        """A client was told this number: it is the same for everybody."""
        fits = any(
            stamp.modseq == modseq or (not stamp.modseq and modseq > stamp.above)
            for stamp in self.stamps
        )
        demand(fits, "UID", self.uid, "cannot have MODSEQ", modseq, "but", self.stamps)
        self.stamps = [Stamp(modseq)]

    def change(self, flags: Flags, *, unnoticed: bool = False) -> None:
        """It has other flags now; what the server did itself, it knows."""
        if flags == self.flags:
            return
        if unnoticed:
            self.stale.add(self.flags)
        self.flags = flags
        self.unwritten.append(flags)

    def look(self, highest: int, *, kept: bool) -> None:
        """The server knows its flags now: if they are others, they have a number."""
        above = highest if self.glimpsed_above is None else self.glimpsed_above
        if self.is_hidden:
            self.stamps = [Stamp(0)]  # even an old one
        elif self.flags != self.noticed:
            self.stamps = [Stamp(0, above)]
            if self.asleep is not None and self.asleep[0] == self.flags:
                self.stamps += self.asleep[1]
        elif self.stale:  # and back again, which it may have seen or not
            self.stamps.append(Stamp(0, above))
        if kept:
            self.asleep, self.crashed = None, False
        self.noticed = self.flags
        self.glimpsed_above = None


class Box:
    """A mailbox as it is."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.validity = 0
        self.messages: dict[int, Message] = {}
        self.waiting: dict[str, Message] = {}  # for a UID, by base name
        #: UIDs of those that are gone: above which number; None: not noticed yet.
        self.gone: dict[int, int | None] = {}
        self.last_uid = 0  # no UID to come is at or below it
        self.highest = 0  # of the sequences that anybody was told
        self.heard: set[int] = set()  # these sequences
        self.kept = False  # the server keeps sequences now
        self.may_fall = False  # HIGHESTMODSEQ, with what a crash has hidden
        self.views: set[View] = set()

    def arrive(self, uid: int, message: Message) -> None:
        """A message has its UID, for ever.  RFC 3501 §2.3.1.1."""
        demand(uid > self.last_uid, self.name, "gave UID", uid, "after", self.last_uid)
        self.last_uid = message.uid = uid
        message.noticed, message.stale = message.flags, set()
        message.stamps = [Stamp(0, self.highest)]
        message.unwritten = [message.flags]
        self.messages[uid] = message
        self.born(message)

    def born(self, message: Message) -> None:
        """It is there: a session that may write will be told that it is recent."""
        message.claimants |= {view for view in self.views if not view.read_only}

    def enter(self, view: "View") -> None:
        """A session opens the mailbox."""
        self.views.add(view)
        if not view.read_only:
            for message in (*self.messages.values(), *self.waiting.values()):
                message.claimants.add(view)

    def remove(self, uid: int, *, noticed: bool) -> None:
        """A message is no more."""
        del self.messages[uid]
        self.gone[uid] = self.highest if noticed else None

    def look(self) -> None:
        """The server looks: what it says afterwards is what is so."""
        hidden = any(message.is_hidden for message in self.messages.values())
        self.may_fall = self.may_fall or hidden
        for message in self.messages.values():
            message.look(self.highest, kept=self.kept)
        self._date_gone()

    def glimpse(self) -> None:
        """The server may look, here and there."""
        for message in self.messages.values():
            if message.stale and message.glimpsed_above is None:
                message.glimpsed_above = self.highest
        self._date_gone()

    def _date_gone(self) -> None:
        for uid, above in self.gone.items():
            if above is None:
                self.gone[uid] = self.highest

    def looked(self) -> None:
        """All that was said while it looked is judged: old flags are wrong now."""
        for message in self.messages.values():
            message.stale.clear()

    def hear(self, modseq: int) -> None:
        """Somebody was told a sequence."""
        self.highest = max(self.highest, modseq)
        self.heard.add(modseq)

    def judge_highest(self, modseq: int, before: int) -> None:
        """HIGHESTMODSEQ of a mailbox just opened: not below what was told before.

        ``before`` is the highest that anybody was told.
        """
        if modseq < before:
            demand(self.may_fall, "HIGHESTMODSEQ", modseq, "after", before)
            self.may_fall = False
            self.highest = modseq
            self.heard = {each for each in self.heard if each <= modseq}

    def restarted(self, in_new: set[str], *, crashed: bool) -> None:
        """Another server; what a crash loses is numbered above all that was told."""
        self.kept = False
        self.views.clear()
        for message in (*self.messages.values(), *self.waiting.values()):
            message.fresh = message.fresh and message.base in in_new
        for message in self.messages.values():
            if crashed:
                message.crashed = True
                message.stamps.append(Stamp(0, self.highest))
            if message.asleep is None:
                message.asleep = message.noticed, list(message.stamps)

    def written(self) -> None:
        """Sequences are on disk, where they are kept: no crash takes them back."""
        if self.kept:
            for message in self.messages.values():
                message.unwritten = [message.noticed]
                if message.flags != message.noticed:
                    message.unwritten.append(message.flags)


class View:
    """What one session was told of a mailbox since it opened it."""

    def __init__(self, box: Box, *, read_only: bool) -> None:
        self.box = box
        self.read_only = read_only
        self.uids: list[int] = []  # message number n is uids[n - 1]
        self.last_uid = 0
        self.flags: dict[int, Flags] = {}  # of those it was told
        self.recent: dict[int, bool] = {}
        self.recent_count: int | None = None
        #: Recent to another, when the session began.  What comes later may be recent
        #: to one that may write and to those that may only read: RFC 3501 §2.3.2.
        self._taken = {
            uid for uid, one in box.messages.items() if one.recent_to is not None
        }

    def exists(self, count: int) -> None:
        """``* n EXISTS``: never fewer, and new ones at the end.  RFC 3501 §7.3.1."""
        more = count - len(self.uids)
        demand(more >= 0, "EXISTS", count, "after", len(self.uids))
        there = sorted(uid for uid in self.box.messages if uid > self.last_uid)
        demand(more <= len(there), "EXISTS", count, "where", self.uids, there, "are")
        for uid in there[:more]:
            self.uids.append(uid)
            self.last_uid = uid

    def expunged(self, seq: int) -> int:
        """``* n EXPUNGE``, of a message that is gone; return its UID."""
        demand(1 <= seq <= len(self.uids), "EXPUNGE", seq, "of", len(self.uids))
        uid = self.uids.pop(seq - 1)
        demand(uid not in self.box.messages, "EXPUNGE of UID", uid, "which is there")
        return uid

    def vanished(self, uids: Iterable[int]) -> None:
        """``* VANISHED``: only what it had.  RFC 7162 §3.2.10."""
        for uid in uids:
            demand(uid in self.uids, "VANISHED", uid, "which the session never had")
            self.expunged(self.uids.index(uid) + 1)

    def fetched(self, seq: int, items: dict[bytes, Any]) -> int:
        """``* n FETCH``; return the UID.  Of a message that is gone, anything."""
        demand(1 <= seq <= len(self.uids), "FETCH of", seq, "of", len(self.uids))
        uid = self.uids[seq - 1]
        demand(items.get(b"UID", uid) == uid, "number", seq, "is", uid, "not", items)
        message = self.box.messages.get(uid)
        flags, modseq = items.get(b"FLAGS"), items.get(b"MODSEQ")
        told = None
        if flags is not None:
            names = {flag.decode().lower() for flag in flags}
            told = frozenset(names - {r"\recent"})
            self.flags[uid] = told
        if modseq is not None:
            self.box.hear(modseq)
        if message is None:
            return uid
        if flags is not None:
            self._told_recent(message, r"\recent" in names)
            right = told == message.flags or told in message.stale
            demand(right, "UID", uid, "has", sorted(message.flags), "not", flags)
        if modseq is not None and (
            not message.stale or (told == message.flags and told not in message.stale)
        ):
            message.stamped(modseq)
        return uid

    def _told_recent(self, message: Message, recent: bool) -> None:
        r"""``\Recent``: to one session that may write, all the while it is open.

        RFC 3501 §2.3.2, §6.3.1, §6.3.2.
        """
        uid = message.uid
        before = self.recent.setdefault(uid, recent)
        demand(before == recent, r"\Recent of UID", uid, "changes within a session")
        if not recent:
            alone = message.claimants <= (set() if self.read_only else {self})
            demand(not (alone and message.fresh), r"UID", uid, r"is \Recent to nobody")
            return
        demand(uid not in self._taken, "UID", uid, r"is \Recent to another already")
        if not self.read_only:
            owner = message.recent_to
            demand(owner in (None, self), "UID", uid, r"is \Recent to two sessions")
            message.recent_to = self

    def settle(self, *, may_expunge: bool) -> None:
        """The session has been told everything, but for expunges held back."""
        there = self.box.messages
        known = self.uids if may_expunge else [u for u in self.uids if u in there]
        demand(known == sorted(there), "it knows UIDs", known, "of", sorted(there))
        for uid, flags in self.flags.items():
            message = there.get(uid)
            demand(
                message is None or message.flags == flags,
                *("UID", uid, "is thought to have", sorted(flags)),
                *("and has", message and sorted(message.flags)),
            )
        if self.recent_count is not None:
            told = [self.recent.get(uid) for uid in self.uids]
            most = len(told) - told.count(False)
            right = told.count(True) <= self.recent_count <= most
            demand(right, "RECENT", self.recent_count, "where", self.recent)
