"""Every row of the catalogue of threats and faults has its tests, and they say so."""

import ast
import re
import tomllib
import unittest
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path
from tokenize import COMMENT, generate_tokens
from typing import Any

from tests.support.shared import SHARED, needs_shared

TESTS = Path(__file__).parent
CATALOGUE = SHARED / "hardening.md"
ROWS: dict[str, dict[str, Any]] = tomllib.loads(
    (TESTS / "hardening.toml").read_text("utf-8")
)
ROW_ID = re.compile(r"\b[XPFDAV]\d{1,2}\b")
#: As tests name the rows that they cover.
NAMED = re.compile(r"\bHardening:? ([^.]*)")

Node = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Named:
    """A test, or what has tests, and the rows that are named at it."""

    rows: frozenset[str]
    inner: dict[str, "Named"]
    is_test: bool

    def find(self, path: list[str]) -> list["Named"]:
        """Return what is met on the way there, the whole way; empty: there is none."""
        if not path:
            return [self]
        way = self.inner[path[0]].find(path[1:]) if path[0] in self.inner else []
        return [self, *way] if way else []

    @property
    def has_tests(self) -> bool:
        """Whether anything is run here."""
        return self.is_test or any(each.has_tests for each in self.inner.values())


def _rows_of(texts: list[str]) -> frozenset[str]:
    lists = [found for text in texts for found in NAMED.findall(text)]
    return frozenset(row for each in lists for row in ROW_ID.findall(each))


def _look_at(node: Node, comments: dict[int, str]) -> Named:
    """Look at a part of a file; its comments are taken out of ``comments``."""
    inner: dict[str, Named] = {}
    is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    for each in [] if is_function else node.body:
        if isinstance(each, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            inner[each.name] = _look_at(each, comments)
    own, name = [], ""
    if not isinstance(node, ast.Module):
        lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
        name = node.name
        own = [comments.pop(line) for line in lines if line in comments]
    rows = _rows_of([ast.get_docstring(node) or "", *own])
    return Named(rows, inner, is_function and name.startswith("test"))


@cache
def named_in(file: Path) -> Named:
    """Read a file of tests, without importing it."""
    text = file.read_text("utf-8")
    comments = {
        token.start[0]: token.string
        for token in generate_tokens(StringIO(text).readline)
        if token.type == COMMENT
    }
    return _look_at(ast.parse(text), comments)


def references() -> list[tuple[str, str, Path, list[str]]]:
    """Every test that a row has: row, reference, file, names."""
    found = []
    for row, entry in ROWS.items():
        for reference in entry.get("tests", ()):
            file, *names = reference.split("::")
            found.append((row, reference, TESTS.parent / file, names))
    return found


class CatalogueTests(unittest.TestCase):
    def test_every_row_says_one_thing(self) -> None:
        self.assertGreater(len(ROWS), 90)
        for row, entry in ROWS.items():
            self.assertRegex(row, rf"\A{ROW_ID.pattern}\Z")
            self.assertLessEqual(
                entry.keys(), {"title", "tests", "not_applicable", "open"}, row
            )
            self.assertTrue(entry["title"], row)
            self.assertNotIn("\n", entry["title"], row)
            says = entry.keys() - {"title"}
            self.assertIn(len(says), (1, 2), row)
            if len(says) == 2:
                self.assertEqual(says, {"tests", "open"}, row)
            for what in says:
                self.assertTrue(entry[what], f"{row}: {what}")
            listed = entry.get("tests", [])
            self.assertEqual(len(set(listed)), len(listed), row)

    def test_every_test_is_there_and_names_its_row(self) -> None:
        missing, silent = [], []
        for row, reference, file, names in references():
            way = named_in(file).find(names) if file.is_file() else []
            if not way or not names or not way[-1].has_tests:
                missing.append(f"{row}: {reference}")
            elif not any(row in each.rows for each in way):
                silent.append(f"{row}: {reference}")
        self.assertEqual(missing, [])
        self.assertEqual(silent, [])

    def test_what_tests_name_is_a_row_that_has_them(self) -> None:
        """The other way round: no test names a row that does not know of it."""
        listed: dict[Path, set[str]] = {}
        for row, _, file, _ in references():
            listed.setdefault(file, set()).add(row)

        def every(named: Named) -> set[str]:
            return set(named.rows).union(*map(every, named.inner.values()))

        for file in sorted(TESTS.rglob("test_*.py")):
            unknown = every(named_in(file)) - listed.get(file, set())
            self.assertEqual(unknown, set(), file)

    @needs_shared
    def test_the_rows_are_those_of_the_catalogue(self) -> None:
        if not CATALOGUE.is_file():
            self.skipTest(f"no {CATALOGUE.name}")
        lines = CATALOGUE.read_text("utf-8").split("\n")
        ids = [found[1] for line in lines if (found := re.match(r"\|(\w+)\|", line))]
        self.assertEqual(list(ROWS), [each for each in ids if ROW_ID.fullmatch(each)])

    def test_nothing_is_open(self) -> None:
        """What is still missing is not hidden: it is skipped by name."""
        missing = {row: each["open"] for row, each in ROWS.items() if "open" in each}
        if missing:
            self.skipTest("; ".join(f"{row}: {what}" for row, what in missing.items()))


if __name__ == "__main__":
    unittest.main()
