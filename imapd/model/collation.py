"""i;unicode-casemap: texts to octets whose order is the order of the texts.

RFC 5051; what SORT and THREAD must collate by, RFC 5256 §7.
"""

import unicodedata
from hashlib import blake2b

#: A longer key is cut, and a hash of the rest put behind it: two texts stay as
#: different as they are, and only the order of such that begin alike is by chance.
KEY_OCTETS = 1000
_HASH_OCTETS = 16
#: More marks than this in a row are no text, and sorting them (NFKD) is quadratic.
_MARK_COUNT = 30


def sort_key(text: str) -> bytes:
    """Return the "titlecased canonicalized UTF-8" of a text, bounded in length.

    Octets compare as RFC 5051 §2 has the texts compare; the empty text is first.
    """
    if text.isascii():
        return _bounded(text.upper().encode("ascii"))
    titled = _with_few_marks("".join(map(_title, text)))
    key = unicodedata.normalize("NFKD", titled).encode("utf-8", "surrogatepass")
    return _bounded(key)


def _title(character: str) -> str:
    """The title case of UnicodeData.txt: one character for one."""
    title = character.title()
    return title if len(title) == 1 else character


def _with_few_marks(text: str) -> str:
    """Break rows of combining marks that only a hostile sender makes."""
    kept: list[str] = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= _MARK_COUNT:
            kept.append(character)
    return "".join(kept) if len(kept) < len(text) else text


def _bounded(key: bytes) -> bytes:
    if len(key) <= KEY_OCTETS:
        return key
    rest = blake2b(key[KEY_OCTETS:], digest_size=_HASH_OCTETS).digest()
    return key[:KEY_OCTETS] + rest
