"""The body of a generated message: text, alternatives, attachments, messages."""

import base64
import quopri
import random

from benchmarks.mail import words
from benchmarks.mail.header import date_time, mailbox

#: The MIME fields of a part, with line ends, and its octets.
Part = tuple[str, bytes]

_BOUNDARIES = ("----=_Part_%d_%d", "=_%x.%x", "%012x%08x", "Apple-Mail=_%X-%X")
_FILES = (
    ("pdf", "application/pdf"),
    ("jpg", "image/jpeg"),
    ("png", "image/png"),
    ("zip", "application/zip"),
)
_PREAMBLE = b"This is a multi-part message in MIME format.\n"
_DELIVERY_STATUS = (
    b"Reporting-MTA: dns; mx.example.org\n\nFinal-Recipient: rfc822; x@example.com\n"
    b"Action: failed\nStatus: 5.1.1\n"
)


def _size(rng: random.Random, least: int, most: int) -> int:
    """As likely between 1 and 2 KB as between 10 and 20 KB."""
    return int(least * (most / least) ** rng.random())


def _text(rng: random.Random, octets: int, *, rare: bool = False) -> str:
    lines: list[str] = []
    total = 0
    while total < octets:
        paragraph = rng.choices(words.LINES, k=rng.randint(1, 9))
        paragraph[rng.randrange(len(paragraph))] += (
            f" {rng.choice(words.UNCOMMON_WORDS)}"
        )
        if rng.random() < 0.2:
            paragraph = [f"> {line}" for line in paragraph]
        lines += [*paragraph, ""]
        total += sum(map(len, paragraph)) + len(paragraph) + 1
    if rare:
        lines.insert(len(lines) // 2, f"here is {words.RARE_WORD} in a line")
    if rng.random() < 0.05:
        lines.insert(1, "From here on a mbox writer would quote this line")
    if rng.random() < 0.05:
        lines.insert(0, "..leading dots.")
    return "\n".join(lines) + "\n"


def _encode(octets: bytes, encoding: str) -> bytes:
    if encoding == "quoted-printable":
        return quopri.encodestring(octets)
    if encoding == "base64":
        return base64.encodebytes(octets)
    return octets


def text_part(rng: random.Random, octets: int, *, rare: bool = False) -> Part:
    """Return text of about ``octets``; ``rare``: with the rare word in it."""
    text = _text(rng, octets, rare=rare)
    charset, encoding = (
        "us-ascii",
        rng.choice(("7bit", "7bit", "", "", "quoted-printable")),
    )
    if rng.random() < 0.30:
        line = rng.choice(words.FOREIGN_LINES)
        text += f"\n{line}\n"
        western = max(line) < "\u0100"
        charset = "iso-8859-1" if western and rng.random() < 0.4 else "utf-8"
        encoding = rng.choice(("8bit", "8bit", "quoted-printable", "base64"))
    fields = ""
    if charset != "us-ascii" or rng.random() < 0.6:
        flowed = "; format=flowed; delsp=yes" if rng.random() < 0.1 else ""
        fields = f"Content-Type: text/plain; charset={charset}{flowed}\n"
    if encoding:
        fields += f"Content-Transfer-Encoding: {encoding}\n"
    return fields, _encode(text.encode(charset), encoding)


def _html_part(rng: random.Random, octets: int) -> Part:
    lines = ["<!DOCTYPE html>", "<html><head><style>p{margin:0}</style></head><body>"]
    for line in _text(rng, int(octets * 0.6)).split("\n"):
        style = f'class="c{rng.randrange(9)}" style="color:#333"'
        lines.append(f"<p {style}>{line}</p>" if line else "<br>")
    lines.append("</body></html>")
    encoding = rng.choice(("quoted-printable", "quoted-printable", "7bit", "base64"))
    fields = (
        "Content-Type: text/html; charset=utf-8\n"
        f"Content-Transfer-Encoding: {encoding}\n"
    )
    return fields, _encode(("\n".join(lines) + "\n").encode(), encoding)


def _multipart(
    rng: random.Random, kind: str, parts: list[Part], parameters: str = ""
) -> Part:
    boundary = rng.choice(_BOUNDARIES) % (
        rng.randrange(1 << 40),
        rng.randrange(1 << 30),
    )
    fields = f'Content-Type: multipart/{kind}; {parameters}boundary="{boundary}"\n'
    pieces = [_PREAMBLE if rng.random() < 0.5 else b""]
    for part_fields, octets in parts:
        pieces.append(f"--{boundary}\n{part_fields}\n".encode())
        pieces.append(octets if octets.endswith(b"\n") else octets + b"\n")
    pieces.append(f"--{boundary}--\n".encode())
    return fields, b"".join(pieces)


def _alternative(rng: random.Random, octets: int, *, rare: bool = False) -> Part:
    plain = text_part(rng, max(200, octets // 4), rare=rare)
    return _multipart(rng, "alternative", [plain, _html_part(rng, int(octets * 0.7))])


def _attachment(rng: random.Random, octets: int) -> Part:
    suffix, content_type = rng.choice(_FILES)
    stem = rng.choice(words.WORDS[:500])
    name, file_name = rng.choice(
        (
            (f'name="{stem}.{suffix}"', f'filename="{stem}.{suffix}"'),
            (f'name="{stem}.{suffix}"', f'filename="{stem}.{suffix}"'),
            (
                f'name="=?utf-8?Q?=C3=BCber_{stem}.{suffix}?="',
                f"filename*=utf-8''%C3%BCber%20{stem}.{suffix}",
            ),
            (
                f"name={stem}.{suffix}",
                f'filename*0="{stem}-very-long-";\n\tfilename*1="{stem}.{suffix}"',
            ),
        )
    )
    fields = (
        f"Content-Type: {content_type};\n\t{name}\n"
        "Content-Transfer-Encoding: base64\n"
        f"Content-Disposition: {rng.choice(('attachment', 'inline'))};\n\t{file_name}\n"
    )
    if rng.random() < 0.2:
        fields += f"Content-ID: <{rng.randrange(1 << 40):x}@example.com>\n"
    return fields, base64.encodebytes(rng.randbytes(int(octets * 0.73)))


def _inner_message(rng: random.Random, depth: int) -> bytes:
    head = (
        f"From: {mailbox(rng)}\nTo: {mailbox(rng)}\n"
        f"Subject: inner {' '.join(words.pick_words(rng, 4))}\n"
        f"Date: {date_time(1_600_000_000 - rng.randrange(10**6), '+0100', rng)}\n"
        f"Message-ID: <in{rng.randrange(1 << 50):x}@example.com>\nMIME-Version: 1.0\n"
    )
    kind = rng.random()
    if depth < 2 and kind < 0.2:
        inner = ("Content-Type: message/rfc822\n", _inner_message(rng, depth + 1))
        fields, octets = _multipart(rng, "mixed", [text_part(rng, 500), inner])
    elif kind < 0.5:
        fields, octets = _alternative(rng, 6000)
    else:
        fields, octets = text_part(rng, 1500)
    return (head + fields + "\n").encode() + octets


def _nested(rng: random.Random, *, rare: bool) -> Part:
    kind = rng.random()
    message = ("Content-Type: message/rfc822\n", _inner_message(rng, 0))
    if kind < 0.6:
        return _multipart(rng, "mixed", [text_part(rng, 700, rare=rare), message])
    if kind < 0.75:
        count = rng.randint(2, 6)
        parts = [
            (rng.choice(("", "Content-Type: message/rfc822\n")), _inner_message(rng, 1))
            for _ in range(count)
        ]
        return _multipart(rng, "digest", parts)
    if kind < 0.9:
        status = ("Content-Type: message/delivery-status\n", _DELIVERY_STATUS)
        parts = [text_part(rng, 600, rare=rare), status, message]
        return _multipart(rng, "report", parts, "report-type=delivery-status; ")
    return message


def small_body(rng: random.Random, *, rare: bool) -> Part:
    """Return a plain text of 0.6 to 2.6 KB."""
    return text_part(rng, _size(rng, 600, 2600), rare=rare)


def mixed_body(rng: random.Random, *, rare: bool) -> Part:
    """Return what people have: 60 % text, 25 % HTML, 10 % attachments, 5 % nested."""
    kind = rng.random()
    if kind < 0.60:
        return text_part(rng, _size(rng, 1000, 6000), rare=rare)
    if kind < 0.85:
        part = _alternative(rng, _size(rng, 8000, 40000), rare=rare)
        if rng.random() < 0.15:
            return _multipart(rng, "related", [part, _attachment(rng, 4000)])
        return part
    if kind < 0.95:
        octets, count = _size(rng, 50_000, 500_000), rng.choice((1, 1, 1, 2, 3))
        files = [_attachment(rng, octets // count) for _ in range(count)]
        return _multipart(rng, "mixed", [text_part(rng, 800, rare=rare), *files])
    return _nested(rng, rare=rare)
