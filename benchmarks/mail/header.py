"""The header of a generated message: addresses, dates, encoded words, threads."""

import base64
import hashlib
import random
import time
from collections.abc import Sequence

from benchmarks.mail import words

_ZONES = ("+0000", "+0100", "+0200", "-0500", "-0800", "+0530", "+0900", "-0300")
_ZONE_NAMES = {"+0000": "GMT", "-0500": "EST", "-0800": "PST", "+0100": "CET"}
_DAYS = "Mon Tue Wed Thu Fri Sat Sun".split()
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_REPLY_MARKS = ("Re: ", "Re: ", "Re: ", "RE: ", "Fwd: ", "Re[2]: ", "AW: ")
_LINE_OCTETS = 76
_WORD_OCTETS = 70
_MOST_REFERENCES = 40
HOST = "mx.example.org"

Field = tuple[str, str]


def date_time(seconds: int, zone: str, rng: random.Random) -> str:
    """``Mon, 14 Sep 2020 10:00:00 +0100 (CET)``.  RFC 5322 §3.3."""
    ahead = int(zone[1:3]) * 3600 + int(zone[3:]) * 60
    at = time.gmtime(seconds + (ahead if zone[0] == "+" else -ahead))
    day = at.tm_mday if rng.random() < 0.5 else f"{at.tm_mday:02}"
    text = (
        f"{_DAYS[at.tm_wday]}, {day} {_MONTHS[at.tm_mon - 1]} {at.tm_year} "
        f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} {zone}"
    )
    if zone in _ZONE_NAMES and rng.random() < 0.3:
        text += f" ({_ZONE_NAMES[zone]})"
    return text


def message_id(seed: int, index: int) -> str:
    """Return the Message-ID of message ``index``, which its replies know too."""
    digest = hashlib.sha256(f"{seed}:{index}".encode()).hexdigest()
    domain = words.DOMAINS[int(digest[16], 16) % len(words.DOMAINS)]
    return f"<{digest[:8]}.{digest[8:16]}.{index}@{domain}>"


def encoded_words(text: str, rng: random.Random) -> str:
    """Encode ``text`` in pieces short enough for RFC 2047 §2."""
    charset, form = "utf-8", rng.choice("QB")
    if rng.random() < 0.3 and text.isascii():
        charset = "iso-8859-1"
    pieces, piece = [], ""
    for character in text:
        if len(_encoded_word(piece + character, charset, form)) > _WORD_OCTETS:
            pieces.append(_encoded_word(piece, charset, form))
            piece = ""
        piece += character
    pieces.append(_encoded_word(piece, charset, form))
    return "\n ".join(pieces)


def _encoded_word(text: str, charset: str, form: str) -> str:
    octets = text.encode(charset)
    if form == "B":
        return f"=?{charset}?B?{base64.b64encode(octets).decode()}?="
    quoted = "".join(
        chr(octet)
        if octet < 128 and chr(octet).isalnum()
        else "_"
        if octet == 32
        else f"={octet:02X}"
        for octet in octets
    )
    return f"=?{charset}?Q?{quoted}?="


def mailbox(rng: random.Random) -> str:
    """Return one address in one of the forms people use.  RFC 5322 §3.4."""
    domain, kind = rng.choice(words.DOMAINS), rng.random()
    if kind < 0.10:
        name = encoded_words(rng.choice(words.FOREIGN_NAMES), rng)
        return f"{name} <u{rng.randrange(900)}@{domain}>"
    first, last = rng.choice(words.FIRST_NAMES), rng.choice(words.LAST_NAMES)
    address = f"{first.lower()}.{last.lower()}@{domain}"
    forms = (
        (0.60, f"{first} {last} <{address}>"),
        (0.70, f'"{last}, {first}" <{address}>'),
        (0.75, f"{address} ({first} {last})"),
        (0.77, f'"{first} \\"the {last}\\"" <{address}>'),
        (0.78, f'"{first} {last}"@{domain}'),
    )
    return next((form for limit, form in forms if kind < limit), address)


def fold(name: str, value: str) -> str:
    """Return one field with its line ends, folded at spaces.  RFC 5322 §2.2.3."""
    line = f"{name}: {value}"
    if len(line) <= _LINE_OCTETS or "\n" in value:
        return line + "\n"
    lines, line = [], f"{name}:"
    for word in value.split(" "):
        if len(line) + 1 + len(word) > _LINE_OCTETS and not line.endswith(":"):
            lines.append(line)
            line = ("\t" if name != "Subject" else " ") + word
        else:
            line += " " + word
    return "\n".join([*lines, line]) + "\n"


def header(index: int, seed: int, thread: Sequence[int], when: int) -> bytes:
    """Return the header of message ``index`` but for its MIME fields.

    ``thread`` has the indexes of its ancestors, the oldest first, and its own;
    ``when`` is in seconds since the epoch.
    """
    rng = random.Random(f"header:{seed}:{index}")
    fields = [
        *_address_fields(rng),
        *_date_field(when, rng),
        *_subject_field(index, seed, thread, rng),
        *_thread_fields(seed, thread, rng),
        *_other_fields(thread, rng),
    ]
    rng.shuffle(fields)
    lines = [*_trace(index, when, rng), *(fold(*field) for field in fields)]
    return "".join(lines).encode()


