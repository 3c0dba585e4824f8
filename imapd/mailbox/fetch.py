"""FETCH: from messages to responses ready to send, batch by batch.

``render`` blocks and runs in a worker; ``responses`` runs on the reactor, adds
what may change meanwhile (flags, message numbers), and never holds more than one
batch.  RFC 3501 §6.4.5, §7.4.2.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from twisted.logger import Logger

from imapd.errors import ImapError, LimitReached, MessageGone, ServerBug
from imapd.ids import Octets, Uid
from imapd.mailbox.api import Messages
from imapd.mailbox.source import MessageSource
from imapd.mime import envelope, headers, scan, section, structure
from imapd.model.flags import SEEN, Flags
from imapd.model.mailbox import Derived, MessageMeta
from imapd.model.requests import FetchAtom, FetchItem, FetchSection
from imapd.model.structure import BodyPart, Section, SectionText
from imapd.model.view import SessionView
from imapd.wire import msgatt
from imapd.wire import structure as wire_structure
from imapd.wire.response import untagged

_log = Logger()

#: A batch ends at so many messages or octets, whichever comes first.
BATCH_MESSAGES = 64
BATCH_OCTETS = 64 << 10
FLAGS_BATCH_MESSAGES = 1024
#: One command names thousands of partials; each may be as large as the message.
MOST_TIMES = 4
MOST_SPARE_OCTETS = 1 << 20

_RFC822_SECTIONS = {
    FetchAtom.RFC822: Section(),
    FetchAtom.RFC822_HEADER: Section(text=SectionText.HEADER),
    FetchAtom.RFC822_TEXT: Section(text=SectionText.TEXT),
}
_DERIVED = {FetchAtom.ENVELOPE, FetchAtom.BODY, FetchAtom.BODYSTRUCTURE}
_META = {FetchAtom.INTERNALDATE, FetchAtom.RFC822_SIZE}
_IN_MEMORY = {FetchAtom.UID, FetchAtom.FLAGS}


@dataclass(frozen=True, slots=True)
class Plan:
    """What the items of one FETCH need."""

    items: tuple[FetchItem, ...]
    derived: bool
    meta: bool
    octets: bool
    in_memory: bool  # nothing needs the disk
    sets_seen: bool


def plan(items: Sequence[FetchItem]) -> Plan:
    """Read the items once for all messages."""
    atoms = {item for item in items if isinstance(item, FetchAtom)}
    sections = [item for item in items if isinstance(item, FetchSection)]
    return Plan(
        items=tuple(items),
        derived=bool(atoms & _DERIVED),
        meta=bool(atoms & _META),
        octets=bool(sections or atoms & set(_RFC822_SECTIONS)),
        in_memory=not sections and atoms <= _IN_MEMORY,
        sets_seen=any(not each.peek for each in sections)
        or bool(atoms & {FetchAtom.RFC822, FetchAtom.RFC822_TEXT}),
    )


@dataclass(slots=True)
class Rendered:
    """The items of one message; ``FLAGS`` and what reading failed with are apart."""

    uid: Uid
    items: list[bytes] = field(default_factory=list)
    flags_at: int | None = None
    error: ImapError | None = None


class _Message:
    """One message, read at most once and parsed only as far as was asked."""

    __slots__ = ("_octets", "_root", "_source", "uid")

    def __init__(self, source: MessageSource, uid: Uid) -> None:
        self._source = source
        self._octets: bytes | None = None
        self._root: BodyPart | None = None
        self.uid = uid

    @property
    def octets(self) -> bytes:
        if self._octets is None:
            self._octets = scan.to_wire(self._source.read(self.uid))
        return self._octets

    @property
    def root(self) -> BodyPart:
        if self._root is None:
            self._root = structure.parse(self.octets)
        return self._root

    def section(self, wanted: Section) -> bytes | None:
        if wanted.path:
            return section.extract(self.octets, self.root, wanted)
        octets = self.octets
        if wanted.text is None:
            return octets
        whole = BodyPart(  # HEADER and TEXT need no more than where the header ends
            type=b"TEXT",
            subtype=b"PLAIN",
            body_start=headers.header_end(octets),
            end=len(octets),
        )
        return section.extract(octets, whole, wanted)

    def derive(self, internal_date_seconds: int) -> Derived:
        root = self.root
        header = self.octets[: root.body_start]
        return Derived(
            internal_date_seconds=internal_date_seconds,
            rfc822_size=Octets(len(self.octets)),
            envelope=wire_structure.envelope(envelope.envelope(header)),
            body=wire_structure.body(root),
            bodystructure=wire_structure.bodystructure(root),
        )


def render(source: MessageSource, plan: Plan, uids: Sequence[Uid]) -> list[Rendered]:
    """Render messages until the batch is full; at least one.  Blocks."""
    batch = list(uids[:BATCH_MESSAGES])
    metas = source.meta(batch) if plan.meta or plan.derived else {}
    known = source.load_derived(batch) if plan.derived else {}
    fresh: dict[Uid, Derived] = {}
    rendered: list[Rendered] = []
    octets = 0
    for uid in batch:
        message = _Message(source, uid)
        try:
            derived = known.get(uid)
            if plan.derived and derived is None:
                meta = metas.get(uid)
                if meta is None:
                    raise MessageGone("Some of the messages were expunged")
                derived = fresh[uid] = message.derive(meta.internal_date_seconds)
            one = _render_one(plan, message, metas.get(uid), derived)
        except ImapError as error:
            one = Rendered(uid, error=error)
        except Exception:  # a defect of ours must not hide the other messages
            _log.failure("rendering message {uid}", uid=uid)
            one = Rendered(uid, error=ServerBug("Internal error; the log has it"))
        rendered.append(one)
        octets += sum(map(len, one.items))
        if octets >= BATCH_OCTETS:
            break
    if fresh:
        source.save_derived(fresh)
    return rendered


def _render_one(
    plan: Plan, message: _Message, meta: MessageMeta | None, derived: Derived | None
) -> Rendered:
    one = Rendered(message.uid)
    total = 0
    for item in plan.items:
        if item is FetchAtom.FLAGS:
            one.flags_at = len(one.items)
            continue
        one.items.append(_item(item, message, meta, derived))
        total += len(one.items[-1])
        if (
            total > MOST_SPARE_OCTETS
            and total > MOST_TIMES * len(message.octets) + MOST_SPARE_OCTETS
        ):
            raise LimitReached("Too much of one message at once")
    return one


def _item(
    item: FetchItem,
    message: _Message,
    meta: MessageMeta | None,
    derived: Derived | None,
) -> bytes:
    if isinstance(item, FetchSection):
        octets = message.section(item.section)
        if octets is not None and item.partial is not None:
            first = item.partial.first
            octets = octets[first : first + item.partial.count]
        name = msgatt.section_name(item.section, item.partial)
        return msgatt.section_item(name, octets)
    if item in _RFC822_SECTIONS:
        return msgatt.rfc822_item(item, message.section(_RFC822_SECTIONS[item]) or b"")
    if item is FetchAtom.UID:
        return msgatt.uid_item(message.uid)
    if item in _META:
        return _meta_item(item, meta)
    if derived is None:
        raise MessageGone("Some of the messages were expunged")
    if item is FetchAtom.ENVELOPE:
        return msgatt.envelope_item(derived.envelope)
    if item is FetchAtom.BODY:
        return msgatt.body_item(derived.body)
    return msgatt.bodystructure_item(derived.bodystructure)


def _meta_item(item: FetchItem, meta: MessageMeta | None) -> bytes:
    if meta is None:
        raise MessageGone("Some of the messages were expunged")
    if item is FetchAtom.INTERNALDATE:
        return msgatt.internaldate_item(meta.internal_date_seconds)
    return msgatt.size_item(meta.rfc822_size)


# On the reactor.

RenderBatch = Callable[[Plan, Sequence[Uid]], Awaitable[list[Rendered]]]
MarkSeen = Callable[[Sequence[Uid]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Mailbox:
    """What ``responses`` needs to know of the mailbox it answers for."""

    view: SessionView
    read_only: bool
    flags: Callable[[Uid], Flags]
    has: Callable[[Uid], bool]
    render: RenderBatch
    mark_seen: MarkSeen


async def responses(
    mailbox: Mailbox, messages: Messages, items: Sequence[FetchItem], *, with_uid: bool
) -> AsyncIterator[bytes]:
    """Yield the responses in batches; afterwards raise what some of them met.

    ``with_uid``: the command was UID FETCH, and every response says the UID.
    """
    wanted = plan(_with_uid(items) if with_uid else items)
    if wanted.in_memory:
        async for batch in _from_memory(mailbox, messages, wanted):
            yield batch
        return
    failure: ImapError | None = None
    seqs = {uid: seq for seq, uid in messages}
    uids = [uid for _, uid in messages]
    at = 0
    while at < len(uids):
        rendered = await mailbox.render(wanted, uids[at : at + BATCH_MESSAGES])
        at += len(rendered)
        marked = await _mark_seen(mailbox, wanted, rendered)
        lines = []
        for one in rendered:
            if one.error is not None:
                failure = failure or one.error
                continue
            _add_flags(mailbox, one, also=one.uid in marked)
            if one.items:
                lines.append(untagged(msgatt.fetch(seqs[one.uid], one.items)))
        if lines:
            yield b"".join(lines)
    if failure is not None:
        raise failure


def _with_uid(items: Sequence[FetchItem]) -> tuple[FetchItem, ...]:
    return (FetchAtom.UID, *(item for item in items if item is not FetchAtom.UID))


async def _from_memory(
    mailbox: Mailbox, messages: Messages, plan: Plan
) -> AsyncIterator[bytes]:
    uid_first = plan.items[0] is FetchAtom.UID
    says_uid = FetchAtom.UID in plan.items
    says_flags = FetchAtom.FLAGS in plan.items
    gone = False
    for start in range(0, len(messages), FLAGS_BATCH_MESSAGES):
        lines = []
        for seq, uid in messages[start : start + FLAGS_BATCH_MESSAGES]:
            if says_flags and not mailbox.has(uid):
                gone = True
                continue
            items = [msgatt.uid_item(uid)] if says_uid else []
            if says_flags:
                flags = msgatt.flags_item(
                    mailbox.flags(uid), uid in mailbox.view.recent
                )
                items.insert(1 if uid_first else 0, flags)
                mailbox.view.told_flags((uid,))
            lines.append(untagged(msgatt.fetch(seq, items)))
        if lines:
            yield b"".join(lines)
    if gone:
        raise MessageGone("Some of the messages were expunged")


async def _mark_seen(
    mailbox: Mailbox, plan: Plan, batch: Sequence[Rendered]
) -> set[Uid]:
    if not plan.sets_seen or mailbox.read_only:
        return set()
    unseen = [
        one.uid
        for one in batch
        if one.error is None and SEEN not in mailbox.flags(one.uid)
    ]
    if not unseen:
        return set()
    try:
        await mailbox.mark_seen(unseen)
    except ImapError as error:  # mail can be read where nothing can be written
        _log.warn("cannot set the Seen flag: {error}", error=error)
        return set()
    return set(unseen)


def _add_flags(mailbox: Mailbox, one: Rendered, *, also: bool) -> None:
    if one.flags_at is None and not also:
        return
    flags = mailbox.flags(one.uid)
    item = msgatt.flags_item(flags, one.uid in mailbox.view.recent)
    at = len(one.items) if one.flags_at is None else one.flags_at
    one.items.insert(at, item)
    mailbox.view.told_flags((one.uid,))
