"""The messages of ``maildirs-sample``, written for it: small, and each for a reason.

Lines end with LF, as delivery agents write them, unless a message is about that.
"""

import base64
import quopri
from email.utils import formatdate

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9"
    "awAAAABJRU5ErkJggg=="
)
PEOPLE = {
    "alice": "Alice Liddell <alice@example.org>",
    "bob": "Bob Dodgson <bob@example.org>",
    "carol": "Carol Lewis <carol@example.org>",
    "hatter": '"Hatter, Mad" <hatter@teaparty.example>',
    "dormouse": "dormouse@teaparty.example (The Dormouse)",
}


def base64_lines(octets: bytes) -> str:
    """BASE64 in lines of 76."""
    return base64.encodebytes(octets).decode("ascii")


def headers(seconds: int, sender: str, to: str, subject: str, *more: str) -> str:
    """A header as clients write it; ``more`` are further lines."""
    host = "teaparty.example" if sender in ("hatter", "dormouse") else "example.org"
    lines = [
        f"Return-Path: <{sender}@{host}>",
        f"Date: {formatdate(seconds)}",
        f"From: {PEOPLE[sender]}",
        f"To: {PEOPLE[to]}",
        f"Subject: {subject}",
        f"Message-ID: <{seconds}.{sender}@{host}>",
        "MIME-Version: 1.0",
        *more,
    ]
    return "".join(f"{line}\n" for line in lines)


def plain(seconds: int, sender: str, to: str, subject: str, text: str) -> bytes:
    """``text/plain`` in US-ASCII."""
    head = headers(
        seconds, sender, to, subject, "Content-Type: text/plain; charset=us-ascii"
    )
    return f"{head}\n{text}\n".encode("ascii")


def thread(first: int, count: int) -> list[tuple[int, bytes]]:
    """A list's thread: (seconds, message), with ever longer References."""
    people = ["alice", "bob", "carol", "hatter"]
    sent: list[tuple[int, bytes]] = []
    ids: list[str] = []
    for number in range(count):
        seconds, sender = first + number * 4321, people[number % 4]
        answered = ids[max(0, number - 1 - number % 3)] if ids else None
        more = ["List-Id: Growing things in pots <pots.lists.example.org>"]
        if answered:
            more.append(f"In-Reply-To: {answered}")
            more.append("References: " + "\n\t".join(ids[: ids.index(answered) + 1]))
        subject = "Which pot for roses?" if not ids else "Re: Which pot for roses?"
        head = headers(seconds, sender, "alice", subject, *more)
        text = f"Answer number {number}: clay, and drill {number + 2} holes.\n"
        quote = f"> Answer number {number - 1}: clay, I said.\n\n" if answered else ""
        sent.append((seconds, f"{head}\n{quote}{text}".encode("ascii")))
        host = "teaparty.example" if sender == "hatter" else "example.org"
        ids.append(f"<{seconds}.{sender}@{host}>")
    return sent


def attachments(seconds: int) -> bytes:
    """multipart/mixed: text, a PNG, a file with an RFC 2231 name, a calendar."""
    head = headers(
        *(seconds, "bob", "alice", "The plan, with pictures"),
        'Content-Type: multipart/mixed; boundary="=_plan/1"',
    )
    return (
        f"{head}\nThis is a message in MIME format.\n--=_plan/1\n"
        "Content-Type: text/plain; charset=utf-8; format=flowed\n"
        "Content-Transfer-Encoding: 8bit\nContent-Language: en, de\n\n"
        "The picture is small, the plan is gr\N{LATIN SMALL LETTER O WITH DIAERESIS}"
        "\N{LATIN SMALL LETTER SHARP S}er.\n\n--=_plan/1\n"
        'Content-Type: image/png; name="dot.png"\n'
        "Content-Transfer-Encoding: base64\n"
        'Content-Disposition: inline; filename="dot.png"; size=70\n'
        "Content-ID: <dot@example.org>\nContent-Description: One dot\n\n"
        f"{base64_lines(PNG)}\n--=_plan/1\n"
        "Content-Type: application/octet-stream\n"
        "Content-Transfer-Encoding: base64\n"
        "Content-Disposition: attachment;\n"
        " filename*0*=utf-8'de'Gr%C3%BC%C3%9Fe%20;\n filename*1=und.bin\n\n"
        f"{base64_lines(bytes(range(256)) * 8)}\n--=_plan/1\n"
        "Content-Type: text/calendar; method=REQUEST; charset=UTF-8\n\n"
        "BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\nUID:tea@example.org\n"
        "DTSTART:20240101T170000Z\nSUMMARY:Tea\nEND:VEVENT\nEND:VCALENDAR\n"
        "--=_plan/1--\nAnd an epilogue.\n"
    ).encode()


