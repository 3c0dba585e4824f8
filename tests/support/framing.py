"""Feeding a framer, and its events in a form that compares."""

from collections.abc import Callable

from imapd.limits import Limits
from imapd.wire.framer import (
    CommandFramer,
    Event,
    Frame,
    LiteralChunk,
    LiteralPrompt,
    Rejected,
)

Answer = Callable[[CommandFramer, LiteralPrompt], None]

SMALL = Limits(
    preauth_line_octets=1024,
    preauth_literal_octets=128,
    command_octets=8192,
    literal_octets=4096,
    literals_octets=4096,
    literal_count=16,
    append_octets=10000,
)


def accept(framer: CommandFramer, prompt: LiteralPrompt) -> None:
    if prompt.problem is None:
        framer.accept()
    else:
        framer.refuse()


def stream(framer: CommandFramer, prompt: LiteralPrompt) -> None:
    framer.stream()


def refuse(framer: CommandFramer, prompt: LiteralPrompt) -> None:
    framer.refuse()


def plain(event: Event) -> object:
    """An event in a form that compares: errors by class."""
    if isinstance(event, LiteralPrompt):
        problem = type(event.problem) if event.problem else None
        return ("prompt", event.size, event.sync, event.parts, problem)
    if isinstance(event, Rejected):
        return ("rejected", event.tag, type(event.error), event.fatal)
    return event


def drain(framer: CommandFramer, answer: Answer) -> list[object]:
    got: list[object] = []
    while (event := framer.next_event()) is not None:
        got.append(plain(event))
        if isinstance(event, LiteralPrompt):
            answer(framer, event)
    return got


def joined(events: list[object]) -> list[object]:
    """Chunks of one literal as one: where they are cut depends on the network."""
    result: list[object] = []
    for event in events:
        last = result[-1] if result else None
        if (
            isinstance(event, LiteralChunk)
            and isinstance(last, LiteralChunk)
            and not last.last
        ):
            result[-1] = LiteralChunk(last.octets + event.octets, event.last)
        else:
            result.append(event)
    return result


def events(
    *pieces: bytes,
    answer: Answer = accept,
    limits: Limits = SMALL,
    preauth: bool = False,
) -> list[object]:
    framer = CommandFramer(limits)
    if not preauth:
        framer.authenticated()
    got: list[object] = []
    for piece in pieces:
        framer.receive(piece)
        got += drain(framer, answer)
    return joined(got)


def prompt(size: int, sync: bool, *parts: bytes, problem: type | None = None) -> object:
    return ("prompt", size, sync, parts, problem)


def rejected(tag: bytes | None, error: type, fatal: bool = False) -> object:
    return ("rejected", tag, error, fatal)


NOOP = Frame((b"z NOOP",))
