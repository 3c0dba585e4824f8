"""The log gets to know what broke, and no password with it."""

import base64
import traceback
from collections.abc import Iterator

from twisted.logger import Logger
from twisted.python.failure import Failure


def log_broken(log: Logger, what: str, credentials: object) -> None:
    """Log the exception that is handled just now, as it was raised.

    Its words are left out if what the client sent is among them: many a library
    tells the command, the query or the request that failed.
    """
    failure = Failure()
    words = repr(failure.value) + failure.getTraceback()
    if any(secret in words for secret in _secrets(credentials)):
        place = "".join(traceback.format_tb(failure.getTracebackObject()))
        kind = failure.type.__name__ if failure.type else "exception"
        log.error(
            "{what}: {kind}, with a password in its words\n{place}",
            what=what,
            kind=kind,
            place=place,
        )
    else:
        log.failure("{what}", failure, what=what)


def _secrets(credentials: object) -> Iterator[str]:
    """The forms in which a password may stand in a text."""
    for name in ("password", "response"):
        octets = getattr(credentials, name, None)
        if isinstance(octets, str):
            octets = octets.encode(errors="surrogateescape")
        if isinstance(octets, bytes) and octets:
            yield repr(octets)[2:-1]
            yield octets.decode(errors="replace")
            yield octets.decode("latin-1")
            yield base64.b64encode(octets).decode()
