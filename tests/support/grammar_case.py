"""Running one grammar function on one command."""

import unittest
from collections.abc import Callable

from imapd.errors import ImapError
from imapd.wire.cursor import Cursor

Parts = tuple[bytes, ...]
Rule = Callable[[Cursor], object]


class GrammarTestCase(unittest.TestCase):
    """Tests whose cases are (octets or parts, value or error class)."""

    def check(
        self, name: str, rule: Rule, given: bytes | Parts, wanted: object
    ) -> None:
        """The rule reads all of it to that value, or raises that error in our words."""
        cursor = Cursor(given if isinstance(given, tuple) else (given,))
        if isinstance(wanted, type) and issubclass(wanted, ImapError):
            with self.assertRaises(wanted, msg=name) as caught:
                rule(cursor)
            self.assertRegex(str(caught.exception), r"\A[ -~]+\Z", name)
        else:
            self.assertEqual(rule(cursor), wanted, name)
            self.assertTrue(cursor.at_end, name)


def many(count: int, item: bytes = b"a") -> bytes:
    """The item again and again, with a space between."""
    return b" ".join([item] * count)
