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
from imapd.mailbox import itemcolumns
from imapd.mailbox.completing import Completing
from imapd.mailbox.itemcolumns import RFC822_SECTIONS, Values
from imapd.mailbox.message import LazyMessage
from imapd.mailbox.planning import MOST_TIMES, READ_MESSAGES, Plan
from imapd.mailbox.source import MessageSource
from imapd.mailbox.streams import LARGE_OCTETS
from imapd.mime import scan
from imapd.model import columns
from imapd.model.requests import FetchAtom, FetchItem, FetchSection
from imapd.store.api import MessageStream, WouldBlock
from imapd.wire import msgatt, rows

_log = Logger()

#: A batch for which messages are read ends at so many octets.
READ_OCTETS = 256 << 10
#: And answers of one message that are so many octets more than ``MOST_TIMES`` it.
MOST_SPARE_OCTETS = 1 << 20

_FORMS = (columns.BODY, columns.BODYSTRUCTURE)

_V = TypeVar("_V")


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

    def take(self) -> list[rows.Column | None]:
        """The columns, which nobody else holds then: they are as large as the batch."""
        taken, self.columns = self.columns, []
        return taken

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
    whole_at = plan.whole_at
    if whole_at is not None and message is None:
        rendered = _render_wholes(source, plan, whole_at, batch)
        if rendered is not None:
            return rendered
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
        uids if kind is None else itemcolumns.decoded(item, known[kind])
        for item, kind in zip(plan.items, plan.kinds, strict=True)
    ]
    return Rendered(uids, itemcolumns.columns_of(plan.items, values), count, errors)


def _render_wholes(
    source: MessageSource, plan: Plan, whole_at: int, batch: Sequence[Uid]
) -> Rendered | None:
    """Read messages that are sent as they are; None: the first is a large one."""
    rendered: list[Uid] = []
    bodies: list[bytes] = []
    done = Rendered(rendered, [], 0)
    left = READ_OCTETS
    for uid in batch:
        try:
            stored = source.read(uid, LARGE_OCTETS + 1)
            if len(stored) > LARGE_OCTETS:
                if not done.count:
                    return None
                break
            octets = scan.to_wire(stored)
        except ImapError as error:
            done.errors[uid] = error
        except WouldBlock:
            raise
        except Exception:  # a defect of ours must not hide the other messages
            done.errors[uid] = _defect(uid)
        else:
            rendered.append(uid)
            bodies.append(octets)
            left -= len(octets)
        done.count += 1
        if left <= 0:
            break
    done.columns = [
        itemcolumns.column(item, bodies if at == whole_at else rendered)
        for at, item in enumerate(plan.items)
    ]
    return done


def _defect(uid: Uid) -> ServerBug:
    """Log the exception that is being handled; return what the client is told."""
    _log.failure("rendering message {uid}", uid=uid)
    return ServerBug("Internal error; the log has it")


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
        values: list[Values] = [[] for _ in self._plan.items]
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
                done.count += 1
                done.errors[uid] = _defect(uid)
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
        done.columns = itemcolumns.columns_of(self._plan.items, values)
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
            else itemcolumns.column(each, [self._one(at, each, kind, message)])
            for number, (each, kind) in enumerate(pairs)
        ]
        done.large = Large(streamed, name, self._source.stream(uid))
        done.uids, done.count = [uid], 1

    def _one(
        self, at: int, item: FetchItem, kind: str | None, message: LazyMessage
    ) -> Any:
        """The value of one item of one message."""
        if kind is not None:
            return itemcolumns.decoded(item, [self._value(at, kind, item, message)])[0]
        if isinstance(item, FetchSection):
            return itemcolumns.cut(item, message.section(item.section))
        if item in RFC822_SECTIONS:
            return message.section(RFC822_SECTIONS[item]) or b""
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

    def _row(self, at: int, uid: Uid) -> Values:
        message = self._message
        if message is None or message.uid != uid:
            message = LazyMessage(self._source, uid, whole=self._plan.whole)
        row: Values = []
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
