"""The framer and every command's grammar, without a server: many in a second.

Octets go to two framers, cut in different places, before login and after it; both
must say the same.  Of each command that comes out the grammar of its name makes a
value, reading all of it, or words for the client.
"""

import time
from collections.abc import Iterator
from random import Random
from typing import Final

from imapd.errors import ImapError
from imapd.limits import DEFAULT_LIMITS
from imapd.server.registry import COMMANDS
from imapd.wire import commands as grammar
from imapd.wire.cursor import Cursor
from imapd.wire.framer import CommandFramer, Frame, LiteralPrompt, Rejected
from tests.support.framing import joined, plain
from tests.torture import mutators
from tests.torture.budget import Budget
from tests.torture.costs import Costs
from tests.torture.figures import Figure, at_least, at_most, told
from tests.torture.grammar import command
from tests.torture.inprocess import shown
from tests.torture.writing import pieces_of, written

#: Commands made by the grammar, of which each is sent many times, changed.
STOCK: Final = 2000
#: Commands of one trial.
TOGETHER: Final = 40

_NAMES: Final = sorted(COMMANDS)


def stock(chance: Random) -> list[bytes]:
    """Return whole commands of every kind."""
    made = []
    for number in range(STOCK):
        wanted = command(_NAMES[number % len(_NAMES)], chance)
        turns = written(b"a%d" % number, wanted.name, wanted.pieces, chance, waits=0.2)
        made.append(b"".join(turns))
    return made


def _said(
    pieces: Iterator[bytes], known: bool, streams: bool
) -> tuple[list[object], list[tuple[bytes, ...]]]:
    """What a framer says, and the commands among it."""
    framer = CommandFramer()
    if known:
        framer.authenticated()
    events: list[object] = []
    frames = []
    for piece in pieces:
        framer.receive(piece)
        while (event := framer.next_event()) is not None:
            events.append(plain(event))
            if isinstance(event, Frame):
                frames.append(event.parts)
            elif isinstance(event, LiteralPrompt):
                _answer(framer, event, streams)
            elif isinstance(event, Rejected) and event.fatal:
                return events, frames
    return events, frames


def _answer(framer: CommandFramer, prompt: LiteralPrompt, streams: bool) -> None:
    appends = streams and b" APPEND " in prompt.parts[0].upper()
    if appends and prompt.size <= DEFAULT_LIMITS.append_octets:
        try:
            grammar.append_prefix(prompt.parts)
        except ImapError as error:
            _check_words(error)
            framer.refuse()
        else:
            framer.stream()
    elif prompt.problem is None:
        framer.accept()
    else:
        framer.refuse()


def _check_words(error: ImapError) -> None:
    words = str(error)
    assert words and words.isascii() and words.isprintable(), f"{words!r} for a client"


def read(parts: tuple[bytes, ...]) -> None:
    """Read one command as the server does; raises AssertionError for a defect."""
    cursor = Cursor(parts)
    try:
        _tag, name = grammar.command_start(cursor)
        row = COMMANDS.get(name)
        if row is None:
            return
        row.grammar(cursor)
    except ImapError as error:
        _check_words(error)
    else:
        assert cursor.at_end, f"{parts} was not read to its end"
        assert not any(b"\0" in part for part in parts), f"{parts} has a NUL"


def trial(octets: bytes, chance: Random) -> int:
    """Send the same to two framers; return how many commands came out."""
    known, streams = chance.random() < 0.8, chance.random() < 0.5
    events, frames = _said(iter((octets,)), known, streams)
    others, _ = _said(pieces_of(octets, chance), known, streams)
    if not (events and isinstance(events[-1], tuple) and events[-1][0] == "rejected"):
        assert joined(events) == joined(others), f"{octets!r} is cut in two ways"
    for parts in frames:
        read(parts)
    return len(frames)


def run(budget: Budget) -> Iterator[Figure]:
    """G1, for what reads commands."""
    made = stock(Random(budget.seed))
    frames = sent = 0
    costs = Costs()
    began = time.monotonic()
    for label, chance in budget.trials("wire"):
        octets = b"".join(
            mutators.mutated(each, chance) if chance.random() < 0.7 else each
            for each in chance.choices(made, k=TOGETHER)
        )
        started = time.thread_time()
        try:
            frames += trial(octets, chance)
        except Exception as error:
            raise AssertionError(f"{label}: {octets!r}: {shown(error)}") from None
        costs.add(len(octets), time.thread_time() - started)
        sent += TOGETHER
        budget.did(TOGETHER)
    seconds = time.monotonic() - began
    yield at_least("G1", "read: commands sent", sent, "commands", 1)
    yield told("G1", "read: commands sent a second", sent / seconds, "/s")
    yield told("G1", "read: commands that came out", frames, "commands")
    dear, dearest = (costs.of_a_block(share) * 1e3 for share in (0.999, 1))
    yield at_most("G1", "read: of 8 KiB, 999 in 1000", dear, "ms", 50)
    yield told("G1", "read: of 8 KiB, at the most", dearest, "ms")
