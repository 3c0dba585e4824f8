"""Header blocks: where fields begin and end.  RFC 5322 §2.2, RFC 3501 §6.4.5.

Nothing here fails: a line that is no field is a field without a name, so that the
octets of all fields together are always the whole header.

``fields`` and ``header_end`` give offsets, and their lines end in CRLF.  The other
functions take a header, or a message, as it is stored, whatever its line ends, and
need no more of it than the header; or they say what form it is in.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from typing import NamedTuple

from imapd.limits import DEFAULT_LIMITS, Limits
from imapd.mime.scan import to_lines

_CR = 13
#: A longer header is read field by field.  Millions of short fields would take far
#: more memory than their octets; and the engine of ``re`` remembers each folded line
#: of a field in a hundred octets.
_USUAL_OCTETS = 1 << 16
#: Of more names each field is asked for its own.
_FEW_NAMES = 32
_FIELD_START = re.compile(rb"\n(?![ \t])")


#: Finds fields in a header in the LF form: the name, and the value, of each.
Finder = Callable[[bytes], Iterable[tuple[bytes, bytes]]]


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


def unfold(value: bytes) -> bytes:
    """Return a field's value on one line, without the blanks that precede it.

    Only the line ends go, RFC 5322 §2.2.3: the blanks after them are the value's.
    """
    return value.replace(b"\r\n", b"").lstrip(b" \t")


def field_finder(names: Iterable[str]) -> Finder:
    """Return what finds the fields of some names, in one go: (name, value) of each.

    Its argument is a header in the LF form.  A name is as written; a value has no
    blanks at its beginning, and may still be folded.
    """
    spelled = b"|".join(_in_any_case(name.encode("ascii")) for name in names)
    return _finder(spelled)


def _in_any_case(name: bytes) -> bytes:
    """Return a pattern for a name."""
    octets = (name[at : at + 1] for at in range(len(name)))
    return b"".join(
        b"[%b%b]" % (one.upper(), one.lower()) if one.isalpha() else re.escape(one)
        for one in octets
    )


def _finder(spelled: bytes) -> Finder:
    # The pattern begins with the one octet that it can be looked for by.
    pattern = rb"\n(%b)[ \t]*+:[ \t]*+([^\n]*+(?>(?:\n[ \t][^\n]*+)*))"
    find_all = re.compile(pattern % spelled).findall

    def found(block: bytes) -> Iterable[tuple[bytes, bytes]]:
        if len(block) <= _USUAL_OCTETS:
            return find_all(b"\n" + block)
        pieces = unfolded_pieces(block)
        return (each for piece in pieces for each in find_all(b"\n" + piece))

    return found


@lru_cache(64)
def finder_of(name: bytes) -> Finder:
    """Return what finds the fields of any one name, as ``field_finder`` does.

    The name is in lower case, and b"" is that of a line that is no field.
    """
    if not name:
        return _unnamed
    if not _is_name(name):
        return lambda block: ()
    return _finder(_in_any_case(name))


def _is_name(name: bytes) -> bool:
    """Whether any field may be called so."""
    return (
        bool(name)
        and name.strip(b" \t") == name
        and not any(mark in name for mark in (b":", b"\n", b"\0"))
    )


def _unnamed(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    block = block.replace(b"\n", b"\r\n")
    for name, _, end, value_start in fields(block):
        if not name:
            yield name, to_lines(block[value_start:end]).rstrip(b"\n").lstrip(b" \t")


def unfold_block(block: bytes) -> bytes:
    """Return a header in the LF form with each field on one line."""
    return block.replace(b"\n ", b" ").replace(b"\n\t", b"\t")


def unfolded_pieces(block: bytes) -> Iterator[bytes]:
    """Yield a header in the LF form with each field on one line, in pieces.

    A line end that is between two pieces is in neither.
    """
    for start, stop in _pieces(block):
        yield unfold_block(block[start:stop])


def _pieces(block: bytes) -> Iterator[tuple[int, int]]:
    """Yield where pieces of whole fields are, without the line end after each."""
    start = 0
    while start < len(block):
        next_field = _FIELD_START.search(block, start + _USUAL_OCTETS)
        stop = len(block) if next_field is None else next_field.start()
        yield start, stop
        start = stop + 1


def values(
    header: bytes,
    find: Finder,
    limits: Limits = DEFAULT_LIMITS,
    most_fields: int | None = None,
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name, in lower case, and the value of each field that is looked for.

    The header is in the CRLF form, a value on one line.  No more of it is read than
    for ENVELOPE: ``limits.header_octets``, of a field ``limits.header_field_octets``,
    and of one name so many fields as there may be addresses, or ``most_fields``.
    """
    block = to_lines(header[: limits.header_octets])
    end = 0 if block.startswith(b"\n") else block.find(b"\n\n")
    cut = limits.header_field_octets
    most = limits.address_count if most_fields is None else most_fields
    left: dict[bytes, int] = {}
    for name, value in find(block if end < 0 else block[:end]):
        lower = name.lower()
        if count := left.get(lower, most):
            left[lower] = count - 1
            yield lower, unfold_lines(value[:cut])


