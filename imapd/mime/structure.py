"""The tree of MIME entities in a message.  RFC 2045, RFC 2046, RFC 3501 §7.4.2.

One pass over the octets with two cursors that only move forward: where the next
delimiter may be, and the next empty line.  Nothing recurses, and nesting costs
nothing per level: what is looked for begins all boundaries that are open, and a
line that has it is looked up once in a table of them.  Where many lines have it and
are not in the table, something better is looked for (``delimiters``).

Where senders break the rules:

* A boundary matches if a line begins with it (RFC 2046 §5.1.1); of several the
  longest does, and of equal ones the innermost.
* The CRLF before a delimiter is the delimiter's (RFC 2046 §5.1.1), also where the
  part it ends is a multipart or a message that has ended already.
* A multipart without any part gets one empty text/plain at its end, as Dovecot
  and Cyrus send it: the grammar of RFC 3501 §9 has no multipart without a part.
* A Content-Type that cannot be read is text/plain, charset us-ascii (RFC 2045
  §5.2); so is the charset of any text that names none, as Dovecot and Cyrus say.
* What is nested deeper than ``mime_depth`` is an application/octet-stream; so is
  all the rest of the message from part number ``mime_parts`` on, or where the headers
  of the parts before come to ``header_octets``.
* What messages within it have for addresses is left out after ``address_word_count``.
"""

from imapd.limits import DEFAULT_LIMITS, Limits
from imapd.mime.addresses import Words
from imapd.mime.content import US_ASCII, describe
from imapd.mime.delimiters import BOUNDARY_OCTETS, Delimiters
from imapd.mime.envelope import envelope
from imapd.mime.scan import to_lines, to_wire
from imapd.model.structure import BodyPart


def parse(message: bytes, limits: Limits = DEFAULT_LIMITS) -> BodyPart:
    """Return the whole message as a part, with its offsets and all parts below.

    Linear in the size of the message; never fails.  The message is in the CRLF
    form (``scan.to_wire``), and so are the offsets.
    """
    return _Parser(message, b"\r\n", limits).parse()


def parse_stored(octets: bytes, limits: Limits = DEFAULT_LIMITS) -> BodyPart:
    """Return what ``parse`` returns for the CRLF form of a message as stored.

    A file whose lines end in LF is read as it is, and nothing of it is copied.
    """
    if b"\r" in octets or b"\0" in octets:
        return parse(to_wire(octets), limits)
    return _Parser(octets, b"\n", limits).parse()


class _Frame:
    """A part whose end is not known yet."""

    __slots__ = ("boundary", "child_type", "header_lines", "lines", "part")

    def __init__(self, part: BodyPart, header_lines: int, lines: int) -> None:
        self.part = part
        self.header_lines = header_lines  # line ends before its header
        self.lines = lines  # line ends before its content
        self.boundary: bytes | None = None  # None: no multipart, or closed
        self.child_type = (b"TEXT", b"PLAIN")


