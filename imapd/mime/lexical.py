"""Comments and quoting, shared by all structured fields.  RFC 5322 §3.2."""

import re

_COMMENT_MARK = re.compile(rb"\\.|[()]", re.DOTALL)
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)
#: A comment that holds no other.
_FLAT = rb"\((?:[^()\\]++|\\.?+)*+\)"
_FLAT_COMMENT = re.compile(_FLAT, re.DOTALL)
#: A whole quoted string, or one that is never closed, or a comment or its start.
_QUOTED_OR_COMMENT = re.compile(
    rb'"(?:[^"\\]++|\\.?+)*+"?+|%b|\(|\\.' % _FLAT, re.DOTALL
)

_OPENS = ord("(")


#   comment = "(" *([FWS] ccontent) [FWS] ")"      ; ccontent may be a comment
def comment_end(value: bytes, start: int) -> int:
    """Return the offset after the comment that opens at ``start``.

    Nesting is counted, not followed; an unclosed comment reaches to the end.
    """
    depth = 0
    for mark in _COMMENT_MARK.finditer(value, start):
        if mark[0] == b"(":
            depth += 1
        elif mark[0] == b")":
            depth -= 1
            if not depth:
                return mark.end()
    return len(value)


def without_comments(value: bytes) -> bytes:
    """Return the value with one space for each comment; quoted strings are kept."""
    if b"(" not in value:
        return value
    if b'"' not in value and b"\\" not in value:
        # What is in another comment may go before it.
        value = _FLAT_COMMENT.sub(b" ", value)
    pieces: list[bytes] = []
    start = position = 0
    while found := _QUOTED_OR_COMMENT.search(value, position):
        position = found.end()
        if value[found.start()] == _OPENS:
            pieces.append(value[start : found.start()])
            if position == found.start() + 1:  # it holds others
                position = comment_end(value, found.start())
            start = position
    pieces.append(value[start:])
    return b" ".join(pieces)


#   quoted-pair = "\" (VCHAR / WSP)
def unescape(text: bytes) -> bytes:
    """Return the inside of a quoted string or a comment without its backslashes."""
    return _QUOTED_PAIR.sub(rb"\1", text) if b"\\" in text else text
