"""Messages nobody would write: grown by a grammar that errs, or real ones mutated.

``seeds`` are the messages of the samples, and of the directory that ``IMAPD_CORPUS``
names, if any: files that end in ``.eml``.
"""

import functools
import os
import random
import re
from pathlib import Path
from typing import Final

from tests.support import sample_messages as samples

#: What decides how a message is read: words that mutations put anywhere.
WORDS: Final = (
    *(b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\n", b"\r\n\r\n", b"\n ", b"\n\t", b" "),
    *(b"\0", b"\x80", b"\xff", b"\x0b", b"\x0c", b"\x1c", b"\x85", b"\xc3\xbc", b'"'),
    *(b"\\", b"(", b")", b"((((", b"<", b">", b",", b";", b":", b"=", b"@", b"*", b"%"),
    *(b"--", b"--x", b"--x--", b"--xy", b"boundary=x", b'boundary="x"', b"\n--x\n"),
    *(
        b"Content-Type: multipart/mixed; boundary=x\n\n",
        b"{3}\r\n",
        b"{999999}",
        b"NIL",
    ),
    *(
        b"Content-Type: message/rfc822\n\n",
        b"Content-Type: multipart/digest;boundary=xy",
    ),
    *(
        b"=?utf-8?q?=C3=BC?=",
        b"=?utf-8?b?w7w?=",
        b"=?x?q?",
        b"?=",
        b"=\n",
        b"=3D",
        b"=A",
    ),
    *(b"; a*0=b", b"; a*1*=%20", b"; filename*=utf-8''%c3%bc", b"charset=utf-7"),
    *(b"charset=iso-2022-jp", b"charset=\xff", b"+AGE-", b"\x1b$B", b"charset=idna"),
    *(
        b"base64",
        b"quoted-printable",
        b"To: ",
        b"From:",
        b"G: a@b, c@d;",
        b"<@a,@b:c@d>",
    ),
    *(b"Date: Mon, 99 Foo 9999 99:99:99 +9999", b"Message-ID: <a@b>", b"References: "),
    *(b"Content-Language: a, b", b"Content-Disposition: x; y=z", b"Content-MD5: q"),
    *(b"* 1 FETCH (", b"\na OK done", b"RFC822", b"\xf0\x9f\x98\x80", b"9" * 40),
)
_NAMES: Final = (
    *(b"From", b"To", b"Cc", b"Bcc", b"Sender", b"Reply-To", b"Subject", b"Date"),
    *(
        b"Message-ID",
        b"In-Reply-To",
        b"References",
        b"Content-ID",
        b"X",
        b"Content-Type",
    ),
    *(
        b"Content-Description",
        b"Content-Disposition",
        b"Content-Language",
        b"MIME-Version",
    ),
    *(
        b"Content-Location",
        b"Content-MD5",
        b"Content-Transfer-Encoding",
        b"subject ",
        b"",
    ),
)
_TYPES: Final = (
    *(b"text/plain", b"TEXT/html", b"image/png", b"application/octet-stream", b"text"),
    *(b"message/delivery-status", b"message/partial", b"a/b/c", b"/", b"", b"text/"),
    *(b"message/rfc822", b"message/global", b"multipart/mixed"),  # with no boundary
)
_BOUNDARIES: Final = (b"x", b"xy", b"xyz", b"x y", b"--x", b"b" * 70, b"'()+_,-./:=?")
_ENCODINGS: Final = (b"7bit", b"base64", b"quoted-printable", b"x-uuencode", b"BASE64 ")
_MOST_OCTETS: Final = 60_000


@functools.cache
def seeds() -> tuple[bytes, ...]:
    """Return messages to begin with, always in the same order."""
    seconds = 1_500_000_000
    inner = samples.alternative(seconds)
    found = [
        *(octets for _, octets in samples.thread(seconds, 3)),
        *(samples.attachments(seconds), inner, samples.report(seconds)),
        samples.forwarded(seconds, inner, 3),
        *(samples.NO_HEADERS, samples.ONLY_HEADERS, samples.CRLF, samples.MIXED_ENDS),
        *(samples.NO_FINAL_NEWLINE, samples.NOT_CLOSED, samples.MANY_RECIPIENTS),
        *(samples.in_charset(seconds, *each) for each in samples.CHARSETS),
    ]
    return (*found, *corpus())


@functools.cache
def corpus() -> tuple[bytes, ...]:
    """Return the messages of ``IMAPD_CORPUS``; none where it is not set."""
    directory = os.environ.get("IMAPD_CORPUS")
    if not directory:
        return ()
    return tuple(path.read_bytes() for path in sorted(Path(directory).rglob("*.eml")))


def message(chance: random.Random) -> bytes:
    """Make one: grown, or a seed, and mostly mutated some times."""
    octets = grown(chance) if chance.random() < 0.5 else chance.choice(seeds())
    for _ in range(chance.choice((0, 1, 1, 2, 3, 5, 9, 20))):
        octets = mutated(octets[:_MOST_OCTETS], chance)
    return octets


def mutated(octets: bytes, chance: random.Random) -> bytes:
    """Change something small, somewhere; or where lines or fields begin."""
    size = len(octets)
    at = (
        chance.choice(_places(octets))
        if chance.random() < 0.5
        else (chance.randrange(size + 1))
    )
    end = min(size, at + chance.choice((1, 1, 2, 5, 20, 100, 1000)))
    match chance.randrange(9):
        case 0:
            return octets[:at] + chance.choice(WORDS) + octets[at:]
        case 1:
            return octets[:at] + chance.choice(WORDS) + octets[end:]
        case 2:
            return octets[:at] + octets[end:]
        case 3:
            return (
                octets[:end] + octets[at:end] * chance.choice((1, 1, 3)) + octets[end:]
            )
        case 4:
            return octets[:at] + chance.randbytes(end - at) + octets[end:]
        case 5:
            return (
                octets[:at] if chance.random() < 0.3 else octets[:at] + octets[at + 1 :]
            )
        case 6:
            other = chance.choice(seeds())
            return octets[:at] + other[chance.randrange(len(other)) :]
        case 7:
            ends = chance.choice((b"\n", b"\r\n", b"\r", b"\r\r\n", b"", b"\n\n"))
            return octets.replace(b"\r\n", b"\n").replace(b"\n", ends)
        case _:
            return (
                octets[:at]
                + chance.choice(WORDS) * chance.choice((2, 9, 90))
                + (octets[at:])
            )


def _places(octets: bytes) -> list[int]:
    """Where lines, values and parameters begin, and parts."""
    return [
        0,
        len(octets),
        *(found.end() for found in re.finditer(rb"\n|: |;|--", octets)),
    ]


def grown(chance: random.Random, depth: int = 0) -> bytes:
    """Grow an entity: header fields, an empty line or none, and what is in it."""
    end = b"\n" if chance.random() < 0.8 else b"\r\n"
    kind = chance.random()
    fields = [_field(chance) for _ in range(chance.randrange(6))]
    if depth > 6 or kind < 0.45:
        fields.append(b"Content-Type: " + chance.choice(_TYPES) + _parameters(chance))
        fields.append(b"Content-Transfer-Encoding: " + chance.choice(_ENCODINGS))
        body = b"".join(chance.choice(WORDS) for _ in range(chance.randrange(8)))
    elif kind < 0.6:
        fields.append(b"Content-Type: message/rfc822" + _parameters(chance))
        body = grown(chance, depth + 1)
    else:
        boundary = chance.choice(_BOUNDARIES)
        subtype = chance.choice((b"mixed", b"digest", b"alternative", b"x"))
        fields.append(
            b'Content-Type: multipart/%b; boundary="%b"%b'
            % (subtype, boundary, _parameters(chance))
        )
        parts = [grown(chance, depth + 1) for _ in range(chance.randrange(4))]
        body = b"preamble" + b"".join(
            end + b"--" + boundary + chance.choice((b"", b"", b" ", b"x")) + end + part
            for part in parts
        )
        if chance.random() < 0.8:
            body += end + b"--" + boundary + b"--" + end + b"epilogue"
    chance.shuffle(fields)
    empty = chance.choice((end, end, end, end, b"", b" " + end))
    return b"".join(field + end for field in fields) + empty + body


def _field(chance: random.Random) -> bytes:
    value = b"".join(chance.choice(WORDS[6:]) for _ in range(chance.randrange(6)))
    if chance.random() < 0.7:  # else it may end the header
        value = re.sub(rb"[\r\n]+(?![ \t])", b"", value)
    return chance.choice(_NAMES) + chance.choice((b": ", b":", b"", b" :")) + value


def _parameters(chance: random.Random) -> bytes:
    return b"".join(
        chance.choice((b"; ", b";", b" ;\n\t"))
        + chance.choice((b"a", b"charset", b"name*0", b"name*1*", b"name*", b"b", b""))
        + chance.choice((b"=", b"", b" = "))
        + chance.choice((b"x", b'"x y"', b'"\\"', b"(c)", b"utf-8''%41", b"\xe9", b""))
        for _ in range(chance.randrange(4))
    )
