"""What commands are made of: plain octets, and arguments to point at."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto


class Kind(Enum):
    """How an argument may be written, and what limits hold for it."""

    ATOM = auto()
    ASTRING = auto()
    STRING = auto()
    TEXT = auto()  # an astring to search for
    MAILBOX = auto()
    PATTERN = auto()
    FLAG = auto()
    SET = auto()
    NUMBER = auto()
    SECTION = auto()
    BASE64 = auto()


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument, whatever form it will be written in."""

    kind: Kind
    octets: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """What is a literal and nothing else: the message of APPEND."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Listed:
    """``"(" [item *(SP item)] ")"``."""

    items: tuple["Pieces", ...]


Piece = bytes | Argument | Message | Listed
Pieces = tuple[Piece, ...]
#: The line that answers a continuation, which is given.
Answer = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Command:
    """A command without its tag; ``answers`` are for the server's ``+``."""

    name: bytes
    pieces: Pieces = ()
    answers: tuple[Answer, ...] = ()


def arguments(pieces: Pieces, at: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    """Yield the place of each argument and each list: indexes from the outside in."""
    for index, piece in enumerate(pieces):
        here = (*at, index)
        if not isinstance(piece, bytes):
            yield here
        if isinstance(piece, Listed):
            for number, item in enumerate(piece.items):
                yield from arguments(item, (*here, number))


def replaced(pieces: Pieces, at: tuple[int, ...], new: Piece) -> Pieces:
    """Return the pieces with another one at a place of ``arguments``."""
    index, *rest = at
    piece = pieces[index]
    if rest:
        assert isinstance(piece, Listed)
        number, *inner = rest
        item = replaced(piece.items[number], tuple(inner), new)
        items = (*piece.items[:number], item, *piece.items[number + 1 :])
        new = Listed(items)
    return (*pieces[:index], new, *pieces[index + 1 :])


def piece_at(pieces: Pieces, at: tuple[int, ...]) -> Piece:
    """Return what stands at a place of ``arguments``."""
    index, *rest = at
    piece = pieces[index]
    if not rest:
        return piece
    assert isinstance(piece, Listed)
    number, *inner = rest
    return piece_at(piece.items[number], tuple(inner))
