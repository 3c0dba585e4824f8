"""SEARCH, one message after the other.  RFC 3501 §6.4.4.

This says what a key means; ``searchmask`` decides as much as it can for all
messages at once, and leaves to this what it cannot.  A key becomes one function of
a message; cheap keys are asked first, and a message is read only if no cheap key
has decided.  Keys are as deep as the grammar lets them be
(``Limits.search_key_count``), well below the interpreter's own limit.
"""

import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from twisted.logger import Logger

from imapd.errors import ImapError, LimitReached, MessageGone, SyntaxRejected
from imapd.ids import Seq, Uid
from imapd.mailbox.message import LazyMessage
from imapd.mailbox.searchheader import sent_day
from imapd.mailbox.source import MessageSource
from imapd.mime import headers, text
from imapd.model.flags import NO_FLAGS, RECENT, Flags, canonical
from imapd.model.mailbox import MessageMeta
from imapd.model.search import (
    All,
    And,
    Body,
    Dated,
    DateField,
    DateTest,
    HasFlag,
    Header,
    ModSeqAtLeast,
    Not,
    Numbers,
    Or,
    SearchKey,
    Size,
    Text,
    Within,
    walk,
)
from imapd.store.quiet import is_due

_log = Logger()

#: A batch ends at so many messages or octets read, whichever comes first.
BATCH_MESSAGES = 64
BATCH_OCTETS = 4 << 20
#: Texts to be looked for in bodies: each is a pass of its own.
MOST_TEXTS = 32

FIRST_SECOND = -62135596800  # 0001-01-01, UTC: a file's time may be anything
LAST_SECOND = 253402300799  # 9999-12-31 23:59:59


class Message(LazyMessage):
    """One message as the keys see it; what needs the disk is read when asked."""

    __slots__ = ("_meta", "flags", "gone", "recent", "seq")

    def __init__(
        self,
        source: MessageSource,
        seq: Seq,
        uid: Uid,
        flags: Flags | None,
        recent: bool,
    ) -> None:
        """``flags`` None: the message is known to be gone."""
        super().__init__(source, uid, whole=False)  # a header often decides
        self.seq = seq
        self.gone = flags is None
        self.flags = NO_FLAGS if flags is None else flags
        self.recent = recent
        self._meta: MessageMeta | None = None

    @property
    def meta(self) -> MessageMeta:
        """Size and date; raises MessageGone."""
        if self._meta is None:
            self._meta = self._source.meta((self.uid,)).get(self.uid)
            if self._meta is None:
                raise MessageGone("The message was expunged")
        return self._meta


Test = Callable[[Message], bool]

#: Keys that need the disk, by what one message costs.
_COST: dict[type, int] = {Size: 1, Dated: 1, Within: 1, Header: 2, Body: 3, Text: 3}


def cost(key: SearchKey) -> int:
    """0: decided from memory; more: what has to be read."""
    return max(_COST.get(type(one), 0) for one in walk(key))


def compile_key(key: SearchKey, *, largest_seq: int, largest_uid: int) -> Test:
    """Turn a key into a test; ``*`` of a set is the largest number given.

    Raises:
        IndexError: a message number beyond the mailbox.
        LimitReached: too many texts to look for.
    """
    if sum(isinstance(one, Body | Text) for one in walk(key)) > MOST_TEXTS:
        raise LimitReached(f"At most {MOST_TEXTS} texts in one SEARCH")

    def build(one: SearchKey) -> Test:
        match one:
            case Not(inner):
                test = build(inner)
                return lambda message: not test(message)
            case Or(left, right):
                first, second = map(build, sorted((left, right), key=cost))
                return lambda message: first(message) or second(message)
            case And(keys):
                tests = [build(each) for each in sorted(keys, key=cost)]
                return lambda message: all(each(message) for each in tests)
            case Numbers():
                return _numbers(one, largest_uid if one.uid else largest_seq)
            case _:
                return _leaf(one)

    return build(key)


def _numbers(key: Numbers, largest: int) -> Test:
    named = key.numbers
    # RFC 3501 §9 would have BAD for "1:*" in an empty mailbox too.  But clients send
    # it behind SELECT without waiting, to ask for all there is: nothing, then.
    nothing_there = named.has_star and not largest
    if not key.uid and named.largest_named > largest and not nothing_there:
        raise IndexError(named.largest_named)
    ranges = named.resolve(largest)
    firsts = [first for first, _ in ranges]

    def inside(number: int) -> bool:
        at = bisect_right(firsts, number)
        return at > 0 and number <= ranges[at - 1][1]

    if key.uid:
        return lambda message: inside(message.uid)
    return lambda message: inside(message.seq)


