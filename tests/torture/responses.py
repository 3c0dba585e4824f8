"""What one connection is sent, held against the grammar and against what went before.

The grammar is that of ``tests.support.grammar``, which shares nothing with the
server.  Here is what no grammar says: how many messages there are, which answer
belongs to which command, and that nothing follows BYE.  RFC 3501 §7.
"""

from collections import deque

from tests.support.grammar import (
    Continuation,
    Response,
    ResponseReader,
    Tagged,
    Untagged,
)

#: None of them may be answered with EXPUNGE.  RFC 3501 §7.4.1, RFC 5256 §3.
HOLDING = frozenset((b"FETCH", b"STORE", b"SEARCH", b"SORT", b"THREAD"))
_NUMBERING = frozenset((b"SEARCH", b"SORT"))
_LEAVING = frozenset((b"CLOSE", b"UNSELECT", b"LOGOUT"))
_ENTERING = frozenset((b"SELECT", b"EXAMINE"))


class Conversation:
    """One connection, as its client sees it.

    ``begins`` says which commands are under way, the oldest first.  After ``unknown``
    tags and counts are nobody's business.
    """

    def __init__(self) -> None:
        self._reader = ResponseReader()
        self._begun: deque[tuple[bytes, bytes]] = deque()
        self._knows = True
        self._messages: int | None = None
        self.ended = False  # BYE was said

    def begins(self, tag: bytes, name: bytes) -> None:
        """The client sends a whole command of that tag."""
        self._begun.append((tag, name))

    def known_again(self) -> None:
        """All that was sent was answered; how many messages there are is not known."""
        self._knows, self._messages = True, None

    def unknown(self) -> None:
        """The client sends what may be anything."""
        self._begun.clear()
        self._knows = False

    @property
    def waits(self) -> bool:
        """Whether a command is not answered yet."""
        return bool(self._begun)

    @property
    def _name(self) -> bytes:
        return self._begun[0][1] if self._begun else b""

    @property
    def messages(self) -> int:
        """How many messages are in the mailbox, as far as it is known."""
        return self._messages or 0

    @property
    def rest(self) -> bytes:
        """The octets of a response that is not complete."""
        return self._reader.rest

    def feed(self, octets: bytes) -> list[Response]:
        """Return the responses; raises AssertionError for one that must not be."""
        found = self._reader.feed(octets)
        for each in found:
            self._check(each)
        return found

    def _check(self, response: Response) -> None:
        match response:
            case Tagged():
                self._tagged(response)
            case Continuation():
                assert not self.ended, "a continuation after BYE"
                if self._knows:
                    assert self._begun, "a continuation for no command"
            case Untagged(b"BYE", _):
                assert not self.ended, "BYE twice"
                self.ended = True
            case Untagged():
                assert not self.ended, f"{response} after BYE"
                self._untagged(response)

    def _tagged(self, answer: Tagged) -> None:
        code = answer.code.name if answer.code else b""
        assert code != b"SERVERBUG", f"{answer} is a bug"
        assert not self.ended or self._name == b"LOGOUT" or not self._knows, (
            f"{answer} after BYE"
        )
        if not self._knows:
            return
        assert self._begun, f"{answer} answers nothing"
        tag, name = self._begun.popleft()
        assert answer.tag == tag, f"{answer} answers {tag!r}"
        done = answer.condition == b"OK"
        if (name in _LEAVING and done) or (name in _ENTERING and not done):
            self._messages = None

    def _untagged(self, told: Untagged) -> None:
        kind, data = told.kind, told.data
        if kind in (b"OK", b"NO", b"BAD") and data[0] is not None:
            assert data[0].name != b"SERVERBUG", f"{told} is a bug"
            if data[0].name == b"CLOSED":
                self._messages = None
        if not self._knows:
            return
        if kind == b"EXISTS":
            known = self._messages
            assert known is None or data >= known, f"{known} messages, then {told}"
            self._messages = data
        if self._messages is None:
            return
        if kind == b"EXPUNGE":
            assert self._name not in HOLDING, f"{told} in {self._name!r}"
            assert data <= self._messages, f"{told} of {self._messages}"
            self._messages -= 1
        elif kind == b"FETCH":
            assert data.seq <= self._messages, f"{data.seq} of {self._messages}"
        elif kind == b"VANISHED" and not data[0]:
            self._messages -= sum(last - first + 1 for first, last in data[1])
            assert self._messages >= 0, f"{told} are more than there were"
        elif kind in _NUMBERING and self._name in _NUMBERING and data:
            assert max(data) <= self._messages, f"{told} of {self._messages}"
