"""Content-Type and its kin: a token, then parameters.  RFC 2045 §5.1, RFC 2231."""

import re
from itertools import islice

from imapd.limits import DEFAULT_LIMITS, Limits
from imapd.mime.lexical import unescape, without_comments
from imapd.model.structure import Params

_TOKEN = rb"[^\x00-\x20()<>@,;:\\\"/\[\]?=\x7f]++"
_TYPE = re.compile(rb"[ \t]*+(%b)[ \t]*+/[ \t]*+(%b)" % (_TOKEN, _TOKEN))
_LONE_TOKEN = re.compile(rb"[ \t]*+(%b)[ \t]*+(?:;|\Z)" % _TOKEN)
_FIRST_TOKEN = re.compile(rb'[ \t"]*+(%b)' % _TOKEN)
#: Values without quotes are taken up to a blank or ";" whatever they are made of:
#: many a boundary holds "/" or "=" unquoted.
_PARAMETER = re.compile(
    rb";[ \t]*+([^\x00-\x20\x7f=;\"]++)[ \t]*+="
    rb'[ \t]*+(?:"((?:[^"\\]++|\\.?+)*+)"?+|([^;\x00-\x20\x7f]*+))',
    re.DOTALL,
)
_MECHANISMS = frozenset(
    spelled
    for name in (b"7bit", b"8bit", b"binary", b"base64", b"quoted-printable")
    for spelled in (name, name.upper(), name.title())
)
#   section = initial-section / other-sections      ; RFC 2231 §7
_SECTION = re.compile(rb"([^*]++)\*([0-9]{1,4})(\*)?+\Z")
#   attribute-char = <any (US-ASCII) CHAR except SPACE, CTLs, "*", "'", "%", tspecials>
_NOT_ATTRIBUTE_CHAR = re.compile(rb"[^!#$&+\-.0-9A-Z^_`a-z{|}~]")


#   content := "Content-Type" ":" type "/" subtype *(";" parameter)
def content_type(
    value: bytes, limits: Limits = DEFAULT_LIMITS
) -> tuple[bytes, bytes, Params] | None:
    """Return type, subtype and parameters; None if there is no ``type/subtype``.

    The value is unfolded, here and below.
    """
    value = without_comments(value)
    match = _TYPE.match(value)
    if match is None:
        return None
    # With a ";" of our own: some senders forget the first.
    return match[1], match[2], _parameters(b";" + value[match.end() :], 0, limits)


#   disposition := "Content-Disposition" ":" disposition-type *(";" disposition-parm)
def disposition(
    value: bytes, limits: Limits = DEFAULT_LIMITS
) -> tuple[bytes, Params] | None:
    """Return the type and its parameters; None if neither is there.

    Parameters without a type are an attachment's: RFC 2183 §2.8 has unknown types
    treated as such, and the file name is worth keeping.
    """
    value = without_comments(value)
    match = _FIRST_TOKEN.match(value)
    params = _parameters(value, match.end() if match else 0, limits)
    if match is None:
        return (b"attachment", params) if params else None
    return match[1], params


#   encoding := "Content-Transfer-Encoding" ":" mechanism      ; RFC 2045 §6.1
def transfer_encoding(value: bytes) -> bytes:
    """Return the mechanism as written; 7BIT if there is not one token."""
    if value in _MECHANISMS:
        return value
    match = _LONE_TOKEN.match(without_comments(value))
    return match[1] if match else b"7BIT"


#   Language-List = Language-Tag *("," Language-Tag)      ; RFC 3282 §2
def languages(value: bytes, limits: Limits = DEFAULT_LIMITS) -> tuple[bytes, ...]:
    """Return the tags of Content-Language, without comments."""
    tags = re.finditer(rb"[^,\x00-\x20\x7f]++", without_comments(value))
    return tuple(tag[0] for tag in islice(tags, limits.parameter_count))


#   parameter := attribute "=" value ; value := token / quoted-string
def _parameters(value: bytes, start: int, limits: Limits) -> Params:
    if len(value) - start <= 3 * limits.parameter_count:  # the shortest is ";a="
        params = [
            (name, token or (unescape(quoted) if b"\\" in quoted else quoted))
            for name, quoted, token in _PARAMETER.findall(value, start)
        ]
    else:
        found = islice(_PARAMETER.finditer(value, start), limits.parameter_count)
        params = [
            (match[1], match[3] if match[2] is None else unescape(match[2]))
            for match in found
        ]
    if b"*" in value and any(b"*" in name for name, _ in params):
        return _joined(params)
    return tuple(params)


#   regular-parameter  := regular-parameter-name "=" value
#   extended-parameter := attribute [initial-section] "*" "=" extended-value
def _joined(params: list[tuple[bytes, bytes]]) -> Params:
    """Join the sections of RFC 2231 §3 where the first of them stands.

    The result is ``name``, or ``name*`` still encoded if any section is (§4.1).
    Sections that do not begin with 0 stay as they are.
    """
    sections: dict[bytes, dict[int, tuple[bytes, bool]]] = {}
    for name, value in params:
        if match := _SECTION.match(name):
            numbers = sections.setdefault(match[1].lower(), {})
            numbers.setdefault(int(match[2]), (value, match[3] is not None))
    joined: list[tuple[bytes, bytes]] = []
    done: set[bytes] = set()
    for name, value in params:
        match = _SECTION.match(name)
        lower = match[1].lower() if match else b""
        if match is None or 0 not in sections[lower]:
            joined.append((name, value))
        elif lower not in done:
            done.add(lower)
            joined.append(_join(match[1], sections[lower]))
    return tuple(joined)


def _join(name: bytes, sections: dict[int, tuple[bytes, bool]]) -> tuple[bytes, bytes]:
    values = []
    number = 0
    while number in sections:  # a gap ends the value
        values.append(sections[number])
        number += 1
    if not any(encoded for _, encoded in values):
        return name, b"".join(value for value, _ in values)
    # Sections in clear become like the others, or their "%" would be decoded.
    pieces = [
        value if encoded else _NOT_ATTRIBUTE_CHAR.sub(_percent, value)
        for value, encoded in values
    ]
    if not values[0][1]:
        pieces.insert(0, b"''")  # neither charset nor language
    return name + b"*", b"".join(pieces)


def _percent(match: re.Match[bytes]) -> bytes:
    return b"%%%02X" % match[0][0]
