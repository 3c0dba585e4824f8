"""Accounts in which every string that is stored may mean to end a response.

The files are written as other programs write them, octet by octet; the server's own
code has no part in it.
"""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

#: What would end a line, a string, a list or a literal, and begin something else.
EVIL: Final = (
    *(b'"', b"\\", b'\\"', b'")) BYE', b"(", b")", b"{5}", b"{5}\r\n", b"NIL", b""),
    *(b"\r\n * BYE x", b"\r\n\tOK x", b"\r\n* BYE x", b"\n* BYE x", b"\r* BYE x"),
    *(b"a\0b", b"\xff\xfe", b"\xc3\xa4", b"=?utf-8?q?=0D=0A*_BYE_x?=", b"%", b"*"),
    *(b"=?utf-8?b?DQoqIEJZRSB4?=", b"=?x?q?=00=22=29?=", b"%0d%0a*%20BYE", b"\x85"),
    *(b"a" * 2000, b'"' * 1500, b"\xe2\x80\xa8", b"(" * 500, b";", b"<a@b>", b"a,b"),
)

#: Where a string of a message comes to stand in a response.
PLACES: Final = (
    *(b"Subject: %b", b"From: %b <a@b>", b'From: "%b" <a@b>', b"To: %b@b", b"Cc: a@%b"),
    *(b"Bcc: %b: a@b;", b"Sender: <@%b:a@b>", b"Reply-To: (%b) a@b", b"Date: %b"),
    *(b"Message-ID: %b", b"In-Reply-To: <%b>", b"References: <%b>", b"X-%b: x"),
    *(b"Content-Type: %b/plain", b"Content-Type: text/%b", b"Content-Type: %b"),
    *(b'Content-Type: text/plain; name="%b"', b"Content-Type: text/plain; %b=x"),
    *(b"Content-Type: text/plain; name=%b", b"Content-Type: text/x; name*0*=%b"),
    *(b"Content-ID: %b", b"Content-Description: %b", b"Content-MD5: %b"),
    *(b"Content-Transfer-Encoding: %b", b"Content-Location: %b"),
    *(b"Content-Disposition: %b", b'Content-Disposition: attachment; filename="%b"'),
    *(
        b"Content-Disposition: x; %b=y",
        b"Content-Language: %b",
        b"Content-Language: a,%b",
    ),
)

_PART: Final = b"Content-Type: multipart/mixed; boundary=bb\n\n--bb\n%b\n\nx\n--bb--\n"
_INNER: Final = b"Content-Type: message/rfc822\n\n%b\n\nx\n"


def message(line: bytes, depth: int) -> bytes:
    """Put a header line into a message, or into the message in its part."""
    if depth == 0:
        return line + b"\n\nx\n"
    return (_PART if depth == 1 else _INNER) % line


def of_each_octet() -> Iterator[tuple[bytes, bytes]]:
    """Yield (octet, message): the octet at every place that it cannot end."""
    for number in range(0x100):
        octet = bytes([number])
        lines = [place % (b"a%bb" % octet) for place in PLACES]
        yield octet, b"\n".join(lines) + b"\n\nx\n"


def evil_messages() -> Iterator[bytes]:
    """Yield each evil string at each place, at the top and within."""
    for number, evil in enumerate(EVIL):
        for place_number, place in enumerate(PLACES):
            depth = (number + place_number) % 3
            yield message(place.replace(b"%b", evil), depth)


def random_messages(chance: Random, count: int) -> Iterator[bytes]:
    """Yield messages whose lines are put together by chance."""
    for _ in range(count):
        lines = []
        for place in chance.choices(PLACES, k=chance.randint(1, 6)):
            parts = chance.choices(EVIL, k=chance.randint(1, 3))
            if chance.random() < 0.3:
                parts.append(chance.randbytes(chance.randint(1, 12)))
            lines.append(place.replace(b"%b", b"".join(parts)))
        yield message(b"\n".join(lines), chance.randrange(3))


def keyword_lines(chance: Random) -> list[bytes]:
    """What a file of keywords may say of 26 letters."""
    octets = [b"k%bx" % bytes([chance.randrange(0x100)]) for _ in range(12)]
    names = [
        *(b"Good", b"good", b"\\Seen", b"\\Recent", b"a b", b"(", b"k)x", b'k"x'),
        *(b"k\\x", b"k\rx", b"\xc3\xa4", b"{5}", b"*", b"NIL", b"k" * 3000, b"]"),
        *(b"unknown-3", b"", b"\\*", b"+FLAGS"),
        *octets,
    ]
    chance.shuffle(names)
    return [b"%d %b" % (number, name) for number, name in enumerate(names)]


def folder_names(chance: Random) -> Iterator[bytes]:
    """Yield names of directories, each octet in one of them."""
    for number in range(1, 0x100):
        if number != ord("/"):
            yield b".a%bb" % bytes([number])
    for evil in EVIL:
        name = evil.replace(b"/", b"").replace(b"\0", b"")
        if 0 < len(name) < 200:
            yield b"." + name
    yield from (b".&AAA-", b".&AAo-", b".&", b".&-", b".&AC8-", b".a..b", b".INBOX")
    yield from (b".R&-D", b".R&D", b".inbox", b".INBOX.x", b".", b"." + b"x" * 254)
    for _ in range(30):
        name = chance.randbytes(chance.randint(1, 20))
        yield b"." + name.replace(b"/", b"").replace(b"\0", b"")


def plant(home: Path, chance: Random, messages: list[bytes]) -> None:
    """Make a Maildir of all that."""
    for part in ("cur", "new", "tmp"):
        (home / part).mkdir(parents=True)
    letters = "abcdefghijklmnopqrstuvwxyz"
    for number, octets in enumerate(messages):
        flags = "".join(sorted(chance.sample(letters, chance.randrange(26))))
        base = f"1700000000.M{number:06}P1.host:2,{flags}"
        (home / "cur" / base).write_bytes(octets)
    lines = b"\n".join(keyword_lines(chance)) + b"\n"
    (home / "dovecot-keywords").write_bytes(lines)
    names = list(folder_names(chance))
    for name in names:
        folder = home / os_name(name)
        if name in (b".", b"..") or folder.exists():
            continue
        for part in ("cur", "new", "tmp"):
            (folder / part).mkdir(parents=True)
    subscribed = [name[1:].replace(b"\n", b"\x01n") for name in names]
    header = b"V\t2\n\n" if chance.random() < 0.5 else b""
    (home / "subscriptions").write_bytes(header + b"\n".join(subscribed) + b"\n")


def os_name(name: bytes) -> str:
    """Return a name of octets as paths have it."""
    return name.decode("utf-8", "surrogateescape")
