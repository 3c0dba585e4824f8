"""Modified UTF-7 once more, from RFC 3501 §5.1.3, to hold the server's against.

By numbers: a run of UTF-16 is one large number, written to the base of 64.
"""

from itertools import groupby
from typing import Final

_DIGITS: Final = (
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,"  # "," for "/"
)
_VALUES: Final = {digit: value for value, digit in enumerate(_DIGITS)}
_AMPERSAND: Final = ord("&")


def _is_plain(char: str) -> bool:
    return " " <= char <= "~"


def _shifted(run: str) -> bytes:
    octets = run.encode("utf-16-be")
    count = -(-len(octets) * 8 // 6)
    number = int.from_bytes(octets, "big") << (count * 6 - len(octets) * 8)
    digits = (number >> 6 * place & 63 for place in reversed(range(count)))
    return b"&%b-" % bytes(_DIGITS[digit] for digit in digits)


def encoded(text: str) -> bytes:
    """Return a name as a client writes it."""
    out = []
    for plain, chars in groupby(text, _is_plain):
        run = "".join(chars)
        out.append(run.replace("&", "&-").encode() if plain else _shifted(run))
    return b"".join(out)


def _unshifted(coded: bytes) -> str | None:
    if not coded:
        return "&"
    number = 0
    for digit in coded:
        if digit not in _VALUES:
            return None
        number = number << 6 | _VALUES[digit]
    count = len(coded) * 6 // 8
    octets = (number >> (len(coded) * 6 - count * 8)).to_bytes(count, "big")
    try:
        return octets.decode("utf-16-be")
    except UnicodeDecodeError:
        return None


def decoded(octets: bytes) -> str | None:
    """Return what a name says; None: it is not what ``encoded`` makes of any text."""
    out, at = "", 0
    while at < len(octets):
        octet = octets[at]
        at += 1
        if octet != _AMPERSAND:
            if not _is_plain(chr(octet)):
                return None
            out += chr(octet)
            continue
        end = octets.find(b"-", at)
        run = _unshifted(octets[at:end]) if end >= 0 else None
        if run is None:
            return None
        out, at = out + run, end + 1
    return out if encoded(out) == octets else None
