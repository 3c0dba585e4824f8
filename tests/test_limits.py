"""Every limit has a least value it is held to, and says where that comes from."""

import unittest
from dataclasses import FrozenInstanceError, fields, replace

from imapd.limits import DEFAULT_LIMITS, Limits

UNITS = {
    *("octets", "count", "depth", "seconds", "commands", "attempts", "parts"),
    "connections",
}


class LimitsTests(unittest.TestCase):
    def test_there_are_some(self) -> None:
        self.assertGreater(len(fields(Limits)), 20)

    def test_every_row(self) -> None:
        for row in fields(Limits):
            least, source = row.metadata["least"], row.metadata["source"]
            self.assertGreaterEqual(getattr(DEFAULT_LIMITS, row.name), least, row.name)
            self.assertGreaterEqual(least, 1, row.name)
            self.assertTrue(source.strip(), row.name)
            self.assertIn(row.name.rsplit("_", 1)[-1], UNITS, row.name)
            self.assertEqual(
                getattr(replace(DEFAULT_LIMITS, **{row.name: least}), row.name), least
            )
            with self.assertRaisesRegex(ValueError, f"{row.name} .*{least}"):
                Limits(**{row.name: least - 1})

    def test_nothing_changes_them_later(self) -> None:
        with self.assertRaises(FrozenInstanceError):
            DEFAULT_LIMITS.idle_seconds = 1  # type: ignore[misc]

    def test_what_a_stranger_may_cost_is_less(self) -> None:
        # Hardening: P10.
        for name in ("line_octets", "literal_octets", "literal_count"):
            stranger = getattr(DEFAULT_LIMITS, f"preauth_{name}")
            user = getattr(DEFAULT_LIMITS, name.replace("line", "command"))
            self.assertLess(stranger, user, name)