def forwarded(seconds: int, inner: bytes, depth: int = 2) -> bytes:
    """message/rfc822 in multipart/mixed, ``depth`` times."""
    for level in range(depth):
        head = headers(
            *(seconds + level, "carol", "bob", f"Fwd: ({level + 1})"),
            f"Content-Type: multipart/mixed; boundary=fwd{level}",
        )
        inner = (
            f"{head}\n--fwd{level}\n\nSee below.\n--fwd{level}\n"
            "Content-Type: message/rfc822\nContent-Disposition: attachment\n\n"
        ).encode() + inner
        inner += f"\n--fwd{level}--\n".encode()
    return inner


def alternative(seconds: int) -> bytes:
    """multipart/alternative holding multipart/related: what web mail sends."""
    head = headers(
        *(seconds, "hatter", "carol", "No room!"),
        "Content-Type: multipart/alternative; boundary=alt",
    )
    return (
        f"{head}\n--alt\nContent-Type: text/plain; charset=us-ascii\n\nNo room!\n"
        "--alt\nContent-Type: multipart/related; boundary=rel; type=text/html\n\n"
        "--rel\nContent-Type: text/html; charset=iso-8859-1\n"
        "Content-Transfer-Encoding: quoted-printable\n\n"
        '<p>No <b>room</b>! =E4=F6=FC <img src=3D"cid:dot@teaparty.example"></p>\n'
        "--rel\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n"
        "Content-ID: <dot@teaparty.example>\nContent-Location: dot.png\n\n"
        f"{base64_lines(PNG)}--rel--\n--alt--\n"
    ).encode()


def report(seconds: int) -> bytes:
    """multipart/report: a mail that could not be delivered.  RFC 3464."""
    head = headers(
        *(seconds, "hatter", "bob", "Undelivered Mail"),
        "Auto-Submitted: auto-replied",
        "Content-Type: multipart/report; report-type=delivery-status;\n\tboundary=dsn",
    )
    return (
        f"{head}\n--dsn\n\nThe rabbit moved.\n--dsn\n"
        "Content-Type: message/delivery-status\n\n"
        "Reporting-MTA: dns; teaparty.example\n\n"
        "Final-Recipient: rfc822; rabbit@teaparty.example\n"
        "Action: failed\nStatus: 5.1.1\n\n"
        "--dsn\nContent-Type: text/rfc822-headers\n\n"
        "From: bob@example.org\nTo: rabbit@teaparty.example\nSubject: Late?\n"
        "--dsn--\n"
    ).encode()


def in_charset(seconds: int, charset: str, encoding: str, text: str) -> bytes:
    """``text/plain`` in a charset, with its name in the subject."""
    octets = text.encode(charset)
    if encoding == "quoted-printable":
        body = quopri.encodestring(octets)
    elif encoding == "base64":
        body = base64.encodebytes(octets)
    else:
        body = octets
    word = base64.b64encode(text.split(maxsplit=1)[0].encode(charset)).decode("ascii")
    head = headers(
        *(seconds, "carol", "alice", f"{charset}: =?{charset}?B?{word}?="),
        f"Content-Type: text/plain; charset={charset}",
        f"Content-Transfer-Encoding: {encoding}",
    )
    return head.encode("ascii") + b"\n" + body + b"\n"


