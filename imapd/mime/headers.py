"""Header blocks: where fields begin and end.  RFC 5322 §2.2, RFC 3501 §6.4.5.

Nothing here fails: a line that is no field is a field without a name, so that the
octets of all fields together are always the whole header.

``fields``, ``find_fields`` and ``header_end`` give offsets, and their lines end in
CRLF.  The other functions take a header, or a message, as it is stored, whatever
its line ends, and need no more of it than the header.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from imapd.mime.scan import to_lines

_CR = 13
#: A longer header is read field by field.  Millions of short fields would take far
#: more memory than their octets; and the engine of ``re`` remembers each folded line
#: of a field in a hundred octets.
_USUAL_OCTETS = 1 << 16


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


def stored_header_end(octets: bytes) -> int:
    """Return the offset after the empty line of a message as stored; -1 if none.

    The octets may be the first of a message: -1 then says that more are needed.
    """
    if octets.startswith(b"\n"):
        return 1
    if octets.startswith(b"\r\n"):
        return 2
    # First what the first line ends in: the other search is then over the header,
    # not over the message.
    first = octets.find(b"\n")
    if first < 0:
        return -1
    usual, other = (b"\n\n", b"\n\r\n")
    if octets[first - 1] == _CR:
        usual, other = other, usual
    found = octets.find(usual, first)
    end = len(octets) if found < 0 else found + len(usual)
    if other == b"\n\n" or octets.find(b"\r", first, end) >= 0:
        earlier = octets.find(other, first, end)
        if earlier >= 0:
            return earlier + len(other)
    return -1 if found < 0 else end


def stored_header(octets: bytes) -> bytes:
    """Return the header of a message as stored, its empty line included."""
    end = stored_header_end(octets)
    return octets if end < 0 else octets[:end]


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


def field_finder(
    names: Iterable[str],
) -> Callable[[bytes], Iterable[tuple[bytes, bytes]]]:
    """Return what finds the fields of some names, in one go: (name, value) of each.

    Its argument is a header in the LF form.  A name is as written; a value has no
    blanks at its beginning, and may still be folded.
    """
    spelled = "|".join(
        "".join(f"[{one.upper()}{one}]" if one.isalpha() else one for one in name)
        for name in names
    )
    # The pattern begins with the one octet that it can be looked for by.
    pattern = rb"\n(%b)[ \t]*+:[ \t]*+([^\n]*+(?>(?:\n[ \t][^\n]*+)*))"
    compiled = re.compile(pattern % spelled.encode("ascii"))
    find_all = compiled.findall

    def found(block: bytes) -> Iterable[tuple[bytes, bytes]]:
        if len(block) <= _USUAL_OCTETS:
            return find_all(b"\n" + block)
        matches = compiled.finditer(b"\n" + _unfolded(block))
        return ((match[1], match[2]) for match in matches)

    return found


def _unfolded(block: bytes) -> bytes:
    return block.replace(b"\n ", b" ").replace(b"\n\t", b"\t")


def unfold_lines(value: bytes) -> bytes:
    """Return a value of ``field_finder`` on one line: as ``unfold`` does."""
    return value.replace(b"\n", b"").lstrip(b" \t") if b"\n" in value else value


def unfolded_fields(header: bytes) -> Iterable[bytes]:
    """Return all fields of a header as stored, each on one line without its end."""
    block = to_lines(stored_header(header)).rstrip(b"\n")
    if len(block) <= _USUAL_OCTETS:
        return _unfolded(block).split(b"\n") if block else ()
    block = block.replace(b"\n", b"\r\n")
    return (block[one.start : one.end].replace(b"\r\n", b"") for one in fields(block))


#   section-msgtext = "HEADER.FIELDS" [".NOT"] SP header-list      ; RFC 3501 §9
def select_fields(header: bytes, names: frozenset[bytes], negate: bool) -> bytes:
    """Return the fields that HEADER.FIELDS, or with ``negate`` .NOT, asks for.

    Octets are in the CRLF form, in the order of the message.  The empty line
    follows if the header has one: "the blank line is included in all header
    fetches, except in the case of a message which has no body and no blank line"
    (RFC 3501 §6.4.5).  ``names`` are in lower case; the argument is a whole header
    with that line, or a message, as stored.
    """
    block = to_lines(stored_header(header))
    regular = block.endswith(b"\n\n") and block[0] not in b" \t"
    if negate or not regular or b"" in names or len(block) > _USUAL_OCTETS:
        return _select_slowly(block.replace(b"\n", b"\r\n"), names, negate)
    # A NUL for the line ends within a field: no header in this form has one.
    marked = block[:-2].replace(b"\n ", b"\0 ").replace(b"\n\t", b"\0\t")
    chosen = [
        field
        for field in marked.split(b"\n")
        if field.partition(b":")[0].rstrip(b" \t").lower() in names and b":" in field
    ]
    if not chosen:
        return b"\r\n"
    chosen += (b"", b"")
    return b"\r\n".join(chosen).replace(b"\0", b"\r\n")


def _select_slowly(header: bytes, names: frozenset[bytes], negate: bool) -> bytes:
    """``select_fields`` for any header in the CRLF form, cut off or not."""
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
