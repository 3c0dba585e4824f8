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
from imapd.model.mailbox import MessageMeta

_log = Logger()

#: A batch of what the cache has, and of what must be read.
BATCH_MESSAGES = 2048
READ_MESSAGES = 64


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
    return value


def _complete(source: MessageSource, loaded: Loaded, missing: Sequence[Uid]) -> None:
    """Put in what the cache had not."""
    metas = source.meta(missing)
    derived: dict[str, dict[Uid, bytes]] = {}
    for uid in missing:
        meta = metas.get(uid)
        if meta is None:
            loaded.gone.add(uid)
            continue
        keys: dict[str, bytes] = {}
        try:
            if _lacks_keys(loaded, uid):
                keys = derive_sort_keys(
                    _header(source, uid), meta.internal_date_seconds
                )
        except MessageGone:
            loaded.gone.add(uid)
            continue
        except ImapError as error:
            # It is in the mailbox: an answer without it would hide it.
            _log.warn("cannot sort {uid}: {error}", uid=uid, error=error)
            loaded.unreadable.add(uid)
            keys = derive_sort_keys(b"", meta.internal_date_seconds)
        else:
            for kind, value in keys.items():
                derived.setdefault(kind, {})[uid] = value
        _put_in(loaded, uid, meta, keys)
    if derived:
        source.save_columns(derived)


def _lacks_keys(loaded: Loaded, uid: Uid) -> bool:
    return any(
        column[uid] is None
        for kind, column in loaded.values.items()
        if kind != columns.META
    )


def _header(source: MessageSource, uid: Uid) -> bytes:
    (header,) = source.load_column(columns.HEADER, (uid,))
    return LazyMessage(source, uid).header if header is None else header


def _put_in(
    loaded: Loaded, uid: Uid, meta: MessageMeta, keys: dict[str, bytes]
) -> None:
    for kind, column in loaded.values.items():
        if kind == columns.META:
            column[uid] = columns.Meta(meta.internal_date_seconds, meta.rfc822_size)
        elif kind in keys:
            column[uid] = _decoded(kind, keys[kind])
