"""The log gets to know what broke, and no password with it."""

import base64
import json
import traceback
import urllib.parse
from collections.abc import Iterable, Iterator

from twisted.logger import Logger
from twisted.python.failure import Failure


def log_broken(log: Logger, what: str, credentials: object, *secrets: str) -> None:
    """Log the exception that is handled just now, as it was raised.

    Its words are left out if what the client sent is among them, or one of
    ``secrets``: many a library tells the command, the query or the request that
    failed.
    """
    failure = Failure()
    words = repr(failure.value) + failure.getTraceback()
    if _tells(words, (*_secrets(credentials), *secrets)):
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


def _tells(words: str, secrets: Iterable[str]) -> bool:
    """Whether a secret stands in a text, however it is quoted."""
    plain = words.translate(_QUOTING)
    return any(
        kept in plain for secret in secrets if (kept := secret.translate(_QUOTING))
    )


#: What comes and goes with each time that a text is written within another.
_QUOTING = str.maketrans("", "", "\\\"'")


def _secrets(credentials: object) -> Iterator[str]:
    """The forms in which a password may stand in a text."""
    for name in ("password", "response"):
        octets = getattr(credentials, name, None)
        if isinstance(octets, str):
            octets = octets.encode(errors="surrogateescape")
        if isinstance(octets, bytes) and octets:
            yield from _forms(octets)


def _forms(octets: bytes) -> Iterator[str]:
    yield repr(octets)[2:-1]
    for text in (octets.decode(errors="replace"), octets.decode("latin-1")):
        yield text
        yield repr(text)[1:-1]
        yield ascii(text)[1:-1]
        yield json.dumps(text)[1:-1]
    yield urllib.parse.quote(octets)
    yield urllib.parse.quote(octets, safe="")
    yield urllib.parse.quote_plus(octets)
    yield octets.hex()
    yield octets.hex().upper()
    yield from _coded(octets)


def _coded(octets: bytes) -> Iterator[str]:
    """In base64, alone or inside of something else: what does not hang on that."""
    yield base64.b64encode(octets).decode()
    for before in range(3):
        coded = base64.b64encode(bytes(before) + octets).decode()
        end = -4 if (before + len(octets)) % 3 else None
        inner = coded[(before * 8 + 5) // 6 : end]
        if len(inner) >= _CODED_CHARACTERS:
            yield inner
            yield inner.translate(_FOR_URLS)


#: Fewer would be found in any text.
_CODED_CHARACTERS = 4
_FOR_URLS = str.maketrans("+/", "-_")
