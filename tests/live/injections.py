"""Each way to bring octets past STARTTLS, and what must come of it: nothing.

Hardening P01.
"""

import asyncio
import itertools
import ssl
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass

from tests.live.base import PASSWORD
from tests.live.starttls import Wire

AT_ONCE = 40
SILENCE_SECONDS = 0.3

#: The response of SASL PLAIN; it must not be in a log.
INITIAL = b64encode(b"\0user1\0" + PASSWORD.encode())
#: Commands that must not run inside TLS; their tag is ``i``.
INJECTED: dict[str, bytes] = {
    "LOGIN": b"i LOGIN user1 secret\r\n",
    "LOGIN, literals": b"i LOGIN {5+}\r\nuser1 {6+}\r\nsecret\r\n",
    "AUTHENTICATE at once": b"i AUTHENTICATE PLAIN " + INITIAL + b"\r\n",
    "AUTHENTICATE": b"i AUTHENTICATE PLAIN\r\n" + INITIAL + b"\r\n",
    "AUTHENTICATE CRAM-MD5": b"i AUTHENTICATE CRAM-MD5\r\n",
    "NOOP": b"i NOOP\r\n",
    "STARTTLS": b"i STARTTLS\r\n",
    "CAPABILITY": b"i CAPABILITY\r\n",
    "ID": b'i ID ("name" "x")\r\n',
    "APPEND": b"i APPEND INBOX {5+}\r\nhello\r\n",
    "LOGOUT": b"i LOGOUT\r\n",
    "half a command": b"i LOGIN user1 ",
    "half a literal": b"i LOGIN {100+}\r\n",
    "an LF": b"\n",
    "a CR": b"\r",
    "a NUL": b"\0",
    "a browser": b"GET / HTTP/1.1\r\n\r\n",
}
#: STARTTLS as it is taken.
TAKEN = {
    "upper case": b"a STARTTLS\r\n",
    "lower case": b"a starttls\r\n",
    "mixed case": b"a StArTtLs\r\n",
    "LF only": b"a STARTTLS\n",
}
#: And as it is not.
REFUSED = {
    "CR CR LF": b"a STARTTLS\r\r\n",
    "literal": b"a STARTTLS {3+}\r\nabc\r\n",
    "literal, waiting": b"a STARTTLS {3}\r\n",
    "quoted tag": b'"a" STARTTLS\r\n',
    "space after": b"a STARTTLS \r\n",
    "space before": b" a STARTTLS\r\n",
    "word after": b"a STARTTLS x\r\n",
    "NUL": b"a STARTTLS\0\r\n",
    "in quotes": b'a "STARTTLS"\r\n',
}
#: What may stand before it in the same segment.
BEFORE = {
    "nothing": b"",
    "NOOP": b"b NOOP\r\n",
    "refused LOGIN": b"b LOGIN user1 secret\r\n",
    "refused LOGIN, literal": b"b LOGIN {5+}\r\nuser1 x\r\n",
    "cancelled AUTHENTICATE": b"b AUTHENTICATE CRAM-MD5\r\n*\r\n",
    "ID": b'b ID ("name" "x")\r\n',
    "nonsense": b"b FROB\r\n",
}


@dataclass(frozen=True)
class Variant:
    """Pieces to send one after the other, with a pause between them."""

    name: str
    pieces: tuple[bytes, ...]
    injects: bool  # something follows a STARTTLS that is taken
    pause: float = 0.0
    #: Whether the server's OK is awaited before the second piece.
    waits: bool = False


def _splits(octets: bytes, last: int) -> Iterator[tuple[int, tuple[bytes, bytes]]]:
    return ((cut, (octets[:cut], octets[cut:])) for cut in range(1, last + 1))


def taken_variants() -> Iterator[Variant]:
    """STARTTLS is taken, and something comes with it or after it."""
    for (form, line), (what, injected) in itertools.product(
        TAKEN.items(), INJECTED.items()
    ):
        name = f"{form}, {what}"
        both = line + injected
        yield Variant(f"{name}, one segment", (both,), True)
        yield Variant(f"{name}, two segments", (line, injected), True)
        yield Variant(f"{name}, after the OK", (line, injected), True, waits=True)
        single = tuple(bytes([octet]) for octet in both)
        yield Variant(f"{name}, octets", single, True, 0.001)
        for before, first in list(BEFORE.items())[1:]:
            if form == "upper case":
                yield Variant(f"{before}, {name}", (first + both,), True)
    for what in ("LOGIN", "AUTHENTICATE", "NOOP", "STARTTLS"):
        line = TAKEN["upper case"]
        for cut, pieces in _splits(line + INJECTED[what], len(line) + 4):
            yield Variant(f"{what}, cut at {cut}", pieces, True, 0.01)


