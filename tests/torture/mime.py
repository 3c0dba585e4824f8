"""G2: whatever octets a message is made of, FETCH tells of it in the grammar.

Files are put into the Maildir of a whole server in this process, and fetched as
clients do.  Every octet of the answers goes through a parser that shares nothing with
the server; what the parts of an answer say must agree with each other and with the
file.  Nothing is logged as an error, and no message takes long.
"""

import random
import re
import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from unittest import TestCase

from tests.support.grammar import Fetched, Untagged
from tests.support.grammar_fetch import ParsedBody
from tests.support.server import Client, Server
from tests.torture.budget import Budget
from tests.torture.corrupted import Failures
from tests.torture.figures import Figure, at_most, told
from tests.torture.messages import message

_BATCH_MESSAGES: Final = 16
_MOST_PARTS: Final = 12
_WHOLE: Final = (
    "RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY BODY.PEEK[] BODY.PEEK[HEADER] "
    "BODY.PEEK[TEXT] BODY.PEEK[HEADER.FIELDS (SUBJECT TO)] "
    "BODY.PEEK[HEADER.FIELDS.NOT (SUBJECT TO)]"
)
#: What reads messages in other ways than FETCH does.
_ASKED: Final = (
    "SEARCH CHARSET UTF-8 OR TEXT x HEADER subject y",
    "SEARCH OR BODY 1 OR FROM a OR CC b OR SENTBEFORE 1-Jan-2020 LARGER 1000",
    "SORT (SUBJECT REVERSE DATE FROM CC) UTF-8 ALL",
    "THREAD REFERENCES UTF-8 ALL",
    "THREAD ORDEREDSUBJECT UTF-8 SUBJECT e",
)
#: A hundred times what one of these messages takes.
_MOST_CPU_SECONDS: Final = 1.0
_WARM_BATCHES: Final = 20


def run(budget: Budget) -> Iterator[Figure]:
    """Fetch batches of odd messages while there is time."""
    count, longest, octets_fetched, warm = 0, 0.0, 0, 0
    with served() as (server, maildir), Failures() as failures:
        for batch, (label, chance) in enumerate(budget.trials("mime")):
            messages = [message(chance) for _ in range(_BATCH_MESSAGES)]
            seconds = fetch_all(server, maildir, messages, label, chance)
            assert not failures.texts, f"{label}: {failures.texts[0]}"
            longest = max(longest, seconds / _BATCH_MESSAGES)
            count += len(messages)
            budget.did(len(messages))
            octets_fetched += sum(map(len, messages))
            if batch == _WARM_BATCHES:
                warm = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - warm if warm else 0
    yield at_most("G2", "what FETCH tells wrongly, exceptions", 0, "defects", 0)
    yield told("G2", "odd messages fetched", count, "messages")
    yield told("G2", "their size", octets_fetched / count, "octets a message")
    yield at_most("G2", "CPU time a message", longest, "s", _MOST_CPU_SECONDS)
    yield at_most("G2", "memory grown since the first batches", grown >> 10, "MiB", 32)


class Case(TestCase):
    """What the in-process server takes a test case for."""

    def runTest(self) -> None:
        """Nothing: only its clean-up is used."""


@contextmanager
def served(user: str = "alice") -> Iterator[tuple[Server, Path]]:
    """A server, and the Maildir of its user."""
    case = Case()
    try:
        server = Server(case)
        server.login(user).hang_up()  # which makes the Maildir
        yield server, server.maildir(user)
    finally:
        case.doCleanups()


def fetch_all(
    server: Server,
    maildir: Path,
    messages: Sequence[bytes],
    label: str,
    chance: random.Random,
) -> float:
    """Deliver, fetch, judge and remove; return the CPU seconds of the server's half.

    Raises:
        AssertionError: with the label, and the number of the message in its batch.
    """
    for number, octets in enumerate(messages):
        # In the order of their names they get their UIDs.
        (maildir / "new" / f"{number + 1}.M{number}P1.host").write_bytes(octets)
    client = server.login("alice", "INBOX")
    began = time.process_time()
    try:
        answers = fetched(client, f"FETCH 1:* ({_WHOLE})")
        assert len(answers) == len(messages), f"{len(answers)} messages"
        for number, octets in enumerate(messages):
            try:
                judge(client, number + 1, octets, answers[number], chance)
            except AssertionError as error:
                raise AssertionError(f"message {number}: {error}") from error
        for text in _ASKED:
            client.ok(text)
        return time.process_time() - began
    except Exception as error:
        raise AssertionError(f"{label}: {error!r}"[:3000]) from error
    finally:
        client.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)")
        client.ok("CLOSE")
        client.hang_up()
        server.clients.clear()  # tens of thousands come and go


def fetched(client: Client, text: str) -> list[Fetched]:
    """Send one FETCH; return what it was answered."""
    found = [
        each.data
        for each in client.command(text)
        if isinstance(each, Untagged) and each.kind == b"FETCH"
    ]
    last = client.raw[client.raw.rfind(b"\r\n", 0, -2) + 2 :]
    assert last.startswith(b"t%d OK" % client.number), f"{text}: {last!r}"
    return found


