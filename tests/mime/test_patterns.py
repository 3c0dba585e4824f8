"""Regular expressions that all Pythons from 3.11.0 on read alike.

Before 3.11.5 a possessive group whose last turn fails keeps what that turn had
taken ("gh-106052").  Debian 12 has 3.11.2: so no turn may fail after its first part.
"""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any
from unittest import TestCase

import imapd


def patterns() -> Iterator[tuple[str, re.Pattern[Any]]]:
    """Every compiled pattern in a module of ours."""
    for module in pkgutil.walk_packages(imapd.__path__, "imapd."):
        names = vars(importlib.import_module(module.name))
        for name, value in names.items():
            if isinstance(value, re.Pattern):
                yield f"{module.name}.{name}", value


def bodies(tree: Any) -> Iterator[Any]:
    """What possessive quantifiers of that parsed pattern repeat, at any depth."""
    if isinstance(tree, _parser.SubPattern):
        for code, argument in tree:
            if code is _constants.POSSESSIVE_REPEAT:
                yield argument[2]
            yield from bodies(argument)
    elif isinstance(tree, tuple | list):
        for part in tree:
            yield from bodies(part)


def may_fail_late(body: Any) -> bool:
    """Whether a part after the first is not optional."""
    for code, argument in body:
        if code is _constants.SUBPATTERN and may_fail_late(argument[-1]):
            return True
        if code is _constants.BRANCH and any(map(may_fail_late, argument[1])):
            return True
    return any(
        part.getwidth()[0] for part in (body[n : n + 1] for n in range(1, len(body)))
    )


class PatternTests(TestCase):
    def test_no_possessive_group_fails_late(self) -> None:
        count = 0
        for name, pattern in patterns():
            for body in bodies(_parser.parse(pattern.pattern, pattern.flags)):
                count += 1
                self.assertFalse(may_fail_late(body), f"{name}: {pattern.pattern!r}")
        self.assertGreater(count, 20)

    def test_what_fails_late_is_found(self) -> None:
        for pattern, late in {
            "a*+": False,
            "(?:ab?+)*+": False,
            "(?:a++|b)*+": False,
            "(?:ab)?+": True,
            "(?:a|bc)++": True,
            "(a(bc))*+": True,
            "((?:ab)*+)c": True,
            "(?>(?:ab)*)": False,
        }.items():
            found = any(map(may_fail_late, bodies(_parser.parse(pattern))))
            self.assertIs(found, late, pattern)
