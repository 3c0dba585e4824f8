"""Ways in which a file can come to be wrong, each with a name to do it again.

What a disk, an editor, a half written copy or a mean neighbour leaves: octets
flipped, zeroed, lost and doubled at any place, the file cut anywhere, its lines in
another order, and in its place something that is no file at all.
"""

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: What is done at a place in a file.
AT: Final = ("cut", "zero", "ones", "flip", "drop", "insert")
#: What is done to a file as a whole.
WHOLE: Final = (
    *("empty", "missing", "directory", "full directory", "link", "dangling", "fifo"),
    *("twice", "crlf", "no last line end", "reversed", "zeroed", "garbage"),
    *("sector", "old", "sparse"),
)
_SECTOR: Final = 512
_LARGEST_OCTETS: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Corruption:
    """One thing that is done to one file; ``at`` is an offset, or says which way."""

    file: str
    kind: str
    at: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.kind}@{self.at}"

    def apply(self, root: Path) -> None:
        """Do it; a file that is not there, or no file any more, stays so."""
        path = root / self.file
        if not path.is_file() or path.is_symlink():
            return
        if path.stat().st_size > _LARGEST_OCTETS:  # it is corrupted enough
            return
        octets = path.read_bytes()
        if self.kind in _PUT:
            path.unlink()
            _PUT[self.kind](path, octets)
            return
        # In place: the inode stays, as it does when a disk forgets.
        with path.open("r+b") as file:
            changed = changed_octets(octets, self.kind, self.at)
            file.write(changed)
            file.truncate(1 << 40 if self.kind == "sparse" else len(changed))


def every(root: Path, file: str, step: int = 1) -> Iterator[Corruption]:
    """Everything that can be done to a file, at each ``step``-th octet of it."""
    for kind in WHOLE:
        yield Corruption(file, kind)
    for kind in AT:
        for at in range(0, (root / file).stat().st_size, step):
            yield Corruption(file, kind, at)


def any_of(files: list[str], root: Path, chance: random.Random) -> Corruption:
    """Choose a file and what is done to it; of places, where the size is known."""
    file = chance.choice(files)
    path = root / file
    size = path.stat().st_size if path.is_file() else 1
    kind = chance.choice(WHOLE if chance.random() < 0.1 else AT)
    return Corruption(file, kind, chance.randrange(max(size, 1)))


def changed_octets(octets: bytes, kind: str, at: int) -> bytes:
    """Return what a file has after it; the same for the same arguments."""
    chance = random.Random(f"{kind}:{at}")
    if kind in _OCTET:
        before, octet, after = octets[:at], octets[at : at + 1], octets[at + 1 :]
        return before + _OCTET[kind](octet, chance) + after
    if kind == "cut":
        return octets[:at]
    if kind == "sector":  # one that was never written
        start = at // _SECTOR * _SECTOR
        return octets[:start] + b"\0" * _SECTOR + octets[start + _SECTOR :]
    if kind == "garbage":
        return chance.randbytes(len(octets))
    return _WHOLE[kind](octets)


#: What stands where one octet stood.
_OCTET: Final[dict[str, Callable[[bytes, random.Random], bytes]]] = {
    "zero": lambda octet, chance: b"\0" * len(octet),
    "ones": lambda octet, chance: b"\xff" * len(octet),
    "flip": lambda octet, chance: bytes(
        one ^ 1 << chance.randrange(8) for one in octet
    ),
    "drop": lambda octet, chance: b"",
    "insert": lambda octet, chance: (
        bytes([chance.choice(b"0:9 \n\tVN/,.\0\x80")]) + octet
    ),
}
_WHOLE: Final[dict[str, Callable[[bytes], bytes]]] = {
    "twice": lambda octets: octets * 2,
    "crlf": lambda octets: octets.replace(b"\n", b"\r\n"),
    "no last line end": lambda octets: octets.rstrip(b"\n"),
    "reversed": lambda octets: b"\n".join(reversed(octets.split(b"\n"))),
    "zeroed": lambda octets: b"\0" * len(octets),
    "old": lambda octets: b"9" + octets[1:],  # a version that nobody knows
    "sparse": lambda octets: octets,  # and then nothing, for a terabyte
}


def _full_directory(path: Path, octets: bytes) -> None:
    path.mkdir()
    (path / "inside").write_bytes(octets)


def _link(path: Path, octets: bytes) -> None:
    target = path.with_name(path.name + ".elsewhere")
    target.write_bytes(octets)
    path.symlink_to(target)


#: What stands where a file stood.
_PUT: Final[dict[str, Callable[[Path, bytes], object]]] = {
    "empty": lambda path, octets: path.write_bytes(b""),
    "missing": lambda path, octets: None,
    "directory": lambda path, octets: path.mkdir(),
    "full directory": _full_directory,
    "link": _link,
    "dangling": lambda path, octets: path.symlink_to("/nonexistent/file"),
    "fifo": lambda path, octets: os.mkfifo(path),
}
