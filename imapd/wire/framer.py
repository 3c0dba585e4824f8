"""Octets from the client to whole commands.  RFC 3501 §2.2, §4.3, RFC 7888.

Sans-IO: ``receive`` takes what arrives, ``next_event`` says what it amounts to.
All counting of octets happens here, in front of the grammar, so that no rule can
forget it.  No octet is looked at twice, and nothing recurses.
"""

from collections.abc import Sequence
from enum import Enum, auto

from imapd.errors import ImapError, LimitReached, SyntaxRejected, TooBig
from imapd.limits import DEFAULT_LIMITS, Limits
from imapd.wire.frames import Event, Frame, LiteralChunk, LiteralPrompt, Rejected
from imapd.wire.literals import announced_octets, without_line_end
from imapd.wire.strings import leading_tag

__all__ = [
    "CommandFramer",
    "Event",
    "Frame",
    "LiteralChunk",
    "LiteralPrompt",
    "Rejected",
]

# Longer than any literal announcement with its CRLF: what must be kept of a line
# that is thrown away, to see whether a literal follows it.
_TAIL_OCTETS = 32


class _Mode(Enum):
    TEXT = auto()  # reading a line
    PROMPT = auto()  # waiting for the caller's answer
    COLLECT = auto()  # reading a literal into memory
    STREAM = auto()  # handing a literal on
    DROP = auto()  # throwing away up to the end of a command
    SKIP = auto()  # throwing away a literal of such a command
    LOST = auto()


_TEXT = _Mode.TEXT  # a name of its own: it is asked for with every command


