"""The command table: one row a command, and the states it belongs to.  RFC 3501 §3.

Rule 1: a row is all there is to know of a command before it runs; no handler
checks the state.  Rule 2: a handler returns the words of its tagged OK and raises
an ``ImapError`` for anything else.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from imapd.server.session import Session
from imapd.server.states import State
from imapd.wire.cursor import Cursor


@dataclass(frozen=True, slots=True)
class Completed:
    """The tagged OK of a command: its text, and a response code without brackets."""

    text: bytes
    code: bytes | None = None


#: A handler's way to say that the command goes on with the client's next line.
NOT_YET = Completed(b"")

Handler = Callable[[Session, Any], Awaitable[bytes | Completed]]
Grammar = Callable[[Cursor], Any]


@dataclass(frozen=True, slots=True)
class Command:
    """One row of the table.

    ``may_expunge``: EXPUNGE may be told before its tagged answer (RFC 3501
    §7.4.1 forbids it for FETCH, STORE and SEARCH).  ``streams``: its literals go
    to the handler as they arrive instead of into memory.  ``on_line``: answers the
    command that said ``NOT_YET``, from the client's next line or what was wrong
    with it; meanwhile nothing of the command is kept but this row.
    """

    name: bytes
    states: frozenset[State]
    grammar: Grammar
    handler: Handler
    may_expunge: bool = True
    streams: bool = False
    on_line: Handler | None = None


COMMANDS: dict[bytes, Command] = {}

H = TypeVar("H", bound=Handler)


def command(
    name: bytes,
    states: frozenset[State],
    *,
    grammar: Grammar,
    may_expunge: bool = True,
    streams: bool = False,
    on_line: Handler | None = None,
) -> Callable[[H], H]:
    """Enter a handler into the table."""

    def enter(handler: H) -> H:
        if name in COMMANDS:
            raise ValueError(f"two rows for {name!r}")
        COMMANDS[name] = Command(
            name, states, grammar, handler, may_expunge, streams, on_line
        )
        return handler

    return enter