def clean_variants() -> Iterator[Variant]:
    """STARTTLS is taken or not, and TLS begins without anything in between."""
    for (form, line), (before, first) in itertools.product(
        TAKEN.items(), BEFORE.items()
    ):
        octets = first + line
        name = f"{before} then {form}"
        yield Variant(name, (octets,), False)
        yield Variant(f"{name}, octets", tuple(bytes([o]) for o in octets), False)
    whole = tuple(INJECTED[name] for name in ("LOGIN", "NOOP", "ID", "CAPABILITY"))
    for (form, line), injected in itertools.product(REFUSED.items(), whole):
        name = f"{form} refused, {injected!r}"
        good = b"a STARTTLS\r\n"
        yield Variant(name, (line + injected, good), False)
        yield Variant(f"{name}, slowly", (line, injected, good), False, 0.02)


#: Judges what came of a variant; raises AssertionError.
Judge = Callable[[Wire, Variant], Awaitable[None]]


async def run_all(
    variants: Iterable[Variant], judge: Judge, port: int, header: bytes = b""
) -> list[str]:
    """Run them side by side; return what was wrong, each by its name."""
    gate = asyncio.Semaphore(AT_ONCE)
    failed: list[str] = []

    async def one(variant: Variant) -> None:
        async with gate:
            wire = await Wire.connect(port, header)
            try:
                for piece in variant.pieces:
                    await wire.send(piece)
                    if variant.waits:
                        await wire.until(b"a OK Begin TLS negotiation now\r\n")
                    if variant.pause:
                        await asyncio.sleep(variant.pause)
                await judge(wire, variant)
            except Exception as error:
                failed.append(f"{variant.name}: {error!r}; {wire.plain!r}")
            finally:
                wire.close()

    await asyncio.gather(*(one(variant) for variant in variants))
    return failed


def _insist(condition: bool, what: str, octets: bytes = b"") -> None:
    if not condition:
        raise AssertionError(f"{what}: {octets!r}")


async def judge_taken(wire: Wire, context: ssl.SSLContext) -> bool:
    """No TLS comes of it; and after the OK not one word in the clear.

    Returns:
        Whether TLS was to begin at all.
    """
    await wire.until(b"a OK")
    begun = b"a OK" in wire.plain
    if begun:
        await wire.until(b"negotiation now\r\n")
        _insist(not await wire.handshake(context), "TLS after all")
    said, _, after = wire.plain.partition(b"a OK Begin TLS negotiation now\r\n")
    after += await wire.rest(5)
    _insist(wire.ended, "left open")
    _insist(b"\r\ni " not in said, "it ran before", said)
    for answer in (b"i OK", b"i NO", b"i BAD"):
        _insist(answer not in after, "it ran", after)
    _insist(after[:1] in (b"", b"\x15"), "more than an alert", after)
    return begun


async def judge_clean(wire: Wire, context: ssl.SSLContext, user: str) -> None:
    """TLS, and then silence until it is asked; nothing is left of before."""
    await wire.until(b"a OK Begin TLS negotiation now\r\n")
    _insist(not wire.ended, "closed")
    _insist(wire.plain.endswith(b"now\r\n"), "more in the clear", wire.plain)
    _insist(await wire.handshake(context), "no TLS")
    said = await wire.inside(SILENCE_SECONDS)
    _insist(said == b"", "it speaks unasked", said)
    answer = await wire.ask(b"z CAPABILITY")
    _insist(answer.startswith(b"* CAPABILITY IMAP4rev1 "), "no answer", answer)
    _insist(answer.count(b"\r\n") == 2, "another answer", answer)
    _insist(b" AUTH=PLAIN " in answer, "logged in, or not in TLS", answer)
    for word in (b"STARTTLS", b"LOGINDISABLED", b"i OK"):
        _insist(word not in answer, "as in the clear", answer)
    answer = await wire.ask(b"y STARTTLS")
    _insist(b"y BAD" in answer, "a second time", answer)
    answer = await wire.ask(f"x LOGIN {user} {PASSWORD}".encode())
    _insist(b"x OK" in answer, "no login", answer)
    answer = await wire.ask(b"w STARTTLS")
    _insist(b"w BAD" in answer, "after login", answer)
