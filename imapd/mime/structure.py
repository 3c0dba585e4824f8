"""The tree of MIME entities in a message.  RFC 2045, RFC 2046, RFC 3501 §7.4.2.

One pass over the octets with two cursors that only move forward: the next line
that begins with "--", and the next empty line.  Nothing recurses, and nesting
costs nothing per level: a line is looked up once in a table of all boundaries
that are open.

Where senders break the rules:

* A boundary matches if a line begins with it (RFC 2046 §5.1.1); of several the
  longest does, and of equal ones the innermost.
* The CRLF before a delimiter is the delimiter's (RFC 2046 §5.1.1), also where the
  part it ends is a multipart or a message that has ended already.
* A multipart without any part gets one empty text/plain at its end, as Dovecot
  and Cyrus send it: the grammar of RFC 3501 §9 has no multipart without a part.
* A Content-Type that cannot be read is text/plain, charset us-ascii (RFC 2045
  §5.2); so is the charset of any text that names none, as Dovecot and Cyrus say.
* Content fields count without MIME-Version too.  Of repeated ones the first does.
* What is nested deeper than ``mime_depth`` is an application/octet-stream; so is
  all the rest of the message from part number ``mime_parts`` on.
"""

from imapd.limits import DEFAULT_LIMITS, Limits
from imapd.mime.envelope import envelope
from imapd.mime.headers import fields, header_end, unfold
from imapd.mime.parameters import (
    content_type,
    disposition,
    languages,
    transfer_encoding,
)
from imapd.model.structure import BodyPart

_CONTENT = b"content-"
#: A longer boundary is none: 70 octets are allowed, RFC 2046 §5.1.1.
_BOUNDARY_OCTETS = 1000
_US_ASCII = (b"charset", b"us-ascii")


def parse(message: bytes, limits: Limits = DEFAULT_LIMITS) -> BodyPart:
    """Return the whole message as a part, with its offsets and all parts below.

    Linear in the size of the message; never fails.  The message is in the CRLF
    form (``scan.to_wire``), and so are the offsets.
    """
    return _Parser(message, limits).parse()


class _Frame:
    """A part whose end is not known yet."""

    __slots__ = ("boundary", "child_type", "part")

    def __init__(self, part: BodyPart) -> None:
        self.part = part
        self.boundary: bytes | None = None  # None: no multipart, or closed
        self.child_type = (b"TEXT", b"PLAIN")


