r"""Modified UTF-7: how RFC 3501 §5.1.3 writes a mailbox name in ASCII.

Both the protocol and the folders of old Maildirs use it, so it lives below both.
Only the canonical form is read: one name has one spelling, and ``&AC8-`` cannot
bring in a ``/`` that a check of the octets would not have seen.
"""

import base64
import binascii
import re

#   modified-base64 = every octet but 0x20-0x7e, in one run; "&" alone is "&-"
_SHIFTED = re.compile(r"&|[^\x20-\x7e]+")
_SHIFT = re.compile(r"&([^&-]*)-")  # never scans an octet twice
_DIRECT = re.compile(rb"[\x20-\x7e]*")


def encode(text: str) -> bytes:
    """``Entwürfe`` is ``Entw&APw-rfe``.

    Raises:
        ValueError: the text has a lone surrogate.
    """
    return _SHIFTED.sub(_shift_in, text).encode("ascii")


def decode(octets: bytes) -> str:
    """``Entw&APw-rfe`` is ``Entwürfe``.

    The result may hold control characters: whether a name may is not decided here.

    Raises:
        ValueError: it is not what ``encode`` makes of any text.
    """
    if not _DIRECT.fullmatch(octets):
        raise ValueError("not printable ASCII")
    text = _SHIFT.sub(_shift_out, octets.decode("ascii"))
    if encode(text) != octets:
        raise ValueError("not in canonical form")
    return text


def _shift_in(match: re.Match[str]) -> str:
    if match[0] == "&":
        return "&-"
    coded = base64.b64encode(match[0].encode("utf-16-be"), altchars=b"+,")
    return f"&{coded.decode('ascii').rstrip('=')}-"


def _shift_out(match: re.Match[str]) -> str:
    coded = match[1]
    if not coded:
        return "&"
    try:
        padded = coded.encode("ascii") + b"=" * (-len(coded) % 4)
        return base64.b64decode(padded, altchars=b"+,", validate=True).decode(
            "utf-16-be"
        )
    except binascii.Error as error:
        raise ValueError("not modified BASE64") from error
