"""The literals of a command that takes them as they arrive (APPEND)."""

from typing import Protocol

from imapd.errors import ImapError
from imapd.wire import response
from imapd.wire.framer import (
    CommandFramer,
    Event,
    Frame,
    LiteralChunk,
    LiteralPrompt,
    Rejected,
)


class _Source(Protocol):
    framer: CommandFramer

    def send(self, octets: bytes) -> None: ...

    async def next_event(self) -> Event: ...


class StreamedLiterals:
    """Walks through literal, text, literal, ..., text of one command."""

    def __init__(self, source: _Source, prompt: LiteralPrompt) -> None:
        self._source = source
        self._prompt: LiteralPrompt | None = prompt
        self._in_literal = False
        self._ended = False
        #: Why nothing that follows can be read: the connection must end.
        self.lost: ImapError | None = None
        self.size = prompt.size
        self.text = prompt.parts[-1]

    async def accept(self) -> None:
        """Ask for the octets of the literal announced last."""
        if self._prompt is None:
            raise RuntimeError("no literal is announced")
        if self._prompt.sync:
            self._source.send(response.continuation(b"Ready for the literal"))
        self._prompt = None
        self._in_literal = True
        self._source.framer.stream()

    async def chunk(self) -> bytes | None:
        """Some octets of it, None after the last.

        Raises:
            ImapError: the framer dropped the command.
        """
        if not self._in_literal:
            return None
        event = await self._source.next_event()
        if not isinstance(event, LiteralChunk):
            raise RuntimeError(f"{event!r} inside a literal")
        self._in_literal = not event.last
        return event.octets

    async def following(self) -> bool:
        """Whether another literal follows; ``text`` is what stood before it.

        Raises:
            ImapError: the framer dropped the command.
        """
        event = await self._source.next_event()
        match event:
            case LiteralPrompt():
                self._prompt = event
                self.size, self.text = event.size, event.parts[-1]
                return True
            case Frame(parts):
                self._ended = True
                self.text = parts[-1]
                return False
            case Rejected():
                self._rejected(event)
                raise event.error
        raise RuntimeError(f"{event!r} after a literal")

    def _rejected(self, event: Rejected) -> None:
        self._ended = True
        if event.fatal:
            self.lost = event.error

    def refuse(self) -> None:
        """Drop the rest of the command."""
        if self._prompt is not None:
            self._prompt = None
            self._ended = True
            self._source.framer.refuse()

    async def finish(self) -> None:
        """Nothing of the command may be taken for the next: throw the rest away."""
        while self._in_literal:
            await self.chunk()
        if self._prompt is None and not self._ended:
            event = await self._source.next_event()
            if isinstance(event, LiteralPrompt):
                self._prompt = event
            elif isinstance(event, Rejected):
                self._rejected(event)
            self._ended = True
        self.refuse()
