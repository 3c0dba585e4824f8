"""Commands as octets: arguments in every form that can hold them, and cuts anywhere.

A client that announces a literal without ``+`` has to wait: its octets are turns,
each but the last ending in such an announcement.
"""

import re
from collections.abc import Iterator
from random import Random
from typing import Final

from tests.torture.pieces import Argument, Kind, Listed, Message, Piece, Pieces

_ATOM: Final = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
_ASTRING: Final = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\]+')
_PATTERN: Final = re.compile(rb'[^\x00-\x20\x7f-\xff(){"\\]+')
_QUOTABLE: Final = re.compile(rb"[^\x00\r\n\x80-\xff]*")

#: Arguments that have no other form than themselves.
_AS_THEY_ARE: Final = frozenset(
    (Kind.ATOM, Kind.FLAG, Kind.SET, Kind.NUMBER, Kind.SECTION, Kind.BASE64)
)


class Writer:
    """Gathers the turns of one command."""

    def __init__(self, chance: Random, *, waits: float = 0.5) -> None:
        """``waits`` is how many of the literals wait for the server, 0 to 1."""
        self._chance = chance
        self._waits = waits
        self._turns: list[bytearray] = [bytearray()]

    def write(self, octets: bytes) -> None:
        """Add octets as they are."""
        self._turns[-1] += octets

    def literal(self, octets: bytes) -> None:
        """Add a literal of either form."""
        if self._chance.random() < self._waits:
            self._turns[-1] += b"{%d}\r\n" % len(octets)
            self._turns.append(bytearray(octets))
        else:
            self._turns[-1] += b"{%d+}\r\n%b" % (len(octets), octets)

    def add(self, piece: Piece) -> None:
        """Add an argument, a list or plain octets."""
        match piece:
            case bytes():
                self.write(piece)
            case Message():
                self.literal(piece.octets)
            case Argument():
                self._argument(piece)
            case Listed(items):
                self.write(b"(")
                for number, item in enumerate(items):
                    if number:
                        self.write(b" ")
                    self.add_all(item)
                self.write(b")")

    def add_all(self, pieces: Pieces) -> None:
        """Add them, one behind the other."""
        for piece in pieces:
            self.add(piece)

    def _argument(self, argument: Argument) -> None:
        octets = argument.octets
        if argument.kind in _AS_THEY_ARE:
            self.write(octets)
            return
        forms = [self.literal]
        if _QUOTABLE.fullmatch(octets):
            forms.append(self._quoted)
        bare = _PATTERN if argument.kind is Kind.PATTERN else _ASTRING
        if argument.kind is not Kind.STRING and bare.fullmatch(octets):
            forms += [self._bare] * 3
        self._chance.choice(forms)(octets)

    def _bare(self, octets: bytes) -> None:
        self.write(octets)

    def _quoted(self, octets: bytes) -> None:
        escaped = octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
        self.write(b'"%b"' % escaped)

    def turns(self) -> list[bytes]:
        """Return what was gathered, without the CRLF at its end."""
        return [bytes(turn) for turn in self._turns]


def written(
    tag: bytes, name: bytes, pieces: Pieces, chance: Random, *, waits: float = 0.5
) -> list[bytes]:
    """Return the turns of a whole command."""
    writer = Writer(chance, waits=waits)
    writer.write(b"%b %b" % (tag, name))
    writer.add_all(pieces)
    writer.write(b"\r\n")
    return writer.turns()


def pieces_of(octets: bytes, chance: Random) -> Iterator[bytes]:
    """Cut octets anywhere: mostly not, or in two or three, seldom each for itself."""
    way = chance.random()
    if way < 0.6 or len(octets) < 2:
        yield octets
    elif way < 0.97 or len(octets) > 2000:
        cuts = sorted(
            chance.randrange(len(octets)) for _ in range(chance.choice((1, 1, 2)))
        )
        for first, last in zip([0, *cuts], [*cuts, len(octets)], strict=True):
            if first < last:
                yield octets[first:last]
    else:
        for octet in octets:
            yield bytes([octet])
