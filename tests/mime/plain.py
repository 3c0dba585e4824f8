"""The plain ways to read a message: slow, and without any short cut.

What the quick ways of ``imapd.mime`` give is compared with this.
"""

from dataclasses import dataclass, field

from imapd.mime.addresses import addresses
from imapd.mime.content import describe
from imapd.mime.headers import fields, header_end, unfold
from imapd.mime.scan import to_lines, to_wire
from imapd.mime.text import decode_header
from imapd.model.structure import Addresses, BodyPart, Envelope


def header_of(octets: bytes) -> bytes:
    """The header of a message as stored, in the CRLF form."""
    wire = to_wire(octets)
    return wire[: header_end(wire)]


def envelope(octets: bytes) -> Envelope:
    header = header_of(octets)
    values: dict[bytes, list[bytes]] = {}
    for one in fields(header):
        value = unfold(header[one.value_start : one.end])
        values.setdefault(one.name.lower(), []).append(value)

    def text(name: bytes) -> bytes | None:
        return values[name][-1] if name in values else None

    def people(name: bytes) -> Addresses:
        return addresses(values.get(name, ()))

    from_ = people(b"from")
    return Envelope(
        *(text(b"date"), text(b"subject"), from_),
        *(people(b"sender") or from_, people(b"reply-to") or from_),
        *(people(b"to"), people(b"cc"), people(b"bcc")),
        *(text(b"in-reply-to"), text(b"message-id")),
    )


def select_fields(octets: bytes, names: frozenset[bytes], negate: bool) -> bytes:
    header = header_of(octets)
    found = list(fields(header))
    stop = found[-1].end if found else 0
    chosen = [one for one in found if (one.name.lower() in names) is not negate]
    return b"".join(header[one.start : one.end] for one in chosen) + header[stop:]


def header_texts(octets: bytes) -> list[str]:
    header = header_of(octets)
    return [decode_header(header[one.start : one.end]) for one in fields(header)]


@dataclass
class Entity:
    """A part whose end is not known yet; in its header until ``body_start`` is."""

    start: int
    default: tuple[bytes, bytes]
    part: BodyPart | None = None
    boundary: bytes | None = None
    held: list["Entity"] = field(default_factory=list)


class Lines:
    """Reads the structure line by line; the offsets are of the CRLF form."""

    def __init__(self, octets: bytes) -> None:
        self.message = to_wire(octets)
        self.stack = [Entity(0, (b"TEXT", b"PLAIN"))]

    def read(self) -> BodyPart:
        root = self.stack[0]
        start = 0
        for line in self.message.split(b"\r\n"):
            self._line(line, start)
            start += len(line) + 2
        size = len(self.message)
        while self.stack[-1].part is None:
            self._end_header(size)
        self._close_above(-1, size)
        assert root.part is not None
        return root.part

    def _line(self, line: bytes, start: int) -> None:
        if start and self._boundary(line) is not None:
            while self.stack[-1].part is None:  # a message's in a message as well
                self._end_header(max(self.stack[-1].start, start - 2))
            # Again: the header that just ended may have a boundary.
            self._delimiter(line, start)
        elif not line and self.stack[-1].part is None and start < len(self.message):
            self._end_header(start + 2)

    def _boundary(self, line: bytes) -> int | None:
        matches = [
            (len(entity.boundary), index)
            for index, entity in enumerate(self.stack)
            if entity.boundary and line.startswith(b"--" + entity.boundary)
        ]
        return max(matches)[1] if matches else None

    def _delimiter(self, line: bytes, start: int) -> None:
        index = self._boundary(line)
        assert index is not None
        self._close_above(index, start - 2)
        outer = self.stack[index]
        assert outer.part is not None
        assert outer.boundary is not None
        if line.startswith(b"--", 2 + len(outer.boundary)):
            outer.boundary = None
            return
        digest = outer.part.subtype.lower() == b"digest"
        default = (b"MESSAGE", b"RFC822") if digest else (b"TEXT", b"PLAIN")
        begin = min(start + len(line) + 2, len(self.message))
        inner = Entity(begin, default)
        outer.held.append(inner)
        self.stack.append(inner)

    def _end_header(self, at: int) -> None:
        entity = self.stack[-1]
        header = self.message[entity.start : at]
        about = describe(to_lines(header), entity.default)
        part = entity.part = BodyPart(*about, entity.start, at)
        kind = part.type.lower()
        if kind == b"multipart":
            for name, value in part.params:
                if name.lower() == b"boundary":
                    entity.boundary = value.rstrip(b" \t") or None
                    break
        elif kind == b"message" and part.subtype.lower() == b"rfc822":
            inner = Entity(at, (b"TEXT", b"PLAIN"))
            entity.held.append(inner)
            self.stack.append(inner)

    def _close_above(self, index: int, end: int) -> None:
        while len(self.stack) > index + 1:
            entity = self.stack.pop()
            part = entity.part
            assert part is not None
            part.header_start = min(part.header_start, end)
            part.body_start = min(part.body_start, end)
            part.end = end
            part.lines = self.message.count(b"\r\n", part.body_start, end)
            held = [one.part for one in entity.held if one.part is not None]
            if part.type.lower() != b"multipart":
                for inner in held:
                    header = self.message[entity.held[0].start : inner.body_start]
                    inner.envelope = envelope(header)
                    part.message = inner
            else:
                part.parts = held or [_empty(end)]


def _empty(at: int) -> BodyPart:
    part = BodyPart(b"TEXT", b"PLAIN", ((b"charset", b"us-ascii"),))
    part.header_start = part.body_start = part.end = at
    return part


def structure(octets: bytes) -> BodyPart:
    return Lines(octets).read()
