"""Case-insensitive comparison.  RFC 5051 (i;unicode-casemap), RFC 3501 §6.4.4."""

import re
import unicodedata
from functools import cache

#: More marks than this on one letter are no text (UAX #15 §13, Stream-Safe), and
#: sorting them takes time that grows with their square.
_MARK_COUNT = 30

#: All combining marks lie between these.  To ask every character there is takes
#: longer than one command may hold up the others.
_MARKS = range(0x300, 0x20000)


def fold(text: str) -> str:
    """Return a form in which texts that differ in case only are the same.

    A substring search in folded text for a folded text finds what RFC 5051 finds:
    decomposed (KD) and without case.  It finds some more, as people expect it:
    "ß" is also "ss".
    """
    if text.isascii():
        return text.lower()
    text = _long_marks().sub(r"\1", text)
    text = unicodedata.normalize("NFKD", text)
    # By way of upper case, because RFC 5051 maps to title case: dotless i is i.
    return unicodedata.normalize("NFKD", text.upper().casefold())


@cache
def _long_marks() -> re.Pattern[str]:
    """Match too many combining marks; the first of them are group 1."""
    marks = "".join(
        re.escape(chr(code))
        for code in _MARKS
        if unicodedata.combining(unicodedata.normalize("NFKD", chr(code))[0])
    )
    return re.compile(f"([{marks}]{{{_MARK_COUNT}}})[{marks}]++")
