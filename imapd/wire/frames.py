"""What the framer delivers: plain data."""

from dataclasses import dataclass

from imapd.errors import ImapError


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole command: text, literal, text, ..., text, without CRLF.

    A literal that was streamed stands as b"".
    """

    parts: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class LiteralPrompt:
    """The text so far ended in ``{size}`` or, not ``sync``, in ``{size+}``.

    ``parts`` ends with that text, without the announcement.  ``problem`` says why
    the literal cannot be collected in memory; it may still be streamed.  Answer
    with ``accept``, ``stream`` or ``refuse`` before the next ``next_event``.
    """

    size: int
    sync: bool
    parts: tuple[bytes, ...]
    problem: ImapError | None


@dataclass(frozen=True, slots=True)
class LiteralChunk:
    """Some octets of a streamed literal; an empty literal is one empty chunk."""

    octets: bytes
    last: bool


@dataclass(frozen=True, slots=True)
class Rejected:
    """A command that was dropped here.

    ``tag`` is None if it could not be read, or if the command was answered
    before.  ``fatal``: the place in the stream is lost, nothing more is delivered,
    and the connection must be closed.
    """

    tag: bytes | None
    error: ImapError
    fatal: bool


Event = Frame | LiteralPrompt | LiteralChunk | Rejected
