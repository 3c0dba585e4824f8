"""Sessions written as in the RFCs, played against a server in this process.

``C:`` sends a line, ``S:`` is the next line that must come, and nothing else may
come before the next ``C:``.  In what the server says, ``…`` stands for anything
but the end of the line; a line that is only ``…`` for any number of lines.  ``N:``
before a transcript line is a remark.  ``C2:`` is a second client of the same user.
``C|`` sends its text without the end of the line, with ``\\r`` and ``\\n`` meant.
``␣`` is a space that would be lost to sight.
"""

import re
from collections.abc import Callable, Mapping

from tests.support.server import Client, Server

_LINE = re.compile(r"(C|S|N)(\d?)([:|]) ?(.*)")
_ANY_LINES = "…"


class Differs(AssertionError):
    """The server said something else."""


def _pattern(line: str) -> re.Pattern[bytes]:
    pieces = [re.escape(piece.encode("latin-1")) for piece in line.split("…")]
    return re.compile(rb"[^\r\n]*".join(pieces), re.DOTALL)


def _matches(wanted: list[str], got: list[bytes]) -> bool:
    """Whether the lines are those, with a row of any lines wherever it is wanted."""
    reach = {0}  # how many lines of ``got`` may have been used up
    for line in wanted:
        if line == _ANY_LINES:
            reach = set(range(min(reach, default=0), len(got) + 1)) if reach else set()
        else:
            pattern = _pattern(line)
            reach = {
                at + 1 for at in reach if at < len(got) and pattern.fullmatch(got[at])
            }
    return len(got) in reach


class Player:
    """Plays one transcript."""

    def __init__(self, connect: Callable[[], Client], name: str) -> None:
        self._connect = connect
        self._name = name
        self._clients: dict[str, Client] = {}
        self._sent = ""
        self._wanted: dict[str, list[str]] = {}
        self._got: dict[str, bytes] = {}

    def play(self, transcript: str) -> None:
        """Send and compare, step by step.

        Raises:
            Differs: with the name, what was sent last, wanted and got.
        """
        steps = [self._step(line.strip()) for line in transcript.strip().splitlines()]
        for who in sorted({who for side, who, _ in steps if side == "C"}):
            self._clients[who] = self._connect()
        for side, who, text in steps:
            if side == "S":
                self._wanted.setdefault(who, []).append(text)
            elif side == "C":
                if self._wanted:
                    self._compare()
                self._send(who, text)
        self._compare()

    def _step(self, line: str) -> tuple[str, str, str]:
        found = _LINE.fullmatch(line)
        if found is None:
            raise ValueError(f"{self._name}: no line of a transcript: {line!r}")
        side, who, sort, text = found.groups()
        text = text.replace("␣", " ")
        if side == "C":
            if sort == "|":
                text = text.replace(r"\r", "\r").replace(r"\n", "\n")
            else:
                text += "\r\n"
        return side, who, text

    def _send(self, who: str, text: str) -> None:
        self._sent = text
        self._clients[who].write(text.encode("latin-1"))
        for each, client in self._clients.items():
            if each != who:
                client.receive()
            if client.raw:
                self._got[each] = self._got.get(each, b"") + client.raw

    def _compare(self) -> None:
        for who in {*self._wanted, *self._got}:
            lines = self._got.get(who, b"").split(b"\r\n")
            wanted = self._wanted.get(who, ["(nothing)"])
            whole = lines.pop() == b""
            if not whole or not _matches(self._wanted.get(who, []), lines):
                told = "\n".join(line.decode("latin-1") for line in lines)
                raise Differs(
                    f"{self._name}: after {self._sent!r}\n"
                    f"--- wanted ---\n{chr(10).join(wanted)}\n--- got ---\n{told}"
                )
        self._wanted.clear()
        self._got.clear()


def play_all(
    cases: Mapping[str, str],
    server: Callable[[], Server],
    *,
    user: str | None = "alice",
    select: str | None = "INBOX",
) -> None:
    """Play each case; all that differ are told at once.

    Args:
        server: gives the server for the next case, a fresh one or the same.
        user: who is logged in already, None for nobody.
        select: what is selected already, None for nothing.
    """
    wrong: list[str] = []
    for name, transcript in cases.items():
        here = server()

        def connect(here: Server = here) -> Client:
            return here.connect() if user is None else here.login(user, select)

        try:
            Player(connect, name).play(transcript)
        except AssertionError as error:
            wrong.append(str(error))
    if wrong:
        raise AssertionError(f"{len(wrong)} of {len(cases)}:\n" + "\n\n".join(wrong))
