"""The octets of any ``IMessageIMAP``, and messages as a source for FETCH and SEARCH.

The interface has no octets, unless a message offers ``IMessageIMAPFile``: else it
is put together again from its headers and bodies.  What the interface does not
hold is lost then: repeated fields, the spelling of names, preambles.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from typing import Any

from twisted.logger import Logger
from twisted.mail.interfaces import IMessageIMAPCopier, IMessageIMAPFile

from imapd.errors import ImapError, MessageGone, Unavailable
from imapd.ids import Octets, Uid
from imapd.limits import DEFAULT_LIMITS
from imapd.mailbox.streams import HeldStream
from imapd.mime import scan
from imapd.mime.dates import parse_date
from imapd.mime.structure import parse
from imapd.model.mailbox import MessageMeta
from imapd.model.texts import TextFound
from imapd.server.foreigncalls import ask, flag_names, foreign_code, split_flags

_log = Logger()

_CONTENT_TYPE = "content-type"


def message_octets(message: Any) -> bytes:
    """All octets of a message.  Calls foreign code, which may raise anything."""
    opener = IMessageIMAPFile(message, None)
    return _read(opener.open()) if opener is not None else _rebuilt(message)


def _read(file: Any) -> bytes:
    try:
        octets = file.read()
    finally:
        close = getattr(file, "close", None)
        if close is not None:
            close()
    return _octets(octets)


def _octets(text: Any) -> bytes:
    """Octets as they are; text, or what the ``email`` package has for it, as UTF-8."""
    if isinstance(text, bytes | bytearray | memoryview):
        return bytes(text)
    return str(text).encode("utf-8", "surrogateescape")


def _rebuilt(message: Any) -> bytes:
    """Headers and bodies in order; no recursion, and depth and count have bounds."""
    pieces: list[bytes] = []
    stack: list[tuple[Any, int]] = [(message, 0)]
    parts = 0
    while stack:
        entity, depth = stack.pop()
        if isinstance(entity, bytes):
            pieces.append(entity)
            continue
        parts += 1
        headers = dict(entity.getHeaders(True))
        if (
            not entity.isMultipart()
            or depth >= DEFAULT_LIMITS.mime_depth
            or parts >= DEFAULT_LIMITS.mime_parts
        ):
            pieces += (_header(headers), _read(entity.getBodyFile()))
            continue
        below, delimiters = _sub_parts(entity), _delimiters(headers)
        pieces.append(_header(headers))
        stack += [(each, depth + 1) for each in reversed(_joined(below, delimiters))]
    return b"".join(pieces)


def _sub_parts(entity: Any) -> list[Any]:
    found: list[Any] = []
    while len(found) < DEFAULT_LIMITS.mime_parts:
        try:
            found.append(entity.getSubPart(len(found)))
        except (IndexError, TypeError):
            break
    return found


def _delimiters(headers: dict[Any, Any]) -> tuple[bytes, bytes] | None:
    """What precedes a part and what ends them; None: the content is a message.

    A multipart that names no boundary gets one, the same each time.
    """
    key = next((name for name in headers if _name(name) == _CONTENT_TYPE), None)
    value = _octets(headers[key]) if key is not None else b"multipart/mixed"
    if value.strip().lower().startswith(b"message/"):
        return None
    root = parse(b"Content-Type: " + b" ".join(value.split()) + b"\r\n\r\n")
    boundary = dict((name.lower(), text) for name, text in root.params).get(b"boundary")
    if boundary is None:
        boundary = b"=_" + hashlib.sha256(_header(headers)).hexdigest()[:32].encode()
        headers[key or "Content-Type"] = value + b'; boundary="%b"' % boundary
    return b"--%b\r\n" % boundary, b"--%b--\r\n" % boundary


def _joined(below: list[Any], delimiters: tuple[bytes, bytes] | None) -> list[Any]:
    if delimiters is None:
        return below[:1]
    between, last = delimiters
    joined: list[Any] = []
    for each in below:
        joined += ((b"\r\n" if joined else b"") + between, each)
    return [*joined, b"\r\n" + last]


def _header(headers: Mapping[Any, Any]) -> bytes:
    lines = [_field(name, value) for name, value in headers.items()]
    return b"".join(lines) + b"\r\n"


def _name(name: Any) -> str:
    return _octets(name).decode("latin-1").lower()


#   field = field-name ":" unstructured CRLF                ; RFC 5322 §2.2
def _field(name: Any, value: Any) -> bytes:
    """One field; lines after the first are folded, so that they stay its own."""
    label = b"".join(_octets(name).split())
    if label.islower():
        label = label.title()
    first, *rest = _octets(value).splitlines() or [b""]
    folded = [line if line[:1] in (b" ", b"\t") else b" " + line for line in rest]
    return b"\r\n".join(
        (label + b": " + first, *(line for line in folded if line.strip()), b"")
    )


def internal_date_seconds(message: Any) -> int:
    """Since 1970; 0 for a message that has no date that can be read."""
    date = message.getInternalDate()
    when = None if date is None else parse_date(_octets(date))
    return 0 if when is None else int(when.timestamp())


class ForeignSource:
    """Some messages that a foreign mailbox gave us: ``mailbox.source.MessageSource``.

    Octets are asked for when they are needed, and not kept.  ``metas`` outlives
    it: sizes and dates never change.
    """

    def __init__(
        self, messages: Mapping[Uid, Any], metas: dict[Uid, MessageMeta]
    ) -> None:
        self._messages = messages
        self._metas = metas

    def read(self, uid: Uid, most_octets: int | None = None) -> bytes:
        """Return the message, or its first octets.

        Raises:
            MessageGone: the mailbox gave us none of that UID.
            Unavailable: it cannot be read; the log has why.
        """
        message = self._messages.get(uid)
        if message is None:
            raise MessageGone("Some of the messages were expunged")
        try:
            return message_octets(message)[:most_octets]
        except ImapError:
            raise
        except Exception as error:
            _log.failure("cannot read message {uid} of a foreign mailbox", uid=uid)
            raise Unavailable("A message cannot be read just now") from error

    def meta(self, uids: Iterable[Uid]) -> dict[Uid, MessageMeta]:
        """Size and date; messages that are gone are left out."""
        found: dict[Uid, MessageMeta] = {}
        for uid in uids:
            if uid not in self._messages:
                continue
            if uid not in self._metas:
                self._metas[uid] = self._measure(uid)
            found[uid] = self._metas[uid]
        return found

    def read_dated(
        self, uid: Uid, most_octets: int | None = None
    ) -> tuple[bytes, MessageMeta]:
        """Return what both do; raises as ``read`` does."""
        return self.read(uid, most_octets), self.meta((uid,))[uid]

    def _measure(self, uid: Uid) -> MessageMeta:
        size = scan.wire_size(self.read(uid))
        try:
            seconds = internal_date_seconds(self._messages[uid])
        except Exception as error:
            _log.failure("message {uid} of a foreign mailbox has no date", uid=uid)
            raise Unavailable("A message cannot be read just now") from error
        return MessageMeta(uid, seconds, Octets(size))

    def stream(self, uid: Uid) -> HeldStream:
        """The message, which its mailbox holds anyway."""
        return HeldStream(self.read(uid))

    def load_column(self, kind: str, uids: Sequence[Uid]) -> list[bytes | None]:
        """Nothing is kept."""
        return [None] * len(uids)

    def find_text(self, needle: str, *, in_header: bool) -> TextFound:
        """Nothing is known."""
        return TextFound()

    def save_column(self, kind: str, values: Mapping[Uid, bytes]) -> None:
        """Nothing is kept."""

    def save_columns(self, columns: Mapping[str, Mapping[Uid, bytes]]) -> None:
        """Nothing is kept."""


async def copy_message(message: Any, target: Any) -> None:
    """Copy a message to another mailbox, by its own way if it has one."""
    with foreign_code():
        copier = IMessageIMAPCopier(target, None)
    if copier is not None:
        await ask(copier, "copy", message)
        return
    with foreign_code():
        octets = message_octets(message)
        flags, _ = split_flags(message.getFlags())
        date = message.getInternalDate()
    await ask(target, "addMessage", BytesIO(octets), flag_names(sorted(flags)), date)
