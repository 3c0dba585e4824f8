"""The texts that SEARCH looks in, decoded.  RFC 3501 §6.4.4, RFC 2047, RFC 2045 §6.

BODY "doesn't match any header fields" and TEXT looks in "the header (including
MIME header fields)" as well: so RFC 9051 §6.4.4 makes clear what RFC 3501 left
open, and so does Dovecot.  ``body_texts`` are for BODY; TEXT adds
``all_header_texts`` of the message and ``part_header_texts``.
"""

import binascii
import re
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice

from imapd.limits import DEFAULT_LIMITS, Limits
from imapd.mime.charsets import Decoder, decode, decode_if_utf8
from imapd.mime.folding import fold
from imapd.mime.headers import (
    finder_of,
    stored_header,
    unfold,
    unfold_block,
    unfolded_pieces,
    values,
)
from imapd.mime.scan import to_lines
from imapd.model.structure import BodyPart

__all__ = (
    "OVERLAP_CHARS",
    "WINDOW_CHARS",
    "FieldDecoder",
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

#: Encoded words that are decoded of all fields of one name; so many of all headers of
#: a message, and so many fields that each need a decoder, for TEXT.
ENCODED_WORD_COUNT = 50_000
#: Of a header up to this each field is a text of its own.
_USUAL_OCTETS = 1 << 16
#: Signs of padding in the base64 of all of a message; more of them say nothing.
MOST_PADDED = 2_000_000
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


def decode_header(value: bytes, most_words: int | None = None) -> str:
    """Return an unstructured field's value as text, on one line.

    More encoded words than ``most_words`` stay as they are.

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
    for match in islice(_ENCODED_WORD.finditer(value), most_words):
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
    return b"".join(_base64(iter((text,)), _Padded()))


def header_text(
    header: bytes, name: bytes, limits: Limits = DEFAULT_LIMITS
) -> Iterator[str]:
    """Yield the decoded values of all fields of that name, for HEADER and FROM."""
    decoder = FieldDecoder()
    found = values(header, finder_of(name.lower()), limits)
    for lower, value in islice(found, limits.address_count):  # it ends: no more come
        yield decoder.decode(lower, value)


class FieldDecoder:
    """Decodes the values of one header's fields, in their order."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left: dict[bytes, int] = {}  # encoded words, by the name of the fields

    def decode(self, name: bytes, value: bytes) -> str:
        """Return a value as text; too many encoded words of one name stay as is."""
        if b"=?" not in value:
            return decode_header(value)
        most = self._left.get(name, ENCODED_WORD_COUNT)
        self._left[name] = max(0, most - value.count(b"=?"))
        return decode_header(value, most)


def all_header_texts(header: bytes, limits: Limits = DEFAULT_LIMITS) -> Iterator[str]:
    """Yield ``Name: value`` of every field, decoded.

    The header is as stored, and so may be a message.  Of a long one many fields may
    be in one text, with a line feed between two.  Beyond ``limits.header_octets``, or
    ``ENCODED_WORD_COUNT``, encoded words stay as they are.
    """
    return _header_texts((header,), limits)


def part_header_texts(
    message: bytes, root: BodyPart, limits: Limits = DEFAULT_LIMITS
) -> Iterator[str]:
    """Yield the fields of all headers below the message's own, decoded.

    The limits are for all together.
    """
    parts = (part for part in root.walk() if part is not root)
    headers = (message[part.header_start : part.body_start] for part in parts)
    return _header_texts(headers, limits)


def _header_texts(headers: Iterable[bytes], limits: Limits) -> Iterator[str]:
    octets, words = limits.header_octets, ENCODED_WORD_COUNT
    for header in headers:
        block = to_lines(stored_header(header)).rstrip(b"\n")
        apart = len(block) <= _USUAL_OCTETS
        for piece in unfolded_pieces(block[:octets]):
            plain = b"=?" not in piece and b"\r" not in piece
            text = decode_if_utf8(piece) if plain else None
            if text is None:
                fields = piece.split(b"\n")
                words -= len(fields) + piece.count(b"=?")
                if words < 0:
                    yield decode(piece)
                else:
                    yield from map(decode_header, fields)
            elif apart:
                yield from text.lstrip(" \t").split("\n")
            else:
                yield text.lstrip(" \t")
        if len(block) > octets:
            # From before it, so that what is between the two is found as well.
            rest = unfold_block(block[max(0, octets - OVERLAP_CHARS) :])
            yield from _windows(_chunks(rest), Decoder())
        octets = max(0, octets - len(block))


def _chunks(octets: bytes) -> Iterator[bytes]:
    for start in range(0, len(octets), _CHUNK_OCTETS):
        yield octets[start : start + _CHUNK_OCTETS]


def body_texts(message: bytes, root: BodyPart) -> Iterator[str]:
    """Yield the decoded contents of the textual parts, in order.

    Textual are text/* and message/* (a delivery status is for people too); HTML is
    as sent.  A long part comes in windows of about ``WINDOW_CHARS``, each of which
    repeats ``OVERLAP_CHARS`` of the one before.
    """
    padded = _Padded()
    for part in root.walk():
        if part.message is None and part.type.lower() in (b"text", b"message"):
            charset = _charset(part)
            if part.octets <= _CHUNK_OCTETS:
                octets = b"".join(_decoded(message, part, padded))
                text = decode_if_utf8(octets, charset)
                if text is not None:
                    if text:
                        yield text
                    continue
            yield from _windows(_decoded(message, part, padded), Decoder(charset))


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


def _decoded(message: bytes, part: BodyPart, padded: "_Padded") -> Iterator[bytes]:
    """Yield the content without its transfer encoding, in pieces."""
    encoding = part.encoding.lower()
    if encoding == b"quoted-printable":
        lines = _lines(message, part.body_start, part.end)
        return map(partial(binascii.a2b_qp, header=False), lines)
    chunks = (
        message[start : min(start + _CHUNK_OCTETS, part.end)]
        for start in range(part.body_start, part.end, _CHUNK_OCTETS)
    )
    return _base64(chunks, padded) if encoding == b"base64" else chunks


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


class _Padded:
    """Counts the signs of padding in base64."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


def _base64(chunks: Iterator[bytes], padded: _Padded) -> Iterator[bytes]:
    """Decode what is base64 in the chunks; padding may end a piece anywhere."""
    rest = b""
    for chunk in chunks:
        digits = rest + chunk.translate(None, _NOT_BASE64)
        if padded.count > MOST_PADDED:
            digits = digits.replace(b"=", b"")
        *ended, open_end = digits.split(b"=")
        padded.count += len(ended)
        whole = len(open_end) & ~3
        rest = open_end[whole:]
        yield b"".join(map(_quanta, (*ended, open_end[:whole])))
    yield _quanta(rest)


def _quanta(digits: bytes) -> bytes:
    """Decode base64 digits without padding; a single one at the end says nothing."""
    if len(digits) % 4 == 1:
        digits = digits[:-1]
    return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))
