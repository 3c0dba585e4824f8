"""Modified UTF-7, the form of mailbox names.  RFC 3501 §5.1.3."""

import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64

_PRINTABLE = "\x20-\x7e"
_SHIFTED = re.compile(f"[^{_PRINTABLE}]+")
# Names with these cannot be shown, logged or sent as they are: C0, DEL, C1.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f]")


class NotModifiedUtf7(ValueError):
    """The octets are not the one right spelling of a name we take."""


def _shift(run: re.Match[str]) -> str:
    """Spell one run of other than printable ASCII as ``&...-``."""
    base64 = b2a_base64(run.group().encode("utf-16-be"), newline=False)
    return "&" + base64.rstrip(b"=").replace(b"/", b",").decode("ascii") + "-"


def encode(name: str) -> bytes:
    """Spell a name in modified UTF-7.

    Raises:
        NotModifiedUtf7: it holds a control character or half a surrogate pair.
    """
    if _CONTROLS.search(name):
        raise NotModifiedUtf7("control character in a mailbox name")
    try:
        return _SHIFTED.sub(_shift, name.replace("&", "&-")).encode("ascii")
    except UnicodeEncodeError as error:
        raise NotModifiedUtf7("unpaired surrogate in a mailbox name") from error


def _unshift(shifted: bytes) -> str:
    """Read what stands between ``&`` and ``-``; nothing there is ``&`` itself."""
    if not shifted:
        return "&"
    padded = shifted.replace(b",", b"/") + b"=" * (-len(shifted) % 4)
    return a2b_base64(padded, strict_mode=True).decode("utf-16-be")


def decode(octets: bytes) -> str:
    """Read modified UTF-7; what is returned encodes to the same octets again.

    Raises:
        NotModifiedUtf7: the octets are not canonical (two spellings of one name
            would be two mailboxes), or hold 8-bit octets or control characters.
    """
    direct, *rest = octets.split(b"&")
    try:
        pieces = [direct.decode("ascii")]
        for piece in rest:
            shifted, dash, direct = piece.partition(b"-")
            if not dash:
                raise NotModifiedUtf7("shift without an end in a mailbox name")
            pieces += _unshift(shifted), direct.decode("ascii")
    except (Base64Error, UnicodeDecodeError) as error:
        raise NotModifiedUtf7("mailbox name is not modified UTF-7") from error
    name = "".join(pieces)
    if encode(name) != octets:
        raise NotModifiedUtf7("mailbox name is not canonical modified UTF-7")
    return name