class CommandFramer:
    """Splits a client's octets into commands, within limits.

    What one unfinished command holds in memory is bounded by ``command_octets``
    and ``literals_octets`` (before login ``preauth_...``); what the caller feeds
    beyond that it can see in ``buffered``.
    """

    __slots__ = (
        "_budget",
        "_buffer",
        "_limits",
        "_line_octets",
        "_literal_count",
        "_literals_octets",
        "_mode",
        "_parts",
        "_pending",
        "_preauth",
        "_prompt",
        "_raw_line",
        "_scanned",
        "_size",
        "_text_octets",
    )

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        """Start before the first command of a client that has not logged in."""
        self._limits = limits
        self._preauth = True
        self._line_octets = limits.preauth_line_octets
        self._buffer = bytearray()
        self._clear()

    def _clear(self) -> None:
        """Forget the command being read."""
        self._mode = _TEXT
        self._parts: Sequence[bytes] = ()
        self._scanned = 0  # octets of the buffer known to hold no LF
        self._text_octets = 0  # of this command, in the lines that are complete
        self._literals_octets = 0  # of this command, collected
        self._literal_count = 0
        self._size = 0  # of the literal at hand, or what is left of it
        self._prompt: LiteralPrompt | None = None
        self._budget = 0  # octets we are ready to throw away
        self._raw_line = False  # the line thrown away cannot announce a literal
        self._pending: Rejected | None = None

    @property
    def buffered(self) -> int:
        """Octets received and not yet read."""
        return len(self._buffer)

    def receive(self, octets: bytes) -> None:
        """Take octets from the client."""
        if self._mode is not _Mode.LOST:
            self._buffer += octets

    def authenticated(self) -> None:
        """Use the limits of a client that has logged in, from now on."""
        self._preauth = False
        self._line_octets = self._limits.command_octets

    def discard(self) -> int:
        """Drop all that was received and not delivered; return how many octets.

        For STARTTLS: what came before TLS must not run inside it.  RFC 3501
        §6.2.1.
        """
        dropped = len(self._buffer)
        self._buffer.clear()
        self._clear()
        return dropped

    def next_event(self) -> Event | None:
        """What the octets received so far amount to; None: more are needed.

        Raises:
            RuntimeError: the caller has not answered a ``LiteralPrompt``.
        """
        if self._mode is _TEXT and self._pending is None:
            return self._text() if self._buffer else None
        if self._mode is _Mode.PROMPT:
            raise RuntimeError("LiteralPrompt not answered")
        if self._mode in (_Mode.DROP, _Mode.SKIP):
            self._drop()
        if self._pending is not None:
            event, self._pending = self._pending, None
            return event
        if self._mode is _Mode.STREAM:
            return self._chunk()
        if self._mode is _Mode.COLLECT:
            self._collect()
        return self._text() if self._mode is _TEXT else None

    def next_line(self) -> bytes | None:
        """One line without its CRLF, whatever it holds; None: more is needed.

        For what a client sends inside AUTHENTICATE and IDLE.

        Raises:
            TooBig: it is longer than ``sasl_line_octets``; the line is thrown away
                and commands may follow.
            RuntimeError: a command was begun and not finished.
        """
        if self._mode in (_Mode.DROP, _Mode.SKIP):
            self._drop()
        if self._mode in (_Mode.DROP, _Mode.SKIP, _Mode.LOST):
            return None
        if self._mode is not _TEXT or self._parts:
            raise RuntimeError("next_line inside a command")
        try:
            return self._take_line(self._limits.sasl_line_octets)
        except TooBig:
            limits = self._limits
            self._start_drop(
                limits.sasl_line_octets + limits.literals_octets, raw_line=True
            )
            raise

    def accept(self) -> None:
        """Collect the literal just announced; with ``sync``, "+ " has been sent."""
        prompt = self._answered()
        if prompt.problem is not None:
            raise RuntimeError("literal over the limits accepted")
        self._literal_count += 1
        self._literals_octets += prompt.size
        self._parts = prompt.parts
        self._mode = _Mode.COLLECT

    def stream(self) -> None:
        """Hand the literal just announced on in chunks, whatever its size."""
        self._parts = (*self._answered().parts, b"")
        self._mode = _Mode.STREAM

    def refuse(self) -> None:
        """Drop the command whose literal was just announced; the caller answers it.

        A client that was to wait for "+ " sends nothing more of it.  One that was
        not has sent literal and rest already, or will: they are read and thrown
        away.  If that is more than anybody may append, ``Rejected`` follows.
        """
        prompt = self._answered()
        self._refuse(prompt.size, prompt.sync)

    def _refuse(self, size: int, sync: bool) -> None:
        self._clear()
        if sync:
            return
        limit = self._limits.literals_octets
        if not self._preauth:
            limit += self._limits.append_octets
        self._start_drop(limit)
        self._start_skip(size)

    def _answered(self) -> LiteralPrompt:
        """The prompt that the caller answers now."""
        if self._prompt is None:
            raise RuntimeError("no LiteralPrompt to answer")
        prompt, self._prompt = self._prompt, None
        self._size = prompt.size
        return prompt

    def _take(self, count: int) -> bytes:
        """Remove octets from the front of the buffer."""
        buffer = self._buffer
        self._scanned = 0
        if count >= len(buffer):
            octets = bytes(buffer)
            buffer.clear()
            return octets
        with memoryview(buffer) as view:
            octets = bytes(view[:count])
        del buffer[:count]
        return octets

    def _take_line(self, limit_octets: int) -> bytes | None:
        """Remove one line; None: it is not complete.

        LF alone ends it too; a CR elsewhere is left for the grammar to reject.

        Raises:
            TooBig: it has more than ``limit_octets``; nothing was removed.
        """
        end = self._buffer.find(b"\n", self._scanned, limit_octets + 2)
        if end < 0:
            self._scanned = min(len(self._buffer), limit_octets + 2)
            if len(self._buffer) >= limit_octets + 2:
                raise TooBig("line too long")
            return None
        line = without_line_end(self._take(end + 1))
        if len(line) > limit_octets:  # LF alone, one octet late
            self._buffer[:0] = line + b"\n"
            raise TooBig("line too long")
        return line

    def _text(self) -> Event | None:
        """Read on to the end of a line."""
        try:
            line = self._take_line(self._line_octets - self._text_octets)
        except TooBig:
            return self._too_long()
        if line is None:
            return None
        if line.endswith(b"}"):
            start = line.rfind(b"{")
            # In "{" x} the brace belongs to a quoted string, x} is an atom.
            if start >= 0 and b'"' not in line[start:]:
                self._text_octets += len(line)
                return self._announced(line[:start], line[start + 1 : -1])
        if not self._parts:  # nothing of it was kept
            return Frame((line,))
        frame = Frame((*self._parts, line))
        self._clear()
        return frame

    def _announced(self, text: bytes, announcement: bytes) -> Event:
        """A literal was announced, well or badly."""
        parts = (*self._parts, text)
        size, sync = announced_octets(announcement)
        if size is None:
            rejected = Rejected(
                leading_tag(parts[0], self._limits),
                SyntaxRejected("malformed literal"),
                # Octets follow unasked, and how many cannot be known.
                fatal=not sync,
            )
            self._clear()
            if not sync:
                self._lose()
            return rejected
        # Streamed ones too: however small, each makes the next prompt longer.
        most = self._limits.literal_count + self._limits.append_message_count
        if len(self._parts) // 2 >= most:
            tag = leading_tag(parts[0], self._limits)
            self._refuse(size, sync)
            return Rejected(tag, LimitReached("too many literals"), fatal=False)
        self._prompt = LiteralPrompt(size, sync, parts, self._problem(size))
        self._mode = _Mode.PROMPT
        return self._prompt

    def _problem(self, size: int) -> ImapError | None:
        """Why a literal of that size cannot be collected beside the others."""
        limits = self._limits
        count, each, total = (
            (
                limits.preauth_literal_count,
                limits.preauth_literal_octets,
                limits.preauth_literal_count * limits.preauth_literal_octets,
            )
            if self._preauth
            else (limits.literal_count, limits.literal_octets, limits.literals_octets)
        )
        if self._literal_count >= count:
            return LimitReached("too many literals")
        if size > each or self._literals_octets + size > total:
            return TooBig("literal too big")
        return None

    def _too_long(self) -> Rejected:
        """The text of a command is longer than we take."""
        start = (
            self._parts[0]
            if self._parts
            else bytes(self._buffer[: self._limits.tag_octets + 1])
        )
        rejected = Rejected(
            leading_tag(start, self._limits),
            TooBig("command line too long"),
            fatal=self._preauth,
        )
        self._clear()
        if self._preauth:
            self._lose()
        else:
            # Nothing of the line was taken yet: as much again as a command may be.
            limits = self._limits
            self._start_drop(limits.command_octets + limits.literals_octets)
        return rejected

    def _collect(self) -> None:
        """Take the literal into memory once all of it is here."""
        if len(self._buffer) >= self._size:
            self._parts = (*self._parts, self._take(self._size))
            self._mode = _TEXT

    def _chunk(self) -> LiteralChunk | None:
        """Hand on what is here of the literal."""
        count = min(self._size, len(self._buffer))
        if not count and self._size:
            return None
        self._size -= count
        if not self._size:
            self._mode = _TEXT
        return LiteralChunk(self._take(count), last=not self._size)

    def _start_drop(self, budget_octets: int, *, raw_line: bool = False) -> None:
        self._clear()
        self._mode = _Mode.DROP
        self._budget = budget_octets
        self._raw_line = raw_line

    def _start_skip(self, size: int) -> None:
        if size > min(self._budget, self._limits.append_octets):
            self._lose_answered()
            return
        self._budget -= size
        self._size = size
        self._mode = _Mode.SKIP

    def _drop(self) -> None:
        """Throw away what is here of a dropped command."""
        while self._mode in (_Mode.DROP, _Mode.SKIP):
            if self._mode is _Mode.SKIP:
                count = min(self._size, len(self._buffer))
                self._take(count)
                self._size -= count
                if self._size:
                    return
                self._mode = _Mode.DROP
            elif not self._drop_line():
                return

    def _drop_line(self) -> bool:
        """Throw away one line; False: its end is not here yet."""
        end = self._buffer.find(b"\n", self._scanned)
        taken = end + 1 if end >= 0 else max(0, len(self._buffer) - _TAIL_OCTETS)
        if taken > self._budget:
            self._lose_answered()
            return True
        self._budget -= taken
        if end < 0:
            del self._buffer[:taken]
            self._scanned = len(self._buffer)
            return False
        tail = without_line_end(self._take(taken))[-_TAIL_OCTETS:]
        size, sync = None, True
        if tail.endswith(b"}") and not self._raw_line:
            size, sync = announced_octets(tail[tail.rfind(b"{") + 1 : -1])
        # A client that waits for "+ " has its answer already, and sends no more.
        if sync:
            self._clear()
        elif size is None:
            self._lose_answered()
        else:
            self._start_skip(size)
        return True

    def _lose(self) -> None:
        self.discard()
        self._mode = _Mode.LOST

    def _lose_answered(self) -> None:
        """Give up on a command that the client has been answered already."""
        self._lose()
        self._pending = Rejected(None, TooBig("too much to throw away"), fatal=True)
