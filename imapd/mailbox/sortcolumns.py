"""The part of SORT and THREAD that blocks: values of the cache's columns.

What the cache lacks is derived from the message, all kinds at once, and offered to
it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted.logger import Logger

from imapd.errors import ImapError, MessageGone
from imapd.ids import Uid
from imapd.mailbox.message import LazyMessage
from imapd.mailbox.source import MessageSource
from imapd.mime.sortkeys import derive_sort_keys
from imapd.model import columns, sort
from imapd.model.threadids import is_thread_ids
from imapd.store.quiet import is_due

_log = Logger()

#: A batch of what the cache has, and of what must be read.
BATCH_MESSAGES = 2048
READ_MESSAGES = 256


@dataclass(slots=True)
class Loaded:
    """What came of the first ``count`` messages.

    ``values`` are by kind: seconds for ``SORT_DATE``, ``Meta`` for ``META``, octets
    for all others.  Those of ``unreadable`` are made up, and worth nothing later.
    """

    values: dict[str, dict[Uid, Any]]
    count: int
    gone: set[Uid] = field(default_factory=set)
    unreadable: set[Uid] = field(default_factory=set)


def load(source: MessageSource, kinds: Iterable[str], uids: Sequence[Uid]) -> Loaded:
    """Return values of those kinds, of as many messages as are a batch.  Blocks."""
    batch = uids[:BATCH_MESSAGES]
    known = {
        kind: dict(zip(batch, source.load_column(kind, batch), strict=True))
        for kind in kinds
    }
    values = {
        kind: {uid: _decoded(kind, value) for uid, value in column.items()}
        for kind, column in known.items()
    }
    missing = [
        uid for uid in batch if any(column[uid] is None for column in values.values())
    ]
    if not missing:
        return Loaded(values, len(batch))
    if len(missing) > READ_MESSAGES:
        batch = batch[: batch.index(missing[READ_MESSAGES])]
        missing = missing[:READ_MESSAGES]
    loaded = Loaded(values, len(batch))
    _complete(source, loaded, missing)
    for kind, column in values.items():
        values[kind] = {uid: column[uid] for uid in batch if uid not in loaded.gone}
    return loaded


def _decoded(kind: str, value: bytes | None) -> Any:
    """The value as ``Loaded`` has it; None for what is none."""
    if value is None:
        return None
    if kind == columns.META:
        return columns.decode_meta(value)
    if kind == columns.SORT_DATE:
        return sort.unpack_seconds(value) if len(value) == sort.SECONDS_OCTETS else None
    if kind == columns.THREAD_IDS and not is_thread_ids(value):
        return None
    return value


def _complete(source: MessageSource, loaded: Loaded, missing: Sequence[Uid]) -> None:
    """Put in what the cache had not."""
    derived: dict[str, dict[Uid, bytes]] = {}
    heads = dict(zip(missing, source.load_column(columns.HEADER, missing), strict=True))
    dates = _Dates(source, missing if columns.META in loaded.values else ())
    for uid in missing:
        keys: dict[str, bytes] = {}
        try:
            if _lacks_keys(loaded, uid):
                keys = _derive(source, dates, uid, heads[uid])
            if columns.META in loaded.values:
                loaded.values[columns.META][uid] = dates.meta(uid)
        except MessageGone:
            loaded.gone.add(uid)
            continue
        except ImapError as error:
            # It is in the mailbox: an answer without it would hide it.
            if is_due("sorting", str(error)):  # the store names the place
                _log.warn("cannot sort {uid}: {error}", uid=uid, error=str(error))
            loaded.unreadable.add(uid)
            _make_up(loaded, uid)
            continue
        for kind, value in keys.items():
            derived.setdefault(kind, {})[uid] = value
            if kind in loaded.values:
                loaded.values[kind][uid] = _decoded(kind, value)
    if derived:
        source.save_columns(derived)


def _lacks_keys(loaded: Loaded, uid: Uid) -> bool:
    return any(
        column[uid] is None
        for kind, column in loaded.values.items()
        if kind != columns.META
    )


def _derive(
    source: MessageSource, dates: "_Dates", uid: Uid, header: bytes | None
) -> dict[str, bytes]:
    if header is None:
        header = LazyMessage(source, uid, whole=False).header
    keys = derive_sort_keys(header, None)
    if columns.SORT_DATE not in keys:
        seconds = dates.meta(uid).internal_date_seconds
        keys[columns.SORT_DATE] = sort.pack_seconds(seconds)
    return keys


def _make_up(loaded: Loaded, uid: Uid) -> None:
    keys = derive_sort_keys(b"", 0)
    for kind, column in loaded.values.items():
        if column[uid] is None:
            made_up = columns.Meta(0, 0) if kind == columns.META else None
            column[uid] = made_up or _decoded(kind, keys[kind])


class _Dates:
    """Internal dates and sizes: to learn a size may be to read the file."""

    def __init__(self, source: MessageSource, uids: Sequence[Uid]) -> None:
        """Look those messages up at once; others when they are asked for."""
        self._source = source
        self._metas = source.meta(uids) if uids else {}

    def meta(self, uid: Uid) -> columns.Meta:
        """Size and date of one message; raises MessageGone."""
        meta = self._metas.get(uid) or self._source.meta((uid,)).get(uid)
        if meta is None:
            raise MessageGone("The message was expunged")
        return columns.Meta(meta.internal_date_seconds, meta.rfc822_size)