def unfold_lines(value: bytes) -> bytes:
    """Return a value of ``field_finder`` on one line: as ``unfold`` does."""
    return value.replace(b"\n", b"").lstrip(b" \t") if b"\n" in value else value


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
        return _select_in_pieces(block, names, negate)
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


def _select_in_pieces(block: bytes, names: frozenset[bytes], negate: bool) -> bytes:
    """``select_fields`` for any header in the LF form, cut off or not."""
    end = b""
    if block.endswith(b"\n\n") or block == b"\n":
        block, end = block[:-1], b"\r\n"
    # Folded lines that nothing precedes are a field without a name; so is this.
    extra = 1 if block.startswith((b" ", b"\t")) else 0
    cut_off = not block.endswith(b"\n")
    block = b":" * extra + block.removesuffix(b"\n")
    choose = _choice(names, negate)
    chosen = []
    piece = b""
    for start, stop in _pieces(block):
        # A NUL for the line ends within a field: no header in this form has one.
        piece = block[start:stop].replace(b"\n ", b"\0 ").replace(b"\n\t", b"\0\t")
        some = choose(b"\n" + piece)
        chosen.append(some.replace(b"\0", b"\n").replace(b"\n", b"\r\n"))
    if not any(chosen):
        return end
    if not (cut_off and choose(b"\n" + piece.rpartition(b"\n")[2])):
        end = b"\r\n" + end
    extra *= (b"" in names) is not negate
    return b"".join(chosen)[2 + extra :] + end


def _choice(names: frozenset[bytes], negate: bool) -> Callable[[bytes], bytes]:
    """Return what leaves the fields asked for of lines with a line end before each."""
    if len(names) > _FEW_NAMES:
        return partial(_chosen_lines, names, negate)
    spelled = [
        rb"%b[ \t]*+:[^\n]*+" % _in_any_case(name) for name in names if _is_name(name)
    ]
    if b"" in names:
        spelled += (rb":[^\n]*+", rb"[^\n\0:]++(?![^\n\0])[^\n]*+")
    if not spelled:
        return bytes if negate else lambda lines: b""
    run = re.compile(rb"(?:\n(?:%b))++" % b"|".join(spelled))
    if negate:
        return partial(run.sub, b"")
    return lambda lines: b"".join(run.findall(lines))


def _chosen_lines(names: frozenset[bytes], negate: bool, lines: bytes) -> bytes:
    chosen = [b""]
    for line in lines[1:].split(b"\n"):
        name, colon, _ = line.partition(b"\0")[0].partition(b":")
        if ((name if colon else b"").rstrip(b" \t").lower() in names) is not negate:
            chosen.append(line)
    return b"\n".join(chosen)
