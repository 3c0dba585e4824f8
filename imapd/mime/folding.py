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
_WIDE_FIRST = 0x10000
_WIDE = re.compile("[\U00010000-\U0010ffff]")

#: For private use: such never join with others, and have no case.
_ESCAPE = "\ue000"
_ESCAPED = _ESCAPE + "\ue001"
#: Letters that stand for the most letters, for eighteen and for eight.
_LONG = {"\ufdfa": _ESCAPE + "\ue002", "\ufdfb": _ESCAPE + "\ue003"}


def fold(text: str) -> str:
    """Return a form in which texts that differ in case only are the same.

    A substring search in folded text for a folded text finds what RFC 5051 finds:
    decomposed (KD) and without case.  It finds some more, as people expect it:
    "ß" is also "ss".
    """
    if text.isascii():
        return text.lower()
    text = _without_long_marks(text)
    if any(letter in text for letter in _LONG):
        return _fold_long(text)
    return _fold(text)


def _fold_long(text: str) -> str:
    """``_fold``; letters of many letters are put in afterwards: it takes a tenth."""
    text = text.replace(_ESCAPE, _ESCAPED)
    for letter, code in _LONG.items():
        text = text.replace(letter, code)
    text = _fold(text)
    for letter, code in _LONG.items():
        text = text.replace(code, _fold(letter))
    return text.replace(_ESCAPED, _ESCAPE)


def _fold(text: str) -> str:
    text = unicodedata.normalize("NFKD", text)
    # By way of upper case, because RFC 5051 maps to title case: dotless i is i.
    return unicodedata.normalize("NFKD", text.upper().casefold())


def _without_long_marks(text: str) -> str:
    """Return the text with no more than so many marks on a letter."""
    # More than so many in a row have one at a place that so many do not reach.
    some = text[:: _MARK_COUNT + 1]
    if _marks(_is_wide(some)).search(some) is None:
        return text
    if _is_wide(text):  # each mark is asked once: it takes ten times longer
        return _marks(True).sub(lambda run: run[0][:_MARK_COUNT], text)
    return _long_marks().sub(r"\1", text)


def _is_wide(text: str) -> bool:
    """Whether a character lies beyond the first plane."""
    return _WIDE.search(text) is not None


@cache
def _marks(wide: bool) -> re.Pattern[str]:
    return re.compile(f"[{_mark_ranges(wide)}]++")


@cache
def _long_marks() -> re.Pattern[str]:
    """Match too many combining marks of the first plane; the first are group 1."""
    marks = _mark_ranges(False)
    return re.compile(f"([{marks}]{{{_MARK_COUNT}}})[{marks}]++")


@cache
def _mark_ranges(wide: bool) -> str:
    """The marks as ranges: what is beyond the first plane is compared one by one."""
    marks = [
        code
        for code in _MARKS
        if unicodedata.combining(unicodedata.normalize("NFKD", chr(code))[0])
    ]
    known = frozenset(marks)
    firsts = [code for code in marks if code - 1 not in known]
    lasts = [code for code in marks if code + 1 not in known]
    return "".join(
        f"{re.escape(chr(first))}-{re.escape(chr(last))}"
        for first, last in zip(firsts, lasts, strict=True)
        if wide or first < _WIDE_FIRST
    )
