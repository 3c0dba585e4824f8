r"""SEARCH keys whose answer the model knows, of flags, numbers and MODSEQ.

A key is drawn as a tree and becomes words only when it is sent, for it names what is
there then.  Answers are three: yes, no, and None where the server may say either.
RFC 3501 §6.4.4, RFC 7162 §3.1.5.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.torture.model import Flags, View

FLAG_KEYS = {
    "SEEN": (r"\seen", True),
    "UNSEEN": (r"\seen", False),
    "FLAGGED": (r"\flagged", True),
    "UNFLAGGED": (r"\flagged", False),
    "DELETED": (r"\deleted", True),
    "UNDELETED": (r"\deleted", False),
    "ANSWERED": (r"\answered", True),
    "UNANSWERED": (r"\answered", False),
    "DRAFT": (r"\draft", True),
    "UNDRAFT": (r"\draft", False),
    "KEYWORD $Work": ("$work", True),
    "UNKEYWORD $Work": ("$work", False),
}
RECENT_KEYS = ("RECENT", "OLD", "NEW")

Answer = bool | None
Test = Callable[[int, Flags], Answer]
#: ``(kind, *arguments)``; arguments are numbers, words, or trees again.
Tree = tuple[Any, ...]

_NUMBERS = st.lists(st.integers(1, 9), min_size=1, max_size=3)
_LEAVES: st.SearchStrategy[Tree] = st.one_of(
    st.just(("all",)),
    st.sampled_from(sorted(FLAG_KEYS)).map(lambda word: ("flag", word)),
    st.sampled_from(RECENT_KEYS).map(lambda word: ("recent", word)),
    _NUMBERS.map(lambda numbers: ("uid", *numbers)),
    _NUMBERS.map(lambda numbers: ("seq", *numbers)),
    st.integers(0, 5).map(lambda moment: ("modseq", moment)),
)
KEYS: st.SearchStrategy[Tree] = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda one: ("not", one)),
        st.tuples(st.just("or"), inner, inner),
        st.tuples(st.just("and"), inner, inner),
    ),
    max_leaves=3,
)


def negated(answer: Answer) -> Answer:
    """NOT, of three values."""
    return None if answer is None else not answer


def both(one: Answer, other: Answer) -> Answer:
    """AND, of three values."""
    if one is False or other is False:
        return False
    return None if one is None or other is None else True


@dataclass(frozen=True, slots=True)
class Key:
    """A key as words, and what it says of a message by number and flags."""

    words: str
    test: Test
    by_number: bool = False  # no expunge may be told before it is answered
    by_modseq: bool = False


def key_of(tree: Tree, view: View, moment: Callable[[int], int]) -> Key | None:
    """The key in this view; None: it would name a message number in an empty one.

    Args:
        tree: one of ``KEYS``.
        view: of the session that searches.
        moment: gives a modification sequence that somebody was told.
    """
    kind, *rest = tree
    match kind:
        case "all":
            return Key("ALL", lambda seq, flags: True)
        case "flag":
            flag, wanted = FLAG_KEYS[rest[0]]
            return Key(rest[0], lambda seq, flags: (flag in flags) is wanted)
        case "recent":
            return _recent(rest[0], view)
        case "uid":
            words = "UID " + ",".join(map(str, rest))
            return Key(words, lambda seq, flags: view.uids[seq - 1] in rest)
        case "seq":
            count = len(view.uids)
            numbers = {1 + number % count for number in rest} if count else set()
            words = ",".join(map(str, sorted(numbers)))
            return (
                Key(words, lambda seq, flags: seq in numbers, True) if words else None
            )
        case "modseq":
            return _modseq(moment(rest[0]), view)
    return _combined(kind, [key_of(each, view, moment) for each in rest])


def _recent(word: str, view: View) -> Key:
    def test(seq: int, flags: Flags) -> Answer:
        recent = view.recent.get(view.uids[seq - 1])
        if word == "OLD":
            return negated(recent)
        return recent if word == "RECENT" else both(recent, r"\seen" not in flags)

    return Key(word, test)


def _modseq(modseq: int, view: View) -> Key:
    def test(seq: int, flags: Flags) -> Answer:
        message = view.box.messages.get(view.uids[seq - 1])
        return None if message is None else message.is_above(modseq - 1)

    return Key(f"MODSEQ {modseq}", test, by_modseq=True)


def _combined(kind: str, keys: Sequence[Key | None]) -> Key | None:
    known = [key for key in keys if key is not None]
    if len(known) < len(keys):
        return None
    by_number = any(key.by_number for key in known)
    by_modseq = any(key.by_modseq for key in known)
    first, last = known[0].test, known[-1].test
    words = [key.words for key in known]

    def test(seq: int, flags: Flags) -> Answer:
        one, other = first(seq, flags), last(seq, flags)
        if kind == "not":
            return negated(one)
        if kind == "and":
            return both(one, other)
        return negated(both(negated(one), negated(other)))

    text = {"not": "NOT (%s)", "or": "OR (%s) (%s)", "and": "(%s) (%s)"}[kind]
    return Key(text % tuple(words), test, by_number, by_modseq)
