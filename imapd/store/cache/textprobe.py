"""Looking for a search string in the words of a segment of the text index."""

import random
import threading
from dataclasses import dataclass

from imapd.store.cache.textsegment import ReadChunk, Vocabulary, union


@dataclass(frozen=True, slots=True)
class Probe:
    """What a text that has the search string must have among its words.

    Without white space in it the string is in one of the words, and who has that
    word has the string: ``exact``.  With white space, a text that has it has a word
    that ends with its first part, one that begins with its last, and those between
    them; whether next to each other only the text can say.
    """

    parts: tuple[bytes, ...]
    exact: bool

    @classmethod
    def of(cls, needle: str) -> "Probe":
        """Take a folded search string apart; it is not empty."""
        parts = [each.encode("utf-8", "surrogatepass") for each in needle.split()]
        if not parts:
            return cls((), exact=False)
        first_open = not needle[0].isspace()
        last_open = not needle[-1].isspace()
        begins = [b"\n"] * len(parts)
        ends = [b"\n"] * len(parts)
        if first_open:
            begins[0] = b""
        if last_open:
            ends[-1] = b""
        anchored = map(b"".join, zip(begins, parts, ends, strict=True))
        exact = len(parts) == 1 and first_open and last_open
        return cls(tuple(anchored), exact)

    def look(self, vocabulary: Vocabulary, read: ReadChunk, have: int) -> int:
        """Return who has all parts, or is in ``have``: bit n is the message n."""
        if self.exact:
            return union(vocabulary, vocabulary.matching(self.parts[0]), read, have)
        all_parts = (1 << vocabulary.message_count) - 1
        for part in sorted(self.parts, key=len, reverse=True):
            all_parts &= union(vocabulary, vocabulary.matching(part), read)
            if not all_parts:
                break
        return have | all_parts


class VocabularyCache:
    """Vocabularies that were used, within a bound; for any thread.

    What has to go is left to chance.  A search walks through all segments of a
    mailbox, always in the same order: with a mailbox a little larger than the bound,
    the one used longest ago would always be the one needed next.
    """

    def __init__(self, largest_octets: int) -> None:
        self._largest_octets = largest_octets
        self._octets = 0
        self._lock = threading.Lock()
        self._kept: dict[tuple[int, int], Vocabulary] = {}
        self._keys: list[tuple[int, int]] = []  # of those kept, in no order
        self._random = random.Random()  # noqa: S311 - nobody gains by guessing

    def get(self, key: tuple[int, int]) -> Vocabulary | None:
        """Return one that is there."""
        with self._lock:
            return self._kept.get(key)

    def put(self, key: tuple[int, int], vocabulary: Vocabulary) -> None:
        """Keep one, and let others go, or itself."""
        with self._lock:
            old = self._kept.get(key)
            if old is None:
                self._keys.append(key)
            self._octets += vocabulary.octets - (0 if old is None else old.octets)
            self._kept[key] = vocabulary
            while self._octets > self._largest_octets:
                self._drop_one()

    def _drop_one(self) -> None:
        keys = self._keys
        place = self._random.randrange(len(keys))
        keys[place], keys[-1] = keys[-1], keys[place]
        self._octets -= self._kept.pop(keys.pop()).octets
