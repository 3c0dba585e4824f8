"""Everything that is derived from a message ahead of need: one row for each reading.

A row says which columns it makes; all of them are made at once, from a message that
is in memory.  What they make is what ``rendering`` and SEARCH make on demand, by the
same functions.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from imapd.mailbox import searchheader
from imapd.mailbox.message import LazyMessage
from imapd.mailbox.source import MessageSource
from imapd.mime import headers
from imapd.mime.sortkeys import derive_sort_keys
from imapd.model import columns
from imapd.model.mailbox import MessageMeta
from imapd.model.sort import COLUMN_OF


class Held:
    """A message that was read."""

    def __init__(self, source: MessageSource, octets: bytes, meta: MessageMeta) -> None:
        self.meta = meta
        self.lazy = LazyMessage(source, meta.uid, whole=True, stored=octets)


Derive = Callable[[Held], Mapping[str, bytes]]


class Deriver(NamedTuple):
    """What makes the values of some columns."""

    kinds: tuple[str, ...]
    derive: Derive


def _one(kind: str) -> Deriver:
    return Deriver((kind,), lambda held: {kind: held.lazy.derive(kind)})


def _meta(held: Held) -> dict[str, bytes]:
    meta = held.meta
    value = columns.encode_meta(meta.internal_date_seconds, meta.rfc822_size)
    return {columns.META: value}


def _forms(held: Held) -> dict[str, bytes]:
    body, bodystructure = held.lazy.forms
    return {columns.BODY: body, columns.BODYSTRUCTURE: bodystructure}


def _sort_keys(held: Held) -> dict[str, bytes]:
    return derive_sort_keys(held.lazy.header, held.meta.internal_date_seconds)


#: A kind that is in no row is derived on demand only.
DERIVERS: Final = (
    Deriver((columns.META,), _meta),
    _one(columns.ENVELOPE),
    Deriver((columns.BODY, columns.BODYSTRUCTURE), _forms),
    _one(columns.HEADER),
    Deriver(
        (*searchheader.KINDS.values(), columns.SEARCH_SENT),
        lambda held: searchheader.derive(held.lazy.header),
    ),
    Deriver((*COLUMN_OF.values(), columns.THREAD_IDS), _sort_keys),
)
#: Lists of fields beside the usual ones, that some client of the account asked for.
MOST_ASKED_FIELDS: Final = 4

_USUAL: Final = tuple(
    columns.fields_kind(names.split(b" ")) for names in columns.USUAL_FIELDS
)
#: Names what is derived in every mailbox: with a new row all is looked through anew.
VERSION: Final = hashlib.blake2b(
    " ".join([kind for row in DERIVERS for kind in row.kinds] + list(_USUAL)).encode(),
    digest_size=8,
).hexdigest()


def table(asked_fields: Iterable[str]) -> list[Deriver]:
    """Return all rows, with those of lists of fields that were asked for."""
    lists = [*_USUAL]
    for kind in asked_fields:
        if kind not in lists and len(lists) < len(_USUAL) + MOST_ASKED_FIELDS:
            lists.append(kind)
    return [*DERIVERS, *_fields_rows(lists)]


def _fields_rows(kinds: Iterable[str]) -> Iterator[Deriver]:
    for kind in kinds:
        names = columns.field_names(kind)
        if names is not None:
            yield Deriver((kind,), _fields(kind, names))


def _fields(kind: str, names: frozenset[bytes]) -> Derive:
    return lambda held: {
        kind: headers.select_fields(held.lazy.stored_header, names, negate=False)
    }


def derive(
    rows: Iterable[Deriver], held: Held, missing: frozenset[str]
) -> dict[str, bytes]:
    """Return the values of a message that are missing."""
    found: dict[str, bytes] = {}
    for row in rows:
        if not missing.isdisjoint(row.kinds):
            found.update(row.derive(held))
    return {kind: value for kind, value in found.items() if kind in missing}
