"""Messages through IMAP: in by APPEND, out by FETCH."""

import re

from tests.support.server import Client

MESSAGE = b"Subject: x\r\n\r\nx\r\n"


def literal(raw: bytes) -> bytes:
    """The first literal in some octets."""
    match = re.search(rb"\{(\d+)\}\r\n", raw)
    if match is None:
        raise AssertionError(raw)
    return raw[match.end() :][: int(match[1])]


def body(client: Client, uid: int, section: str = "") -> bytes:
    raw = client.ok(f"UID FETCH {uid} BODY.PEEK[{section}]")
    return literal(raw) if re.search(rb"\] \{\d+\}\r\n", raw) else b""


def size(client: Client, uid: int) -> int:
    found = re.search(rb"RFC822\.SIZE (\d+)", client.ok(f"UID FETCH {uid} RFC822.SIZE"))
    if found is None:
        raise AssertionError(client.raw)
    return int(found[1])


def append(
    client: Client, octets: bytes, mailbox: str = "INBOX", more: str = ""
) -> int:
    """APPEND; return the UID."""
    raw = client.append(octets, mailbox, more)
    found = re.search(rb"\[APPENDUID \d+ (\d+)\]", raw)
    if found is None:
        raise AssertionError(raw)
    return int(found[1])


def as_fetched(octets: bytes) -> bytes:
    """RFC 3501 §6.3.11: a message is CRLF lines.  A bare LF becomes CRLF."""
    return re.sub(rb"(?<!\r)\n", b"\r\n", octets)