def _trace(index: int, when: int, rng: random.Random) -> list[str]:
    lines = [
        f"Return-Path: <bounce-{index}@{words.DOMAINS[index % len(words.DOMAINS)]}>\n",
        "Delivered-To: user@example.org\n",
        f"Received: (qmail {1000 + index % 30000} invoked by uid 89); "
        f"{date_time(when, '+0000', rng)}\n",
    ]
    lines += [
        f"Received: from relay{hop}.example.net (HELO relay{hop}) "
        f"(192.0.2.{rng.randrange(256)})\n"
        f"  by {HOST} with SMTP; {date_time(when - hop, '+0000', rng)}\n"
        for hop in range(rng.choice((1, 1, 2, 3)))
    ]
    if rng.random() < 0.4:
        signature = base64.b64encode(rng.randbytes(96)).decode()
        lines.append(
            "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com;\n"
            f"\ts=sel; h=from:to:subject; bh={signature[:44]};\n"
            f"\tb={signature[:64]}\n\t {signature[64:]}\n"
        )
    return lines


def _address_fields(rng: random.Random) -> list[Field]:
    fields = []
    if rng.random() > 0.003:
        fields.append(("From", mailbox(rng)))
    if rng.random() > 0.01:
        count = rng.choice((1, 1, 1, 2, 3, 12))
        fields.append(("To", ", ".join(mailbox(rng) for _ in range(count))))
    elif rng.random() < 0.5:
        fields.append(("To", "undisclosed-recipients:;"))
    if rng.random() < 0.2:
        count = rng.randint(1, 8)
        fields.append(("Cc", ", ".join(mailbox(rng) for _ in range(count))))
    if rng.random() < 0.03:
        fields.append(("Cc", "Team A: anna@example.com, Boris <boris@example.org>;"))
    for name, share in (("Bcc", 0.02), ("Reply-To", 0.15), ("Sender", 0.03)):
        if rng.random() < share:
            fields.append((name, mailbox(rng)))
    return fields


def _date_field(when: int, rng: random.Random) -> list[Field]:
    kind = rng.random()
    if kind < 0.01:
        return []
    if kind < 0.015:
        return [("Date", "yesterday at noon")]
    text = date_time(when - rng.randrange(300), rng.choice(_ZONES), rng)
    return [("Date", text.split(", ", 1)[1] if kind < 0.03 else text)]


def _subject_field(
    index: int, seed: int, thread: Sequence[int], rng: random.Random
) -> list[Field]:
    of_thread = random.Random(f"subject:{seed}:{thread[0]}")
    if of_thread.random() < 0.06:
        text = of_thread.choice(words.FOREIGN_SUBJECTS)
    else:
        count = of_thread.randint(2, 9)
        text = " ".join(words.pick_words(of_thread, count)).capitalize()
    if index % 100 == 17:
        text += f" {words.SUBJECT_WORD}"
    if len(thread) > 1:
        text = rng.choice(_REPLY_MARKS) + text
    kind = rng.random()
    if kind < 0.01:
        return [("Subject", "")] if kind < 0.005 else []
    # A quarter of the others is sent as raw UTF-8, as people do.
    if not text.isascii() and rng.random() < 0.75:
        text = encoded_words(text, rng)
    return [("Subject", text)]


def _thread_fields(seed: int, thread: Sequence[int], rng: random.Random) -> list[Field]:
    fields = []
    if rng.random() > 0.01:
        name = "Message-ID" if rng.random() < 0.8 else "Message-Id"
        fields.append((name, message_id(seed, thread[-1])))
    if len(thread) > 1:
        references = [message_id(seed, index) for index in thread[:-1]]
        if rng.random() < 0.93:
            fields.append(("In-Reply-To", references[-1]))
        if rng.random() < 0.95:
            fields.append(("References", " ".join(references[-_MOST_REFERENCES:])))
    return fields


def _other_fields(thread: Sequence[int], rng: random.Random) -> list[Field]:
    fields = []
    if len(thread) > 1 and rng.random() < 0.5:
        name = words.LISTS[thread[0] % len(words.LISTS)]
        fields += [
            ("Precedence", "list"),
            ("List-Id", f"The {name} list <{name}.lists.example.org>"),
            ("List-Post", f"<mailto:{name}@lists.example.org>"),
        ]
    if rng.random() < 0.05:
        fields.append(("X-Priority", rng.choice("12345")))
    if rng.random() < 0.5:
        agent = rng.choice(("Mutt/1.14.6", "Thunderbird 115", "K-9 Mail"))
        fields.append(("User-Agent", agent))
    if rng.random() < 0.3:
        value = (
            f"No, score=-{rng.randrange(60) / 10} required=5.0 "
            "tests=BAYES_00,DKIM_SIGNED,DKIM_VALID,SPF_PASS autolearn=ham"
        )
        fields.append(("X-Spam-Status", value))
    return fields