def _leaf(key: SearchKey) -> Test:
    match key:
        case All():
            return lambda message: True
        case ModSeqAtLeast():
            raise SyntaxRejected("MODSEQ is not offered here")
        case HasFlag(flag):
            return _has_flag(flag)
        case Size(larger, octets):
            if larger:
                return lambda message: message.meta.rfc822_size > octets
            return lambda message: message.meta.rfc822_size < octets
        case Within(younger, seconds):
            return _within(younger, seconds)
        case Dated(where, how, day):
            compare = _DATE_TESTS[how]
            if where is DateField.INTERNAL:
                return lambda message: compare(_internal_day(message), day)
            return lambda message: _sent(message, compare, day)
        case Header(name, wanted):
            return _header(name, wanted)
        case Body(wanted):
            return _body(wanted)
        case Text(wanted):
            return _text(wanted)
    raise TypeError(f"no search key: {key!r}")


def _has_flag(flag: bytes) -> Test:
    if flag.lower() == RECENT.lower():
        return lambda message: message.recent
    if flag.startswith(b"\\"):
        system = canonical(flag)
        return lambda message: system in message.flags
    lower = flag.lower()
    return lambda message: any(each.lower() == lower for each in message.flags)


def _within(younger: bool, seconds: int) -> Test:
    # RFC 5032 §2: YOUNGER is "within the interval", OLDER is "older or equal".
    border = int(time.time()) - seconds
    if younger:
        return lambda message: message.meta.internal_date_seconds >= border
    return lambda message: message.meta.internal_date_seconds <= border


_DATE_TESTS: dict[DateTest, Callable[[date, date], bool]] = {
    DateTest.BEFORE: lambda have, day: have < day,
    DateTest.ON: lambda have, day: have == day,
    DateTest.SINCE: lambda have, day: have >= day,
}


def _internal_day(message: Message) -> date:
    # In UTC, as INTERNALDATE says it.
    seconds = message.meta.internal_date_seconds
    seconds = min(max(seconds, FIRST_SECOND), LAST_SECOND)
    return datetime.fromtimestamp(seconds, UTC).date()


def _sent(message: Message, compare: Callable[[date, date], bool], day: date) -> bool:
    """Compare the Date field, without its time and zone; none matches nothing."""
    sent = sent_day(message.header)
    return sent is not None and compare(sent, day)


def _header(name: bytes, wanted: str) -> Test:
    needle = text.fold(wanted)
    lower = name.lower()

    def test(message: Message) -> bool:
        values = text.header_text(message.header, lower)
        # An empty text asks only whether the field is there.  RFC 3501 §6.4.4.
        return any(not needle or needle in text.fold(value) for value in values)

    return test


def _body(wanted: str) -> Test:
    needle = text.fold(wanted)

    def test(message: Message) -> bool:
        return not needle or _found(
            needle, text.body_texts(message.octets, message.root)
        )

    return test


def _text(wanted: str) -> Test:
    needle = text.fold(wanted)

    def test(message: Message) -> bool:
        return (
            not needle
            or _found(needle, _header_texts(message))
            or _found(needle, text.part_header_texts(message.octets, message.root))
            or _found(needle, text.body_texts(message.octets, message.root))
        )

    return test


def _header_texts(message: Message) -> Iterable[str]:
    # Most often all of it will be read: once, then, and not the header before.
    whole = message.octets
    return text.all_header_texts(whole[: headers.header_end(whole)])


def _found(needle: str, texts: Iterable[str]) -> bool:
    return any(needle in text.fold(piece) for piece in texts)


@dataclass(frozen=True, slots=True)
class Matched:
    """What a batch came to: ``count`` messages were looked at."""

    found: list[tuple[Seq, Uid]]
    count: int


def tell_unsearched(uid: Uid, error: ImapError) -> None:
    """Log that a message is passed over; of many, and again and again, one."""
    if is_due("searching", str(error)):  # the store names the place
        _log.warn("cannot search {uid}: {error}", uid=uid, error=str(error))


def match_batch(
    test: Test,
    messages: Sequence[Message],
    learn: Callable[[Message], None] | None = None,
) -> Matched:
    """Look at messages until the batch is full; at least at one.  Blocks.

    One that is gone, or that cannot be read, matches nothing.  ``learn`` is called
    with each that could be.
    """
    found = []
    count = octets = 0
    for message in messages:
        count += 1
        try:
            if not message.gone and test(message):
                found.append((message.seq, message.uid))
            if learn is not None and not message.gone:
                learn(message)
        except MessageGone:
            continue
        except ImapError as error:
            tell_unsearched(message.uid, error)
        finally:
            octets += message.forget()
        if octets >= BATCH_OCTETS:
            break
    return Matched(found, count)


def matching(test: Test, messages: Sequence[Message]) -> list[tuple[Seq, Uid]]:
    """The messages that match, of all given.  Blocks, if the key reads."""
    found: list[tuple[Seq, Uid]] = []
    at = 0
    while at < len(messages):
        matched = match_batch(test, messages[at:])
        found += matched.found
        at += matched.count
    return found
