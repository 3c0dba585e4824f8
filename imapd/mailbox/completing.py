"""Columns of a batch made complete: what the cache lacks is derived, and offered to it.

Only what is asked for is derived, all of a message from one look at its file.
"""

from collections.abc import Callable, Mapping, Sequence

from twisted.logger import Logger

from imapd.errors import ImapError, MessageGone, ServerBug
from imapd.ids import Uid
from imapd.mailbox.message import HEAD_OCTETS, LazyMessage
from imapd.mailbox.source import MessageSource
from imapd.mime import headers
from imapd.model import columns
from imapd.store.api import WouldBlock

_log = Logger()

#: A batch for which messages are read ends at so many, or so many octets made of them.
MESSAGES = 256
OCTETS = 256 << 10

_FORMS = (columns.BODY, columns.BODYSTRUCTURE)

Values = list[bytes | None]
Make = Callable[[LazyMessage], bytes]


class Completing:
    """Completes the columns of one batch."""

    def __init__(
        self,
        source: MessageSource,
        uids: Sequence[Uid],
        known: Mapping[str, Values],
        fields: Mapping[str, Sequence[bytes]],
        *,
        whole: bool,
    ) -> None:
        """Read nothing yet.

        Args:
            source: where the messages are.
            uids: the messages of the batch, ascending.
            known: what the cache has, by kind; what it lacks is filled in.
            fields: of each kind that is a list of fields, their names.
            whole: some kind takes more than the header.
        """
        self._source = source
        self._uids = uids
        self._known = known
        self._whole = whole
        self._metas = known.get(columns.META)
        self._makers: dict[str, Make] = {
            kind: _fields(fields[kind]) if kind in fields else _derived(kind)
            for kind, values in known.items()
            if kind != columns.META and None in values
        }
        self._fresh: dict[str, dict[Uid, bytes]] = {}
        #: Messages that lack something, and why.
        self.errors: dict[Uid, ImapError] = {}

    def run(self) -> int:
        """Derive until the batch is full; return how many messages it has.  Blocks."""
        count = octets = 0
        self._look_up()
        for at, uid in enumerate(self._uids[:MESSAGES]):
            try:
                octets += self._message(at, uid)
            except WouldBlock:
                raise
            except ImapError as error:
                self.errors[uid] = error
            except Exception:  # a defect of ours must not hide the other messages
                _log.failure("rendering message {uid}", uid=uid)
                self.errors[uid] = ServerBug("Internal error; the log has it")
            count += 1
            if octets >= OCTETS:
                break
        if self._fresh:
            self._source.save_columns(self._fresh)
        return count

    def _look_up(self) -> None:
        """Size and date of messages of which nothing else is to be read."""
        metas = self._metas
        if metas is None or None not in metas:
            return
        others = [self._known[kind] for kind in self._makers]
        wanted = {
            uid: at
            for at, uid in enumerate(self._uids[:MESSAGES])
            if metas[at] is None and all(values[at] is not None for values in others)
        }
        if wanted:
            for uid, meta in self._source.meta(wanted).items():
                metas[wanted[uid]] = columns.encode_meta(
                    meta.internal_date_seconds, meta.rfc822_size
                )

    def _message(self, at: int, uid: Uid) -> int:
        """Complete one message; return how many octets it took."""
        known, fresh = self._known, self._fresh
        lacking = [kind for kind in self._makers if known[kind][at] is None]
        if not lacking:
            if self._metas is not None and self._metas[at] is None:
                raise MessageGone("Some of the messages were expunged")
            return 0
        message = self._open(at, uid)
        octets = 0
        for kind in lacking:
            value = self._makers[kind](message)
            known[kind][at] = fresh.setdefault(kind, {})[uid] = value
            octets += len(value)
            if kind in _FORMS:  # the other one comes with it
                for each, form in zip(_FORMS, message.forms, strict=True):
                    fresh.setdefault(each, {})[uid] = form
        return octets

    def _open(self, at: int, uid: Uid) -> LazyMessage:
        """The message; where size and date are missing, they come with its octets."""
        whole, metas = self._whole, self._metas
        if metas is None or metas[at] is not None:
            return LazyMessage(self._source, uid, whole=whole)
        octets, meta = self._source.read_dated(uid, None if whole else HEAD_OCTETS)
        metas[at] = self._fresh.setdefault(columns.META, {})[uid] = columns.encode_meta(
            meta.internal_date_seconds, meta.rfc822_size
        )
        if whole:
            return LazyMessage(self._source, uid, whole=True, stored=octets)
        return LazyMessage(self._source, uid, whole=False, head=octets)


def _derived(kind: str) -> Make:
    return lambda message: message.derive(kind)


def _fields(names: Sequence[bytes]) -> Make:
    wanted = frozenset(name.lower() for name in names)
    return lambda message: headers.select_fields(message.stored_header, wanted, False)
