"""Large messages sent in pieces: what is common to all kinds of stores."""

from imapd.mime import scan

#: A larger message is never held as a whole to be sent.
LARGE_OCTETS = 1 << 20
PIECE_OCTETS = 128 << 10


class BrokenLiteral(Exception):
    """A literal was begun that cannot be finished: only closing is left."""


class HeldStream:
    """A ``MessageStream`` over a message that somebody else holds anyway."""

    def __init__(self, octets: bytes) -> None:
        self._octets = scan.to_wire(octets)
        self._at = 0
        self.size_octets = len(self._octets)

    def read(self) -> bytes:
        """Return the next piece, ``b""`` at the end."""
        piece = self._octets[self._at : self._at + PIECE_OCTETS]
        self._at += len(piece)
        return piece

    def close(self) -> None:
        """Let the octets go."""
        self._octets = b""
