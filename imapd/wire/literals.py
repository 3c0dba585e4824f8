"""The end of a line: CRLF, and a literal announced before it.  RFC 3501 §4.3."""

import re

from imapd.ids import LARGEST_NUMBER

_LITERAL = re.compile(rb"([0-9]{1,10})(\+?)")


#   literal = "{" number ["+"] "}" CRLF *CHAR8              ; RFC 7888 §8
def announced_octets(announcement: bytes) -> tuple[int | None, bool]:
    """Octets and synchronising, from between the braces; None: malformed."""
    sync = not announcement.endswith(b"+")
    found = _LITERAL.fullmatch(announcement)
    size = int(found.group(1)) if found else None
    return (None if size is None or size > LARGEST_NUMBER else size), sync


def without_line_end(line: bytes) -> bytes:
    """The line without its CRLF, or its LF."""
    return line[:-2] if line.endswith(b"\r\n") else line[:-1]
