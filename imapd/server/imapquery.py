"""The query that ``ISearchableIMAPMailbox.search`` is given, as a search key."""

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any

from twisted.mail.imap4 import IllegalQueryError

from imapd.errors import ImapError
from imapd.model.search import SearchKey
from imapd.wire.cursor import Cursor
from imapd.wire.search import search_program

#: Keys with strings behind them, and how many.  RFC 3501 §6.4.4.
_STRING_COUNT = {
    **dict.fromkeys((b"BCC", b"BODY", b"CC", b"FROM", b"SUBJECT", b"TEXT", b"TO"), 1),
    b"HEADER": 2,
}


class _Mark(Enum):
    OPEN = b"("
    CLOSE = b")"


def search_key(query: Iterable[Any]) -> SearchKey:
    """Read a query: words as ``bytes`` or ``str``, groups as lists of them.

    The stock server has split the command into words and removed the quotes.  It
    is put together again, every string as a literal, and read by our own grammar.

    Raises:
        IllegalQueryError: it does not follow the grammar of SEARCH.
    """
    parts: list[bytes] = []  # text, literal, text, ..., text
    text: list[bytes] = []
    strings = 0  # of the last key, still to come
    space = b" "
    for word in _words(query):
        if isinstance(word, _Mark):
            text += (space if word is _Mark.OPEN else b"", word.value)
        elif strings:
            strings -= 1
            parts += (b"".join((*text, space)), word)
            text = []
        else:
            text += (space, word)
            strings = _STRING_COUNT.get(word.upper(), 0)
        space = b"" if word is _Mark.OPEN else b" "
    parts.append(b"".join(text))
    try:
        return search_program(Cursor(tuple(parts)), uid=False).key
    except ImapError as error:
        raise IllegalQueryError(str(error)) from error


def _words(query: Iterable[Any]) -> Iterator[bytes | _Mark]:
    """Walk through the groups; no recursion."""
    stack = [iter(query)]
    while stack:
        for each in stack[-1]:
            if isinstance(each, list | tuple):
                yield _Mark.OPEN
                stack.append(iter(each))
                break
            yield each.encode("utf-8") if isinstance(each, str) else bytes(each)
        else:
            stack.pop()
            if stack:
                yield _Mark.CLOSE
