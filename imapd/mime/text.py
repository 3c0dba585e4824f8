"""The texts that SEARCH looks in, decoded.  RFC 3501 §6.4.4, RFC 2047, RFC 2045 §6.

BODY "doesn't match any header fields" and TEXT looks in "the header (including
MIME header fields)" as well: so RFC 9051 §6.4.4 makes clear what RFC 3501 left
open, and so does Dovecot.  ``body_texts`` are for BODY; TEXT adds
``all_header_texts`` of the message and ``part_header_texts``.
"""

import binascii
import re
from collections.abc import Iterator
from functools import partial

from imapd.mime.charsets import Decoder, decode, decode_if_utf8
from imapd.mime.folding import fold
from imapd.mime.headers import find_fields, unfold, unfolded_fields
from imapd.model.structure import BodyPart

__all__ = (
    "OVERLAP_CHARS",
    "WINDOW_CHARS",
    "all_header_texts",
    "body_texts",
    "decode_header",
    "fold",
    "header_text",
    "part_header_texts",
)

#: Long texts come in windows; a search string no longer than the overlap is whole
#: in one of them.  It is longer than any literal a command may hold.
WINDOW_CHARS = 1 << 20
OVERLAP_CHARS = 1 << 17

_CHUNK_OCTETS = 1 << 18
_NOT_BASE64 = bytes(
    set(range(256))
    - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
)
#   encoded-word = "=?" charset ["*" language] "?" encoding "?" encoded-text "?="
#   ; RFC 2047 §2, RFC 2231 §5; blanks in the text are wrong, but met with
_ENCODED_WORD = re.compile(
    rb"=\?([^?*\x00-\x20]++)(?:\*[^?\x00-\x20]*+)?+\?([BbQq])\?([^?\r\n]*+)\?="
)


def decode_header(value: bytes) -> str:
    """Return an unstructured field's value as text, on one line.

    Neighbouring words of one charset are decoded together, because senders split
    characters between them.  What is no encoded word stays as it is; octets
    outside ASCII are UTF-8, or else windows-1252.
    """
    value = unfold(value).rstrip(b"\r\n")
    if b"=?" not in value:
        return value.decode("ascii") if value.isascii() else decode(value)
    pieces: list[str] = []
    charset, octets = b"", [b""]  # of the words not decoded yet
    position = 0
    for match in _ENCODED_WORD.finditer(value):
        between = value[position : match.start()]
        adjacent = position > 0 and not between.strip(b" \t")
        if not adjacent or match[1].lower() != charset:
            pieces.append(decode(b"".join(octets), charset))
            octets = []
            if not adjacent:
                pieces.append(decode(between))
        charset = match[1].lower()
        octets.append(_encoded_text(match[2], match[3]))
        position = match.end()
    pieces.append(decode(b"".join(octets), charset))
    pieces.append(decode(value[position:]))
    return "".join(pieces)


def _encoded_text(encoding: bytes, text: bytes) -> bytes:
    if encoding in b"Qq":
        return binascii.a2b_qp(text, header=True)
    return b"".join(_base64(iter((text,))))


def header_text(header: bytes, name: bytes) -> Iterator[str]:
    """Yield the decoded values of all fields of that name, for HEADER and FROM."""
    for field in find_fields(header, name):
        yield decode_header(header[field.value_start : field.end])


def all_header_texts(header: bytes) -> Iterator[str]:
    """Yield ``Name: value`` of every field, decoded.

    The header is as stored, and so may be a message.
    """
    for field in unfolded_fields(header):
        if field.isascii() and b"=?" not in field and b"\r" not in field:
            yield field.decode("ascii").lstrip(" \t")
        else:
            yield decode_header(field)


def part_header_texts(message: bytes, root: BodyPart) -> Iterator[str]:
    """Yield the fields of all headers below the message's own, decoded."""
    for part in root.walk():
        if part is not root:
            yield from all_header_texts(message[part.header_start : part.body_start])


def body_texts(message: bytes, root: BodyPart) -> Iterator[str]:
    """Yield the decoded contents of the textual parts, in order.

    Textual are text/* and message/* (a delivery status is for people too); HTML is
    as sent.  A long part comes in windows of about ``WINDOW_CHARS``, each of which
    repeats ``OVERLAP_CHARS`` of the one before.
    """
    for part in root.walk():
        if part.message is None and part.type.lower() in (b"text", b"message"):
            charset = _charset(part)
            if part.octets <= _CHUNK_OCTETS:
                octets = b"".join(_decoded(message, part))
                text = decode_if_utf8(octets, charset)
                if text is not None:
                    if text:
                        yield text
                    continue
            yield from _windows(_decoded(message, part), Decoder(charset))


def _charset(part: BodyPart) -> bytes:
    for name, value in part.params:
        if name.lower() == b"charset":
            return value
    return b""


def _windows(pieces: Iterator[bytes], decoder: Decoder) -> Iterator[str]:
    window = ""
    seen = 0  # of the window, in the one before
    for octets in pieces:
        window += decoder.decode(octets)
        if len(window) >= WINDOW_CHARS:
            yield window
            window = window[-OVERLAP_CHARS:]
            seen = len(window)
    window += decoder.decode(b"", final=True)
    if len(window) > seen:
        yield window


def _decoded(message: bytes, part: BodyPart) -> Iterator[bytes]:
    """Yield the content without its transfer encoding, in pieces."""
    encoding = part.encoding.lower()
    if encoding == b"quoted-printable":
        lines = _lines(message, part.body_start, part.end)
        return map(partial(binascii.a2b_qp, header=False), lines)
    chunks = (
        message[start : min(start + _CHUNK_OCTETS, part.end)]
        for start in range(part.body_start, part.end, _CHUNK_OCTETS)
    )
    return _base64(chunks) if encoding == b"base64" else chunks


def _lines(message: bytes, start: int, end: int) -> Iterator[bytes]:
    """Yield pieces that end with a line, or in a long one not within ``=XX``."""
    while start < end:
        stop = min(start + _CHUNK_OCTETS, end)
        if stop < end:
            line_end = message.rfind(b"\n", start, stop)
            escape = message.rfind(b"=", stop - 2, stop)
            if line_end >= 0:
                stop = line_end + 1
            elif escape >= 0:
                stop = escape
        yield message[start:stop]
        start = stop


def _base64(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Decode what is base64 in the chunks; padding may end a piece anywhere."""
    rest = b""
    for chunk in chunks:
        *padded, open_end = (rest + chunk.translate(None, _NOT_BASE64)).split(b"=")
        whole = len(open_end) & ~3
        rest = open_end[whole:]
        yield b"".join(map(_quanta, (*padded, open_end[:whole])))
    yield _quanta(rest)


def _quanta(digits: bytes) -> bytes:
    """Decode base64 digits without padding; a single one at the end says nothing."""
    if len(digits) % 4 == 1:
        digits = digits[:-1]
    return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))
