"""The memory through which octets come to TLS and leave it: read, and given back.

OpenSSL's memory BIOs grow with the largest piece that was ever in them, and stay so
until their connection ends: 2 KB after a handshake, 130 KB after large messages went
both ways.  New ones can take their place whenever OpenSSL is not at work.
"""

from typing import Any, Final

from OpenSSL import SSL

#: What we need of pyOpenSSL is not public; where it is missing, memory is kept.
_lib: Final[Any] = getattr(SSL, "_lib", None)
_ffi: Final[Any] = getattr(SSL, "_ffi", None)
_FUNCTIONS: Final = (
    *("BIO_free", "BIO_new", "BIO_read", "BIO_s_mem", "BIO_write", "SSL_set_bio"),
)
_PARTS: Final = ("_ssl", "_into_ssl", "_from_ssl")
_PIECE_OCTETS: Final = 4096
#: Taken out at once: two records.
TAKEN_OCTETS: Final = 32768

AVAILABLE: Final = _ffi is not None and all(hasattr(_lib, one) for one in _FUNCTIONS)


#: One for all: what is read into it is copied before anything else happens.
_taken: Final[Any] = _ffi.new("char[]", TAKEN_OCTETS) if AVAILABLE else None


def take(connection: SSL.Connection) -> bytes:
    """Take out what TLS has made to be sent, or a part of it; mostly nothing.

    ``bio_read`` makes a buffer for it each time, and an exception of nothing.
    """
    source = vars(connection).get("_from_ssl")
    if not AVAILABLE or not source:
        try:
            return bytes(connection.bio_read(TAKEN_OCTETS))
        except SSL.WantReadError:
            return b""
    count: int = _lib.BIO_read(source, _taken, TAKEN_OCTETS)
    return bytes(_ffi.buffer(_taken, count)) if count > 0 else b""


def give_back(connection: SSL.Connection | None) -> None:
    """Let a connection go on with small buffers; nothing that is in them is lost.

    Raises:
        MemoryError: there is none; the connection is of no use any more.
    """
    parts = vars(connection) if connection is not None else {}
    if not AVAILABLE or not all(parts.get(one) for one in _PARTS):
        return
    into, out = _moved(parts["_into_ssl"]), _moved(parts["_from_ssl"])
    _lib.SSL_set_bio(parts["_ssl"], into, out)  # frees the old ones
    parts["_into_ssl"], parts["_from_ssl"] = into, out


def _moved(old: Any) -> Any:
    """Return a new BIO with what is in the old one, mostly nothing."""
    new = _lib.BIO_new(_lib.BIO_s_mem())
    if new == _ffi.NULL:
        raise MemoryError("no memory for TLS")
    piece = _ffi.new("char[]", _PIECE_OCTETS)
    while (count := _lib.BIO_read(old, piece, _PIECE_OCTETS)) > 0:
        if _lib.BIO_write(new, piece, count) != count:
            _lib.BIO_free(new)
            raise MemoryError("no memory for TLS")
    return new