class _Parser:
    """Reads a message; its offsets are in the form given, until all is read.

    That form has no line end but ``line_end``: CRLF, or LF and no CR at all.
    """

    __slots__ = (
        "counted",
        "delimiters",
        "empty_line",
        "full",
        "header_octets",
        "holds_message",
        "limits",
        "line_end",
        "line_octets",
        "lines",
        "message",
        "part_count",
        "size",
        "stack",
        "words",
    )

    def __init__(self, message: bytes, line_end: bytes, limits: Limits) -> None:
        self.message = message
        self.line_end = line_end
        self.line_octets = len(line_end)
        self.size = len(message)
        self.limits = limits
        self.stack: list[_Frame] = []
        self.part_count = 0
        self.header_octets = 0  # of all parts but the message itself, in the LF form
        self.words = Words(limits.address_word_count)  # of all the envelopes
        self.full = False  # the last part that may be has begun
        self.holds_message = False  # the last part opened is a message/rfc822
        self.counted = 0  # an offset, and how many line ends are before it
        self.lines = 0
        self.empty_line = 0  # the offset after the next empty line, or size
        self.delimiters: Delimiters | None = None  # from the first multipart on

    def parse(self) -> BodyPart:
        root = self._begin(0, (b"TEXT", b"PLAIN"))
        if self.delimiters is not None:
            self._parts(self.delimiters)
        self._close_above(-1, self.size)
        return root

    def _parts(self, delimiters: Delimiters) -> None:
        message, line_end = self.message, self.line_end
        while not self.full and (found := delimiters.find(self.size)):
            index, at, after = found
            self._close_above(index, at)
            end = message.find(line_end, after)
            delimiters.position = self.size if end < 0 else end
            multipart = self.stack[index]
            if message.startswith(b"--", after):
                if multipart.boundary is not None:
                    delimiters.drop(multipart.boundary)
                    multipart.boundary = None
            else:
                start = self.size if end < 0 else end + self.line_octets
                multipart.part.parts.append(self._begin(start, multipart.child_type))

    #   entity := [MIME-part-headers] CRLF *OCTET
    def _begin(self, start: int, default: tuple[bytes, bytes]) -> BodyPart:
        """Open the part that starts here, and what a message/rfc822 holds."""
        first = outer = self._open(start, default)
        while self.holds_message:
            start = outer.body_start
            inner = self._open(start, (b"TEXT", b"PLAIN"))
            most = self.line_octets * self.limits.header_octets
            header = self.message[start : min(inner.body_start, start + most)]
            inner.envelope = envelope(header, self.limits, self.words)
            outer.message = inner
            outer = inner
        return first

    def _open(self, start: int, default: tuple[bytes, bytes]) -> BodyPart:
        limits = self.limits
        body_start = self._header_end(start)
        most = self.line_octets * limits.header_octets  # each line end may be two
        header = self.message[start : min(body_start, start + most)]
        if self.line_octets > 1:
            header = to_lines(header)
        part = BodyPart(*describe(header, default, limits), start, body_start)
        frame = _Frame(part, self._lines_before(start), self._lines_before(body_start))
        self.stack.append(frame)
        self.part_count += 1
        self.full = full = (
            self.part_count >= limits.mime_parts
            or self.header_octets >= limits.header_octets
        )
        if self.part_count > 1:  # the message's own may take it all
            self.header_octets += min(len(header), limits.header_octets)
        kind = part.type.lower()
        multipart = kind == b"multipart"
        message = kind == b"message" and part.subtype.lower() == b"rfc822"
        nests = multipart or message
        opaque = full or (nests and len(self.stack) >= limits.mime_depth)
        self.holds_message = message and not opaque
        if opaque:
            part.type, part.subtype, part.params = b"application", b"octet-stream", ()
            part.encoding = b"8BIT"
        elif multipart:
            self._open_multipart(frame, part.subtype.lower())
        return part

    def _open_multipart(self, frame: _Frame, subtype: bytes) -> None:
        if subtype == b"digest":
            frame.child_type = (b"MESSAGE", b"RFC822")  # RFC 2046 §5.1.5
        boundary = b""
        for name, value in frame.part.params:
            if name.lower() == b"boundary":
                boundary = value.rstrip(b" \t")
                break
        if 0 < len(boundary) <= BOUNDARY_OCTETS:
            frame.boundary = boundary
            if self.delimiters is None:
                self.delimiters = Delimiters(self.message, self.line_end)
            # Also the empty line's own end may begin a delimiter.
            start = frame.part.body_start - self.line_octets
            self.delimiters.add(boundary, len(self.stack) - 1, start)

    def _header_end(self, start: int) -> int:
        """Return where a header ends: its empty line, or a delimiter before that."""
        message, line_end = self.message, self.line_end
        if message.startswith(line_end, start):
            return start + self.line_octets
        if self.empty_line <= start and self.empty_line < self.size:
            found = message.find(line_end + line_end, start)
            self.empty_line = self.size if found < 0 else found + 2 * self.line_octets
        end = self.empty_line
        if self.delimiters is None:
            return end
        # The line end of the empty line itself may begin a delimiter: then it is the
        # outer one's, unless the header opens a multipart with that boundary.
        delimiter = self.delimiters.find(end - self.line_octets)
        return max(start, delimiter[1]) if delimiter else end

    def _close_above(self, index: int, end: int) -> None:
        """End the parts above the index; the delimiter takes the line end at ``end``.

        That may be the empty line of a header, or end the delimiter that opened the
        part: a part's offsets never lie behind its end.
        """
        closing = self.stack[index + 1 :]
        del self.stack[index + 1 :]
        lines = self._lines_before(end)
        for frame in closing:
            part = frame.part
            if part.body_start > end:
                if part.header_start > end:
                    part.header_start, frame.header_lines = end, lines
                part.body_start, frame.lines = end, lines
            part.lines = lines - frame.lines
            part.end = end
            if self.line_octets == 1:  # now to offsets in the CRLF form
                part.header_start += frame.header_lines
                part.body_start += frame.lines
                part.end += lines
            if frame.boundary is not None and self.delimiters is not None:
                self.delimiters.drop(frame.boundary)
            if not part.parts and part.type.lower() == b"multipart":
                part.parts.append(_empty(part.end))

    def _lines_before(self, offset: int) -> int:
        """Count line ends, each once: an offset is hardly ever before the last one."""
        if offset >= self.counted:
            # Each LF is a line end; one octet is found faster than two.
            self.lines += self.message.count(b"\n", self.counted, offset)
        else:
            self.lines -= self.message.count(b"\n", offset, self.counted)
        self.counted = offset
        return self.lines


def _empty(at: int) -> BodyPart:
    """What a multipart holds that has no part."""
    part = BodyPart(b"TEXT", b"PLAIN", (US_ASCII,))
    part.header_start = part.body_start = part.end = at
    return part