CHARSETS = (
    ("iso-8859-1", "quoted-printable", "Stra\xdfe nach K\xf6ln, f\xfcnf Meilen = 8 km"),
    ("windows-1252", "8bit", "\u201eJa\u201c \u2013 100 \u20ac"),
    ("utf-8", "8bit", "na\xefve caf\xe9 \u2615"),
    ("utf-8", "base64", "\U0001f407 \u0437\u0430\u044f\u0446 \u5154"),
    ("koi8-r", "base64", "\u0427\u0430\u0439 \u0432 \u043f\u044f\u0442\u044c"),
    ("iso-2022-jp", "7bit", "\u304a\u8336\u4f1a \u306b"),
    ("shift_jis", "base64", "\u5e3d\u5b50\u5c4b \u3055\u3093"),
    ("gb2312", "quoted-printable", "\u7231\u4e3d\u4e1d \u68a6"),
    ("iso-8859-15", "quoted-printable", "\u20ac 5, \u0160koda"),
)

ENCODED_WORDS = (
    "Date: Thu, 4 Jan 2024 10:00:00 +0100\n"
    "From: =?utf-8?Q?J=C3=BCrgen_M=C3=BCller?= <jm@example.org>\n"
    "To: =?iso-8859-1?B?RnL2aGxpY2g=?= <alice@example.org>,\n"
    ' "=?utf-8?Q?not_decoded?=" <bob@example.org>,\n'
    " Friends: carol@example.org, hatter@teaparty.example;\n"
    "Cc: undisclosed-recipients:;\n"
    "Subject: =?utf-8?B?w4RwZmVsIA==?= =?utf-8?B?dW5kIEJpcm5lbg==?=\n"
    "\t=?iso-8859-1?Q?_im_M=E4rz?= (plain)\n"
    "Message-ID: <words@example.org>\n\nApples and pears.\n"
).encode("ascii")

RAW_UTF8 = (
    "From: J\xfcrgen <jm@example.org>\nTo: alice@example.org\n"
    "Subject: \xc4pfel ohne Kodierung \u2615\nMessage-ID: <raw8@example.org>\n"
    "\nNo encoded words, no MIME, no date.\n"
).encode()

RAW_LATIN1 = (
    "Date: Fri, 5 Jan 2024 10:00:00 +0100\nFrom: J\xfcrgen <jm@example.org>\n"
    "Subject: \xc4pfel, und niemand sagt, in welcher Schrift\n\nGr\xfc\xdfe\n"
).encode("latin-1")

NO_HEADERS = b"\nThis file begins with an empty line: a message without a header.\n"
ONLY_HEADERS = (
    b"From: alice@example.org\nSubject: nothing to say\nX-Empty:\n"
    b"Date: Sat, 6 Jan 2024 10:00:00 +0000\n"
)
CRLF = (
    b"Date: Sun, 7 Jan 2024 10:00:00 +0000\r\nFrom: bob@example.org\r\n"
    b"To: alice@example.org\r\nSubject: lines end with CR LF\r\n\r\n"
    b"Some agents store what SMTP brought.\r\n\r\nAll of it.\r\n"
)
MIXED_ENDS = (
    b"Date: Sun, 7 Jan 2024 11:00:00 +0000\r\nFrom: bob@example.org\n"
    b"Subject: some lines end so,\r\n some so\n\nOne.\r\nTwo.\nThree\rfour.\n"
)
NO_FINAL_NEWLINE = (
    b"Date: Mon, 8 Jan 2024 10:00:00 +0000\nFrom: carol@example.org\n"
    b"To: bob@example.org\nSubject: cut off\n\nThe last line has no end"
)
NOT_CLOSED = (
    b"Date: Tue, 9 Jan 2024 10:00:00 +0000\nFrom: hatter@teaparty.example\n"
    b"Subject: a multipart that never ends\nMIME-Version: 1.0\n"
    b"Content-Type: multipart/mixed; boundary=never\n\n"
    b"--never\n\nFirst part.\n--never\nContent-Type: text/html\n\n<p>Second"
)
MANY_RECIPIENTS = (
    "Date: Wed, 10 Jan 2024 10:00:00 +0000\nFrom: alice@example.org\nTo: "
    + ",\n ".join(f'"Guest {n}" <guest{n}@teaparty.example>' for n in range(40))
    + "\nSubject: Invitation\nMessage-ID: <invitation@example.org>\n\nCome at five.\n"
).encode("ascii")