def wire_form(octets: bytes) -> bytes:
    """What is sent of a file: CRLF at the end of lines, and no NUL."""
    return re.sub(rb"(?<!\r)\n", b"\r\n", octets.replace(b"\0", b"\x80"))


def judge(
    client: Client, seq: int, octets: bytes, answer: Fetched, chance: random.Random
) -> None:
    """Compare what was told of a message with itself and with the file."""
    wire = wire_form(octets)
    assert answer[b"BODY[]"] == wire, "BODY[] is not what is in the file"
    assert answer[b"RFC822.SIZE"] == len(wire), "RFC822.SIZE"
    header, text = answer[b"BODY[HEADER]"], answer[b"BODY[TEXT]"]
    assert header + text == wire, "header and text are not the message"
    assert not text or header.endswith(b"\r\n\r\n") or header == b"\r\n", (
        "no empty line"
    )
    plain, extended = answer[b"BODY"], answer[b"BODYSTRUCTURE"]
    assert _basic(plain) == _basic(extended), "BODY is not BODYSTRUCTURE"
    assert plain == _basic(plain), "BODY has extension data"
    _fields(answer, header)
    parts = list(_parts(extended, ()))
    chance.shuffle(parts)
    _judge_parts(client, seq, wire, parts[:_MOST_PARTS])
    first = chance.randrange(len(wire) + 3)
    count = chance.choice((1, 10, 1000, 1 << 20))
    (piece,) = fetched(client, f"FETCH {seq} BODY.PEEK[]<{first}.{count}>")
    expected = wire[first : first + count]
    assert piece[b"BODY[]<%d>" % first] == expected, f"<{first}.{count}>"


def _fields(answer: Fetched, header: bytes) -> None:
    """Both halves of the header have every field once, and the subject is in it."""
    names = rb"HEADER.FIELDS%b (SUBJECT TO)"
    sections = {name.upper(): value for name, value in answer.items}
    one = sections[b"BODY[" + names % b"" + b"]"]
    other = sections[b"BODY[" + names % b".NOT" + b"]"]
    end = b"\r\n" if header.endswith(b"\r\n\r\n") or header == b"\r\n" else b""
    total = len(one) + len(other) - len(end)
    assert total == len(header), f"fields of {len(one)} and {len(other)} octets"
    subject = answer[b"ENVELOPE"].subject
    if subject:
        squeezed = re.sub(rb"\s", b"", subject)
        assert squeezed in re.sub(rb"\s", b"", header), (
            "the subject is not in the header"
        )


def _basic(body: ParsedBody) -> ParsedBody:
    """What BODY has of it."""
    multipart = body.type.upper() == b"MULTIPART" and bool(body.parts)
    return ParsedBody(
        body.type,
        body.subtype,
        () if multipart else body.params,
        *(body.id, body.description, body.encoding, body.octets, body.lines),
        parts=tuple(map(_basic, body.parts)),
        envelope=body.envelope,
        message=None if body.message is None else _basic(body.message),
    )


def _parts(
    body: ParsedBody, path: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], ParsedBody]]:
    """Every part that has octets, with its number."""
    if body.parts:
        for number, part in enumerate(body.parts, 1):
            yield from _parts(part, (*path, number))
        return
    path = path or (1,)
    yield path, body
    if body.message is not None:
        if body.message.parts:
            yield from _parts(body.message, path)
        else:
            yield from _parts(body.message, (*path, 1))


def _judge_parts(
    client: Client,
    seq: int,
    wire: bytes,
    parts: list[tuple[tuple[int, ...], ParsedBody]],
) -> None:
    items = []
    for path, part in parts:
        dotted = ".".join(map(str, path))
        items += [f"BODY.PEEK[{dotted}]", f"BODY.PEEK[{dotted}.MIME]"]
        if part.message is not None:
            items += [f"BODY.PEEK[{dotted}.HEADER]", f"BODY.PEEK[{dotted}.TEXT]"]
    (answer,) = fetched(client, f"FETCH {seq} ({' '.join(items)})")
    for path, part in parts:
        number = ".".join(map(str, path)).encode()
        section: Any = answer[b"BODY[%b]" % number]
        where = f"part {path}"
        assert section is not None, f"{where} is not there"
        assert len(section) == part.octets, f"{where}: {part.octets} octets"
        assert section in wire, f"{where} is not in the message"
        if part.lines is not None:
            ends = section.count(b"\r\n")
            more = bool(section) and not section.endswith(b"\r\n")
            assert part.lines in (ends, ends + more), f"{where}: {part.lines} lines"
        mime = answer[b"BODY[%b.MIME]" % number] or b""
        assert mime in wire, f"{where}: its header is not in the message"
        if part.message is not None:
            whole = (
                answer[b"BODY[%b.HEADER]" % number] + answer[b"BODY[%b.TEXT]" % number]
            )
            assert whole == section, f"{where}: header and text are not the message"
