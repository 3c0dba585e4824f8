r"""Flags: spelling, and what STORE leaves."""

import unittest

from hypothesis import given
from hypothesis import strategies as st

from imapd.model.flags import (
    SYSTEM_FLAGS,
    StoreMode,
    canonical,
    combine,
    is_system,
)

FLAGS = st.frozensets(
    st.sampled_from([rb"\Seen", rb"\Deleted", b"$Work", b"$work", b"Junk", b"JUNK"])
)


def lower(flags: frozenset[bytes]) -> set[bytes]:
    return {flag.lower() for flag in flags}


class FlagTests(unittest.TestCase):
    def test_canonical(self) -> None:
        cases = {
            rb"\SEEN": rb"\Seen",
            rb"\deleted": rb"\Deleted",
            rb"\Unheard": rb"\Unheard",
            b"Seen": b"Seen",
            b"$FORWARDED": b"$FORWARDED",
        }
        for given_, expected in cases.items():
            self.assertEqual(canonical(given_), expected)
        for flag in SYSTEM_FLAGS:
            self.assertTrue(is_system(flag))
            self.assertEqual(canonical(flag.upper()), flag)
        self.assertFalse(is_system(b"Seen"))

    def test_combine(self) -> None:
        old = frozenset([rb"\Seen", b"$Work"])
        cases = {
            "add": (StoreMode.ADD, [b"$WORK", b"new"], {rb"\Seen", b"$Work", b"new"}),
            "remove": (StoreMode.REMOVE, [b"$WORK", b"new"], {rb"\Seen"}),
            "replace": (StoreMode.REPLACE, [b"$WORK", b"new"], {b"$Work", b"new"}),
            "replace by nothing": (StoreMode.REPLACE, [], set()),
            "add nothing": (StoreMode.ADD, [], old),
        }
        for name, (mode, flags, expected) in cases.items():
            self.assertEqual(combine(old, mode, flags), expected, name)

    @given(FLAGS, st.sampled_from(StoreMode), FLAGS)
    def test_is_set_arithmetic_without_case(
        self, old: frozenset[bytes], mode: StoreMode, new: frozenset[bytes]
    ) -> None:
        expected = {
            StoreMode.ADD: lower(old) | lower(new),
            StoreMode.REMOVE: lower(old) - lower(new),
            StoreMode.REPLACE: lower(new),
        }[mode]
        left = combine(old, mode, new)
        self.assertEqual(lower(left), expected)
        # Once more changes nothing.
        self.assertEqual(combine(left, mode, new), left)
        if mode is not StoreMode.REMOVE:
            self.assertEqual(len(left), len(expected), "one keyword, two spellings")
