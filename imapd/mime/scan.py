"""The CRLF form of a message: what every offset and size on the wire counts.

The LF form is what its line ends are looked for in: as most files have it, and
where they do not, the same lines with a single octet between them.
"""


def to_wire(octets: bytes) -> bytes:
    """Return the message as it is sent: every line ends in CRLF, no NUL.

    A bare LF becomes CRLF; CRLF and a bare CR stay.  NUL becomes 0x80, because a
    literal cannot hold it (``CHAR8``, RFC 3501 §9).  The argument itself comes
    back if nothing has to change.
    """
    if b"\0" in octets:
        octets = octets.replace(b"\0", b"\x80")
    if (
        b"\r" not in octets
    ):  # as nearly all Maildirs have it: found out ten times faster
        return octets.replace(b"\n", b"\r\n")
    pairs = octets.count(b"\r\n")
    if octets.count(b"\n") == pairs:
        return octets
    if pairs:  # mixed: down to LF first, so that no CRLF gets a second CR
        octets = octets.replace(b"\r\n", b"\n")
    return octets.replace(b"\n", b"\r\n")


def wire_size(octets: bytes) -> int:
    """Return ``len(to_wire(octets))`` without building it."""
    pairs = octets.count(b"\r\n") if b"\r" in octets else 0
    return len(octets) + octets.count(b"\n") - pairs


def to_lines(octets: bytes) -> bytes:
    """Return the LF form: every CRLF is a LF, a bare CR stays, NUL is 0x80.

    Its LFs are the line ends, also those that a CR precedes: with a CR before each
    it is what ``to_wire`` makes.
    """
    if b"\0" in octets:
        octets = octets.replace(b"\0", b"\x80")
    return octets.replace(b"\r\n", b"\n") if b"\r" in octets else octets
