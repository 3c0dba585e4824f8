"""Regular expressions take one way, and all Pythons from 3.11.0 on read them alike.

Before 3.11.5 a possessive group whose last turn fails keeps what that turn had
taken ("gh-106052").  Debian 12 has 3.11.2: so no turn may fail after its first part.
"""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
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


def literals() -> Iterator[tuple[str, str | bytes]]:
    """Every pattern that is written where it is used."""
    for file in sorted(Path(imapd.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func).startswith("re.")
                and node.args
                and isinstance(node.args[0], ast.Constant)
                and isinstance(node.args[0].value, str | bytes)
            ):
                yield f"{file.name}:{node.lineno}", node.args[0].value


def may_backtrack(tree: Any, *, within: bool = False) -> bool:
    """Whether what is repeated without bound has such a repeat within.

    ``(?:a*b)*`` may be taken apart in as many ways as there are subsets.  What is
    possessive or atomic is taken in one way.
    """
    if not isinstance(tree, _parser.SubPattern):
        parts = tree if isinstance(tree, tuple | list) else ()
        return any(may_backtrack(part, within=within) for part in parts)
    for code, argument in tree:
        inner: Any = argument
        inside = within
        if code in (_constants.MAX_REPEAT, _constants.MIN_REPEAT):
            many = argument[1] == _constants.MAXREPEAT
            if within and many:
                return True
            inner, inside = argument[2], within or many
        elif code in (_constants.POSSESSIVE_REPEAT, _constants.ATOMIC_GROUP):
            inner, inside = argument, False
        if may_backtrack(inner, within=inside):
            return True
    return False


class PatternTests(TestCase):
    def test_no_repeat_within_a_repeat_can_backtrack(self) -> None:
        # Hardening: P14.
        every = [(name, one.pattern, one.flags) for name, one in patterns()]
        every += [(name, text, 0) for name, text in literals()]
        self.assertGreater(len(every), 80)
        for name, text, flags in every:
            found = may_backtrack(_parser.parse(text, flags))
            self.assertFalse(found, f"{name}: {text!r}")

    def test_what_may_backtrack_is_found(self) -> None:
        for pattern, expected in {
            "a*b*": False,
            "(?:ab*)": False,
            "(?:ab{0,9})*": False,
            "(?:ab*)*": True,
            "(a+?)+": True,
            "((x|(?:y|z*))c)*": True,
            "(?:ab*+)*": False,
            "(?:(?>a*)b)*": False,
            "(?:a(?=b*)){2,}": True,
        }.items():
            found = may_backtrack(_parser.parse(pattern))
            self.assertIs(found, expected, pattern)

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
