"""What the Content fields of one entity say.  RFC 2045, RFC 2183, RFC 3282, RFC 2557.

Content fields count without MIME-Version too.  Of repeated ones the first does.
"""

from functools import lru_cache

from imapd.limits import DEFAULT_LIMITS, Limits
from imapd.mime.headers import field_finder, unfold_lines
from imapd.mime.parameters import (
    content_type,
    disposition,
    languages,
    transfer_encoding,
)
from imapd.model.structure import Params

#: The first fields of a ``BodyPart``, in its order: type, subtype, params, id,
#: description, encoding, md5, disposition, language, location.
Description = tuple[
    bytes,
    bytes,
    Params,
    bytes | None,
    bytes | None,
    bytes,
    bytes | None,
    tuple[bytes, Params] | None,
    tuple[bytes, ...],
    bytes | None,
]

_UNREADABLE: tuple[bytes, bytes, Params] = (b"TEXT", b"PLAIN", ())
US_ASCII = (b"charset", b"us-ascii")
#: Parts of many messages have the same few headers; longer ones are not kept.
_COMMON_OCTETS = 200
_COMMON_TYPE_OCTETS = 50  # hardly any with a boundary, of which each is another
_COMMON_COUNT = 512

_find = field_finder(
    (
        *("content-type", "content-transfer-encoding", "content-disposition"),
        *("content-id", "content-description", "content-md5", "content-language"),
        "content-location",
    )
)


def describe(
    header: bytes, default: tuple[bytes, bytes], limits: Limits = DEFAULT_LIMITS
) -> Description:
    """Return what a header says, in the LF form; ``default`` if it names no type.

    Only ``limits.header_octets`` of the header are read, and of each field
    ``limits.header_field_octets``.
    """
    if len(header) <= _COMMON_OCTETS and limits is DEFAULT_LIMITS:
        return _common(header, default)
    return _describe(header, default, limits)


@lru_cache(_COMMON_COUNT)
def _common(header: bytes, default: tuple[bytes, bytes]) -> Description:
    return _describe(header, default, DEFAULT_LIMITS)


def _describe(
    header: bytes, default: tuple[bytes, bytes], limits: Limits
) -> Description:
    found: dict[bytes, bytes] = {}
    for name, value in _find(header[: limits.header_octets]):
        lower = name.lower()
        if lower not in found:
            found[lower] = unfold_lines(value[: limits.header_field_octets])
    pop = found.pop
    type_, subtype, params = _type(pop(b"content-type", None), default, limits)
    encoding = pop(b"content-transfer-encoding", None)
    mechanism = transfer_encoding(encoding) if encoding else b"7BIT"
    if not found:  # as of most parts
        return type_, subtype, params, None, None, mechanism, None, None, (), None
    shown = pop(b"content-disposition", None)
    language = pop(b"content-language", None)
    return (
        type_,
        subtype,
        params,
        _text(found.get(b"content-id")),
        _text(found.get(b"content-description")),
        mechanism,
        _text(found.get(b"content-md5")),
        disposition(shown, limits) if shown else None,
        languages(language, limits) if language else (),
        _text(found.get(b"content-location")),
    )


def _type(
    value: bytes | None, default: tuple[bytes, bytes], limits: Limits
) -> tuple[bytes, bytes, Params]:
    if value is None:
        return _with_charset(*default, ())
    if len(value) <= _COMMON_TYPE_OCTETS and limits is DEFAULT_LIMITS:
        return _common_type(value)
    return _with_charset(*(content_type(value, limits) or _UNREADABLE))


@lru_cache(_COMMON_COUNT)
def _common_type(value: bytes) -> tuple[bytes, bytes, Params]:
    return _with_charset(*(content_type(value) or _UNREADABLE))


def _with_charset(
    type_: bytes, subtype: bytes, params: Params
) -> tuple[bytes, bytes, Params]:
    """Add the charset of a text that names none."""
    if type_.lower() == b"text":
        for name, _ in params:
            if name.lower() in (b"charset", b"charset*"):
                break
        else:
            params = (*params, US_ASCII)
    return type_, subtype, params


def _text(value: bytes | None) -> bytes | None:
    """NIL for an empty field: to a client they are the same."""
    return (value.rstrip(b" \t") or None) if value else None
