"""One message for FETCH and SEARCH: read at most once, parsed only as far as asked."""

from imapd.ids import Uid
from imapd.mailbox.source import MessageSource
from imapd.mime import envelope, headers, scan, section, structure
from imapd.model import columns
from imapd.model.structure import BodyPart, Section, SectionText
from imapd.wire import structure as wire_structure

#: What is read of a file of which only the header is wanted: most headers fit.
HEAD_OCTETS = 16 << 10


class LazyMessage:
    """A message in the CRLF form.  Blocks; raises MessageGone, Unavailable."""

    __slots__ = ("_header", "_octets", "_root", "_source", "uid")

    def __init__(self, source: MessageSource, uid: Uid) -> None:
        self._source = source
        self._octets: bytes | None = None
        self._header: bytes | None = None
        self._root: BodyPart | None = None
        self.uid = uid

    @property
    def octets(self) -> bytes:
        """All of it."""
        if self._octets is None:
            self._octets = scan.to_wire(self._source.read(self.uid))
        return self._octets

    @property
    def header(self) -> bytes:
        """The header with the empty line, if it has one."""
        if self._header is None:
            self._header = self._read_header()
        return self._header

    def _read_header(self) -> bytes:
        if self._octets is None:
            head = self._source.read(self.uid, HEAD_OCTETS)
            whole = len(head) < HEAD_OCTETS
            # A CR at the end may be half of a line end: one octet is not believed.
            octets = scan.to_wire(head if whole else head[:-1])
            end = headers.header_end(octets)
            if whole:
                self._octets = octets
            if whole or octets.endswith(b"\r\n\r\n", 0, end) or end < len(octets):
                return octets[:end]
        return self.octets[: headers.header_end(self.octets)]

    @property
    def root(self) -> BodyPart:
        """The structure."""
        if self._root is None:
            self._root = structure.parse(self.octets)
        return self._root

    def section(self, wanted: Section) -> bytes | None:
        """``BODY[section]``; None: there is no such part."""
        if wanted.path:
            return section.extract(self.octets, self.root, wanted)
        if wanted.text is None:
            return self.octets
        whole = wanted.text is SectionText.TEXT
        octets = self.octets if whole else self.header
        entity = BodyPart(  # no more is needed than where the header ends
            type=b"TEXT",
            subtype=b"PLAIN",
            body_start=headers.header_end(octets) if whole else len(octets),
            end=len(octets),
        )
        return section.extract(octets, entity, wanted)

    def derive(self, kind: str) -> bytes:
        """The value of a column that FETCH sends as it is.

        Raises:
            KeyError: it is none of those.
        """
        if kind == columns.ENVELOPE:
            return wire_structure.envelope(envelope.envelope(self.header))
        if kind == columns.BODY:
            return wire_structure.body(self.root)
        if kind == columns.BODYSTRUCTURE:
            return wire_structure.bodystructure(self.root)
        if kind == columns.HEADER:
            return self.header
        raise KeyError(kind)

    def forget(self) -> int:
        """Let the octets go; return how many were read."""
        count = len(self._octets or self._header or b"")
        self._octets = self._header = self._root = None
        return count
