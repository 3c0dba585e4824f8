"""FETCH, the part that blocks: messages to columns of octets ready to send.

What the cache has of a whole batch goes from its pages to the response untouched.
What it lacks is derived from the message, and offered to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any, TypeVar

from twisted.logger import Logger

from imapd.errors import ImapError, LimitReached, MessageGone, ServerBug
from imapd.ids import Uid
from imapd.mailbox.completing import Completing
from imapd.mailbox.message import LazyMessage
from imapd.mailbox.source import MessageSource
from imapd.mailbox.streams import LARGE_OCTETS
from imapd.model import columns
from imapd.model.requests import FetchAtom, FetchItem, FetchSection
from imapd.model.structure import Section, SectionText
from imapd.store.api import MessageStream, WouldBlock
from imapd.wire import msgatt, rows

_log = Logger()

#: A batch of what the cache may have ends at so many messages.
BATCH_MESSAGES = 512
#: One for which messages are read ends at so many messages or octets.
READ_MESSAGES = 128
READ_OCTETS = 256 << 10
#: One command names thousands of partials; each may be as large as the message.
MOST_TIMES = 4
MOST_SPARE_OCTETS = 1 << 20

_RFC822_SECTIONS = {
    FetchAtom.RFC822: Section(),
    FetchAtom.RFC822_HEADER: Section(text=SectionText.HEADER),
    FetchAtom.RFC822_TEXT: Section(text=SectionText.TEXT),
}
_RENDERED = {
    FetchAtom.ENVELOPE: columns.ENVELOPE,
    FetchAtom.BODY: columns.BODY,
    FetchAtom.BODYSTRUCTURE: columns.BODYSTRUCTURE,
}
_WHOLE = {
    *(FetchAtom.BODY, FetchAtom.BODYSTRUCTURE),
    *(FetchAtom.RFC822, FetchAtom.RFC822_TEXT),
}
_META = {FetchAtom.INTERNALDATE: 0, FetchAtom.RFC822_SIZE: 1}
#: What may change while we read, and is filled in when it is sent.
DYNAMIC = {FetchAtom.FLAGS, FetchAtom.MODSEQ}
_IN_MEMORY = {FetchAtom.UID, *DYNAMIC}
_FORMS = (columns.BODY, columns.BODYSTRUCTURE)

_Values = list[Any]
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class Plan:
    """What the items of one FETCH need."""

    items: tuple[FetchItem, ...]
    kinds: tuple[str | None, ...]  # of each item: its column, None: it has none
    reads: bool  # some item has no column: every message must be read
    whole: bool  # if a message is read, it takes more than its header
    in_memory: bool  # nothing needs the disk
    sets_seen: bool

    @property
    def streamed(self) -> int | None:
        """Where the one item stands that may be sent in pieces; None: there is none.

        Of a large message nothing else must need more than the header.
        """
        wide = [
            at for at, item in enumerate(self.items) if _takes_more_than_header(item)
        ]
        if len(wide) != 1 or not _is_whole(self.items[wide[0]]):
            return None
        return wide[0]

    @property
    def in_pieces(self) -> bool:
        """Whether large messages are fetched piece by piece."""
        return self.whole and any(
            isinstance(item, FetchSection) and item.partial is not None
            for item in self.items
        )

    @property
    def is_quick(self) -> bool:
        """Whether one message is a matter of a moment: the whole of it, and no more.

        Nothing is asked of the cache, and nothing is parsed, however often a client
        names a part.
        """
        reading = [
            item
            for item, kind in zip(self.items, self.kinds, strict=True)
            if kind is not None or item not in _IN_MEMORY
        ]
        return len(reading) == 1 and _is_whole(reading[0])

    @property
    def is_lean(self) -> bool:
        """Whether its columns cannot make more of a message than ``MOST_TIMES`` it."""
        made = [kind for kind in self.kinds if kind not in (None, columns.META)]
        return len(made) <= MOST_TIMES

    @property
    def fields(self) -> dict[str, Sequence[bytes]]:
        """The names of each column that is a list of fields."""
        return {
            kind: item.section.fields
            for item, kind in zip(self.items, self.kinds, strict=True)
            if isinstance(item, FetchSection)
            and kind is not None
            and columns.family_of(kind) is not None
        }

    @property
    def batch_messages(self) -> int:
        """How many messages to ask for at once."""
        return READ_MESSAGES if self.reads else BATCH_MESSAGES


def plan(items: Sequence[FetchItem]) -> Plan:
    """Read the items once for all messages."""
    kinds = tuple(map(_kind, items))
    return Plan(
        items=tuple(items),
        kinds=kinds,
        reads=any(
            kind is None and item not in _IN_MEMORY
            for item, kind in zip(items, kinds, strict=True)
        ),
        whole=any(map(_takes_more_than_header, items)),
        in_memory=all(item in _IN_MEMORY for item in items),
        sets_seen=any(
            not item.peek
            if isinstance(item, FetchSection)
            else item in (FetchAtom.RFC822, FetchAtom.RFC822_TEXT)
            for item in items
        ),
    )


def _is_whole(item: FetchItem) -> bool:
    """Whether the item is all of the message."""
    if isinstance(item, FetchSection):
        return item.section == Section() and item.partial is None
    return item is FetchAtom.RFC822


def _takes_more_than_header(item: FetchItem) -> bool:
    if isinstance(item, FetchSection):
        text = item.section.text
        return bool(item.section.path) or text in (None, SectionText.TEXT)
    return item in _WHOLE


def _kind(item: FetchItem) -> str | None:
    if isinstance(item, FetchAtom):
        if item in _META:
            return columns.META
        if item is FetchAtom.RFC822_HEADER:
            return columns.HEADER
        return _RENDERED.get(item)
    if item.section.path:
        return None
    if item.section.text is SectionText.HEADER:
        return columns.HEADER
    if item.section.text is SectionText.HEADER_FIELDS:
        return columns.fields_kind(item.section.fields)
    return None


@dataclass(slots=True)
class Rendered:
    """A batch: the messages that have all items, and a column for each item.

    A dynamic item has None in place of its column.  ``count`` messages were looked
    at; ``errors`` has those that are missing.
    """

    uids: Sequence[Uid]
    columns: list[rows.Column | None]
    count: int
    errors: dict[Uid, ImapError] = field(default_factory=dict)
    #: The batch is one message, and one of its items comes in pieces.
    large: "Large | None" = None

    def close(self) -> None:
        """Give back what is held, where the batch is not sent."""
        if self.large is not None:
            self.large.stream.close()


@dataclass(frozen=True, slots=True)
class Large:
    """An item that is too large to be held: its place has no column."""

    at: int  # among the items
    name: bytes
    stream: MessageStream


def render(
    source: MessageSource,
    plan: Plan,
    uids: Sequence[Uid],
    message: LazyMessage | None = None,
) -> Rendered:
    """Render messages until the batch is full; at least one.  Blocks.

    ``message`` is one of them that may be read already.
    """
    batch = uids[: plan.batch_messages]
    wanted = {kind for kind in plan.kinds if kind is not None}
    known = {kind: source.load_column(kind, batch) for kind in wanted}
    if plan.reads or message is not None:
        return _Reader(source, plan, batch, known, message).render()
    if not any(None in values for values in known.values()):
        return _from_columns(plan, batch, known, len(batch), {})
    if not plan.is_lean:
        return _Reader(source, plan, batch, known, message).render()
    completing = Completing(source, batch, known, plan.fields, whole=plan.whole)
    count, errors = completing.run(), completing.errors
    there = [uid not in errors for uid in batch[:count]] if errors else range(count)
    chosen = {kind: _chosen(values, there) for kind, values in known.items()}
    return _from_columns(plan, _chosen(batch, there), chosen, count, errors)


def _chosen(values: Sequence[_V], there: Sequence[bool] | range) -> Sequence[_V]:
    """The values of the messages that are there: the first, or chosen ones."""
    if isinstance(there, range):
        return values[: len(there)]
    return list(compress(values, there))


def _from_columns(
    plan: Plan,
    uids: Sequence[Uid],
    known: Mapping[str, Sequence[bytes | None]],
    count: int,
    errors: dict[Uid, ImapError],
) -> Rendered:
    """A batch of which everything is in columns."""
    values = [
        uids if kind is None else _decoded(item, known[kind])
        for item, kind in zip(plan.items, plan.kinds, strict=True)
    ]
    return Rendered(uids, _columns(plan, values), count, errors)


def _decoded(item: FetchItem, values: Sequence[bytes | None]) -> _Values:
    """Values as ``_columns`` takes them."""
    if isinstance(item, FetchSection):
        return [_cut(item, value) for value in values] if item.partial else [*values]
    if item not in _META:
        return [*values]
    at = _META[item]
    found = [columns.decode_meta(value or b"") for value in values]
    return [0 if meta is None else meta[at] for meta in found]


def _cut(item: FetchSection, octets: bytes | None) -> bytes | None:
    if octets is None or item.partial is None:
        return octets
    return octets[item.partial.first : item.partial.first + item.partial.count]


def _columns(plan: Plan, values: Sequence[Sequence[Any]]) -> list[rows.Column | None]:
    return [_column(item, each) for item, each in zip(plan.items, values, strict=True)]


def _column(item: FetchItem, values: Sequence[Any]) -> rows.Column | None:
    if isinstance(item, FetchSection):
        name = msgatt.section_name(item.section, item.partial)
        return rows.literal_column(name, values)
    if item in DYNAMIC:
        return None
    if item is FetchAtom.UID:
        return rows.uid_column(values)
    if item is FetchAtom.INTERNALDATE:
        return rows.internaldate_column(values)
    if item is FetchAtom.RFC822_SIZE:
        return rows.size_column(values)
    if item in _RFC822_SECTIONS:
        return rows.literal_column(item.value.encode("ascii"), values)
    return rows.rendered_column(item, values)


class _Reader:
    """Renders a batch of which something is not in the cache."""

    def __init__(
        self,
        source: MessageSource,
        plan: Plan,
        batch: Sequence[Uid],
        known: dict[str, list[bytes | None]],
        message: LazyMessage | None,
    ) -> None:
        self._source = source
        self._message = message
        self._plan = plan
        self._batch = batch[:READ_MESSAGES]
        self._known = known
        self._fresh: dict[str, dict[Uid, bytes]] = {
            kind: {} for kind in known if kind != columns.META
        }

    def render(self) -> Rendered:
        """Read what is missing, until there is enough to send."""
        self._complete_meta()
        rendered: list[Uid] = []
        done = Rendered(rendered, [], 0)
        values: list[_Values] = [[] for _ in self._plan.items]
        octets = 0
        for at, uid in enumerate(self._batch):
            try:
                if self._is_large(uid):
                    if not done.count:
                        self._start(done, at, uid)
                    break  # it is sent alone
                row = self._row(at, uid)
            except ImapError as error:
                done.count += 1
                done.errors[uid] = error
                continue
            except WouldBlock:
                raise
            except Exception:  # a defect of ours must not hide the other messages
                _log.failure("rendering message {uid}", uid=uid)
                done.count += 1
                done.errors[uid] = ServerBug("Internal error; the log has it")
                continue
            done.count += 1
            rendered.append(uid)
            for column, value in zip(values, row, strict=True):
                column.append(value)
                octets += len(value) if isinstance(value, bytes) else 16
            if octets >= READ_OCTETS:
                break
        if any(self._fresh.values()):
            self._source.save_columns(self._fresh)
        if done.large is not None:
            return done
        done.columns = _columns(self._plan, values)
        return done

    def _is_large(self, uid: Uid) -> bool:
        """Whether the message is to be sent in pieces; else it may be read then."""
        if self._plan.streamed is None:
            return False
        if self._message is not None and self._message.uid == uid:
            return False
        octets = self._source.read(uid, LARGE_OCTETS + 1)
        if len(octets) > LARGE_OCTETS:
            return True
        self._message = LazyMessage(self._source, uid, whole=True, stored=octets)
        return False

    def _start(self, done: Rendered, at: int, uid: Uid) -> None:
        """Make a batch of a large message; its octets are yet to come."""
        assert self._plan.streamed is not None
        streamed = self._plan.streamed
        item = self._plan.items[streamed]
        name = (
            item.value.encode("ascii")
            if isinstance(item, FetchAtom)
            else (msgatt.section_name(item.section))
        )
        message = LazyMessage(self._source, uid, whole=False)
        pairs = list(zip(self._plan.items, self._plan.kinds, strict=True))
        done.columns = [
            None
            if number == streamed
            else _column(each, [self._one(at, each, kind, message)])
            for number, (each, kind) in enumerate(pairs)
        ]
        done.large = Large(streamed, name, self._source.stream(uid))
        done.uids, done.count = [uid], 1

    def _one(
        self, at: int, item: FetchItem, kind: str | None, message: LazyMessage
    ) -> Any:
        """The value of one item of one message."""
        if kind is not None:
            return _decoded(item, [self._value(at, kind, item, message)])[0]
        if isinstance(item, FetchSection):
            return _cut(item, message.section(item.section))
        if item in _RFC822_SECTIONS:
            return message.section(_RFC822_SECTIONS[item]) or b""
        return message.uid

    def _complete_meta(self) -> None:
        values = self._known.get(columns.META)
        if values is None or None not in values:
            return
        metas = self._source.meta(self._batch)
        for at, uid in enumerate(self._batch):
            meta = metas.get(uid)
            if meta is not None:
                values[at] = columns.encode_meta(
                    meta.internal_date_seconds, meta.rfc822_size
                )

    def _row(self, at: int, uid: Uid) -> _Values:
        message = self._message
        if message is None or message.uid != uid:
            message = LazyMessage(self._source, uid, whole=self._plan.whole)
        row: _Values = []
        total = 0
        for item, kind in zip(self._plan.items, self._plan.kinds, strict=True):
            value = self._one(at, item, kind, message)
            row.append(value)
            total += len(value) if isinstance(value, bytes) else 0
            if (
                total > MOST_SPARE_OCTETS
                and total > MOST_TIMES * len(message.octets) + MOST_SPARE_OCTETS
            ):
                raise LimitReached("Too much of one message at once")
        return row

    def _value(
        self, at: int, kind: str, item: FetchItem, message: LazyMessage
    ) -> bytes:
        value = self._known[kind][at]
        if value is None:
            if kind == columns.META:
                raise MessageGone("Some of the messages were expunged")
            value = self._derive(at, kind, item, message)
            self._known[kind][at] = self._fresh[kind][message.uid] = value
            if kind in _FORMS:  # the other one comes with it
                for each, form in zip(_FORMS, message.forms, strict=True):
                    self._fresh.setdefault(each, {})[message.uid] = form
        return value

    def _derive(
        self, at: int, kind: str, item: FetchItem, message: LazyMessage
    ) -> bytes:
        if columns.family_of(kind) is None or not isinstance(item, FetchSection):
            return message.derive(kind)
        return message.section(item.section) or b""
