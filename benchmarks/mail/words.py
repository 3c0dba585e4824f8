"""The vocabulary of generated mail.  It is the same in every run and for every seed."""

import random
from typing import Final

#: In the text of about five messages of a mailbox, whatever its size.
RARE_WORD: Final = "xylqorth"
#: In the Subject of one message in a hundred.
SUBJECT_WORD: Final = "qinvarda"

_ONSETS = [
    "",
    *"b c d f g h j k l m n p r s t v w z".split(),
    *"br ch cl cr dr fl fr gr pl pr sh sl st th tr".split(),
]
_NUCLEI = "a e i o u ai ea ie io ou".split()
_CODAS = [*"n r s t l m d ck nd st rt ng".split(), *[""] * 6]
_WORD_COUNT = 30000
_LINE_COUNT = 12000

FIRST_NAMES: Final = (
    "Anna Boris Carla Dmitri Elena Farid Greta Hiro Ingrid Jonas Katja Liam Maria "
    "Nils Olga Pavel Quentin Rosa Sven Tanya Ulrich Vera Wim Xenia Yusuf Zoe"
).split()
LAST_NAMES: Final = (
    "Adler Brown Castro Dupont Eriksen Fischer Garcia Hansen Ivanov Jensen Kowalski "
    "Larsen Moreau Novak Olsen Petrov Quist Rossi Schmidt Tanaka Ueda Vogel Weber Xu"
).split()
FOREIGN_NAMES: Final = (
    *("Jürgen Müller", "Søren Åkesson", "François Lefèvre", "Łukasz Żak"),
    *("Иван Петров", "山田太郎", "김민수", "Αλέξανδρος", "Þór Jónsson", "José Núñez"),
)
FOREIGN_SUBJECTS: Final = (
    "Grüße aus Köln und viele schöne Wünsche",
    "Déjà vu à l'été",
    "Встреча в понедельник в десять часов",
    "会議の議事録について",
    "Ελληνικά στο θέμα",
    "smörgåsbord recept på svenska",
    "emoji 🎉 release party 🚀",
)
FOREIGN_LINES: Final = (
    "Über die Straße läuft ein größerer Hund, ähnlich wie früher.",
    "Ça va être très drôle à la fête de l'été prochain.",
    "Пожалуйста, пришлите документы до конца недели.",
    "Niño, el año que viene iremos a España otra vez.",
    "お世話になっております。資料を添付いたします。",
)
DOMAINS: Final = (
    *("example.com", "example.org", "example.net", "lists.example.org"),
    *("mail.example.co.uk", "cs.uni-example.de", "corp.example.com"),
)
LISTS: Final = ("dev", "users", "announce", "kernel", "imap-protocol", "patches")


def _make_words() -> list[str]:
    """Words, the most frequent and shortest first."""
    rng = random.Random(20240501)
    seen = {RARE_WORD, SUBJECT_WORD}
    words: list[str] = []
    while len(words) < _WORD_COUNT:
        syllables = 1 if len(words) < 150 else 2 if len(words) < 6000 else 3
        word = "".join(
            rng.choice(_ONSETS) + rng.choice(_NUCLEI) + rng.choice(_CODAS)
            for _ in range(syllables)
        )
        if len(word) > 1 and word not in seen:
            seen.add(word)
            words.append(word)
    return words


def _make_weights() -> list[float]:
    """Cumulative, as Zipf and Mandelbrot have it."""
    total, weights = 0.0, []
    for rank in range(_WORD_COUNT):
        total += 1.0 / (rank + 2.7)
        weights.append(total)
    return weights


WORDS: Final = _make_words()
_WEIGHTS: Final = _make_weights()
#: In nearly every text.
COMMON_WORD: Final = WORDS[9]
#: Of these some occur in few messages: what a full-text index has to bear.
UNCOMMON_WORDS: Final = WORDS[4000:]


def pick_words(rng: random.Random, count: int) -> list[str]:
    """Return words as often as a language has them."""
    return rng.choices(WORDS, cum_weights=_WEIGHTS, k=count)


def _make_lines() -> list[str]:
    """Lines of 50 to 74 characters."""
    rng = random.Random(7)
    lines = []
    for _ in range(_LINE_COUNT):
        line, length, wanted = [], 0, rng.randint(50, 72)
        while length < wanted:
            word = pick_words(rng, 1)[0]
            if rng.random() < 0.08:
                word += rng.choice(".,;?")
            if rng.random() < 0.05:
                word = word.capitalize()
            length += len(word) + 1
            line.append(word)
        lines.append(" ".join(line))
    return lines


LINES: Final = _make_lines()
