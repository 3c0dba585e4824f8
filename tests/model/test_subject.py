"""RFC 5256, section 2.1: the base subject."""

import re
import unittest

from hypothesis import given
from hypothesis import strategies as st

from imapd.model.subject import base_subject

#: Subject, base, and whether it is a reply or forward.
CASES: dict[str, tuple[str, bool]] = {
    "": ("", False),
    " ": ("", False),
    "plain": ("plain", False),
    "  two\t\r\n  words  ": ("two words", False),
    # subj-refwd
    "Re: x": ("x", True),
    "RE:x": ("x", True),
    "re : x": ("x", True),
    "re\t:x": ("x", True),
    "fw: x": ("x", True),
    "FWD: x": ("x", True),
    "fwdd: x": ("fwdd: x", False),
    "Re: Re: Fwd: x": ("x", True),
    "Re[2]: x": ("x", True),
    "Re [2] : x": ("x", True),
    "re[a][b]: x": ("re[a][b]: x", False),
    "regarding: x": ("regarding: x", False),
    "AW: x": ("AW: x", False),
    "Re:": ("", True),
    "Re: ": ("", True),
    "x Re: y": ("x Re: y", False),
    # subj-blob
    "[list] x": ("x", False),
    "[list][sub]x": ("x", False),
    "[list] Re: [sub] Re: x": ("x", True),
    "[list]re: x": ("x", True),
    "[list]": ("[list]", False),
    "[a] [b]": ("[b]", False),
    "[a][b][c] ": ("[c]", False),
    "Re: [list]": ("[list]", True),
    "[a] re:": ("", True),
    "[open x": ("[open x", False),
    "[[a]] x": ("[[a]] x", False),
    "[] x": ("x", False),
    # subj-trailer
    "x (fwd)": ("x", True),
    "x(FWD) (fwd) ": ("x", True),
    "(fwd)": ("", True),
    "x (fwd": ("x (fwd", False),
    "(fwd) x": ("(fwd) x", False),
    "[a](fwd)": ("[a]", True),
    # subj-fwd
    "[fwd: x]": ("x", True),
    "[FWD: Re: x (fwd)]": ("x", True),
    "[fwd: [fwd: x]]": ("x", True),
    "[fwd:]": ("", True),
    "[fwd: x] y": ("y", False),
    "[fwd: [list] x]": ("x", True),
    "Re: [fwd: x](fwd)": ("x", True),
    "[fwd: x": ("[fwd: x", False),
    # other letters
    "Re: Ärger ſ": ("Ärger ſ", True),
    "RE：x": ("RE：x", False),
}

PIECES = ("re", "fwd", "fw", "[", "]", ":", " ", "\t", "(fwd)", "[fwd:", "x", "Ä", "(")


def by_the_letter(subject: str) -> tuple[str, bool]:
    """Step by step as the RFC has them: slow, and nothing clever."""
    blob, answers = r"\[[^\[\]]*\][ \t]*", False
    text = re.sub("[ \t\r\n]+", " ", subject)
    while True:
        before = text
        while True:  # 2
            if text.endswith((" ", "\t")):
                text = text[:-1]
            elif text.lower().endswith("(fwd)"):
                text, answers = text[:-5], True
            else:
                break
        while True:  # 3 to 5
            leader = re.match(
                rf"(?:{blob})*(?:re|fwd?)[ \t]*(?:{blob})?:", text, re.IGNORECASE
            )
            first = re.match(blob, text)
            if text[:1] in (" ", "\t") and text:
                text = text[1:]
            elif leader:
                text, answers = text[leader.end() :], True
            elif first and text[first.end() :]:
                text = text[first.end() :]
            else:
                break
        # 6
        if len(text) >= 6 and text[:5].lower() == "[fwd:" and text.endswith("]"):
            text, answers = text[5:-1], True
        if text == before:
            return text, answers


class BaseSubjectTests(unittest.TestCase):
    def test_cases(self) -> None:
        for subject, wanted in CASES.items():
            self.assertEqual(base_subject(subject), wanted, repr(subject))

    @given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
    def test_it_is_what_the_steps_of_the_rfc_make(self, subject: str) -> None:
        self.assertEqual(base_subject(subject), by_the_letter(subject))

    @given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
    def test_a_base_is_its_own_base(self, subject: str) -> None:
        base, _ = base_subject(subject)
        self.assertEqual(base_subject(base), (base, False))

    def test_hostile_subjects_take_linear_time(self) -> None:
        """They would take minutes if each blob were looked at twice."""
        # Hardening: P14.
        count = 100_000
        for subject in (
            "[a]" * count + "x",
            "[a]" * count,
            "re:" * count,
            "re[a]" * count,
            "[fwd:" * count + "]" * count,
            "(fwd)" * count,
            "[a]re: " * count,
            "[" * count,
        ):
            base, _ = base_subject(subject)
            self.assertLessEqual(len(base), len(subject))