class _Parser:
    __slots__ = (
        "boundaries",
        "candidate",
        "empty_line",
        "full",
        "lengths",
        "limits",
        "message",
        "parts",
        "shortest",
        "size",
        "stack",
        "starts",
    )

    def __init__(self, message: bytes, limits: Limits) -> None:
        self.message = message
        self.size = len(message)
        self.limits = limits
        self.stack: list[_Frame] = []
        self.parts: list[BodyPart] = []
        self.full = False  # the last part that may be has begun
        self.candidate = 0  # the CRLF of the next CRLF "--", or size
        self.empty_line = 0  # the offset after the next empty line, or size
        # The boundaries that are open, and what finds one at a line's beginning.
        self.boundaries: dict[bytes, int] = {}  # to the index in the stack
        self.lengths: list[int] = []  # ascending, without repetition
        self.shortest = 0
        self.starts: frozenset[bytes] = frozenset()  # first octets, as many as shortest

    def parse(self) -> BodyPart:
        root = self._begin(0, (b"TEXT", b"PLAIN"))
        while not self.full and (found := self._delimiter(self.size)):
            index, crlf, after = found
            self._close_above(index, crlf)
            line_end = self.message.find(b"\r\n", after)
            closed = self.message.startswith(b"--", after)
            if line_end < 0:
                line_end = self.candidate = self.size
            else:
                self._seek(line_end)
            if closed:
                self.stack[index].boundary = None
                self._index_boundaries()
            else:
                multipart = self.stack[index]
                start = min(line_end + 2, self.size)
                multipart.part.parts.append(self._begin(start, multipart.child_type))
        self._close_above(-1, self.size)
        self._complete()
        return root

    #   entity := [MIME-part-headers] CRLF *OCTET
    def _begin(self, start: int, default: tuple[bytes, bytes]) -> BodyPart:
        """Open the part that starts here, and what a message/rfc822 holds."""
        first = self._open(start, default)
        outer = first
        while _is_message(outer):
            start = outer.body_start
            inner = self._open(start, (b"TEXT", b"PLAIN"))
            header = self.message[start : inner.body_start]
            inner.envelope = envelope(header, self.limits)
            outer.message = inner
            outer = inner
        return first

    def _open(self, start: int, default: tuple[bytes, bytes]) -> BodyPart:
        part = BodyPart(*default, header_start=start)
        part.body_start = self._header_end(start)
        self._describe(part)
        self.parts.append(part)
        frame = _Frame(part)
        self.stack.append(frame)
        self.full = len(self.parts) >= self.limits.mime_parts
        multipart = part.type.lower() == b"multipart"
        nests = multipart or _is_message(part)
        if self.full or (nests and len(self.stack) >= self.limits.mime_depth):
            part.type, part.subtype, part.params = b"application", b"octet-stream", ()
            part.encoding = b"8BIT"
        elif multipart:
            self._open_multipart(frame, part.subtype.lower())
        return part

    def _open_multipart(self, frame: _Frame, subtype: bytes) -> None:
        if subtype == b"digest":
            frame.child_type = (b"MESSAGE", b"RFC822")  # RFC 2046 §5.1.5
        boundary = next(
            (
                value.rstrip(b" \t")
                for name, value in frame.part.params
                if name.lower() == b"boundary"
            ),
            b"",
        )
        if 0 < len(boundary) <= _BOUNDARY_OCTETS:
            frame.boundary = boundary
            self._index_boundaries()
            self._seek(frame.part.body_start - 2)

    def _header_end(self, start: int) -> int:
        """Return where a header ends: its empty line, or a delimiter before that."""
        if self.empty_line <= start and self.empty_line < self.size:
            self.empty_line = header_end(self.message, start)
        elif self.message.startswith(b"\r\n", start):
            return start + 2
        end = self.empty_line
        # The CRLF of the empty line itself may begin a delimiter: then it is the
        # outer one's, unless the header opens a multipart with that boundary.
        found = self._delimiter(end - 2) if self.boundaries else None
        return max(start, found[1]) if found else end

    def _seek(self, start: int) -> None:
        """Move the delimiter cursor on to ``start`` or later."""
        if self.candidate < start or not self.candidate:
            found = self.message.find(b"\r\n--", max(start, 0))
            self.candidate = self.size if found < 0 else found

    #   delimiter := CRLF "--" boundary
    def _delimiter(self, before: int) -> tuple[int, int, int] | None:
        """Find the next line before an offset that begins with an open boundary.

        Returns:
            Index in the stack, offset of the CRLF, offset after the boundary.
        """
        message, starts, shortest = self.message, self.starts, self.shortest
        at = self.candidate
        while at < before and starts:
            line = at + 4
            if message[line : line + shortest] in starts:
                found = self._longest_boundary(line)
                if found:
                    self.candidate = at
                    return found[0], at, line + found[1]
            at = message.find(b"\r\n--", line)
            if at < 0:
                at = self.size
        self.candidate = at
        return None

    def _longest_boundary(self, line: int) -> tuple[int, int] | None:
        end = self.message.find(b"\r\n", line)
        longest = (self.size if end < 0 else end) - line
        found = None
        for length in self.lengths:
            if length > longest:
                break
            index = self.boundaries.get(self.message[line : line + length])
            if index is not None:
                found = index, length
        return found

    def _index_boundaries(self) -> None:
        self.boundaries = {
            frame.boundary: index
            for index, frame in enumerate(self.stack)
            if frame.boundary is not None
        }
        self.lengths = sorted({len(boundary) for boundary in self.boundaries})
        self.shortest = self.lengths[0] if self.lengths else 0
        self.starts = frozenset(b[: self.shortest] for b in self.boundaries)

    def _close_above(self, index: int, end: int) -> None:
        """End the parts above the index; the delimiter takes the CRLF at ``end``.

        That CRLF may be the empty line of a header, or end the delimiter that
        opened the part: a part's offsets never lie behind its end.
        """
        closing = self.stack[index + 1 :]
        del self.stack[index + 1 :]
        for frame in closing:
            part = frame.part
            part.header_start = min(part.header_start, end)
            part.body_start = min(part.body_start, end)
            part.end = end
        if any(frame.boundary for frame in closing):
            self._index_boundaries()

    def _complete(self) -> None:
        """Give empty multiparts their part, and count lines: each octet once."""
        for part in list(self.parts):
            if part.type.lower() == b"multipart" and not part.parts:
                empty = BodyPart(b"TEXT", b"PLAIN", (_US_ASCII,))
                empty.header_start = empty.body_start = empty.end = part.end
                part.parts.append(empty)
        marks = {part.body_start for part in self.parts}
        marks.update(part.end for part in self.parts)
        lines_before = {}
        lines = last = 0
        for mark in sorted(marks):
            # In the CRLF form each LF has its CR; one octet is found faster.
            lines += self.message.count(b"\n", last, mark)
            last = mark
            lines_before[mark] = lines
        for part in self.parts:
            part.lines = lines_before[part.end] - lines_before[part.body_start]

    def _describe(self, part: BodyPart) -> None:
        """Fill in what the Content fields of the header say."""
        start = part.header_start
        stop = min(part.body_start, start + self.limits.header_octets)
        cut = self.limits.header_field_octets
        found: dict[bytes, bytes] = {}
        for name, _, end, value_start in fields(self.message, start, stop):
            lower = name.lower()
            if lower.startswith(_CONTENT) and lower not in found:
                value = self.message[value_start : min(end, value_start + cut)]
                found[lower] = unfold(value)
        _apply(part, found, self.limits)


def _is_message(part: BodyPart) -> bool:
    return part.type.lower() == b"message" and part.subtype.lower() == b"rfc822"


def _apply(part: BodyPart, found: dict[bytes, bytes], limits: Limits) -> None:
    value = found.get(b"content-type")
    if value is not None:
        kind = content_type(value, limits) or (b"TEXT", b"PLAIN", ())
        part.type, part.subtype, part.params = kind
    if part.type.lower() == b"text" and not any(
        name.lower() in (b"charset", b"charset*") for name, _ in part.params
    ):
        part.params = (*part.params, _US_ASCII)
    # Most parts have one or two of these: only what is there costs anything.
    if value := found.get(b"content-transfer-encoding"):
        part.encoding = transfer_encoding(value)
    if value := found.get(b"content-disposition"):
        part.disposition = disposition(value, limits)
    if value := found.get(b"content-language"):
        part.language = languages(value, limits)
    part.id = _text(found.get(b"content-id"))
    part.description = _text(found.get(b"content-description"))
    part.md5 = _text(found.get(b"content-md5"))
    part.location = _text(found.get(b"content-location"))


def _text(value: bytes | None) -> bytes | None:
    """NIL for an empty field: to a client they are the same."""
    return (value.rstrip(b" \t") or None) if value else None
