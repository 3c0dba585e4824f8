"""What the text index keeps of a message, and what it answers.  Plain data.

A *word* here is a longest run of characters that are not white space, of a text as
``mime.folding.fold`` leaves it: punctuation belongs to it.  A search string
without white space is in a text if and only if it is in one of its words.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from imapd.ids import Octets, Uid

#: A message with more than this in different words is not indexed, but read.
LARGEST_WORDS_OCTETS = 1 << 20
LARGEST_WORD_COUNT = 1 << 17


@dataclass(frozen=True, slots=True)
class MessageWords:
    """The different words of one message, in UTF-8, a line feed between them.

    ``octets`` is the size of all its texts: the index may cost no more.
    """

    body: bytes
    header: bytes
    octets: Octets
    #: There are too many to be kept, and the others are not all there.
    too_many: bool = False


@dataclass(slots=True)
class TextFound:
    """What the index knows of a search string.  UIDs may be of messages now gone.

    Of the messages in ``indexed``, those in ``found`` have it, those in
    ``candidates`` may have it, and the rest do not.  Of others nothing is known.
    """

    found: set[Uid] = field(default_factory=set)
    candidates: set[Uid] = field(default_factory=set)
    indexed: set[Uid] = field(default_factory=set)


def message_words(body: Iterable[str], header: Iterable[str]) -> MessageWords:
    """Take folded texts apart; no word goes on from one text to the next."""
    in_body, body_octets, body_too_many = _words(body)
    in_header, header_octets, header_too_many = _words(header)
    octets = Octets(body_octets + header_octets)
    if body_too_many or header_too_many:
        return MessageWords(b"", b"", octets, too_many=True)
    return MessageWords(in_body, in_header, octets)


def _words(texts: Iterable[str]) -> tuple[bytes, int, bool]:
    words: set[str] = set()
    octets = looked_at = 0
    for each in texts:
        words.update(each.split())
        octets += len(each) if each.isascii() else len(_encoded(each))
        if octets - looked_at > LARGEST_WORDS_OCTETS:  # not after each: it takes time
            looked_at = octets
            if _are_too_many(words):
                return b"", octets, True
    if octets > LARGEST_WORDS_OCTETS and _are_too_many(words):
        return b"", octets, True
    return _encoded("\n".join(words)), octets, False


def _are_too_many(words: set[str]) -> bool:
    return (
        len(words) > LARGEST_WORD_COUNT or sum(map(len, words)) > LARGEST_WORDS_OCTETS
    )


def _encoded(text: str) -> bytes:
    # A lone surrogate is no text, but may be in one.
    return text.encode("utf-8", "surrogatepass")
