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

US_ASCII = (b"charset", b"us-ascii")
#: Parts of many messages have the same few headers; longer ones are not kept.
_COMMON_OCTETS = 200
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


def _describe(
    header: bytes, default: tuple[bytes, bytes], limits: Limits
) -> Description:
    found: dict[bytes, bytes] = {}
    for name, value in _find(header[: limits.header_octets]):
        lower = name.lower()
        if lower not in found:
            found[lower] = unfold_lines(value[: limits.header_field_octets])
    get = found.get
    type_, subtype, params = _type(get(b"content-type"), default, limits)
    # Most parts have one or two of these: only what is there costs anything.
    encoding = get(b"content-transfer-encoding")
    shown = get(b"content-disposition")
    language = get(b"content-language")
    return (
        type_,
        subtype,
        params,
        _text(get(b"content-id")),
        _text(get(b"content-description")),
        transfer_encoding(encoding) if encoding else b"7BIT",
        _text(get(b"content-md5")),
        disposition(shown, limits) if shown else None,
        languages(language, limits) if language else (),
        _text(get(b"content-location")),
    )


@lru_cache(_COMMON_COUNT)
def _common(header: bytes, default: tuple[bytes, bytes]) -> Description:
    return _describe(header, default, DEFAULT_LIMITS)


def _type(
    value: bytes | None, default: tuple[bytes, bytes], limits: Limits
) -> tuple[bytes, bytes, Params]:
    if value is None:
        type_, subtype, params = *default, Params()
    else:
        type_, subtype, params = content_type(value, limits) or (b"TEXT", b"PLAIN", ())
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
