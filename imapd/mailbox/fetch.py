"""FETCH on the reactor: batches of responses, as fast as the client reads.

``rendering`` makes the octets; here what may change meanwhile is added (flags,
message numbers).  Never more than one batch is held.  RFC 3501 §6.4.5, §7.4.2.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from twisted.logger import Logger

from imapd.errors import ImapError, MessageGone
from imapd.ids import Seq, Uid
from imapd.mailbox.api import Messages
from imapd.mailbox.blocks import BlockSource
from imapd.mailbox.itemcolumns import DYNAMIC
from imapd.mailbox.planning import Plan, plan, whole_pages
from imapd.mailbox.rendering import Rendered
from imapd.mailbox.streams import BrokenLiteral
from imapd.model.flags import NO_FLAGS, SEEN, Flags
from imapd.model.requests import FetchAtom, FetchItem
from imapd.model.view import SessionView
from imapd.store.api import MessageStream
from imapd.store.quiet import is_due
from imapd.wire import msgatt, rows

_log = Logger()

#: A batch of what is in memory.
FLAGS_BATCH_MESSAGES = 1024

RenderBatch = Callable[[Plan, Sequence[Uid]], Awaitable[Rendered]]
MarkSeen = Callable[[Sequence[Uid]], Awaitable[object]]
ReadPiece = Callable[[MessageStream], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Mailbox:
    """What ``responses`` needs to know of the mailbox it answers for."""

    view: SessionView
    read_only: bool
    flags: Callable[[Sequence[Uid]], Sequence[Flags | None]]  # None: it is gone
    render: RenderBatch
    mark_seen: MarkSeen
    read_piece: ReadPiece
    modseq: Callable[[Uid], int] = lambda uid: 0  # of a mailbox that keeps none
    #: What was sent before; None: nothing is kept.
    blocks: BlockSource | None = None
    #: What is told unasked has UID and MODSEQ too.  RFC 7162 §3.2.4.
    condstore: bool = False


async def responses(
    mailbox: Mailbox, messages: Messages, items: Sequence[FetchItem], *, with_uid: bool
) -> AsyncGenerator[bytes, None]:
    """Yield the responses in batches; afterwards raise what some of them met.

    ``with_uid``: the command was UID FETCH, and every response says the UID.
    """
    wanted = plan(_with_uid(items) if with_uid else items)
    failure: ImapError | None = None
    size = FLAGS_BATCH_MESSAGES if wanted.in_memory else wanted.batch_messages
    at = 0
    while at < len(messages):
        asked = messages[at : at + size]
        if not wanted.in_memory and at + size < len(messages):
            asked = asked[: whole_pages(asked.uids)]
        block = _kept(mailbox, wanted, asked)
        if block is not None:
            at += len(asked)
            yield block
            continue
        if wanted.in_memory:
            rendered = _from_memory(mailbox, wanted, asked.uids)
        else:
            rendered = await mailbox.render(wanted, asked.uids)
        at += rendered.count
        for error in rendered.errors.values():
            failure = failure or error
        try:
            marked = await _mark_seen(mailbox, wanted, rendered)
        except BaseException:
            rendered.close()
            raise
        if rendered.large is not None:
            pieces = _pieces(mailbox, wanted, rendered, asked, marked)
            try:
                async for piece in pieces:
                    yield piece
            finally:  # also where the client has left
                await pieces.aclose()
        elif rendered.uids:
            # None of it is held here while the client is slow to read it.
            yield _lines(mailbox, wanted, rendered, asked, marked)
    if failure is not None:
        raise failure


def _kept(mailbox: Mailbox, plan: Plan, asked: Messages) -> bytes | None:
    """What was sent before of these messages, if nothing has changed since."""
    block = None if mailbox.blocks is None else mailbox.blocks.find(plan, asked)
    if block is not None and FetchAtom.FLAGS in plan.items:
        mailbox.view.told_flags(asked.uids)
    return block


def _with_uid(items: Sequence[FetchItem]) -> tuple[FetchItem, ...]:
    return (FetchAtom.UID, *(item for item in items if item is not FetchAtom.UID))


def _from_memory(mailbox: Mailbox, plan: Plan, uids: Sequence[Uid]) -> Rendered:
    """A batch for which nothing is read."""
    there = uids
    errors: dict[Uid, ImapError] = {}
    if not DYNAMIC.isdisjoint(plan.items):
        flags = mailbox.flags(uids)
        if None in flags:
            pairs = list(zip(uids, flags, strict=True))
            there = [uid for uid, known in pairs if known is not None]
            gone = next(uid for uid, known in pairs if known is None)
            errors[gone] = MessageGone("Some of the messages were expunged")
    columns = [
        rows.uid_column(there) if item is FetchAtom.UID else None for item in plan.items
    ]
    return Rendered(there, columns, len(uids), errors)


def _lines(
    mailbox: Mailbox,
    plan: Plan,
    rendered: Rendered,
    asked: Messages,
    marked: set[Uid],
) -> bytes:
    """The responses of a batch, which may be kept for the next time."""
    uids, looked_at = rendered.uids, asked[: rendered.count]
    seqs: Sequence[Seq] = looked_at.seqs
    if len(seqs) != len(uids):
        here = set(uids)
        seqs = [seq for seq, uid in looked_at if uid in here]
    columns = [
        _dynamic(mailbox, item, uids) if column is None else column
        for item, column in zip(plan.items, rendered.take(), strict=True)
    ]
    if FetchAtom.FLAGS in plan.items:
        mailbox.view.told_flags(uids)
    if marked and (unasked := _unasked(mailbox, plan)):
        lines = _with_marked(mailbox, (seqs, uids, columns), marked, unasked)
    else:
        lines = rows.fetch_rows(seqs, columns)
    if mailbox.blocks is not None and len(uids) == len(asked):
        mailbox.blocks.keep(plan, asked, lines)
    return lines


async def _pieces(
    mailbox: Mailbox,
    plan: Plan,
    rendered: Rendered,
    asked: Messages,
    marked: set[Uid],
) -> AsyncGenerator[bytes, None]:
    """The response to one message whose octets are read as they are sent."""
    large, uids = rendered.large, rendered.uids
    assert large is not None
    try:
        columns = [
            _dynamic(mailbox, item, uids) if column is None else column
            for at, (item, column) in enumerate(
                zip(plan.items, rendered.columns, strict=True)
            )
            if at != large.at
        ]
        if marked:
            unasked = _unasked(mailbox, plan)
            columns += [_dynamic(mailbox, item, uids) for item in unasked]
        mailbox.view.told_flags(marked)
        left = large.stream.size_octets
        head, tail = rows.split_row(asked.seqs[0], columns, large.name, left)
        yield head
        while left > 0:
            piece = await _next_piece(mailbox, large.stream)
            left -= len(piece)
            if left < 0 or not piece:
                raise BrokenLiteral("the message is not as long as it was")
            yield piece
        yield tail
    finally:
        large.stream.close()


async def _next_piece(mailbox: Mailbox, stream: MessageStream) -> bytes:
    try:
        return await mailbox.read_piece(stream)
    except OSError as error:
        raise BrokenLiteral(str(error)) from error


def _unasked(mailbox: Mailbox, plan: Plan) -> list[FetchItem]:
    r"""What the messages that got ``\Seen`` say beside what was asked for."""
    items: tuple[FetchItem, ...] = (FetchAtom.FLAGS,)
    if mailbox.condstore:
        items = (FetchAtom.UID, FetchAtom.FLAGS, FetchAtom.MODSEQ)
    return [item for item in items if item not in plan.items]


def _dynamic(mailbox: Mailbox, item: FetchItem, uids: Sequence[Uid]) -> rows.Column:
    if item is FetchAtom.UID:
        return rows.uid_column(uids)
    if item is FetchAtom.MODSEQ:
        return rows.modseq_column([mailbox.modseq(uid) for uid in uids])
    flags = mailbox.flags(uids)
    rendered = list(map(_FlagTexts(is_recent=False).__getitem__, flags))
    recent = mailbox.view.recent
    if not recent.isdisjoint(uids):
        texts = _FlagTexts(is_recent=True)
        for at, uid in enumerate(uids):
            if uid in recent:
                rendered[at] = texts[flags[at]]
    return rows.flags_column(rendered)


class _FlagTexts(dict[Flags | None, bytes]):
    """What is said of flags: thousands of messages have a few sets of them."""

    def __init__(self, *, is_recent: bool) -> None:
        super().__init__()
        self._is_recent = is_recent

    def __missing__(self, flags: Flags | None) -> bytes:
        text = msgatt.render_flags(flags or NO_FLAGS, self._is_recent)
        self[flags] = text
        return text


def _with_marked(
    mailbox: Mailbox,
    table: tuple[Sequence[Seq], Sequence[Uid], Sequence[rows.Column]],
    marked: set[Uid],
    unasked: Sequence[FetchItem],
) -> bytes:
    r"""Rows in which only the messages that got ``\Seen`` say what was not asked."""
    seqs, uids, columns = table
    lines = []
    for at, uid in enumerate(uids):
        mine = [each.only(at) for each in columns]
        if uid in marked:
            mine += [_dynamic(mailbox, item, [uid]) for item in unasked]
        lines.append(rows.fetch_rows(seqs[at : at + 1], mine))
    mailbox.view.told_flags(marked)
    return b"".join(lines)


async def _mark_seen(mailbox: Mailbox, plan: Plan, batch: Rendered) -> set[Uid]:
    if not plan.sets_seen or mailbox.read_only:
        return set()
    pairs = zip(batch.uids, mailbox.flags(batch.uids), strict=True)
    unseen = [uid for uid, flags in pairs if flags is None or SEEN not in flags]
    if not unseen:
        return set()
    try:
        await mailbox.mark_seen(unseen)
    except ImapError as error:  # mail can be read where nothing can be written
        if is_due("seen", str(error)):  # the store names the place
            _log.warn("cannot set the Seen flag: {error}", error=str(error))
        return set()
    return set(unseen)
