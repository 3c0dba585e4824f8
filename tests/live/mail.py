"""Mail to fill accounts with: what is awkward, and numbered so that none is alike."""

import itertools
import os
import time
from pathlib import Path

from tests.live.client import Client

FOLDERS = (
    "Sent",
    "Archive",
    "Archive/2020",
    "Entwürfe & Pläne",
    "Entwürfe & Pläne/日本語",
    "leer",
)

_DELIVERIES = itertools.count()
_BODIES = (
    b"Plain text.\r\n",
    "Grüße, undeclared 8-bit.\r\n".encode(),
    b"no line end",
    b"",
    b".leading dots\r\n..\r\nFrom the start of a line\r\n",
    b"long\r\n" * 40_000,
)


def message(number: int, *, tag: str = "live") -> bytes:
    """Message ``number`` as APPEND wants it, with CRLF line ends."""
    body = _BODIES[number % len(_BODIES)]
    if number % 11 == 10:
        return b"\r\nno header at all, %d %b\r\n" % (number, tag.encode())
    return (
        f"From: =?UTF-8?Q?J=C3=BCrgen?= <j{number}@example.org>\r\n"
        f"Subject: {tag} {number}\r\n"
        f"Message-ID: <{tag}.{number}@example.org>\r\n"
        f"Date: Sat, {1 + number % 28:02} Feb 2020 10:00:00 +0100\r\n\r\n"
    ).encode() + body


def flags(number: int) -> list[str]:
    """Flags and keywords, in many combinations."""
    words = (r"\Seen", r"\Flagged", r"\Answered", r"\Draft", "$Forwarded", "work")
    return [word for bit, word in enumerate(words) if number >> bit & 1]


def date(number: int) -> str:
    """An INTERNALDATE for APPEND."""
    return f"{1 + number % 28:02}-Mar-2019 0{number % 10}:30:00 +0{number % 10}30"


def deliver(maildir: Path, number: int) -> None:
    """What a delivery agent does: into ``tmp``, then ``new``, with LF line ends."""
    seconds, nanoseconds = divmod(time.time_ns(), 10**9)
    name = f"{seconds}.M{nanoseconds // 1000:06}P{os.getpid()}Q{next(_DELIVERIES)}.mx"
    path = maildir / "tmp" / name
    path.write_bytes(message(number, tag="delivered").replace(b"\r\n", b"\n"))
    os.utime(path, (1_500_000_000 + number, 1_500_000_000 + number))
    path.rename(maildir / "new" / name)


def fill(client: Client) -> None:
    """An account with a past: gaps in the UIDs, also at the end, and keywords."""
    for folder in FOLDERS:
        client.command(b"CREATE " + client.wire_name(folder))
    for number in range(24):
        client.append("INBOX", message(number), flags(number), date(number))
    for number in range(24, 28):
        client.append("Archive/2020", message(number), flags(number), date(number))
    client.select("INBOX")
    uids = [b"%d" % uid for uid in client.uids()]
    client.store(b",".join(uids[3:9]), "+FLAGS (NonJunk $label1)")
    client.store(b",".join(uids[5:7]), r"-FLAGS (\Seen work)")
    client.command(
        b"UID COPY %s %s"
        % (b",".join(uids[2:8]), client.wire_name("Entwürfe & Pläne/日本語"))
    )
    client.command(b"UID COPY %s %s" % (uids[0], client.wire_name("Sent")))
    client.move(b",".join(uids[10:12]), "Archive")
    client.expunge(b",".join([uids[14], uids[15], uids[-1]]))
    for folder in ("INBOX", "Sent", "Entwürfe & Pläne/日本語", "Archive/2020"):
        client.command(b"SUBSCRIBE " + client.wire_name(folder))


def change(client: Client, *, tag: str) -> None:
    """What clients do in a week; ``tag`` keeps two such weeks apart."""
    for number in range(100, 105):
        client.append("INBOX", message(number, tag=tag), flags(number), date(number))
    client.append("Sent", message(105, tag=tag), [r"\Seen", f"only-{tag}"])
    client.select("INBOX")
    uids = [b"%d" % uid for uid in client.uids()]
    client.store(uids[1], r"+FLAGS (\Answered $Forwarded)")
    client.store(uids[2], r"FLAGS (\Flagged NonJunk)")
    client.store(uids[3], r"-FLAGS (\Seen NonJunk)")
    client.store(uids[4], f"+FLAGS (new-{tag})")
    made = f"Neu {tag}/Größe"
    client.command(b"CREATE " + client.wire_name(made))
    client.move(b",".join(uids[5:7]), made)
    client.command(b"UID COPY %s %s" % (uids[4], client.wire_name("Archive")))
    client.expunge(b",".join([uids[8], uids[-1]]))
    client.command(b"SUBSCRIBE " + client.wire_name(made))


def rename(client: Client, old: str, new: str) -> None:
    """RENAME, and its subscription with it, as clients do."""
    client.command(b"RENAME %s %s" % (client.wire_name(old), client.wire_name(new)))
    if old in client.folders(b"LSUB"):
        client.command(b"UNSUBSCRIBE " + client.wire_name(old))
        client.command(b"SUBSCRIBE " + client.wire_name(new))
