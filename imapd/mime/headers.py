"""Header blocks: where fields begin and end.  RFC 5322 §2.2, RFC 3501 §6.4.5.

Lines end in CRLF.  Nothing here fails: a line that is no field is a field without
a name, so that the octets of all fields together are always the whole header.
"""

from collections.abc import Iterator
from typing import NamedTuple


class Field(NamedTuple):
    """One header field as offsets; a tuple because a message has dozens.

    ``start`` to ``end`` is all of it, folded lines and last CRLF included; the
    value with its CRLF is ``value_start`` to ``end``.  ``name`` is as written, b""
    for a line without a colon and for folded lines that nothing precedes.
    """

    name: bytes
    start: int
    end: int
    value_start: int


def header_end(message: bytes, start: int = 0, end: int | None = None) -> int:
    """Return the offset just after the empty line, or ``end`` if there is none."""
    stop = len(message) if end is None else end
    if message.startswith(b"\r\n", start, stop):
        return start + 2
    found = message.find(b"\r\n\r\n", start, stop)
    return stop if found < 0 else found + 4


#   fields = *(optional-field); optional-field = field-name ":" unstructured CRLF
#   obs-optional = field-name *WSP ":" unstructured CRLF      ; RFC 5322 §3.6.8, §4.5.8
def fields(header: bytes, start: int = 0, end: int | None = None) -> Iterator[Field]:
    """Yield the fields between ``start`` and the empty line or ``end``, in order.

    Linear in what is read; a caller that stops early pays only for what it took.
    """
    stop = len(header) if end is None else end
    find = header.find
    while start < stop:
        line_end = find(b"\r\n", start, stop)
        if line_end == start:  # the empty line
            return
        after = stop if line_end < 0 else line_end + 2
        colon = find(b":", start, after)
        while after < stop and header[after] in b" \t":
            folded = find(b"\r\n", after, stop)
            after = stop if folded < 0 else folded + 2
        if colon < 0 or header[start] in b" \t":
            yield Field(b"", start, after, start)
        else:
            yield Field(header[start:colon].rstrip(b" \t"), start, after, colon + 1)
        start = after


def find_fields(
    header: bytes, name: bytes, start: int = 0, end: int | None = None
) -> Iterator[Field]:
    """Yield the fields of that name, compared without regard to case."""
    wanted = name.lower()
    for field in fields(header, start, end):
        if field.name.lower() == wanted:
            yield field


def unfold(value: bytes) -> bytes:
    """Return a field's value on one line, without the blanks that precede it.

    Only the line ends go, RFC 5322 §2.2.3: the blanks after them are the value's.
    """
    return value.replace(b"\r\n", b"").lstrip(b" \t")


#   section-msgtext = "HEADER.FIELDS" [".NOT"] SP header-list      ; RFC 3501 §9
def select_fields(header: bytes, names: frozenset[bytes], negate: bool) -> bytes:
    """Return the fields that HEADER.FIELDS, or with ``negate`` .NOT, asks for.

    Octets are as in the message, in its order.  The empty line follows if the
    header has one: "the blank line is included in all header fetches, except in
    the case of a message which has no body and no blank line" (RFC 3501 §6.4.5).
    ``names`` are in lower case; the argument is a whole header with that line.
    """
    pieces = []
    begin = stop = 0  # the run of fields not copied yet: neighbours go in one slice
    for field in fields(header):
        stop = field.end
        if (field.name.lower() in names) is negate:
            if begin < field.start:
                pieces.append(header[begin : field.start])
            begin = field.end
    pieces.append(header[begin:stop])
    if header.startswith(b"\r\n", stop):
        pieces.append(b"\r\n")
    return b"".join(pieces)
