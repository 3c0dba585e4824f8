"""A large message in pieces, as it is sent, without ever holding all of it."""

import os

from imapd.store import fsops

#: What is read of the file at once.
PIECE_OCTETS = 128 << 10


class MessageStream:
    """The octets of one file in the CRLF form.  Blocks; one thread at a time.

    The file stays open: what other programs do to its name does not matter.
    """

    def __init__(self, path: bytes) -> None:
        """Open the file and count its octets as they are sent.

        Raises:
            OSError: it cannot be read.
        """
        self._descriptor: int | None = fsops.open_read(path)
        self._offset = 0
        self._after_cr = False
        try:
            self._end = os.fstat(self._descriptor).st_size
            #: How many octets ``read`` returns in all, if the file stays as it is.
            self.size_octets = self._count(self._descriptor)
        except BaseException:
            self.close()
            raise

    def _count(self, descriptor: int) -> int:
        total, offset, after_cr = 0, 0, False
        while offset < self._end:
            piece = self._piece(descriptor, offset)
            total += len(piece) + piece.count(b"\n")
            if after_cr or b"\r" in piece:
                total -= piece.count(b"\r\n") + (after_cr and piece[:1] == b"\n")
            after_cr = piece.endswith(b"\r")
            offset += len(piece)
        return total

    def _piece(self, descriptor: int, offset: int) -> bytes:
        count = min(PIECE_OCTETS, self._end - offset)
        piece = fsops.read_at(descriptor, count, offset)
        if not piece:
            raise OSError("the file became shorter")
        return piece

    def read(self) -> bytes:
        """Return the next piece; ``b""`` at the end.

        Raises:
            OSError: the file became shorter, or cannot be read.
        """
        if self._descriptor is None or self._offset >= self._end:
            return b""
        piece = self._piece(self._descriptor, self._offset)
        self._offset += len(piece)
        held, self._after_cr = self._after_cr, piece.endswith(b"\r")
        if b"\0" in piece:  # no literal holds it; RFC 3501 §9, CHAR8
            piece = piece.replace(b"\0", b"\x80")
        if not held and b"\r" not in piece:
            return piece.replace(b"\n", b"\r\n")
        # A line feed whose CR was the end of the last piece stays as it is.
        head = b"\n" if held and piece[:1] == b"\n" else b""
        rest = piece[len(head) :].replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        return head + rest

    def close(self) -> None:
        """Close the file; may be called twice."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            fsops.close(descriptor)
