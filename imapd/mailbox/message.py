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
    """A message, as it is stored and as it is sent.

    All of it blocks, and raises MessageGone or Unavailable.
    """

    __slots__ = (
        "_forms",
        "_head",
        "_octets",
        "_root",
        "_source",
        "_stored",
        "_top",
        "_whole",
        "uid",
    )

    def __init__(
        self,
        source: MessageSource,
        uid: Uid,
        *,
        whole: bool,
        stored: bytes | None = None,
        head: bytes | None = None,
    ) -> None:
        """``whole``: more than the header will be asked for: it is read at once.

        ``stored``: it was read already; ``head``: as much as ``HEAD_OCTETS`` of it
        were, or more.
        """
        self._source = source
        self._whole = whole
        self._stored = stored
        self._head = head
        self._top: bytes | None = None  # the header as it is stored
        self._octets: bytes | None = None
        self._root: BodyPart | None = None
        self._forms: tuple[bytes, bytes] | None = None
        self.uid = uid

    @property
    def stored(self) -> bytes:
        """All of it, with the line ends of its file."""
        if self._stored is None:
            self._stored = self._source.read(self.uid)
        return self._stored

    @property
    def octets(self) -> bytes:
        """All of it in the CRLF form."""
        if self._octets is None:
            self._octets = scan.to_wire(self.stored)
        return self._octets

    @property
    def stored_header(self) -> bytes:
        """The header with the empty line, if it has one, as it is stored."""
        if self._top is None:
            self._top = self._read_header()
        return self._top

    @property
    def has_header(self) -> bool:
        """Whether the header has been read already."""
        return self._top is not None or self._stored is not None

    def _read_header(self) -> bytes:
        if self._stored is None and not self._whole:
            head, self._head = self._head, None
            if head is None:
                head = self._source.read(self.uid, HEAD_OCTETS)
            end = headers.stored_header_end(head)
            if end >= 0:
                return head[:end]
            if len(head) < HEAD_OCTETS:
                self._stored = head
        return headers.stored_header(self.stored)

    @property
    def header(self) -> bytes:
        """The header in the CRLF form."""
        return scan.to_wire(self.stored_header)

    @property
    def root(self) -> BodyPart:
        """The structure; its offsets are of the CRLF form."""
        if self._root is None:
            self._root = structure.parse_stored(self.stored)
        return self._root

    def section(self, wanted: Section) -> bytes | None:
        """``BODY[section]``; None: there is no such part."""
        if wanted.path:
            return section.extract(self.octets, self.root, wanted)
        if wanted.text is None:
            return self.octets
        if wanted.text is SectionText.TEXT:
            return self.octets[headers.header_end(self.octets) :]
        if wanted.text is SectionText.HEADER:
            return self.header
        names = frozenset(name.lower() for name in wanted.fields)
        negate = wanted.text is SectionText.HEADER_FIELDS_NOT
        return headers.select_fields(self.stored_header, names, negate)

    def derive(self, kind: str) -> bytes:
        """The value of a column that FETCH sends as it is.

        Raises:
            KeyError: it is none of those.
        """
        if kind == columns.ENVELOPE:
            return wire_structure.envelope(envelope.envelope(self.stored_header))
        if kind == columns.BODY:
            return self.forms[0]
        if kind == columns.BODYSTRUCTURE:
            return self.forms[1]
        if kind == columns.HEADER:
            return self.header
        raise KeyError(kind)

    @property
    def forms(self) -> tuple[bytes, bytes]:
        """BODY and BODYSTRUCTURE: both for little more than one."""
        if self._forms is None:
            self._forms = wire_structure.forms(self.root)
        return self._forms

    @property
    def held_octets(self) -> int:
        """What is held of it in memory, but for its structure."""
        return sum(len(each or b"") for each in (self._stored, self._octets, self._top))

    def forget(self) -> int:
        """Let the octets go; return how many were read."""
        count = len(self._stored or self._top or b"")
        self._stored = self._top = self._octets = self._root = self._forms = None
        self._head = None
        return count
