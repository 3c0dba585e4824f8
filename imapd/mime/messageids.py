"""Message IDs, as fields of mail really have them.  RFC 5322 §3.6.4, RFC 5256 §3."""

import re
from collections.abc import Iterator

from imapd.mime.lexical import unescape, without_comments

#   msg-id = [CFWS] "<" id-left "@" id-right ">" [CFWS]
# Any octets between the brackets: mailers put more there than the grammar has.
# None of them is "<", so that each octet is looked at once.
_BRACKETED = re.compile(rb"<([^<>]++)>")
_QUOTED = re.compile(rb'"((?:[^"\\]++|\\.?+)*+)"', re.DOTALL)
_BLANKS = re.compile(rb"[\x00-\x20\x7f]++")


def message_ids(value: bytes) -> Iterator[bytes]:
    """Yield the Message IDs of a field's value, normalised, in order.

    Without brackets, quoting, comments and folding: "any msg-id" must be one "due
    to differences in quoting" (RFC 5256 §3).  What has no ``@`` with something on
    both sides is none.
    """
    for match in _BRACKETED.finditer(value):
        one = _normalised(match[1])
        left, at, right = one.rpartition(b"@")
        if left and at and right:
            yield one


def _normalised(inside: bytes) -> bytes:
    if b"(" in inside:
        inside = without_comments(inside)
    if b'"' not in inside:
        return _BLANKS.sub(b"", inside)
    pieces: list[bytes] = []
    at = 0
    for quoted in _QUOTED.finditer(inside):
        pieces += (_BLANKS.sub(b"", inside[at : quoted.start()]), unescape(quoted[1]))
        at = quoted.end()
    return b"".join((*pieces, _BLANKS.sub(b"", inside[at:])))
